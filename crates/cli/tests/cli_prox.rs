//! `maf-srl prox` as scripts see it: exit status, one line of error, one JSON document, the output file.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use half::f16;
use maf_srl::Penalty;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use support::{Entry, Place};

const WEIGHTS: [f32; 8] = [1.5, -0.25, 0.05, -0.0, 0.1, -3.0, 1e-40, 0.3];
const GRADIENT: [f32; 8] = [0.5, -0.5, 0.0, 0.0, 1.0, -1.0, 0.0, 2.0];

/// A folder with an array and a model, and their gradients.
fn place() -> Place {
    let place = Place::new();
    place.npy("w.npy", &[2, 4], &WEIGHTS);
    place.npy("g.npy", &[2, 4], &GRADIENT);
    model(&place, "w.safetensors", &WEIGHTS, &[0.1; 3]);
    model(&place, "g.safetensors", &GRADIENT, &[1.0; 3]);
    place
}

/// An f32 tensor, an f16 one, an empty one and integers.
fn model(place: &Place, name: &str, weight: &[f32], bias: &[f32]) {
    let entries: [Entry; 4] = [
        ("layer.weight", Dtype::F32, &[weight.len()], weight),
        ("layer.bias", Dtype::F16, &[1, bias.len()], bias),
        ("empty", Dtype::F32, &[0, 5], &[]),
        ("steps", Dtype::I64, &[1], &[7.0]),
    ];
    place.model(name, &entries, None);
}

/// Runs on a device and returns the document.
#[track_caller]
fn prox(place: &Place, device: &str, arguments: &str) -> Value {
    place.json(&format!("prox --device {device} --json {arguments}"))
}

#[test]
fn wrong_command_lines_are_one_line() {
    let place = place();
    place.refuses("prox", &["--in", "--out", "--penalty"]);
    place.refuses("prox --in w.npy --out y.npy", &["--penalty"]);
    place.refuses("prox --in w.npy --out y.npy --penalty l1 --lamda 1", &["--lamda"]);
    place.refuses("prox --in w.npy --out y.npy --penalty l1 --lambda much", &["much", "--lambda"]);
    place.refuses("prox --in w.npy --out y.npy --penalty l1 --verify maybe", &["maybe", "full, sample, off"]);
    place.refuses("prox --in w.npy --out y.npy --penalty l1 --groop lasso", &["--groop"]);
    place.refuses("proximal", &["proximal"]);
    place.refuses("--loud", &["--loud"]);
}

#[test]
fn wrong_numbers_and_penalties_are_named() {
    let place = place();
    let files = "prox --in w.npy --out y.npy";
    place.refuses(&format!("{files} --penalty l3"), &["\"l3\"", "tl1"]);
    place.refuses(&format!("{files} --penalty tl1(a=0)"), &["tl1", "a = 0", "outside"]);
    place.refuses(&format!("{files} --penalty tl1(b=1)"), &["\"b\""]);
    place.refuses(&format!("{files} --penalty tl1(a=1"), &["missing"]);
    place.refuses(&format!("{files} --penalty l1 --lambda -1"), &["lambda = -1", "outside"]);
    place.refuses(&format!("{files} --penalty l1 --lambda nan"), &["lambda = NaN", "outside"]);
    place.refuses(&format!("{files} --penalty l1 --lambda inf"), &["lambda = inf", "outside"]);
    place.refuses(&format!("{files} --penalty l1 --lr -0.5"), &["learning rate = -0.5", "outside"]);
    place.refuses(&format!("{files} --penalty l1 --lr 1e9"), &["learning rate = 1e9", "outside"]);
    place.refuses(&format!("{files} --penalty l1 --select ("), &["--select", "unclosed group"]);
    place.refuses(&format!("{files} --penalty l1 --select bias"), &["w.npy", "bias", "matches no"]);
}

