//! `maf-srl compact` as scripts see it: the smaller file, one JSON document, exit status, one line of error.

mod support;

use std::collections::HashMap;
use std::fs;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use support::{Entry, Place, bytes};

/// Writes the input, with a note.
fn model(place: &Place, entries: &[Entry]) {
    place.model("w.safetensors", entries, Some(HashMap::from([("note".to_owned(), "kept".to_owned())])));
}

#[track_caller]
fn compact(place: &Place, arguments: &str) -> Value {
    place.json(&format!("compact --json {FILES} {arguments}"))
}

/// The tensors of the output, as type, shape and bytes; the note is there.
fn output(place: &Place) -> HashMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let file = place.read("y.safetensors");
    let (_, about) = SafeTensors::read_metadata(&file).expect("a header");
    assert_eq!(about.metadata().as_ref().expect("metadata")["note"], "kept");
    let tensors = SafeTensors::deserialize(&file).expect("a file");
    let entry = |(name, view): (String, TensorView)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    tensors.tensors().into_iter().map(entry).collect()
}

#[track_caller]
fn fails(place: &Place, status: i32, arguments: &str, parts: &[&str]) {
    place.fails(status, &format!("compact {arguments}"), parts);
    assert!(!place.at("y.safetensors").exists(), "{arguments}");
}

const FILES: &str = "--in w.safetensors --out y.safetensors";

/// 2-4-2. Neuron 0 has no way out, neuron 1 the constant 0.5, neuron 2 no way in.
const FIRST: [f32; 8] = [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, -1.0];
const FIRST_BIAS: [f32; 4] = [1.0, 0.5, -1.0, 0.25];
const SECOND: [f32; 8] = [0.0, 1.0, 2.0, 3.0, 0.0, -4.0, 5.0, 6.0];
const SECOND_BIAS: [f32; 2] = [0.1, 0.0];

fn perceptron(dtype: Dtype) -> [Entry<'static>; 4] {
    // layers.10 comes after layers.2
    [
        ("layers.10.weight", dtype, &[2, 4], &SECOND),
        ("layers.10.bias", dtype, &[2], &SECOND_BIAS),
        ("layers.2.weight", dtype, &[4, 2], &FIRST),
        ("layers.2.bias", dtype, &[4], &FIRST_BIAS),
    ]
}

#[test]
fn a_perceptron_becomes_smaller_in_every_type() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let place = Place::new();
        let others: [Entry; 3] = [
            ("steps", Dtype::I32, &[3], &[1.0, 2.0, 3.0]),
            ("scale", Dtype::F64, &[1], &[0.3]),
            ("odd", Dtype::F16, &[3, 1], &[0.1, -0.0, f32::NAN]),
        ];
        model(&place, &[&perceptron(dtype)[..], &others].concat());
        let before = place.read("w.safetensors");
        let document = compact(&place, "");
        assert_eq!(place.read("w.safetensors"), before);

        let output = output(&place);
        let expect = |name: &str, dtype, shape: &[usize], values: &[f32]| {
            assert_eq!(output[name], (dtype, shape.to_vec(), bytes(dtype, values)), "{name}");
        };
        let start = f32::from_le_bytes(bytes(Dtype::F32, &[0.1]).try_into().expect("four bytes"));
        let start = match dtype {
            Dtype::F16 => f16::from_f32(start).to_f32(),
            Dtype::BF16 => bf16::from_f32(start).to_f32(),
            _ => start,
        };
        expect("layers.2.weight", dtype, &[1, 2], &[3.0, -1.0]);
        expect("layers.2.bias", dtype, &[1], &[0.25]);
        expect("layers.10.weight", dtype, &[2, 1], &[3.0, 6.0]);
        expect("layers.10.bias", dtype, &[2], &[start + 0.5, -2.0]);
        for (name, dtype, shape, values) in others {
            expect(name, dtype, shape, values);
        }
        assert_eq!(output.len(), 7);

        let layer = &document["layers"][0];
        assert_eq!(layer["name"], "layers.2.weight");
        assert_eq!(layer["shape_before"], json!([4, 2]));
        assert_eq!(layer["shape_after"], json!([1, 2]));
        assert_eq!(layer["kept"], json!([3]));
        assert_eq!(
            (&layer["neurons"], &layer["neurons_alive"], &layer["folded"]),
            (&json!(4), &json!(1), &json!(1))
        );
        let total = &document["total"];
        assert_eq!(total["before"], json!({"parameters": 22, "nonzeros": 15, "bytes": 88, "flops": 32}));
        assert_eq!(total["after"], json!({"parameters": 7, "nonzeros": 7, "bytes": 28, "flops": 8}));
        assert_eq!(total["sparsity"]["neurons"], 0.75);
        let proof = &document["proof"];
        assert_eq!(proof["inputs"], 64);
        assert!(proof["max_bound"].as_f64().expect("a number") > 0.0);
        assert!(proof["worst_share_of_bound"].as_f64().expect("a number") <= 1.0);
    }
}

