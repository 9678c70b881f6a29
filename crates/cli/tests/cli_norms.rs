//! `maf-srl norms` as scripts see it: exit status, one line of error, one JSON document, a table.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use ndarray::{Array2, ShapeBuilder};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHTS: [f32; 6] = [3.0, -4.0, 0.0, -0.0, 0.0, 0.5];

/// A folder with `w.npy` [2, 3] in C order, `f.npy` the same in Fortran order, and `m.safetensors` with `a.weight` [2, 3]
/// of the same values, `b.weight` [2, 2] of which one is NaN and one an infinity, `a.bias` [2] and `none` [3, 0].
fn place() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let c = Array2::from_shape_vec((2, 3), WEIGHTS.to_vec()).expect("a shape");
    let f = Array2::from_shape_fn((2, 3).f(), |at| c[at]);
    ndarray_npy::write_npy(folder.path().join("w.npy"), &c).expect("written");
    ndarray_npy::write_npy(folder.path().join("f.npy"), &f).expect("written");
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (weight, bias) = (bytes(&WEIGHTS), bytes(&[1.0, 2.0]));
    let broken = bytes(&[f32::NAN, 1.0, f32::NEG_INFINITY, 2.0]);
    let views: BTreeMap<&str, TensorView> = [
        ("a.weight", vec![2, 3], &weight[..]),
        ("b.weight", vec![2, 2], &broken[..]),
        ("a.bias", vec![2], &bias[..]),
        ("none", vec![3, 0], &[][..]),
    ]
    .into_iter()
    .map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape, data).expect("a view")))
    .collect();
    let file = safetensors::serialize(views, None).expect("serialized");
    assert!(SafeTensors::deserialize(&file).is_ok());
    fs::write(folder.path().join("m.safetensors"), file).expect("written");
    folder
}

fn run(folder: &TempDir, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maf-srl"))
        .args(arguments.split_whitespace())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the tool runs")
}

fn json(folder: &TempDir, arguments: &str) -> Value {
    let output = run(folder, &format!("norms --json {arguments}"));
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

#[test]
fn every_norm_of_every_layout() {
    let folder = place();
    for device in ["llvmpipe", "cpu"] {
        for file in ["w.npy", "f.npy"] {
            for (norm, groups, values) in [
                ("l2", "rows", json!([5.0, 0.5])),
                ("l1", "rows", json!([7.0, 0.5])),
                ("linf", "rows", json!([4.0, 0.5])),
                ("l0", "rows", json!([2, 1])),
                ("l1", "columns", json!([3.0, 4.0, 0.5])),
                ("l0", "columns", json!([1, 1, 1])),
                ("l1", "blocks:4", json!([7.0, 0.5])),
                ("l1", "blocks:1", json!([3.0, 4.0, 0.0, 0.0, 0.0, 0.5])),
                ("l0", "whole", json!([3])),
            ] {
                let arguments = format!("--in {file} --groups {groups} --norm {norm} --device {device}");
                let document = json(&folder, &arguments);
                let tensor = &document["tensors"][0];
                assert_eq!(tensor["values"], values, "{arguments}");
                assert_eq!(tensor["groups"], values.as_array().expect("a list").len(), "{arguments}");
                assert_eq!((&tensor["norm"], &document["groups"]), (&json!(norm), &json!(groups)));
                let verified = if device == "cpu" { json!(0) } else { tensor["groups"].clone() };
                assert_eq!((&tensor["verified"], &tensor["mismatches"]), (&verified, &json!(0)));
            }
        }
    }
    assert_eq!(json(&folder, "--in w.npy --groups rows --device llvmpipe")["norm"], "l2", "the default");
}

#[test]
fn what_is_not_finite_is_null_and_counted() {
    let folder = place();
    for device in ["llvmpipe", "cpu"] {
        let select = format!("--in m.safetensors --select weight|none --groups rows --device {device}");
        let tensors = &json(&folder, &select)["tensors"];
        assert_eq!(tensors[0]["name"], "a.weight");
        assert_eq!((&tensors[0]["nonfinite"], &tensors[0]["zero"]), (&json!(0), &json!(0)));
        assert_eq!((&tensors[1]["values"], &tensors[1]["nonfinite"]), (&json!([null, null]), &json!(2)));
        assert_eq!((&tensors[2]["values"], &tensors[2]["zero"]), (&json!([0.0, 0.0, 0.0]), &json!(3)));
        let counts = &json(&folder, &format!("{select} --norm l0"))["tensors"];
        assert_eq!((&counts[1]["values"], &counts[1]["nonfinite"]), (&json!([2, 2]), &json!(0)));
    }
}

#[test]
fn people_get_a_table() {
    let folder = place();
    let output = run(&folder, "norms --in m.safetensors --select weight --groups rows --device llvmpipe");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.starts_with("l2 of rows on llvmpipe"), "{text}");
    let cells = |line: usize| text.lines().nth(line).expect("a line").split_whitespace().collect::<Vec<_>>();
    assert_eq!(cells(1)[..5], ["name", "groups", "min", "mean", "max"], "{text}");
    assert_eq!(cells(2), ["a.weight", "2", "0.5000", "2.7500", "5.0000", "0", "0", "2", "0"], "{text}");
    assert_eq!(cells(3), ["b.weight", "2", "-", "-", "-", "0", "2", "2", "0"], "{text}");
}

#[test]
fn wrong_requests_are_one_line() {
    let folder = place();
    for (arguments, parts) in [
        ("--in w.npy", &["--groups"][..]),
        ("--groups rows", &["--in"]),
        ("--in w.npy --groups lines", &["lines", "rows, columns"]),
        ("--in w.npy --groups blocks:0", &["elements per block", "0"]),
        ("--in w.npy --groups filters", &["\"w\"", "[2, 3]", "three axes"]),
        ("--in w.npy --groups rows --norm l3", &["l3", "l1, l2, linf, l0"]),
        ("--in m.safetensors --groups rows", &["\"a.bias\"", "[2]", "two axes", "--select"]),
        ("--in m.safetensors --groups rows --select zebra", &["zebra"]),
        ("--in missing.npy --groups rows", &["missing.npy"]),
        ("--in w.npy --groups rows --device zebra", &["zebra"]),
    ] {
        let output = run(&folder, &format!("norms {arguments}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(output.stdout.is_empty() && said.lines().count() == 1, "{arguments}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments}: {part:?} is not in {said:?}");
        }
    }
}