#[test]
fn wrong_files_are_named() {
    let place = place();
    let l1 = "--penalty l1";
    place.refuses(&format!("prox --in none.npy --out y.npy {l1}"), &["none.npy", "open"]);
    place.refuses(&format!("prox --in . --out y.npy {l1}"), &[".npy, .safetensors"]);
    place.refuses(&format!("prox --in w.pt --out y.npy {l1}"), &["w.pt", ".npy, .safetensors"]);
    place.refuses(&format!("prox --in w.npy --out y.txt {l1}"), &["y.txt", ".npy, .safetensors"]);
    place.refuses(&format!("prox --in w.npy --out y.safetensors {l1}"), &["y.safetensors", "allowed: .npy"]);
    place.refuses(&format!("prox --in w.npy --out w.npy {l1}"), &["same file as the input"]);
    place.refuses(&format!("prox --in w.npy --out ./w.npy {l1}"), &["same file as the input"]);
    place.refuses(&format!("prox --in w.npy --grad g.npy --out g.npy {l1}"), &["same file as the input"]);
    place.refuses(&format!("prox --in w.npy --out no/y.npy {l1}"), &["no/y.npy", "write"]);

    ndarray_npy::write_npy(place.at("i.npy"), &ndarray::arr1(&[1i32, 2])).expect("written");
    place.refuses(&format!("prox --in i.npy --out y.npy {l1}"), &["i.npy", "<i4", "float32"]);
    ndarray_npy::write_npy(place.at("big.npy"), &ndarray::arr1(&[1e200])).expect("written");
    place.refuses(&format!("prox --in big.npy --out y.npy {l1}"), &["\"big\"", "element 0", "f32"]);
    let whole = place.read("w.safetensors");
    for length in [0, 7, 8, 40, whole.len() / 2, whole.len() - 1] {
        fs::write(place.at("cut.safetensors"), &whole[..length]).expect("written");
        place.refuses(&format!("prox --in cut.safetensors --out y.safetensors {l1}"), &["cut.safetensors"]);
    }
}

#[test]
fn gradients_must_fit() {
    let place = place();
    let l1 = "--penalty l1";
    place.npy("other.npy", &[4, 2], &GRADIENT);
    place.refuses(
        &format!("prox --in w.npy --grad other.npy --out y.npy {l1}"),
        &["other", "[4, 2]", "[2, 4]"],
    );
    place.refuses(&format!("prox --in w.npy --grad none.npy --out y.npy {l1}"), &["none.npy"]);
    place.refuses(
        &format!("prox --in w.npy --grad g.safetensors --out y.npy {l1}"),
        &[".safetensors", ".npy"],
    );
    model(&place, "short.safetensors", &GRADIENT[1..], &[1.0; 3]);
    let model = "prox --in w.safetensors --out y.safetensors";
    place.refuses(&format!("{model} {l1} --grad short.safetensors"), &["layer.weight", "[7]", "[8]"]);
    let zeros = |name| -> Entry { (name, Dtype::F32, &[8], &[0.0; 8]) };
    place.model("one.safetensors", &[zeros("layer.weight")], None);
    place.refuses(&format!("{model} {l1} --grad one.safetensors"), &["missing"]);
    place.model("more.safetensors", &[zeros("layer.weight"), zeros("stranger")], None);
    place.refuses(&format!("{model} {l1} --grad more.safetensors"), &["stranger"]);
}

#[test]
fn help_lists_every_penalty_and_survives_a_closed_pipe() {
    let place = place();
    let output = place.run("prox --help");
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for penalty in Penalty::all() {
        let formula = penalty.rule().formula().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("{penalty} p(y) = {formula}")), "{penalty}");
    }
    for arguments in ["devices --json", "--help"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_maf-srl"))
            .args(arguments.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ends");
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{arguments}");
    }
}

// From here on the step itself runs.

/// The float64 operator with step and lambda as f32 kernels see them, rounded once.
fn reference(penalty: &str, step: f64, lambda: f64, x: f64) -> f32 {
    let (step, lambda) = (f64::from(step as f32), f64::from(lambda as f32));
    penalty.parse::<Penalty>().expect("a penalty").prox(step, lambda).expect("in the domain").apply(x) as f32
}