#[test]
fn a_smaller_network_has_nothing_more_to_lose_and_stays_equal_bit_for_bit() {
    let place = Place::new();
    model(&place, &perceptron(Dtype::F32));
    compact(&place, "");
    fs::rename(place.at("y.safetensors"), place.at("w.safetensors")).expect("renamed");
    let document = compact(&place, "--inputs 5");
    assert_eq!(document["total"]["before"], document["total"]["after"]);
    assert_eq!(document["proof"]["inputs"], 5);
    assert_eq!(document["proof"]["bitwise_equal"], true);
    assert_eq!(
        fs::read(place.at("w.safetensors")).ok().map(|f| f.len()),
        fs::read(place.at("y.safetensors")).ok().map(|f| f.len())
    );
}

#[test]
fn layers_are_chosen_by_name() {
    let place = Place::new();
    let norm: [Entry; 2] =
        [("norm.weight", Dtype::F32, &[7], &[1.0; 7]), ("norm.bias", Dtype::F32, &[7], &[0.5; 7])];
    model(&place, &[&perceptron(Dtype::F32)[..], &norm].concat());
    fails(&place, 2, FILES, &["\"norm.weight\"", "[7]", "--layers"]);
    let chain = "--layers layers.2,layers.10.weight";
    let document = compact(&place, chain);
    assert_eq!(document["layers"].as_array().expect("layers").len(), 2);
    assert_eq!(output(&place)["norm.bias"].2, bytes(Dtype::F32, &[0.5; 7]));
    fs::remove_file(place.at("y.safetensors")).expect("removed");
    fails(
        &place,
        2,
        &format!("{FILES} --layers layers.2,layers.3"),
        &["\"layers.3\"", "no floating-point tensor"],
    );
    fails(&place, 2, &format!("{FILES} --layers fc"), &["\"fc\"", "w.safetensors", "--layers"]);
    fails(
        &place,
        2,
        &format!("{FILES} --layers layers.2,layers.2.weight"),
        &["\"layers.2.weight\"", "twice"],
    );
    fails(&place, 2, &format!("{FILES} --layers layers.10,norm"), &["\"norm.weight\"", "[7]"]);
    let wrong = "--layers layers.10,layers.10";
    fails(&place, 2, &format!("{FILES} {wrong}"), &["twice"]);
}

