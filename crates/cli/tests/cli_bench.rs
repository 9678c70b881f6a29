//! `maf-srl bench` as scripts see it.

#[test]
fn the_command_prints_what_scripts_rely_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.md");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_maf-srl"))
        .args(["bench", "--device", "cpu", "--quick", "--json", "--report"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["adapter"], "cpu (float64 twins)");
    assert_eq!(document["clock"], "wall");
    assert!(document["copy_gb_s"].as_f64().unwrap() > 0.0);
    let row = &document["rows"][0];
    for field in ["room", "variant", "dtype"] {
        assert!(row[field].is_string(), "{field}: {row}");
    }
    for field in ["elements", "ns", "gb_s", "share_of_copy"] {
        assert!(row[field].as_f64().unwrap() > 0.0, "{field}: {row}");
    }
    let markdown = std::fs::read_to_string(path).unwrap();
    assert!(markdown.starts_with("## cpu (float64 twins)") && markdown.contains("prove nothing about GPUs"));
    assert!(markdown.lines().any(|line| line.starts_with("|---|--:|")));
}
