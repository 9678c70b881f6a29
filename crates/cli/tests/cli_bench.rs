//! `maf-srl bench` as scripts see it.

mod support;

use support::Place;

#[test]
fn the_command_prints_what_scripts_rely_on() {
    let place = Place::new();
    let document = place.json("bench --device cpu --quick --json --report bench.md");
    assert_eq!(document["adapter"], "cpu (float64 references)");
    assert_eq!(document["clock"], "wall");
    assert!(document["copy_gb_s"].as_f64().unwrap() > 0.0);
    let row = &document["rows"][0];
    for field in ["room", "variant", "dtype"] {
        assert!(row[field].is_string(), "{field}: {row}");
    }
    for field in ["elements", "ns", "gb_s", "share_of_copy"] {
        assert!(row[field].as_f64().unwrap() > 0.0, "{field}: {row}");
    }
    let markdown = place.text("bench.md");
    assert!(
        markdown.starts_with("## cpu (float64 references)") && markdown.contains("prove nothing about GPUs")
    );
    assert!(markdown.lines().any(|line| line.starts_with("|---|--:|")));
}

#[test]
fn matrices_that_are_too_large_are_refused() {
    for size in ["0", "4097", "4294967295"] {
        Place::new().refuses(&format!("bench --formats {size}"), &["--formats", size, "1..=4096"]);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_work() {
    let place = Place::new();
    std::fs::create_dir(place.at("folder")).expect("made");
    for arguments in ["--report no/bench.md", "--report folder", "--formats 16 --chart no/formats.svg"] {
        let path = arguments.split(' ').next_back().unwrap_or_default();
        // the device, which is asked for next, is not there either
        place.refuses(&format!("bench --quick --device nowhere {arguments}"), &[path, "write"]);
    }
}