fn close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (k, (a, b)) in got.iter().zip(expected).enumerate() {
        // a device may flush subnormal numbers to zero
        assert!((a - b).abs() <= 1e-6 * b.abs() + f32::MIN_POSITIVE, "element {k}: {a} is not {b}");
        assert!(*a != 0.0 || a.is_sign_positive(), "element {k} is -0");
    }
}

#[test]
fn prox_of_an_array() {
    let place = place();
    // the references have nothing to be verified against
    let devices = [
        ("cpu", "cpu", 0),
        ("llvmpipe", "llvmpipe", 8),
        ("SwiftShader", "SwiftShader", 8),
        ("(Gl,", "llvmpipe", 8),
    ];
    for (penalty, (device, name_of, verified)) in
        ["l1", "tl1(a=0.5)", "none"].into_iter().flat_map(|p| devices.map(|d| (p, d)))
    {
        let before = place.read("w.npy");
        let document = prox(
            &place,
            device,
            &format!("--in w.npy --out y.npy --penalty {penalty} --lambda 0.2 --lr 0.5"),
        );
        let expected: Vec<f32> = WEIGHTS.iter().map(|&w| reference(penalty, 0.5, 0.2, w.into())).collect();
        let got = place.read_npy("y.npy");
        close(&got, &expected);
        let nonzeros = got.iter().filter(|&&v| v != 0.0).count();
        let tensors = document["tensors"].as_array().expect("a list");
        assert_eq!(tensors.len(), 1);
        let tensor = &tensors[0];
        assert_eq!((&tensor["name"], &tensor["elements"]), (&"w".into(), &8.into()));
        assert_eq!((&tensor["nonzeros"], &tensor["nonzeros_before"]), (&nonzeros.into(), &7.into()));
        assert_eq!(
            (&tensor["nonfinite"], &tensor["verified"], &tensor["mismatches"]),
            (&0.into(), &verified.into(), &0.into())
        );
        assert!(document["adapter"].as_str().is_some_and(|name| name.contains(name_of)));
        assert_eq!(place.read("w.npy"), before, "the input is never touched");
    }
}

#[test]
fn prox_after_a_gradient() {
    let place = place();
    prox(&place, "llvmpipe", "--in w.npy --grad g.npy --out y.npy --penalty l1 --lambda 0.2 --lr 0.5");
    let x = WEIGHTS.iter().zip(GRADIENT).map(|(&w, g)| f64::from(w) - 0.5 * f64::from(g));
    close(&place.read_npy("y.npy"), &x.map(|x| reference("l1", 0.5, 0.2, x)).collect::<Vec<_>>());
}

