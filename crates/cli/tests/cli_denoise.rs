//! `maf-srl denoise`, run as a user runs it.

mod support;

use serde_json::Value;
use support::Place;

fn denoise(place: &Place, arguments: &str) -> Value {
    place.json(&format!("denoise --device cpu --out-dir . --json {arguments}"))
}

fn ratio(document: &Value, method: &str) -> f64 {
    let rows = document["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["method"] == method).unwrap_or_else(|| panic!("no row {method}"));
    row["psnr_mean"].as_f64().unwrap()
}

#[test]
fn the_study_comes_out_again() {
    let place = Place::new();
    let found = denoise(&place, "");
    assert_eq!((&found["dataset"], &found["noise"]), (&"digits".into(), &0.3.into()));
    assert!(found["adapter"].is_string());
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["noisy", "soft", "soft-dct", "wiener", "dsrl", "maf-srl"]);
    for (method, low, high) in [
        ("noisy", 10.38, 10.58),
        ("soft", 11.9, 12.2),
        ("soft-dct", 12.9, 13.2),
        ("wiener", 16.2, 16.5),
        ("dsrl", 12.2, 12.5),
        ("maf-srl", 16.55, 17.2),
    ] {
        let found = ratio(&found, method);
        assert!((low..=high).contains(&found), "{method}: {found}");
    }
    for row in &rows[..4] {
        assert!(row["density"].is_null());
        assert!((0.0..0.2).contains(&row["psnr_std"].as_f64().unwrap()));
    }
    assert_eq!(rows[4]["density"], 1.0 / 64.0);
    assert!((rows[5]["density"].as_f64().unwrap() - 0.4).abs() < 1e-3);

    let kept = place.document("denoise-digits/results.json");
    assert_eq!(kept["rows"][5]["psnr_mean"], rows[5]["psnr_mean"]);
    let history = kept["rows"][5]["runs"][0]["history"].as_array().unwrap();
    assert!(history.len() >= 29 && rows[5]["runs"][0].get("history").is_none());
    for (chart, words) in [
        ("pictures.svg", ["clean", "noisy", "wiener", "maf-srl"].as_slice()),
        ("atoms.svg", &["no entry", "40.0 %"]),
        ("regulariser.svg", &["g(y)", "dsrl", "maf-srl"]),
        ("training.svg", &["step", "PSNR, dB", "soft-dct"]),
    ] {
        place.shows(&format!("denoise-digits/{chart}"), words);
    }
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_one_others() {
    let place = Place::new();
    let figures = |seed: &str| {
        let mut found = denoise(&place, &format!("--epochs 3 --seeds 2 --seed {seed}"));
        for row in found["rows"].as_array_mut().unwrap() {
            for run in row["runs"].as_array_mut().into_iter().flatten() {
                run.as_object_mut().unwrap().remove("seconds");
            }
        }
        found
    };
    let first = figures("7");
    assert_eq!(figures("7"), first);
    let other = figures("8");
    for method in ["noisy", "soft", "wiener", "dsrl", "maf-srl"] {
        assert_ne!(ratio(&other, method), ratio(&first, method), "{method}");
    }
    // the seeds of both overlap in one
    assert_eq!(other["rows"][5]["psnr"][0], first["rows"][5]["psnr"][1]);
}

#[test]
fn patches_and_neighbourhoods() {
    let place = Place::new();
    let found = denoise(&place, "--patch 4 --pattern neighbourhood:1 --method maf-srl --seeds 1");
    assert_eq!(found["settings"]["tile"], serde_json::json!([4, 4]));
    // per side: 2 + 3 + 3 + 2 neighbours of the four pixels
    assert_eq!(found["rows"][4]["density"], 100.0 / 256.0);
    assert_eq!(found["rows"].as_array().unwrap().len(), 5);
    assert!(ratio(&found, "maf-srl") > ratio(&found, "soft-dct") + 1.0);
}

#[test]
fn wrong_values_are_named_with_their_range() {
    let place = Place::new();
    for (arguments, needles) in [
        ("--density 0", &["--density", "density = 0", "(0, 1]"][..]),
        ("--density 1.5", &["density = 1.5", "(0, 1]"]),
        ("--density NaN", &["density = NaN", "(0, 1]"]),
        ("--noise -0.1", &["--noise", "-0.1", "[1e-6, 100]"]),
        ("--noise 0", &["--noise", "= 0 ", "[1e-6, 100]"]),
        ("--layers 0", &["--layers", "layers = 0", "[1, 64]"]),
        ("--epochs 0", &["--epochs", "[1, 1000000]"]),
        ("--batch 0", &["--batch", "[1, 1000000]"]),
        ("--lr 0", &["--lr", "[1e-9, 1000.0]"]),
        ("--seeds 0", &["--seeds", "[1, 1000]"]),
        ("--seed 18446744073709551615", &["--seed", "2^64 - seeds"]),
        ("--test 0", &["--test", "[1, 10000000]"]),
        ("--patch 1", &["--patch", "side = 1", "[2, 32]"]),
        ("--patch 9", &["--patch", "9", "at most 8 in digits"]),
        ("--method tv", &["--method", "\"tv\"", "dsrl, maf-srl"]),
        ("--method dsrl,dsrl", &["--method", "named twice"]),
        ("--pattern blocks", &["--pattern", "neighbourhood:R"]),
        ("--pattern neighbourhood:0", &["--pattern", "radius = 0", "[1, 1024]"]),
        ("--pattern neighbourhood:2 --density 0.3", &["--density", "neighbourhood:2"]),
        ("--data mnist", &["mnist", "--data-dir"]),
        ("--data pendigit", &["no such data set"]),
        ("--name ../x", &["--name"]),
    ] {
        place.refuses(&format!("denoise --device cpu --out-dir runs {arguments}"), needles);
    }
    place.refuses("denoise --device none --out-dir runs", &["no adapter matches \"none\""]);
}