#[test]
fn convolutions_and_the_dense_layers_behind_them() {
    let place = Place::new();
    // Filter 0 of the first is silent, filter 1 a constant that must stay, filter 2 alive.
    let mut first = vec![0.0; 27];
    first[18..].fill(0.5);
    let second: Vec<f32> = (0..2 * 3 * 9).map(|k| if k < 27 { k as f32 / 16.0 - 0.8 } else { 0.0 }).collect();
    let dense: Vec<f32> = (0..3 * 2 * 4).map(|k| k as f32 / 4.0 - 2.1).collect();
    model(
        &place,
        &[
            ("0.weight", Dtype::F32, &[3, 1, 3, 3], &first),
            ("0.bias", Dtype::F32, &[3], &[-1.0, 2.0, 0.1]),
            ("1.weight", Dtype::F32, &[2, 3, 3, 3], &second),
            ("2.weight", Dtype::F32, &[3, 8], &dense),
        ],
    );
    let document = compact(&place, "");
    let output = output(&place);
    let shapes = ["0.weight", "0.bias", "1.weight", "2.weight"].map(|name| output[name].1.clone());
    assert_eq!(shapes, [vec![2, 1, 3, 3], vec![2], vec![1, 2, 3, 3], vec![3, 4]]);
    let columns: Vec<f32> = dense.chunks(8).flat_map(|row| row[..4].to_vec()).collect();
    assert_eq!(output["2.weight"].2, bytes(Dtype::F32, &columns));
    assert_eq!(document["total"]["constants_kept"], 1);
    assert_eq!(document["total"]["after"]["flops"], 2 * (18 + 18 + 12));
    assert_eq!(
        (&document["proof"]["inputs"], &document["proof"]["bitwise_equal"]),
        (&json!(8), &json!(true))
    );
    assert_eq!(document["total"]["flops_per"], "output position of each convolution");
    let sized = compact(&place, "--input-size 4x2");
    assert_eq!(sized["total"]["after"]["flops"], 2 * (8 * 36 + 12));
    fs::remove_file(place.at("y.safetensors")).expect("removed");
    for wrong in ["4", "4x", "axb", "-1x2"] {
        fails(&place, 2, &format!("{FILES} --input-size={wrong}"), &[wrong, "--input-size", "32x32"]);
    }
    fails(&place, 2, &format!("{FILES} --input-size 0x4"), &["rows = 0", "[1, 65536]"]);
}

#[test]
fn the_table_says_what_was_compared() {
    let place = Place::new();
    model(&place, &perceptron(Dtype::F32));
    let output = place.run(&format!("compact {FILES}"));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in
        ["layers.2.weight", "4x2", "1x2", "1/4 hidden", "75.00 %", "1 folded", "64 random inputs, 2 outputs"]
    {
        assert!(table.contains(part), "{part:?} is not in {table}");
    }
    assert_eq!(table.matches("layers.").count(), 2, "{table}");
    assert!(table.find("layers.2").expect("there") < table.find("layers.10").expect("there"));
}

