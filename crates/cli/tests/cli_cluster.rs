//! `maf-srl cluster`, run as a user runs it, on a small graph whose clusters are known.

use std::path::PathBuf;
use std::process::{Command, Output};

use ndarray::{Array1, Array2};
use serde_json::Value;

/// Vertices, three classes of equal size.
const VERTICES: usize = 60;

/// A folder with `graph.npy` and `labels.npy`.
struct Data(tempfile::TempDir);

impl Data {
    /// Strong edges inside the classes, weaker and fewer ones between them; the vertices are not sorted by class.
    fn new() -> Self {
        let data = Data(tempfile::tempdir().expect("a temporary folder"));
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1u32 << 24)
        };
        let mut w = Array2::<f64>::zeros((VERTICES, VERTICES));
        for i in 0..VERTICES {
            for j in 0..i {
                let (share, strength) = if i % 3 == j % 3 { (0.5, 0.66) } else { (0.15, 0.3) };
                if random() < share {
                    let weight = strength * (0.5 + random());
                    w[[i, j]] = weight;
                    w[[j, i]] = weight;
                }
            }
        }
        ndarray_npy::write_npy(data.path("graph.npy"), &w).expect("written");
        let labels = Array1::from_iter((0..VERTICES).map(|i| (i % 3 + 1) as f64));
        ndarray_npy::write_npy(data.path("labels.npy"), &labels).expect("written");
        data
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cluster(&self, device: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_maf-srl"))
            .args(["cluster", "--device", device, "--out-dir"])
            .arg(self.path("runs"))
            .arg("--graph")
            .arg(self.path("graph.npy"))
            .arg("--labels")
            .arg(self.path("labels.npy"))
            .args(arguments)
            .output()
            .expect("the program runs")
    }
}

fn document(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("stdout is one JSON document")
}

