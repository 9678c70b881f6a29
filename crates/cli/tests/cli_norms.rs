//! `maf-srl norms` as scripts see it: exit status, one line of error, one JSON document, a table.

mod support;

use ndarray::{Array2, ShapeBuilder};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use support::{Entry, Place, document};

const WEIGHTS: [f32; 6] = [3.0, -4.0, 0.0, -0.0, 0.0, 0.5];

/// A folder with `w.npy` [2, 3] in C order, `f.npy` the same in Fortran order, and `m.safetensors` with `a.weight` [2, 3]
/// of the same values, `b.weight` [2, 2] of which one is NaN and one an infinity, `a.bias` [2] and `none` [3, 0].
fn place() -> Place {
    let place = Place::new();
    let c = Array2::from_shape_vec((2, 3), WEIGHTS.to_vec()).expect("a shape");
    let f = Array2::from_shape_fn((2, 3).f(), |at| c[at]);
    ndarray_npy::write_npy(place.at("w.npy"), &c).expect("written");
    ndarray_npy::write_npy(place.at("f.npy"), &f).expect("written");
    let entries: [Entry; 4] = [
        ("a.weight", Dtype::F32, &[2, 3], &WEIGHTS),
        ("b.weight", Dtype::F32, &[2, 2], &[f32::NAN, 1.0, f32::NEG_INFINITY, 2.0]),
        ("a.bias", Dtype::F32, &[2], &[1.0, 2.0]),
        ("none", Dtype::F32, &[3, 0], &[]),
    ];
    place.model("m.safetensors", &entries, None);
    assert!(SafeTensors::deserialize(&place.read("m.safetensors")).is_ok());
    place
}

fn norms(place: &Place, arguments: &str) -> Value {
    place.json(&format!("norms --json {arguments}"))
}

#[test]
fn every_norm_of_every_layout() {
    let place = place();
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
                let document = norms(&place, &arguments);
                let tensor = &document["tensors"][0];
                assert_eq!(tensor["values"], values, "{arguments}");
                assert_eq!(tensor["groups"], values.as_array().expect("a list").len(), "{arguments}");
                assert_eq!((&tensor["norm"], &document["groups"]), (&json!(norm), &json!(groups)));
                let verified = if device == "cpu" { json!(0) } else { tensor["groups"].clone() };
                assert_eq!((&tensor["verified"], &tensor["mismatches"]), (&verified, &json!(0)));
            }
        }
    }
    assert_eq!(norms(&place, "--in w.npy --groups rows --device llvmpipe")["norm"], "l2", "the default");
}

#[test]
fn what_is_not_finite_is_null_and_counted() {
    let place = place();
    for device in ["llvmpipe", "cpu"] {
        let select = format!("--in m.safetensors --select weight|none --groups rows --device {device}");
        let tensors = &norms(&place, &select)["tensors"];
        assert_eq!(tensors[0]["name"], "a.weight");
        assert_eq!((&tensors[0]["nonfinite"], &tensors[0]["zero"]), (&json!(0), &json!(0)));
        assert_eq!((&tensors[1]["values"], &tensors[1]["nonfinite"]), (&json!([null, null]), &json!(2)));
        assert_eq!((&tensors[2]["values"], &tensors[2]["zero"]), (&json!([0.0, 0.0, 0.0]), &json!(3)));
        let counts = &norms(&place, &format!("{select} --norm l0"))["tensors"];
        assert_eq!((&counts[1]["values"], &counts[1]["nonfinite"]), (&json!([2, 2]), &json!(0)));
    }
}

#[test]
fn people_get_a_table() {
    let place = place();
    let output = place.run("norms --in m.safetensors --select weight --groups rows --device llvmpipe");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.starts_with("l2 of rows on llvmpipe"), "{text}");
    let cells = |line: usize| text.lines().nth(line).expect("a line").split_whitespace().collect::<Vec<_>>();
    assert_eq!(cells(1)[..5], ["name", "groups", "min", "mean", "max"], "{text}");
    assert_eq!(cells(2), ["a.weight", "2", "0.5000", "2.7500", "5.0000", "0", "0", "2", "0"], "{text}");
    assert_eq!(cells(3), ["b.weight", "2", "-", "-", "-", "0", "2", "2", "0"], "{text}");
}

#[test]
fn tensors_without_such_groups_are_left_out_with_a_notice() {
    let place = place();
    for device in ["llvmpipe", "cpu"] {
        let output =
            place.run(&format!("norms --in m.safetensors --groups columns --json --device {device}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let names: Vec<_> = document(&output)["tensors"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|tensor| tensor["name"].as_str().expect("a name").to_owned())
            .collect();
        assert_eq!(names, ["a.weight", "b.weight", "none"]);
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in ["maf-srl: no columns in a.bias [2]", "left out", "--select"] {
            assert!(said.contains(part), "{said}");
        }
    }
    let output = place.run("norms --in m.safetensors --groups whole");
    assert!(output.status.success() && output.stderr.is_empty(), "all tensors are a whole");
}

#[test]
fn wrong_requests_are_one_line() {
    let place = place();
    for (arguments, parts) in [
        ("--in w.npy", &["--groups"][..]),
        ("--groups rows", &["--in"]),
        ("--in w.npy --groups lines", &["lines", "rows, columns"]),
        ("--in w.npy --groups blocks:0", &["elements per block", "0"]),
        ("--in w.npy --groups filters", &["\"w\"", "[2, 3]", "three axes"]),
        ("--in w.npy --groups rows --norm l3", &["l3", "l1, l2, linf, l0"]),
        ("--in m.safetensors --groups rows --select a", &["\"a.bias\"", "[2]", "two axes", "--select"]),
        ("--in m.safetensors --groups filters", &["\"a.bias\"", "[2]", "three axes", "--select"]),
        ("--in m.safetensors --groups rows --select zebra", &["zebra"]),
        ("--in missing.npy --groups rows", &["missing.npy"]),
        ("--in w.npy --groups rows --device zebra", &["zebra"]),
    ] {
        place.refuses(&format!("norms {arguments}"), parts);
    }
}

/// A file of a hundred bytes: a norm of each of 2^40 empty groups would be 8 TiB.
#[test]
fn groups_without_end_in_an_empty_tensor_are_refused() {
    let place = Place::new();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 0), }";
    let header = format!("{header:<117}\n");
    let bytes = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes()].concat();
    std::fs::write(place.at("e.npy"), bytes).expect("written");
    let words = ["\"e\"", "number of groups is 1099511627776", "at most 1048576"];
    place.refuses("norms --in e.npy --groups rows --device cpu", &words);
    place.refuses("prox --in e.npy --out y.npy --penalty l1 --group lasso --device cpu", &words);
    place.refuses("prox --in e.npy --out y.npy --penalty l1 --group lasso --exact", &words);
    assert_eq!(norms(&place, "--in e.npy --groups whole --device cpu")["tensors"][0]["groups"], 0);
}