#[test]
fn what_is_wrong_is_named() {
    let place = Place::new();
    let w = |entries: &[Entry]| model(&place, entries);
    w(&[("a.weight", Dtype::F32, &[2, 2], &[1.0; 4]), ("b.weight", Dtype::F32, &[1, 3], &[1.0; 3])]);
    fails(&place, 2, FILES, &["\"a.weight\"", "[2, 2]", "\"b.weight\"", "[1, 3]", "--layers"]);
    w(&[("a.weight", Dtype::F32, &[2, 2], &[1.0; 4]), ("a.bias", Dtype::F32, &[3], &[1.0; 3])]);
    fails(&place, 2, FILES, &["\"a.weight\"", "bias is 3", "expected 2"]);
    w(&[("a.weight", Dtype::F32, &[2, 2], &[1.0; 4]), ("a.bias", Dtype::F32, &[1, 2], &[1.0; 2])]);
    fails(&place, 2, FILES, &["\"a.bias\"", "[1, 2]", "[outputs]"]);
    w(&[("a.weight", Dtype::F64, &[1, 1], &[1.0])]);
    fails(&place, 2, FILES, &["\"a.weight\"", "F64", "F32"]);
    w(&[("a.weights", Dtype::F32, &[1, 1], &[1.0])]);
    fails(&place, 2, FILES, &["w.safetensors", "*.weight", "--layers"]);
    // 60000 + 60000 is beyond f16.
    w(&[
        ("a.weight", Dtype::F16, &[1, 1], &[0.0]),
        ("a.bias", Dtype::F16, &[1], &[60000.0]),
        ("b.weight", Dtype::F16, &[1, 1], &[1.0]),
        ("b.bias", Dtype::F16, &[1], &[60000.0]),
    ]);
    fails(&place, 2, FILES, &["\"b.bias\"", "element 0 = 1.2e5", "F16"]);
    // A weight that overflows: 0 times infinity is NaN in the large network alone.
    w(&[
        ("a.weight", Dtype::F32, &[2, 1], &[3e38, 1.0]),
        ("a.bias", Dtype::F32, &[2], &[3e38, 1.0]),
        ("b.weight", Dtype::F32, &[1, 2], &[0.0, 1.0]),
    ]);
    fails(&place, 1, FILES, &["verification failed", "NaN", "large network"]);
    w(&perceptron(Dtype::F32));
    fails(&place, 2, "--in w.safetensors --out w.safetensors", &["same file as the input"]);
    fails(&place, 2, "--in w.npy --out y.safetensors", &["w.npy", ".safetensors"]);
    fails(&place, 2, "--in w.safetensors --out y.npy", &["y.npy", ".safetensors"]);
    fails(&place, 2, "--in none.safetensors --out y.safetensors", &["none.safetensors", "open"]);
    fails(&place, 2, &format!("{FILES} --inputs 0"), &["--inputs = 0", "[1, 1000000]"]);
    // before the file is read
    let many = "--in none.safetensors --out y.safetensors --inputs 1000000000";
    fails(&place, 2, many, &["--inputs = 1e9", "[1, 1000000]"]);
    fails(&place, 2, "", &["--in", "--out"]);
}

