//! `maf-srl cluster`, run as a user runs it, on a small graph whose clusters are known.

mod support;

use ndarray::{Array1, Array2};
use serde_json::Value;
use support::Place;

/// Vertices, three classes of equal size.
const VERTICES: usize = 60;

/// A folder with `graph.npy` and `labels.npy`.
///
/// Strong edges inside the classes, weaker and fewer ones between them; the vertices are not sorted by class.
fn place() -> Place {
    let place = Place::new();
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
    ndarray_npy::write_npy(place.at("graph.npy"), &w).expect("written");
    let labels = Array1::from_iter((0..VERTICES).map(|i| (i % 3 + 1) as f64));
    ndarray_npy::write_npy(place.at("labels.npy"), &labels).expect("written");
    place
}

/// The command on that graph.
const CLUSTER: &str = "cluster --device cpu --out-dir runs --graph graph.npy --labels labels.npy";

#[track_caller]
fn cluster(place: &Place, arguments: &str) -> Value {
    place.json(&format!("{CLUSTER} --json {arguments}"))
}

#[track_caller]
fn refused(place: &Place, arguments: &str, needles: &[&str]) {
    place.refuses(&format!("{CLUSTER} {arguments}"), needles);
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

/// The density of an unlearned graph before anything is taken from it.
fn whole(place: &Place, name: &str) -> Option<f64> {
    let w: Array2<f64> = ndarray_npy::read_npy(place.at("graph.npy")).unwrap();
    let n = VERTICES;
    let degree = |i: usize| w.row(i).sum();
    let p = Array2::from_shape_fn((n, n), |(i, j)| w[[i, j]] / (degree(i) * degree(j)).sqrt());
    let times_p = |x: &Array2<f64>| {
        Array2::from_shape_fn((n, n), |(i, j)| (0..n).map(|k| x[[i, k]] * p[[k, j]]).sum::<f64>())
    };
    let x = match name {
        "soft" => w.clone(),
        "summed" => &p + &times_p(&p),
        "squared" => times_p(&p),
        "cubed" => times_p(&times_p(&p)),
        _ => return None,
    };
    let entries = || x.indexed_iter().filter(|((i, j), _)| i != j).map(|(_, &v)| v);
    let largest = if name == "soft" { 1.0 } else { entries().fold(0.0, f64::max) };
    Some(entries().filter(|v| v / largest >= 0.01).count() as f64 / (n * n) as f64)
}

const QUICK: &str = "--layers 3 --epochs 40 --repeats 4 --seeds 2";

#[test]
fn both_families_beside_the_baselines() {
    let place = place();
    let found = cluster(&place, QUICK);
    for (field, expected) in [("method", "maf-srl"), ("dataset", "labels")] {
        assert_eq!(found[field], expected);
    }
    assert_eq!((&found["layers"], &found["epochs"]), (&3.into(), &40.into()));
    let rows: Vec<_> = found["rows"].as_array().unwrap().iter().collect();
    let names: Vec<_> =
        rows.iter().map(|r| (r["graph"].as_str().unwrap(), r["as_dense_as"].as_str())).collect();
    let both = |family| ["soft", "summed", "squared", "cubed", family].map(|graph| (graph, Some(family)));
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
            // or have all that there is; an edge is two entries, and this graph has no ties
            let whole = whole(&place, rows["graph"].as_str().unwrap());
            let all = whole.is_some_and(|whole| (density - whole).abs() < 1e-12);
            let reached = of - density <= 2.0 / (VERTICES * VERTICES) as f64 + 1e-12 || all;
            assert!(density <= of + 1e-12 && reached, "{rows}");
        }
    }

    let kept = place.document("runs/cluster-labels/results.json");
    assert_eq!(kept["rows"], found["rows"]);
    assert_eq!(kept["trained"][1]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(kept["trained"][0]["runs"][0]["history"].as_array().unwrap().len(), 40);
    for (chart, words) in [
        ("affinity.svg", ["raw", "dsrl", "maf-srl"].as_slice()),
        ("regulariser.svg", &["g(y)", "dsrl", "maf-srl"]),
        ("training.svg", &["epoch", "dsrl", "maf-srl"]),
    ] {
        place.shows(&format!("runs/cluster-labels/{chart}"), words);
    }
    for family in ["dsrl", "maf-srl"] {
        let file = |end: &str| place.at(&format!("runs/cluster-labels/{family}.{end}"));
        let x: Array2<f32> = ndarray_npy::read_npy(file("npy")).unwrap();
        assert_eq!(x.dim(), (VERTICES, VERTICES));
        assert!(x.iter().all(|&v| v >= 0.0) && (&x - &x.t()).iter().all(|&d| d == 0.0));
        let (sets, layers) = maf_srl::regulariser::file::load(&file("safetensors")).unwrap();
        assert_eq!((sets.len(), layers), (1, 4));
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let place = place();
    let figures = |seed: &str| {
        let found = cluster(&place, &format!("{QUICK} --seed {seed}"));
        found["rows"].clone()
    };
    let first = figures("3");
    assert_eq!(figures("3"), first);
    assert_ne!(figures("4"), first);
}

#[test]
fn a_cut_is_counted_openly() {
    let place = place();
    let found = cluster(&place, &format!("{QUICK} --cut 0.01"));
    assert_eq!(found["nonzero_after"], found["density_after"]);
    assert_eq!(found["settings"]["cut"], 0.01);
}

#[test]
fn classification_from_a_share_of_labels() {
    let place = place();
    let found = cluster(&place, "--layers 3 --epochs 10,20 --repeats 5 --labelled 0.2");
    assert_eq!((number(&found["labelled"]), &found["repeats"]), (0.2, &5.into()));
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<_> =
        rows.iter().map(|row| (row["graph"].as_str().unwrap(), &row["as_dense_as"])).collect();
    let alone = ["raw", "labels joined", "dsrl", "maf-srl"];
    let matched = ["soft", "summed", "squared", "cubed", "maf-srl"];
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
    assert!(place.at("runs/classify-labels/results.json").is_file());
}

#[test]
fn the_study_of_layers_has_a_chart() {
    let place = place();
    let found = cluster(&place, "--preset layers --epochs 3 --repeats 2 --seeds 1");
    let layers: Vec<_> = found["reports"].as_array().unwrap().iter().map(|r| number(&r["layers"])).collect();
    assert_eq!(layers, [2.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 30.0]);
    place.shows("runs/layers-labels/layers.svg", &["raw graph", "maf-srl"]);
}

#[test]
fn wrong_values_are_named_with_their_range() {
    let place = place();
    for (arguments, needles) in [
        ("--layers 0", &["--layers", "layers = 0", "[1, 64]"][..]),
        ("--epochs 0", &["--epochs", "[1, 1000000]"]),
        ("--epochs 3,0", &["--epochs", "[1, 1000000]"]),
        ("--epochs 3,4,5", &["--epochs", "3", "2 methods"]),
        ("--lr 0", &["--lr", "[1e-9, 1000.0]"]),
        ("--lr NaN", &["--lr", "NaN"]),
        ("--cut -1", &["--cut", "[0, 1e6]"]),
        ("--repeats 0", &["--repeats", "[1, 10000]"]),
        ("--seeds 0", &["--seeds", "[1, 1000]"]),
        ("--seed 18446744073709551615", &["--seed", "2^64"]),
        ("--labelled 0", &["--labelled", "(0, 1)"]),
        ("--labelled 1", &["--labelled", "(0, 1)"]),
        ("--labelled 0.001", &["share = 1e-3", "[1/60, 1)"]),
        ("--neighbours 5", &["--neighbours", "--graph"]),
        ("--cut 1 --labelled 0.1", &["--cut", "--labelled"]),
        ("--layers 3 --preset layers", &["--layers", "--preset"]),
        ("--method tv", &["--method", "\"tv\"", "dsrl, maf-srl"]),
        ("--method dsrl,dsrl", &["--method", "named twice"]),
        ("--name ../x", &["--name"]),
        ("--preset depth", &["depth", "layers"]),
    ] {
        refused(&place, arguments, needles);
    }
    let elsewhere = CLUSTER.replace("--device cpu", "--device none");
    place.refuses(&elsewhere, &["no adapter matches \"none\""]);
}

/// The weights of a graph in 64 kB that as a full matrix takes 512 MiB, and one network on it more than is allowed.
#[test]
fn a_small_file_of_a_large_graph_is_refused_before_it_is_worked_on() {
    let place = place();
    let n = 8192_u32;
    let element = |kind: u32, bytes: &[u8]| {
        let mut all = [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        all.extend_from_slice(bytes);
        all.resize(all.len().next_multiple_of(8), 0);
        all
    };
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    // a ring: each vertex has an edge to the next and to the one before
    let mut rows = Vec::new();
    for i in 0..n {
        let mut ends = [(i + n - 1) % n, (i + 1) % n];
        ends.sort_unstable();
        rows.extend(ends);
    }
    let starts: Vec<u32> = (0..=n).map(|i| 2 * i).collect();
    let parts = [
        element(6, &words(&[5, 0])),
        element(5, &words(&[n, n])),
        element(1, b"W"),
        element(5, &words(&rows)),
        element(5, &words(&starts)),
        element(2, &vec![1; 2 * n as usize]),
    ];
    let mut file = b"MATLAB 5.0 MAT-file".to_vec();
    file.resize(124, b' ');
    file.extend(b"\x00\x01IM");
    file.extend(element(14, &parts.concat()));
    std::fs::write(place.at("W.mat"), file).unwrap();
    let labels = Array1::from_iter((0..n).map(|i| f64::from(i % 2)));
    ndarray_npy::write_npy(place.at("l.npy"), &labels).unwrap();
    place.refuses(
        "cluster --device cpu --out-dir runs --graph W.mat --labels l.npy --layers 64",
        &["--graph", "8192 vertices, 64 layers", "GiB of memory; allowed: 8 GiB"],
    );
}

#[test]
fn training_that_loses_every_edge_is_an_error() {
    let place = place();
    let output = place.run(&format!("{CLUSTER} --lr 1000 --epochs 30"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.trim_end().lines().last().unwrap_or_default();
    assert!(last.contains("dsrl (seed 0): no edge is left") && last.contains("--lr"), "{said}");
}

#[test]
fn wrong_files_are_named_with_the_place() {
    let place = place();
    let whole: Array2<f64> = ndarray_npy::read_npy(place.at("graph.npy")).unwrap();
    let changed = |change: &dyn Fn(&mut Array2<f64>), needles: &[&str]| {
        let mut w = whole.clone();
        change(&mut w);
        ndarray_npy::write_npy(place.at("graph.npy"), &w).unwrap();
        refused(&place, "", needles);
    };
    changed(&|w| w[[3, 5]] += 0.5, &["graph.npy", "3", "5"]);
    changed(&|w| w[[7, 2]] = f64::NAN, &["graph.npy", "7", "2"]);
    changed(&|w| w[[0, 1]] = -1.0, &["graph.npy", "0", "1"]);
    changed(
        &|w| {
            w.row_mut(9).fill(0.0);
            w.column_mut(9).fill(0.0);
        },
        &["graph.npy", "vertex 9"],
    );
    changed(&|w| *w = w.slice(ndarray::s![..50, ..50]).to_owned(), &["60", "50"]);
    changed(&|w| *w = w.slice(ndarray::s![.., ..50]).to_owned(), &["graph.npy", "50"]);
    std::fs::write(place.at("graph.npy"), "no graph").unwrap();
    refused(&place, "", &["graph.npy"]);
}
