//! `maf-srl prox --group` as scripts see it: results computed by hand, errors of one line, whole groups.

mod support;

use std::fs;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use support::{Entry, Place, document};

/// Rows of norm 5, 0.5 and 0; columns of norm 3 and 4.1 or so.
const WEIGHTS: [f32; 6] = [3.0, -4.0, 0.0, 0.5, 0.0, -0.0];

/// A folder with weights.
fn place() -> Place {
    let place = Place::new();
    place.npy("w.npy", &[3, 2], &WEIGHTS);
    place
}

/// The result for an array, on the CPU.
#[track_caller]
fn result(place: &Place, shape: &[usize], values: &[f32], arguments: &str) -> Vec<f32> {
    place.npy("x.npy", shape, values);
    place.json(&format!("prox --json --device cpu --in x.npy --out y.npy {arguments}"));
    place.read_npy("y.npy")
}

#[track_caller]
fn refuses(place: &Place, arguments: &str, parts: &[&str]) {
    place.refuses(&format!("prox --device cpu --out refused.npy {arguments}"), parts);
}

#[track_caller]
fn close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (k, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 2e-6 * b.abs(), "element {k}: {a} is not {b}");
        assert!(*a != 0.0 || a.is_sign_positive(), "element {k} is -0");
    }
}

#[test]
fn lasso_by_hand() {
    let place = place();
    // t = 0.5: the row (3, -4) keeps 4.5 of its norm 5, the row (0, 0.5) has a norm of t and goes
    let rows = [2.7, -3.6, 0.0, 0.0, 0.0, 0.0];
    // t = 1: the column (3, 0, 0) keeps 2 of 3; of (-4, 0.5, 0) sqrt(16.25) - 1 is left
    let kept = 1.0 - 1.0 / 16.25_f32.sqrt();
    let columns = [2.0, -4.0 * kept, 0.0, 0.5 * kept, 0.0, 0.0];
    // t = 0.5 sqrt(2)
    let kept = 1.0 - 0.5_f32.sqrt() / 5.0;
    let sized = [3.0 * kept, -4.0 * kept, 0.0, 0.0, 0.0, 0.0];
    for device in ["cpu", "llvmpipe"] {
        for (group, arguments, expected) in [
            ("lasso", "--lr 0.5 --group-lambda 1 --groups rows", rows),
            ("lasso", "--lr 0.5 --group-lambda 1 --groups blocks:2", rows),
            ("lasso", "--lr 0.5 --group-lambda 2 --groups columns", columns),
            ("lasso", "--lr 0.5 --group-lambda 2 --groups axis:1", columns),
            ("lasso(weight=sqrt-size)", "--lr 0.5 --group-lambda 1", sized),
        ] {
            let document = place.json(&format!(
                "prox --json --device {device} --in w.npy --out y.npy --penalty none --group {group} \
                 {arguments}"
            ));
            let got = place.read_npy("y.npy");
            close(&got, &expected);
            let tensor = &document["tensors"][0];
            let nonzeros = expected.iter().filter(|v| **v != 0.0).count();
            assert_eq!((&tensor["nonzeros_before"], &tensor["nonzeros"]), (&3.into(), &nonzeros.into()));
            assert_eq!((&tensor["nonfinite"], &tensor["mismatches"]), (&0.into(), &0.into()));
            assert_eq!(tensor["verified"], if device == "cpu" { 0 } else { 6 });
            assert!(document["group"].as_str().is_some_and(|text| text.starts_with(group)), "{document}");
        }
    }
}

#[test]
fn other_operators_by_hand() {
    let place = place();
    // c = t |y|_1: with c = 0.8, t = 0.5 the rest is (1.2, 0.4, 0), its sum 1.6
    let x = [2.0, -1.2, 0.5];
    let exclusive = "--penalty none --group exclusive --group-lambda 0.5 --groups whole";
    close(&result(&place, &[3], &x, exclusive), &[1.2, -0.4, 0.0]);
    // t |x|_1 = 0.74
    let linear = "--penalty none --group exclusive-linear --group-lambda 0.2 --groups whole";
    close(&result(&place, &[3], &x, linear), &[1.26, -0.46, 0.0]);
    // soft by 1: (3, -4), norm 5, made longer by alpha t
    let l1_l2 = "--penalty none --group l1-l2(alpha=0.5) --group-lambda 1 --groups whole";
    close(&result(&place, &[2, 2], &[4.0, -5.0, 1.0, 0.5], l1_l2), &[3.3, -4.4, 0.0, 0.0]);
    // below t the first of the largest alone, less (1 - alpha) t
    close(&result(&place, &[2, 2], &[0.2, -0.75, 0.75, 0.5], l1_l2), &[0.0, -0.25, 0.0, 0.0]);
    close(&result(&place, &[2, 2], &[0.2, -0.5, 0.5, 0.1], l1_l2), &[0.0; 4]);
    // cges with c = 1, rest (3, 4) of norm 5, of which 4 is left: t mu (2.4 + 3.2) = c
    let cges =
        format!("--penalty none --group cges(mu={}) --group-lambda {} --groups whole", 1.0 / 6.6, 6.6 / 5.6);
    close(&result(&place, &[3], &[4.0, -5.0, 0.5], &cges), &[2.4, -3.2, 0.0]);
    // log: v = 1 solves v - r + 2 t v / (1 + v^2) = 0 for r = 1 + t
    let log = "--penalty none --group log(scale=1) --group-lambda 0.25 --groups whole";
    close(&result(&place, &[2], &[0.75, -1.0], log), &[0.6, -0.8]);
}