#[test]
fn prox_of_a_model() {
    let place = place();
    let document = place.json(
        "prox --device llvmpipe --json --in w.safetensors --grad g.safetensors --out y.safetensors \
         --penalty l1 --lambda 0.01 --lr 0.5",
    );
    let tensors = document["tensors"].as_array().expect("a list");
    let mut names: Vec<_> = tensors.iter().filter_map(|t| t["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["empty", "layer.bias", "layer.weight"]);
    let bytes = place.read("y.safetensors");
    let model = SafeTensors::deserialize(&bytes).expect("valid");
    assert_eq!(model.tensor("steps").expect("there").data(), 7i64.to_le_bytes());
    assert_eq!(model.tensor("empty").expect("there").shape(), [0, 5]);
    let bias = model.tensor("layer.bias").expect("there");
    let x = f16::from_f32(0.1).to_f64() - 0.5;
    let expected = f16::from_f32(reference("l1", 0.5, 0.01, x)).to_le_bytes();
    assert_eq!((bias.dtype(), bias.data()), (Dtype::F16, &expected.repeat(3)[..]));
}

#[test]
fn select_and_verify_choose_tensors() {
    let place = place();
    let model = "--in w.safetensors --out y.safetensors --penalty l1 --lambda 10";
    let document = prox(&place, "llvmpipe", &format!("{model} --select bias$ --verify off"));
    assert_eq!(document["tensors"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&document["tensors"][0]["verified"], &document["tensors"][0]["nonzeros"]),
        (&0.into(), &0.into())
    );
    let (old, new) = (place.read("w.safetensors"), place.read("y.safetensors"));
    let (old, new) =
        (SafeTensors::deserialize(&old).expect("valid"), SafeTensors::deserialize(&new).expect("valid"));
    let data = |model: &SafeTensors, name: &str| model.tensor(name).expect("there").data().to_vec();
    assert_eq!(data(&old, "layer.weight"), data(&new, "layer.weight"));
    assert_eq!(data(&new, "layer.bias"), [0; 6]);

    let names: Vec<String> = (0..40).map(|k| format!("t{k:02}")).collect();
    let entries: Vec<Entry> = names.iter().map(|n| (&n[..], Dtype::F32, &[2][..], &[0.0; 2][..])).collect();
    place.model("many.safetensors", &entries, None);
    let document =
        prox(&place, "llvmpipe", "--in many.safetensors --out z.safetensors --penalty l1 --verify sample");
    let checked =
        document["tensors"].as_array().expect("a list").iter().filter(|t| t["verified"] == 2).count();
    assert_eq!(checked, 8);
}

#[test]
fn empty_and_nonfinite_values() {
    let place = place();
    place.npy("e.npy", &[0, 3], &[]);
    let document = prox(&place, "llvmpipe", "--in e.npy --out y.npy --penalty l1");
    assert_eq!(document["tensors"][0]["elements"], 0);
    assert_eq!(place.read("y.npy"), place.read("e.npy"));

    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0];
    place.npy("odd.npy", &[4], &odd);
    let document = prox(&place, "llvmpipe", "--in odd.npy --out y.npy --penalty l1 --lambda 0.5");
    assert_eq!(document["tensors"][0]["nonfinite"], 3);
    let got = place.read_npy("y.npy");
    assert!(got[0].is_nan());
    assert_eq!(got[1..], [f32::INFINITY, f32::NEG_INFINITY, 0.5]);
    place.npy("zero.npy", &[4], &[0.0; 4]);
    let document =
        prox(&place, "llvmpipe", "--in odd.npy --grad zero.npy --out y.npy --penalty l1 --lambda 0.5");
    assert_eq!(document["tensors"][0]["nonfinite"], 3);
    let got = place.read_npy("y.npy");
    assert!(got[..3].iter().all(|v| v.is_nan()), "a step turns what is not finite into NaN");
    assert_eq!(got[3], 0.5);
}

#[test]
fn what_is_too_small_for_the_file_becomes_a_positive_zero() {
    let place = place();
    place.npy("tiny.npy", &[3], &[-1e-45, 1e-45, -1e-37]);
    // f16 ends at 6e-8: -1.01325e-6 is kept by the prox, as -3e-9
    model(&place, "tiny.safetensors", &[-1.0; 8], &[-1.013_279e-6, -1e-6, 1.013_279e-6]);
    for device in ["cpu", "llvmpipe"] {
        prox(&place, device, "--in tiny.npy --out y.npy --penalty l2sq --lambda 1e5 --lr 1e5");
        let bits: Vec<u32> = place.read_npy("y.npy").iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [0; 3], "{device}");

        prox(
            &place,
            device,
            "--in tiny.safetensors --out y.safetensors --penalty tl1(a=0.01) --lambda 1e-5 --lr 1e-3",
        );
        let bytes = place.read("y.safetensors");
        let model = SafeTensors::deserialize(&bytes).expect("a model");
        assert_eq!(model.tensor("layer.bias").expect("there").data(), [0; 6], "{device}");
    }
}

#[test]
fn the_table_names_each_tensor() {
    let place = place();
    let output = place.run("prox --device cpu --in w.safetensors --out y.safetensors --penalty l1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    for word in ["l1 on cpu", "layer.weight", "layer.bias", "empty", "density", "mismatches"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert!(output.stderr.is_empty(), "no progress where stderr is no terminal");
    assert!(place.at("y.safetensors").exists());
}
