//! `maf-srl validate` for those who debug a driver: one case, and all of it as files.

mod support;

use std::fs;

use serde_json::Value;
use support::Place;

/// Numbers of a `.npy` file.
fn numbers<T: ndarray_npy::ReadableElement>(place: &Place, name: &str) -> Vec<T> {
    let array = ndarray_npy::read_npy::<_, ndarray::Array1<T>>(place.at(name));
    array.unwrap_or_else(|e| panic!("{name}: {e}")).into_iter().collect()
}

/// Of every kernel the first case, and some that take several dispatches.
fn cases(place: &Place) -> Vec<String> {
    let output = place.run("validate --list");
    let all = String::from_utf8(output.stdout).expect("a text");
    let mut kernels = Vec::new();
    let mut first = |name: &&str| {
        let kernel = name.split('/').next().unwrap_or_default().to_owned();
        let new = !kernels.contains(&kernel);
        kernels.push(kernel);
        new
    };
    // what has no elements dispatches nothing
    let some = all.lines().filter(|name| !name.contains("/elements=0/"));
    let mut cases: Vec<String> = some.filter(&mut first).map(String::from).collect();
    assert!(cases.len() >= 12, "{cases:?}");
    // that of the first does nothing but judge
    cases[0] = "step/gradient/layout/separate/length=300/offsets=0-1-0-0".into();
    for prefix in [
        "group/layout/gradient/l1/lasso(weight=sqrt-size)/whole/shape=40000",
        "spmm/metric/gradient/rows/n=33",
        "layer/backward/",
        "dsrl/backward/",
    ] {
        let found = all.lines().find(|name| name.starts_with(prefix));
        cases.push(found.unwrap_or_else(|| panic!("no case {prefix}")).into());
    }
    cases
}

#[test]
fn all_of_a_case_lies_in_a_folder() {
    let place = Place::new();
    for (k, case) in cases(&place).iter().enumerate() {
        let folder = format!("dump-{k}");
        let output =
            place.run_words(&["validate", "--device", "llvmpipe", "--case", case, "--dump", &folder]);
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));

        let about: Value = serde_json::from_slice(&place.read(&format!("{folder}/case.json"))).expect("JSON");
        assert_eq!((&about["case"], &about["outcome"]["mismatches"]), (&case.as_str().into(), &0.into()));
        assert!(
            place.text(&format!("{folder}/README.md")).contains(about["repeat"].as_str().expect("a line"))
        );
        let dispatches = about["dispatches"].as_array().expect("dispatches");
        assert!(!dispatches.is_empty(), "{case}");
        let mut changed = false;
        for one in dispatches {
            let text = |of: &Value| of.as_str().expect("a text").to_owned();
            let inside = format!("{folder}/{}", text(&one["folder"]));
            let wgsl = place.text(&format!("{inside}/shader.wgsl"));
            assert!(wgsl.contains(&format!("fn {}(", text(&one["entry_point"]))), "{case}");
            let spirv = place.read(&format!("{inside}/shader.spv"));
            assert_eq!(spirv[..8], [3, 2, 35, 7, 0, 3, 1, 0], "SPIR-V 1.3");
            for binding in one["bindings"].as_array().expect("bindings") {
                let name = text(&binding["name"]);
                // some are bound for other variants of the same layout
                assert!(name.is_empty() || wgsl.contains(&format!(" {name}:")), "{case}: {name}");
                let before: Vec<u32> = numbers(&place, &format!("{folder}/{}", text(&binding["before"])));
                assert_eq!(
                    4 * before.len() as u64,
                    binding["size"].as_u64().expect("bytes"),
                    "{case}: {name}"
                );
                if let Some(after) = binding["after"].as_str() {
                    let after: Vec<u32> = numbers(&place, &format!("{folder}/{after}"));
                    assert_eq!(after.len(), before.len(), "{case}: {name}");
                    changed |= after != before;
                }
            }
        }
        assert!(changed, "{case}: no word changed");

        let gpu: Vec<f32> = numbers(&place, &format!("{folder}/judged-gpu.npy"));
        let right: Vec<f64> = numbers(&place, &format!("{folder}/judged-reference.npy"));
        let bound: Vec<f64> = numbers(&place, &format!("{folder}/judged-bound.npy"));
        let holds: Vec<bool> = numbers(&place, &format!("{folder}/judged-right.npy"));
        assert!(!gpu.is_empty(), "{case}");
        assert_eq!([right.len(), bound.len(), holds.len()], [gpu.len(); 3], "{case}");
        assert!(holds.iter().all(|holds| *holds), "{case}");
        // one of them at least is what the last dispatch wrote
        let last = dispatches.last().expect("one");
        let written =
            last["bindings"].as_array().expect("bindings").iter().filter_map(|b| b["after"].as_str());
        let words: Vec<u32> =
            written.flat_map(|name| numbers::<u32>(&place, &format!("{folder}/{name}"))).collect();
        let seen = gpu.iter().filter(|x| words.contains(&x.to_bits())).count();
        assert!(seen > 0, "{case}");
    }
}

#[test]
fn a_dump_takes_one_case_one_adapter_and_a_folder_of_its_own() {
    let place = Place::new();
    let case = "step/gradient/layout/separate/length=300/offsets=0-1-0-0";
    let refused = |words: &[&str], parts: &[&str]| {
        let output = place.run_words(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && parts.iter().all(|part| said.contains(part)),
            "{words:?}: {said}"
        );
    };
    refused(&["validate", "--dump", "out"], &["--case"]);
    refused(&["validate", "--case", case, "--dump", "out"], &["--dump", "one adapter", "--device"]);
    assert!(!place.at("out").exists());
    fs::create_dir(place.at("full")).expect("made");
    fs::write(place.at("full/notes"), "kept").expect("written");
    refused(
        &["validate", "--device", "llvmpipe", "--case", case, "--dump", "full"],
        &["full", "a new or empty folder"],
    );
    assert_eq!(place.text("full/notes"), "kept");
}