#[test]
fn the_elementwise_penalty_comes_first() {
    let place = place();
    place.npy("g.npy", &[1, 3], &[1.0, -1.0, 0.0]);
    // w - lr g = (3.5, -4.5, 0.2), soft by 0.5: (3, -4, 0), shrunk by 1
    let got = result(
        &place,
        &[1, 3],
        &[4.0, -5.0, 0.2],
        "--grad g.npy --lr 0.5 --penalty l1 --lambda 1 --group lasso --group-lambda 2",
    );
    close(&got, &[2.4, -3.2, 0.0]);
}

#[test]
fn exact_is_not_the_composition() {
    let place = place();
    let both = "--penalty tl1(a=1) --lambda 0.3 --group lasso --group-lambda 0.4 --groups whole";
    let composed = result(&place, &[1], &[1.2], both);
    assert!((composed[0] - 0.658_389).abs() < 1e-6, "{composed:?}");
    let exact = result(&place, &[1], &[1.2], &format!("{both} --exact"));
    assert!((exact[0] - 0.550_384).abs() < 1e-6, "{exact:?}");

    // with a gradient and two groups: the points are 1.2 and 0
    place.npy("g.npy", &[2, 1], &[2.0, -1.0]);
    let both = "--lr 0.5 --grad g.npy --penalty tl1(a=1) --lambda 0.6 --group lasso --group-lambda 0.8";
    let exact = result(&place, &[2, 1], &[2.2, -0.5], &format!("{both} --exact"));
    assert!((exact[0] - 0.550_384).abs() < 1e-6, "{exact:?}");
    assert_eq!(exact[1].to_bits(), 0);

    // the sum with l1 is the sparse group lasso: no difference
    let both = "--penalty l1 --lambda 0.25 --group lasso --group-lambda 0.5";
    let [composed, exact] =
        ["", "--exact"].map(|exact| result(&place, &[3, 2], &WEIGHTS, &format!("{both} {exact}")));
    close(&exact, &composed);

    let document = place.json(&format!("prox --json --in w.npy --out y.npy {both} --exact"));
    assert!(document["group"].as_str().is_some_and(|text| text.contains("exact")), "{document}");
    assert!(document["adapter"].as_str().is_some_and(|text| text.contains("cpu")), "{document}");
}

/// Rows are rows and columns columns, whatever the order of weights and gradients in their files.
#[test]
fn the_order_of_the_file_changes_nothing() {
    let place = place();
    let (w, g) = ([3.0, -4.0, 0.5, 0.25, -1.0, 2.0], [1.0, 0.5, -1.0, 0.25, 0.0, -2.0]);
    for (name, values) in [("w", w), ("g", g)] {
        place.npy(&format!("{name}-c.npy"), &[2, 3], &values);
        let rows = ndarray::Array2::from_shape_vec((2, 3), values.to_vec()).expect("a shape");
        let columns: Vec<f32> = rows.t().iter().copied().collect();
        let shape = ndarray::ShapeBuilder::f((2, 3));
        let array = ndarray::Array2::from_shape_vec(shape, columns).expect("a shape");
        ndarray_npy::write_npy(place.at(&format!("{name}-f.npy")), &array).expect("written");
    }
    let fortran = |name: &str| {
        let bytes = place.read(name);
        String::from_utf8_lossy(&bytes[..100]).contains("'fortran_order': True")
    };
    assert!(fortran("w-f.npy") && fortran("g-f.npy") && !fortran("w-c.npy"));
    // w - lr g = (2.5, -4.25, 1; 0.125, -1, 3)
    let row = |k: f32| 1.0 - 1.0 / k.sqrt();
    let (a, b) = (row(25.3125), row(10.015_625));
    let rows = [2.5 * a, -4.25 * a, a, 0.125 * b, -b, 3.0 * b];
    let (a, b, c) = (row(6.265_625), row(19.0625), row(10.0));
    let columns = [2.5 * a, -4.25 * b, c, 0.125 * a, -b, 3.0 * c];
    for (device, more) in [("cpu", ""), ("llvmpipe", ""), ("cpu", "--exact")] {
        for (groups, expected) in [("rows", rows), ("columns", columns)] {
            for (w, g) in [("c", "c"), ("f", "f"), ("f", "c"), ("c", "f")] {
                place.json(&format!(
                    "prox --json --device {device} --in w-{w}.npy --grad g-{g}.npy --out y.npy --lr 0.5 \
                     --penalty none --group lasso --group-lambda 2 --groups {groups} {more}"
                ));
                close(&place.read_npy("y.npy"), &expected);
                assert_eq!(fortran("y.npy"), w == "f", "{device} {more} {groups} {w} {g}");
            }
        }
    }
}