fn row<'a>(document: &'a Value, graph: &str, affinity: &str) -> &'a Value {
    let rows = document["rows"].as_array().unwrap();
    let own = |row: &Value| row["as_dense_as"].is_null() || row["as_dense_as"] == graph;
    let found = rows.iter().find(|row| row["graph"] == graph && row["affinity"] == affinity && own(row));
    found.unwrap_or_else(|| panic!("no row {graph}, {affinity}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const QUICK: [&str; 9] = ["--layers", "3", "--epochs", "40", "--repeats", "4", "--seeds", "2", "--json"];

#[test]
fn both_families_beside_the_baselines() {
    let data = Data::new();
    let found = document(&data.cluster("cpu", &QUICK));
    for (field, expected) in [("method", "maf-srl"), ("dataset", "labels")] {
        assert_eq!(found[field], expected);
    }
    assert_eq!((&found["layers"], &found["epochs"]), (&3.into(), &40.into()));
    let rows: Vec<_> = found["rows"].as_array().unwrap().iter().collect();
    let names: Vec<_> =
        rows.iter().map(|r| (r["graph"].as_str().unwrap(), r["as_dense_as"].as_str())).collect();
    let both = |family| ["soft", "squared", family].map(|graph| (graph, Some(family)));
    for expected in [("raw", None)].into_iter().chain(both("dsrl")).chain(both("maf-srl")) {
        assert_eq!(names.iter().filter(|name| **name == expected).count(), 2, "{expected:?}");
    }
    for field in ["acc_mean", "purity_mean", "nmi_mean", "ari_mean"] {
        assert_eq!(found[field], row(&found, "maf-srl", "rows")[field], "{field}");
        assert_eq!(found["baseline"][field], row(&found, "raw", "rows")[field], "{field}");
    }
    let [before, after] = ["density_before", "density_after"].map(|field| number(&found[field]));
    assert!(0.0 < after && after <= 1.0 && 0.1 < before && before < 0.4, "{before} {after}");
    assert_eq!(number(&found["nonzero_after"]), number(&row(&found, "maf-srl", "rows")["nonzero"]));
    // the planted classes are found in the raw graph itself
    assert!(number(&row(&found, "raw", "graph")["acc_mean"]) > 0.9, "{found}");
    let dsrl = number(&row(&found, "dsrl", "rows")["density"]);
    assert!(0.0 < dsrl && dsrl < before, "{dsrl} {before}");
    // unlearned graphs are as dense as the learned one, as far as pairs of entries and ties allow
    for rows in found["rows"].as_array().unwrap() {
        if let Some(family) = rows["as_dense_as"].as_str() {
            let of = number(&row(&found, family, "rows")["density"]);
            let density = number(&rows["density"]);
            let raw = number(&row(&found, "raw", "rows")["density"]);
            // or have all that there is
            let whole = match rows["graph"].as_str() {
                Some("soft") => density == raw,
                _ => rows["nonzero"] == rows["density"],
            };
            // an edge is two entries; this graph has no ties
            let reached = of - density <= 2.0 / (VERTICES * VERTICES) as f64 + 1e-12 || whole;
            assert!(density <= of + 1e-12 && reached, "{rows}");
        }
    }

    let run = data.path("runs").join("cluster-labels");
    let kept: Value = serde_json::from_slice(&std::fs::read(run.join("results.json")).unwrap()).unwrap();
    assert_eq!(kept["rows"], found["rows"]);
    assert_eq!(kept["trained"][1]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(kept["trained"][0]["runs"][0]["history"].as_array().unwrap().len(), 40);
    for (chart, words) in [
        ("affinity.svg", ["raw", "dsrl", "maf-srl"].as_slice()),
        ("regulariser.svg", &["g(y)", "dsrl", "maf-srl"]),
        ("training.svg", &["epoch", "dsrl", "maf-srl"]),
    ] {
        let svg = std::fs::read_to_string(run.join(chart)).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{chart}");
        for word in words {
            assert!(svg.contains(word), "{chart}: {word}");
        }
    }
    for family in ["dsrl", "maf-srl"] {
        let x: Array2<f32> = ndarray_npy::read_npy(run.join(format!("{family}.npy"))).unwrap();
        assert_eq!(x.dim(), (VERTICES, VERTICES));
        assert!(x.iter().all(|&v| v >= 0.0) && (&x - &x.t()).iter().all(|&d| d == 0.0));
        let (sets, layers) =
            maf_srl::regulariser::file::load(&run.join(format!("{family}.safetensors"))).unwrap();
        assert_eq!((sets.len(), layers), (1, 4));
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let data = Data::new();
    let figures = |seed: &str| {
        let found = document(&data.cluster("cpu", &[&QUICK[..], &["--seed", seed]].concat()));
        found["rows"].clone()
    };
    let first = figures("3");
    assert_eq!(figures("3"), first);
    assert_ne!(figures("4"), first);
}

#[test]
fn a_cut_is_counted_openly() {
    let data = Data::new();
    let found = document(&data.cluster("cpu", &[&QUICK[..], &["--cut", "0.01"]].concat()));
    assert_eq!(found["nonzero_after"], found["density_after"]);
    assert_eq!(found["settings"]["cut"], 0.01);
}

#[test]
fn classification_from_a_share_of_labels() {
    let data = Data::new();
    let quick = ["--layers", "3", "--epochs", "10,20", "--repeats", "5", "--json", "--labelled", "0.2"];
    let found = document(&data.cluster("cpu", &quick));
    assert_eq!((number(&found["labelled"]), &found["repeats"]), (0.2, &5.into()));
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<_> =
        rows.iter().map(|row| (row["graph"].as_str().unwrap(), &row["as_dense_as"])).collect();
    let (alone, matched) = (["raw", "labels joined", "dsrl", "maf-srl"], ["soft", "squared", "maf-srl"]);
    let (none, dsrl) = (Value::Null, Value::from("dsrl"));
    let expected = alone.map(|graph| (graph, &none)).into_iter().chain(matched.map(|graph| (graph, &dsrl)));
    assert_eq!(names, expected.collect::<Vec<_>>());
    for row in &rows[4..] {
        assert!(number(&row["density"]) <= number(&rows[2]["density"]), "{row}");
    }
    assert_eq!(found["training"][1][1]["epochs"], 20);
    for row in rows {
        assert_eq!(row["accuracy"].as_array().unwrap().len(), 5);
    }
    let accuracy = |graph: &str| {
        let row = rows.iter().find(|row| row["graph"] == graph).unwrap_or_else(|| panic!("no row {graph}"));
        number(&row["accuracy_mean"])
    };
    assert!(accuracy("dsrl") > accuracy("raw") && accuracy("dsrl") > 0.9, "{found}");
    assert!(data.path("runs").join("classify-labels").join("results.json").is_file());
}

#[test]
fn the_study_of_layers_has_a_chart() {
    let data = Data::new();
    let quick = ["--preset", "layers", "--epochs", "3", "--repeats", "2", "--seeds", "1", "--json"];
    let found = document(&data.cluster("cpu", &quick));
    let layers: Vec<_> = found["reports"].as_array().unwrap().iter().map(|r| number(&r["layers"])).collect();
    assert_eq!(layers, [2.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 30.0]);
    let svg = std::fs::read_to_string(data.path("runs").join("layers-labels").join("layers.svg")).unwrap();
    assert!(svg.contains("raw graph") && svg.contains("maf-srl"));
}

fn refused(output: &Output, needles: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for needle in needles {
        assert!(said.contains(needle), "{needle}: {said}");
    }
}

#[test]
fn wrong_values_are_named_with_their_range() {
    let data = Data::new();
    for (arguments, needles) in [
        (&["--layers", "0"][..], &["--layers", "layers = 0", "[1, 64]"][..]),
        (&["--epochs", "0"], &["--epochs", "[1, 1000000]"]),
        (&["--epochs", "3,0"], &["--epochs", "[1, 1000000]"]),
        (&["--epochs", "3,4,5"], &["--epochs", "3", "2 methods"]),
        (&["--lr", "0"], &["--lr", "[1e-9, 1000.0]"]),
        (&["--lr", "NaN"], &["--lr", "NaN"]),
        (&["--cut", "-1"], &["--cut", "[0, 1e6]"]),
        (&["--repeats", "0"], &["--repeats", "[1, 10000]"]),
        (&["--seeds", "0"], &["--seeds", "[1, 1000]"]),
        (&["--seed", "18446744073709551615"], &["--seed", "2^64"]),
        (&["--labelled", "0"], &["--labelled", "(0, 1)"]),
        (&["--labelled", "1"], &["--labelled", "(0, 1)"]),
        (&["--labelled", "0.001"], &["share = 1e-3", "[1/60, 1)"]),
        (&["--neighbours", "5"], &["--neighbours", "--graph"]),
        (&["--cut", "1", "--labelled", "0.1"], &["--cut", "--labelled"]),
        (&["--layers", "3", "--preset", "layers"], &["--layers", "--preset"]),
        (&["--method", "tv"], &["--method", "\"tv\"", "dsrl, maf-srl"]),
        (&["--method", "dsrl,dsrl"], &["--method", "named twice"]),
        (&["--name", "../x"], &["--name"]),
        (&["--preset", "depth"], &["depth", "layers"]),
    ] {
        refused(&data.cluster("cpu", arguments), needles);
    }
}

#[test]
fn training_that_loses_every_edge_is_an_error() {
    let data = Data::new();
    let output = data.cluster("cpu", &["--lr", "1000", "--epochs", "30"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("dsrl (seed 0): no edge is left") && last.contains("--lr"), "{said}");
}

#[test]
fn wrong_files_are_named_with_the_place() {
    let data = Data::new();
    let replaced = |change: &dyn Fn(&mut Array2<f64>)| {
        let whole = std::fs::read(data.path("graph.npy")).unwrap();
        let mut w: Array2<f64> = ndarray_npy::read_npy(data.path("graph.npy")).unwrap();
        change(&mut w);
        ndarray_npy::write_npy(data.path("graph.npy"), &w).unwrap();
        let output = data.cluster("cpu", &[]);
        std::fs::write(data.path("graph.npy"), whole).unwrap();
        output
    };
    refused(&replaced(&|w| w[[3, 5]] += 0.5), &["graph.npy", "3", "5"]);
    refused(&replaced(&|w| w[[7, 2]] = f64::NAN), &["graph.npy", "7", "2"]);
    refused(&replaced(&|w| w[[0, 1]] = -1.0), &["graph.npy", "0", "1"]);
    refused(
        &replaced(&|w| {
            w.row_mut(9).fill(0.0);
            w.column_mut(9).fill(0.0);
        }),
        &["graph.npy", "vertex 9"],
    );
    refused(&replaced(&|w| *w = w.slice(ndarray::s![..50, ..50]).to_owned()), &["60", "50"]);
    refused(&replaced(&|w| *w = w.slice(ndarray::s![.., ..50]).to_owned()), &["graph.npy", "50"]);
    std::fs::write(data.path("graph.npy"), "no graph").unwrap();
    refused(&data.cluster("cpu", &[]), &["graph.npy"]);
}