/// A chain with one tensor of another type is no network that can be made smaller.
#[test]
fn types_that_a_chain_cannot_have_are_refused() {
    let place = Place::new();
    let chain = |changed: usize, dtype: Dtype| {
        // both neurons of the first layer but one are dead
        let mut entries: [Entry; 6] = [
            ("a.weight", Dtype::F32, &[3, 2], &[1.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
            ("a.bias", Dtype::F32, &[3], &[1.0, 0.0, 0.0]),
            ("b.weight", Dtype::F32, &[3, 3], &[1.0; 9]),
            ("b.bias", Dtype::F32, &[3], &[1.0; 3]),
            ("c.weight", Dtype::F32, &[2, 3], &[1.0; 6]),
            ("c.bias", Dtype::F32, &[2], &[1.0; 2]),
        ];
        entries[changed].1 = dtype;
        model(&place, &entries);
        entries[changed].0
    };
    use Dtype::{BOOL, F8_E4M3, F8_E5M2, F64, I8, I32, I64, U8};
    for dtype in [BOOL, U8, I8, I32, I64, F8_E4M3, F8_E5M2, F64] {
        for changed in 0..6 {
            let name = chain(changed, dtype);
            let named = [format!("{name:?}"), format!("type {dtype}")];
            for layers in ["", "--layers a,b,c", "--layers a.weight,b,c.weight"] {
                let parts: Vec<_> =
                    named.iter().map(String::as_str).chain(["F16, BF16, F32", "--layers"]).collect();
                fails(&place, 2, &format!("{FILES} {layers}"), &parts);
            }
        }
    }
    // what `--layers` leaves out may have any type
    chain(4, I8);
    let document = compact(&place, "--layers a,b");
    assert_eq!(document["layers"][0]["shape_after"], json!([1, 2]));
    let written = output(&place);
    assert_eq!((written["c.weight"].0, written["c.weight"].2.len()), (I8, 6));
}

#[test]
fn floating_types_may_be_mixed() {
    let place = Place::new();
    let [mut weight, mut bias, second, second_bias] = perceptron(Dtype::F32);
    (weight.1, bias.1) = (Dtype::BF16, Dtype::F16);
    model(&place, &[weight, bias, second, second_bias]);
    let document = compact(&place, "");
    assert_eq!(document["total"]["neurons_alive"], 1);
    let output = output(&place);
    let types = ["layers.10.weight", "layers.10.bias", "layers.2.weight"].map(|name| output[name].0);
    assert_eq!(types, [Dtype::BF16, Dtype::F16, Dtype::F32]);
    assert_eq!(output["layers.10.bias"].2, bytes(Dtype::F16, &[f16::from_f32(0.1).to_f32() + 0.5, -2.0]));
}

/// A layer whose weights have another name would be missing in the chain: its bias says that it is there.
#[test]
fn a_bias_without_its_weights_is_refused() {
    let place = Place::new();
    let own: [Entry; 2] = [
        ("layers.5.kernel", Dtype::F32, &[4, 4], &[1.0; 16]),
        ("layers.5.bias", Dtype::F32, &[4], &[1.0; 4]),
    ];
    for dtype in [Dtype::F32, Dtype::I32] {
        let [kernel, mut bias] = own;
        bias.1 = dtype;
        model(&place, &[&perceptron(Dtype::F32)[..], &[kernel, bias]].concat());
        fails(&place, 2, FILES, &["\"layers.5.bias\"", "without a tensor", "--layers"]);
    }
    compact(&place, "--layers layers.2,layers.10");
}

/// Two layers cannot share a bias: each would make it as long as itself.
#[test]
fn one_bias_serves_one_layer() {
    let place = Place::new();
    model(
        &place,
        &[
            ("a", Dtype::F32, &[3, 2], &[1.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
            ("a.weight", Dtype::F32, &[3, 3], &[1.0; 9]),
            ("a.bias", Dtype::F32, &[3], &[1.0, 0.0, 0.0]),
        ],
    );
    fails(&place, 2, &format!("{FILES} --layers a,a.weight"), &["\"a.weight\"", "the bias of another layer"]);
}

/// A mask or a scale of a layer that loses neurons would not fit it any more.
#[test]
fn what_belongs_to_a_smaller_layer_is_refused() {
    let place = Place::new();
    for (name, dtype, shape) in [
        ("layers.2.weight_mask", Dtype::BOOL, &[4, 2][..]),
        ("layers.2.weight.exp_avg", Dtype::F32, &[4, 2]),
        ("layers.2.running_mean", Dtype::F32, &[4]),
        ("layers.10.scale", Dtype::U8, &[1, 4]),
    ] {
        let beside: Entry = (name, dtype, shape, &[1.0; 8][..shape.iter().product()]);
        model(&place, &[&perceptron(Dtype::F32)[..], &[beside]].concat());
        let layer = name.split('.').take(2).collect::<Vec<_>>().join(".");
        for layers in ["", "--layers layers.2,layers.10"] {
            let shape = format!("{shape:?}");
            fails(&place, 2, &format!("{FILES} {layers}"), &[name, &shape, &format!("\"{layer}.weight\"")]);
        }
    }
    // what has another size, or another layer, stays as it is
    let others: [Entry; 3] = [
        ("layers.2.steps", Dtype::I64, &[], &[7.0]),
        ("layers.10.weight_scale", Dtype::F32, &[2], &[0.5, 0.25]),
        ("layers.20.mask", Dtype::U8, &[4], &[1.0; 4]),
    ];
    model(&place, &[&perceptron(Dtype::F32)[..], &others].concat());
    compact(&place, "");
    let output = output(&place);
    for (name, dtype, shape, values) in others {
        assert_eq!(output[name], (dtype, shape.to_vec(), bytes(dtype, values)), "{name}");
    }
}

#[test]
fn nan_weights_stay() {
    let place = Place::new();
    model(
        &place,
        &[
            ("a.weight", Dtype::F32, &[3, 1], &[f32::NAN, 0.0, 1.0]),
            ("b.weight", Dtype::F32, &[1, 3], &[0.0, 1.0, 1.0]),
        ],
    );
    let document = compact(&place, "");
    assert_eq!(document["layers"][0]["kept"], json!([0, 2]));
    assert_eq!(document["total"]["before"]["nonzeros"], 4);
}