#[test]
fn exact_zeros_are_positive() {
    let place = place();
    let tiny = f32::from_bits(1);
    let both = "--penalty none --group lasso --group-lambda 0.75 --groups whole --exact";
    let got = result(&place, &[3], &[1.0, -tiny, tiny], both);
    close(&got[..1], &[0.25]);
    assert_eq!(got[1..].iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn wrong_groups_are_named() {
    let place = place();
    let with = |more: &str| format!("--in w.npy --penalty l1 {more}");
    refuses(&place, &with("--group ridge"), &["group penalty", "\"ridge\"", "lasso", "l1-l2"]);
    refuses(&place, &with("--group cges(mu=2)"), &["cges", "mu = 2", "[0, 1]"]);
    refuses(&place, &with("--group log(scale=0)"), &["log", "scale = 0", "outside"]);
    refuses(&place, &with("--group lasso(weight=two)"), &["lasso", "two", "sqrt-size"]);
    refuses(&place, &with("--group lasso --groups diagonals"), &["groups", "\"diagonals\"", "rows, columns"]);
    refuses(&place, &with("--group lasso --groups blocks:few"), &["groups", "\"blocks:few\"", "blocks:K"]);
    refuses(&place, &with("--group lasso --groups blocks:0"), &["groups", "elements per block = 0", "[1, "]);
    refuses(&place, &with("--group lasso --group-lambda -1"), &["lambda = -1", "outside", "[0, "]);
    refuses(&place, &with("--group lasso --group-lambda nan"), &["lambda = NaN", "outside"]);
    refuses(
        &place,
        &with("--group lasso --groups filters"),
        &["\"w\"", "--groups filters", "[3, 2]", "three axes", "--select"],
    );
    place.npy("flat.npy", &[4], &[1.0; 4]);
    refuses(
        &place,
        "--in flat.npy --penalty l1 --group lasso --groups rows",
        &["\"flat\"", "--groups rows", "[4]", "two axes or more", "--select"],
    );
    for group in ["exclusive", "cges", "none", "lasso(weight=1)x"] {
        refuses(&place, &with(&format!("--group {group} --exact")), &[group, "lasso"]);
    }
    refuses(
        &place,
        &with("--group exclusive --exact"),
        &["--exact", "--group exclusive", "allowed: --group lasso"],
    );
}

#[test]
fn a_group_with_a_nan_is_nan() {
    let place = place();
    let values = [1.0, f32::NAN, 3.0, -4.0, f32::INFINITY, 0.0];
    place.npy("odd.npy", &[3, 2], &values);
    for (device, more) in [("cpu", ""), ("llvmpipe", ""), ("cpu", "--exact")] {
        let document = place.json(&format!(
            "prox --json --device {device} --in odd.npy --out y.npy --penalty none --group lasso \
             --group-lambda 2.5 {more}"
        ));
        assert_eq!(document["tensors"][0]["nonfinite"], 4, "{device} {more}");
        assert_eq!(document["tensors"][0]["mismatches"], 0, "{device} {more}");
        let got = place.read_npy("y.npy");
        assert!([0, 1, 4, 5].iter().all(|&k| got[k].is_nan()), "{device} {more}: {got:?}");
        close(&got[2..4], &[1.5, -2.0]);
    }
}

/// Groups that shrink for thousands of steps get there. Some devices flush subnormal differences and products to zero.
#[test]
fn tiny_groups_pass_the_check() {
    let place = place();
    let tiny: Vec<f32> = (0..60).map(|k| (k as f32 - 28.5) * 10_f32.powi(-34 - k / 16)).collect();
    place.npy("tiny.npy", &[20, 3], &tiny);
    for group in ["exclusive", "exclusive-linear", "cges(mu=1)"] {
        for layout in ["rows", "blocks:1"] {
            let document = place.json(&format!(
                "prox --json --device SwiftShader --in tiny.npy --out y.npy --penalty none --group {group} \
                 --group-lambda 0.01 --groups {layout}"
            ));
            assert_eq!(document["tensors"][0]["mismatches"], 0, "{group} {layout}");
        }
    }
}

#[test]
fn none_is_no_group() {
    let place = place();
    let step = "--device llvmpipe --in w.npy --penalty l1 --lambda 0.2";
    let without = place.json(&format!("prox --json {step} --out a.npy"));
    let none =
        place.json(&format!("prox --json {step} --out b.npy --group none --groups whole --group-lambda 3"));
    assert_eq!(without, none);
    assert!(none.get("group").is_none());
    assert_eq!(place.read("a.npy"), place.read("b.npy"));
}

#[test]
fn select_takes_the_tensors_that_have_rows() {
    let place = place();
    place.model(
        "w.safetensors",
        &[
            ("layer.weight", Dtype::F32, &[2, 2], &[3.0, -4.0, 0.1, 0.2]),
            ("layer.bias", Dtype::F32, &[2], &[0.3, -0.4]),
        ],
        None,
    );
    let step = "--penalty none --group lasso --group-lambda 0.5";
    place.refuses(
        &format!("prox --device cpu --in w.safetensors --out y.safetensors {step} --select layer"),
        &["\"layer.bias\"", "[2]", "--select"],
    );

    let document = place.json(&format!(
        "prox --json --device llvmpipe --in w.safetensors --out y.safetensors {step} --select weight$"
    ));
    assert_eq!(document["tensors"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&document["tensors"][0]["nonzeros"], &document["tensors"][0]["verified"]),
        (&2.into(), &4.into())
    );
    close(&place.tensor("y.safetensors", "layer.weight"), &[2.7, -3.6, 0.0, 0.0]);
    assert_eq!(place.tensor("y.safetensors", "layer.bias"), [0.3, -0.4]);
}

#[test]
fn tensors_without_rows_are_written_unchanged_with_a_notice() {
    let place = Place::new();
    // f64 is computed in f32, and a quiet NaN has other bits: neither may happen to what stays
    let wide = 0.1_f64.to_le_bytes();
    let signalling = [0x01, 0x7c];
    let weight = [3.0_f32, -4.0, 0.1, 0.2];
    let bytes = weight.map(f32::to_le_bytes).concat();
    let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).expect("a view");
    let entries = [
        ("a.weight", view(Dtype::F32, &[2, 2], &bytes)),
        ("a.bias", view(Dtype::F64, &[1], &wide)),
        ("b.bias", view(Dtype::F16, &[1], &signalling)),
        ("steps", view(Dtype::I64, &[1], &wide)),
    ];
    let file = safetensors::serialize(entries, None).expect("serialized");
    fs::write(place.at("w.safetensors"), file).expect("written");
    let gradient: Entry = ("a.weight", Dtype::F32, &[2, 2], &[0.0; 4]);
    place.model("g.safetensors", &[gradient, ("b.bias", Dtype::F32, &[3], &[1.0; 3])], None);

    let step = "--in w.safetensors --out y.safetensors --penalty none --group lasso --group-lambda 0.5";
    for (device, more) in [("cpu", ""), ("llvmpipe", ""), ("cpu", "--exact"), ("cpu", "--grad g.safetensors")]
    {
        let output = place.run(&format!("prox --json --device {device} {step} {more}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let found = document(&output);
        let tensors = found["tensors"].as_array().expect("a list");
        assert_eq!((tensors.len(), &tensors[0]["name"]), (1, &"a.weight".into()));
        assert_eq!(said.lines().count(), 1, "{said}");
        for part in ["maf-srl: no rows in ", "a.bias [1]", "b.bias [1]", "written unchanged", "--select"] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        assert!(!said.contains("steps") && !said.contains("a.weight"), "{said}");
        close(&place.tensor("y.safetensors", "a.weight"), &[2.7, -3.6, 0.0, 0.0]);
        let bytes = place.read("y.safetensors");
        let written = safetensors::SafeTensors::deserialize(&bytes).expect("a model");
        for (name, bytes) in [("a.bias", &wide[..]), ("b.bias", &signalling), ("steps", &wide)] {
            assert_eq!(written.tensor(name).expect("there").data(), bytes, "{name}");
        }
    }

    place.model("more.safetensors", &[gradient, ("stranger", Dtype::F32, &[1], &[1.0])], None);
    place.refuses(&format!("prox --device cpu {step} --grad more.safetensors"), &["stranger"]);
    // nothing fits: as with one tensor alone
    place.refuses(
        &format!("prox --device cpu {step} --groups filters"),
        &["\"a.", "--groups filters", "three axes", "--select"],
    );
    // without groups every tensor takes the step
    let l1 = "--in w.safetensors --out y.safetensors --penalty l1 --lambda 0.01";
    let found = place.json(&format!("prox --json --device cpu {l1}"));
    assert_eq!(found["tensors"].as_array().map(Vec::len), Some(3));
}
