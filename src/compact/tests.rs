use ndarray::{Array1, ArrayD, arr2};
use proptest::prelude::*;

use super::*;
use crate::error::Error;

fn layer(name: &str, shape: &[usize], weight: &[f32], bias: Option<&[f32]>) -> Layer {
    let weight = ArrayD::from_shape_vec(shape, weight.to_vec()).unwrap();
    Layer { name: name.into(), weight, bias: bias.map(|bias| Array1::from(bias.to_vec())) }
}

/// Weights without a zero, all different.
fn full(name: &str, shape: &[usize], bias: bool) -> Layer {
    let values: Vec<f32> =
        (0..shape.iter().product()).map(|k: usize| ((k * 7 + 3) % 23) as f32 / 16.0 - 0.71).collect();
    let biases: Vec<f32> = (0..shape[0]).map(|k| k as f32 / 8.0 - 0.3).collect();
    layer(name, shape, &values, bias.then_some(&biases[..]))
}

/// The small network, proven.
#[track_caller]
fn compact(large: &[Layer]) -> Compact {
    let mut small = run(large, None).unwrap();
    small.prove(large, Probe { inputs: 9, ..Probe::default() }).unwrap();
    let proof = small.report.proof.as_ref().unwrap();
    let total = &small.report.total;
    if total.folded == 0 {
        assert!(proof.bitwise_equal && proof.max_bound == 0.0, "{proof:?}");
    }
    for (layer, small) in small.report.layers.iter().zip(&small.layers) {
        assert_eq!(layer.kept.len(), small.weight.shape()[0]);
        assert_eq!(layer.shape_after, small.weight.shape());
        assert_eq!(
            layer.after.parameters as usize,
            small.weight.len() + small.bias.as_ref().map_or(0, |b| b.len())
        );
    }
    small
}

fn kept(compact: &Compact) -> Vec<Vec<usize>> {
    compact.report.layers.iter().map(|layer| layer.kept.clone()).collect()
}

#[test]
fn neurons_without_a_way_in_or_out_go() {
    // Neuron 0 has no way out, 1 no way in and a bias below zero, 2 no way in and a bias of zero, 3 is alive.
    let large = [
        layer("a", &[4, 2], &[1.0, 2.0, 0.0, -0.0, 0.0, 0.0, 3.0, -1.0], Some(&[5.0, -1.0, 0.0, 0.25])),
        layer("b", &[2, 4], &[0.0, 1.0, 2.0, 3.0, -0.0, 4.0, 5.0, 6.0], Some(&[0.5, 0.0])),
    ];
    let small = compact(&large);
    assert_eq!(kept(&small), [vec![3], vec![0, 1]]);
    assert_eq!(small.layers[0], layer("a", &[1, 2], &[3.0, -1.0], Some(&[0.25])));
    assert_eq!(small.layers[1], layer("b", &[2, 1], &[3.0, 6.0], Some(&[0.5, 0.0])));
    let report = &small.report;
    assert_eq!((report.layers[0].neurons, report.layers[0].neurons_alive), (4, 1));
    assert_eq!((report.total.neurons, report.total.neurons_alive), (4, 1));
    assert_eq!(report.layers[0].before, Size { parameters: 12, nonzeros: 7, bytes: 48, flops: 16 });
    assert_eq!(report.layers[0].after, Size { parameters: 3, nonzeros: 3, bytes: 12, flops: 4 });
    assert_eq!(report.total.before, Size { parameters: 22, nonzeros: 14, bytes: 88, flops: 32 });
    assert_eq!(report.total.after, Size { parameters: 7, nonzeros: 6, bytes: 28, flops: 8 });
    assert_eq!(report.layers[0].sparsity, Sparsity { weights: 0.5, neurons: Some(0.75) });
    assert_eq!(report.layers[1].sparsity, Sparsity { weights: 0.25, neurons: None });
    assert_eq!(report.total.sparsity, Sparsity { weights: 6.0 / 16.0, neurons: Some(0.75) });
}

#[test]
fn a_positive_constant_is_folded_into_the_next_bias() {
    let large = [
        layer("a", &[2, 1], &[0.0, 1.0], Some(&[0.5, 0.0])),
        layer("b", &[2, 2], &[3.0, 1.0, -8.0, 2.0], Some(&[0.25, 0.0])),
    ];
    let small = compact(&large);
    assert_eq!(small.layers[0], layer("a", &[1, 1], &[1.0], Some(&[0.0])));
    assert_eq!(small.layers[1], layer("b", &[2, 1], &[1.0, 2.0], Some(&[1.75, -4.0])));
    assert_eq!((small.report.total.folded, small.report.total.constants_kept), (1, 0));
}

#[test]
fn folding_keeps_a_bound_that_is_tight_and_catches_what_is_wrong() {
    let mut large = [full("a", &[40, 30], true), full("b", &[20, 40], true), full("c", &[10, 20], true)];
    for row in (0..40).step_by(2) {
        large[0].weight.index_axis_mut(ndarray::Axis(0), row).fill(0.0);
        large[0].bias.as_mut().unwrap()[row] = 0.1 + row as f32 / 7.0;
    }
    let small = compact(&large);
    let proof = small.report.proof.clone().unwrap();
    assert_eq!(small.report.total.folded, 20);
    assert!(!proof.bitwise_equal && proof.max_difference > 0.0, "{proof:?}");
    assert!(proof.worst_share_of_bound < 1.0 && proof.max_bound < 0.02, "{proof:?}");
    assert_eq!(proof.predictions_equal, 9);

    let mut wrong = small.clone();
    wrong.layers[1].bias.as_mut().unwrap()[3] += 0.05;
    // More than the rounding to any type of a file.
    let error = wrong.prove(&large, Probe::default()).unwrap_err();
    assert!(matches!(&error, Error::Mismatch(text) if text.contains("bias 3 of layer \"b\"")), "{error}");
    let mut rounded = small.clone();
    let bf16 = |b: f32| f32::from_bits((b.to_bits() + 0x8000) & 0xffff_0000);
    rounded.layers[1].bias.as_mut().unwrap().mapv_inplace(bf16);
    rounded.prove(&large, Probe::default()).unwrap();
    assert!(rounded.report.proof.unwrap().max_difference > 1e-4);
    let mut wrong = small.clone();
    wrong.layers[2].weight[[3, 1]] += 0.05;
    let error = wrong.prove(&large, Probe::default()).unwrap_err();
    assert!(matches!(&error, Error::Mismatch(text) if text.contains("output 3 of random input")), "{error}");
}

#[test]
fn without_a_bias_to_fold_into_a_constant_stays() {
    let large = [
        layer("a", &[3, 1], &[0.0, 1.0, 0.0], Some(&[0.5, 0.0, -1.0])),
        layer("b", &[1, 3], &[3.0, 1.0, 1.0], None),
    ];
    let small = compact(&large);
    assert_eq!(kept(&small), [vec![0, 1], vec![0]]);
    assert_eq!((small.report.total.folded, small.report.total.constants_kept), (0, 1));
    // Nor is one folded that would overflow.
    let large = [
        layer("a", &[2, 1], &[0.0, 1.0], Some(&[3e38, 0.0])),
        layer("b", &[1, 2], &[1.0, 1.0], Some(&[3e38])),
    ];
    let small = run(&large, None).unwrap();
    assert_eq!((small.layers.clone(), small.report.total.constants_kept), (large.to_vec(), 1));
}

#[test]
fn death_spreads_both_ways() {
    // Level 3's neuron 0 has no way out; only it listens to level 2's neuron 0, and only that one to level 1's.
    let back = [
        full("a", &[2, 3], false),
        layer("b", &[2, 2], &[1.0, 0.0, 0.0, 1.0], None),
        layer("c", &[2, 2], &[1.0, 0.0, 0.0, 1.0], None),
        layer("d", &[1, 2], &[0.0, 1.0], None),
    ];
    assert_eq!(kept(&compact(&back)), [vec![1], vec![1], vec![1], vec![0]]);
    // Level 1's neuron 0 is silent, and what listens to it alone is too.
    let forth = [
        layer("a", &[2, 2], &[0.0, 0.0, 1.0, 1.0], None),
        layer("b", &[2, 2], &[1.0, 0.0, 0.0, 1.0], None),
        layer("c", &[2, 2], &[1.0, 0.0, 0.0, 1.0], None),
        full("d", &[1, 2], false),
    ];
    assert_eq!(kept(&compact(&forth)), [vec![1], vec![1], vec![1], vec![0]]);
    // A constant decides, when folded, whether the neuron behind it is silent or a constant itself.
    for (weight, expected) in [(1.0, 7.0), (-9.0, 1.0)] {
        let folded = [
            layer("a", &[2, 1], &[0.0, 1.0], Some(&[2.0, 0.0])),
            layer("b", &[2, 2], &[weight, 0.0, 0.0, 1.0], Some(&[1.0, 0.0])),
            layer("c", &[1, 2], &[2.0, 1.0], Some(&[1.0])),
        ];
        let small = compact(&folded);
        assert_eq!(kept(&small), [vec![1], vec![1], vec![0]]);
        assert_eq!(small.layers[2].bias, Some(Array1::from(vec![expected])));
    }
}

#[test]
fn a_layer_of_the_dead_keeps_one_neuron() {
    let mut large = [full("a", &[4, 3], true), full("b", &[5, 4], true), full("c", &[2, 5], true)];
    large[1].weight.fill(0.0);
    large[1].bias.as_mut().unwrap().fill(-1.0);
    let small = compact(&large);
    assert_eq!(kept(&small), [vec![0], vec![0], vec![0, 1]]);
    assert_eq!(small.layers[0], layer("a", &[1, 3], &[0.0; 3], Some(&[0.0])));
    assert_eq!(small.layers[2], layer("c", &[2, 1], &[0.0; 2], Some(&[-0.3, 1.0 / 8.0 - 0.3])));
    let total = &small.report.total;
    assert_eq!((total.neurons, total.neurons_alive), (9, 0));
    assert_eq!((total.inputs, total.dead_inputs), (3, 3));
    // With positive biases the network is a constant.
    large[1].bias.as_mut().unwrap().fill(1.0);
    let small = compact(&large);
    assert_eq!((small.report.total.folded, small.report.total.neurons_alive), (5, 0));
    assert_eq!(small.layers.len(), 3);
}

#[test]
fn dead_inputs_are_counted_and_stay() {
    let large =
        [layer("a", &[2, 3], &[1.0, 0.0, 0.0, 0.0, 0.0, 2.0], None), layer("b", &[1, 2], &[1.0, 0.0], None)];
    let small = compact(&large);
    assert_eq!(small.layers[0].weight.shape(), [1, 3]);
    assert_eq!(small.report.total.dead_inputs, 2);
}

#[test]
fn nan_and_infinity_keep_their_neurons() {
    for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        // in a weight without a way out, behind a neuron without a way in, and in a bias
        let large = [
            layer("a", &[4, 1], &[odd, 0.0, 0.0, 0.0], Some(&[0.0, 0.0, odd, 0.0])),
            layer("b", &[1, 4], &[0.0, odd, 1.0, 1.0], Some(&[0.0])),
        ];
        assert_eq!(kept(&run(&large, None).unwrap()), [vec![0, 1, 2], vec![0]]);
    }
    let large = [
        layer("a", &[3, 1], &[f32::NAN, 1.0, 0.0], None),
        layer("b", &[1, 3], &[1.0, 1.0, 1.0], Some(&[0.0])),
    ];
    let small = compact(&large);
    assert_eq!(kept(&small), [vec![0, 1], vec![0]]);
    assert_eq!(small.report.total.before.nonzeros, 5);
    assert_eq!(small.report.total.sparsity_threshold.neurons, Some(1.0 / 3.0));
}

/// Zero in all weights of a filter of one layer.
fn silence(layer: &mut Layer, filter: usize, bias: f32) {
    layer.weight.index_axis_mut(ndarray::Axis(0), filter).fill(0.0);
    layer.bias.as_mut().unwrap()[filter] = bias;
}

#[test]
fn filters_die_as_neurons_do_but_constants_stay_before_a_convolution() {
    let mut large =
        [full("a", &[4, 2, 3, 3], true), full("b", &[3, 4, 3, 2], true), full("c", &[2, 3, 1, 1], false)];
    silence(&mut large[0], 0, -0.5);
    silence(&mut large[0], 1, 0.5);
    large[1].weight.index_axis_mut(ndarray::Axis(1), 2).fill(0.0);
    let small = compact(&large);
    assert_eq!(kept(&small), [vec![1, 3], vec![0, 1, 2], vec![0, 1]]);
    assert_eq!(small.layers[1].weight.shape(), [3, 2, 3, 2]);
    assert_eq!((small.report.total.folded, small.report.total.constants_kept), (0, 1));
    assert_eq!(small.report.total.before.flops, 2 * (72 + 72 + 6));
    let sized = run(&large, Some([5, 7])).unwrap();
    assert_eq!(sized.report.total.before.flops, 35 * 2 * (72 + 72 + 6));
    assert!(sized.report.total.flops_per.contains("5x7"), "{}", sized.report.total.flops_per);
    // Folding it would have been wrong: the comparison sees the borders.
    let mut folded = large.clone();
    silence(&mut folded[0], 1, -0.5);
    let c: Vec<f32> =
        large[1].weight.outer_iter().map(|w| 0.5 * w.index_axis(ndarray::Axis(0), 1).sum()).collect();
    *folded[1].bias.as_mut().unwrap() += &Array1::from(c);
    let mut wrong = run(&folded, None).unwrap();
    assert!(matches!(wrong.prove(&large, Probe::default()), Err(Error::Mismatch(_))));
}

#[test]
fn a_flattened_channel_goes_with_its_columns() {
    // 6 positions; and 1, where the maximum is taken over all.
    for positions in [6, 1] {
        let mut large =
            [full("a", &[4, 1, 3, 3], true), full("b", &[5, 4 * positions], true), full("c", &[2, 5], true)];
        silence(&mut large[0], 0, -1.0);
        let columns = ndarray::Slice::from(2 * positions..3 * positions);
        large[1].weight.slice_axis_mut(ndarray::Axis(1), columns).fill(0.0);
        let small = compact(&large);
        assert_eq!(kept(&small), [vec![1, 3], (0..5).collect(), vec![0, 1]]);
        assert_eq!(small.layers[1].weight.shape(), [5, 2 * positions]);
        let of = |layer: &Layer, column: usize| layer.weight.index_axis(ndarray::Axis(1), column).to_owned();
        assert_eq!(of(&small.layers[1], positions), of(&large[1], 3 * positions));
        // A constant channel is constant at all positions, and can be folded.
        silence(&mut large[0], 1, 0.75);
        let small = compact(&large);
        assert_eq!((kept(&small)[0].clone(), small.report.total.folded), (vec![3], 1));
    }
}

#[test]
fn thresholds_follow_the_literature() {
    let large = [
        layer("a", &[3, 2], &[9e-6, -9e-6, 1e-4, 0.0, 1.0, 1.0], None),
        layer("b", &[1, 3], &[1.0, 1.0, 5e-6], None),
    ];
    let report = compact(&large).report;
    // Neuron 0 by its weights in, neuron 2 by its weight out.
    assert_eq!(
        report.layers[0].sparsity_threshold,
        Sparsity { weights: 3.0 / 6.0, neurons: Some(2.0 / 3.0) }
    );
    assert_eq!(report.total.sparsity_threshold, Sparsity { weights: 4.0 / 9.0, neurons: Some(2.0 / 3.0) });
    assert_eq!(report.total.sparsity, Sparsity { weights: 1.0 / 9.0, neurons: Some(0.0) });
}

#[test]
fn what_does_not_fit_is_named() {
    let refused = |layers: &[Layer], parts: &[&str]| {
        let error = run(layers, None).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    };
    refused(&[], &["no layers"]);
    let (a, b) = (full("a", &[4, 3], true), full("b", &[2, 5], true));
    refused(&[a.clone(), b], &["\"b\"", "[2, 5]", "4 inputs", "\"a\"", "[4, 3]", "`layers`"]);
    let conv = full("conv", &[4, 3, 3, 3], true);
    refused(&[a, conv.clone()], &["\"conv\"", "no convolution follows", "\"a\""]);
    refused(&[conv.clone(), full("d", &[2, 10], true)], &["\"d\"", "a multiple of 4"]);
    refused(&[conv, full("d", &[2, 5, 3, 3], true)], &["[2, 5, 3, 3]", "4 inputs"]);
    refused(&[full("n", &[4], false)], &["\"n\"", "[4]", "[outputs, inputs]"]);
    refused(&[layer("e", &[0, 2], &[], None)], &["\"e\"", "[0, 2]"]);
    refused(&[layer("f", &[1, 1], &[1.0], Some(&[1.0, 2.0]))], &["\"f\"", "bias is 2", "expected 1"]);
    let one = [full("g", &[2, 2, 1, 1], true)];
    assert!(matches!(run(&one, Some([0, 4])), Err(Error::Domain { .. })));
    let mut small = run(&one, None).unwrap();
    assert!(matches!(small.prove(&one, Probe { inputs: 0, seed: 0 }), Err(Error::Domain { .. })));
    let other = [full("g", &[3, 2, 1, 1], true)];
    assert!(matches!(small.prove(&other, Probe::default()), Err(Error::Shape { .. })));
}

/// Files of 4 MB, and of 48, whose proof would take days, or more memory than there is.
#[test]
fn kernels_whose_proof_would_not_end_are_refused() {
    for (shape, words) in [
        (
            [1, 1, 1000, 1000],
            "pictures of 1000 x 1000 take 1000001000000 products per input; allowed: at most 17179869184",
        ),
        ([2, 1, 1, 500_000], "pictures of 500000 x 500000 take 250000500000000000 products"),
        (
            [6_000_000, 1, 1, 1],
            "pictures of 4 x 4 take 1152000704 bytes per input; allowed: at most 1073741824",
        ),
    ] {
        let large = [full("a", &shape, false), full("b", &[1, shape[0], 1, 1], false)];
        let mut small = run(&large, None).unwrap();
        match small.prove(&large, Probe { inputs: 1, ..Probe::default() }) {
            Err(error @ Error::Unsupported { .. }) => {
                assert!(error.to_string().contains(words), "{shape:?}: {error}");
            }
            other => panic!("{shape:?}: {other:?}"),
        }
    }
}

/// What is found is put together piece by piece: a million inputs take no more memory than a thousand.
#[test]
fn inputs_are_counted_over_all_pieces() {
    let large = [full("a", &[2, 1], true), full("b", &[1, 2], false)];
    let mut small = run(&large, None).unwrap();
    let inputs = 3 * 1024 + 7;
    small.prove(&large, Probe { inputs, ..Probe::default() }).unwrap();
    let proof = small.report.proof.clone().unwrap();
    assert_eq!((proof.inputs, proof.predictions_equal, proof.bitwise_equal), (inputs, inputs, true));
    for inputs in [0, Probe::MOST + 1, usize::MAX] {
        let error = small.prove(&large, Probe { inputs, ..Probe::default() }).unwrap_err();
        assert!(matches!(error, Error::Domain { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("proof: `inputs` = {}", inputs as f64)), "{error}");
    }
}

#[test]
fn one_layer_has_nothing_to_lose() {
    let large = [layer("a", &[2, 2], &[0.0; 4], Some(&[1.0, 0.0]))];
    let small = compact(&large);
    assert_eq!(small.layers, large);
    assert_eq!(small.report.total.sparsity.neurons, None);
}

#[test]
fn a_perceptron_takes_views() {
    let (a, b) = (arr2(&[[1.0_f32, 0.0], [0.0, 0.0]]), arr2(&[[1.0_f32], [2.0]]));
    // a transposed view lies in another order
    let b = ndarray::concatenate![ndarray::Axis(1), b, b];
    let small = mlp(&[a.t(), b.view()], &[&[0.0, 0.0], &[]]).unwrap();
    assert_eq!(kept(&small), [vec![0], vec![0, 1]]);
    assert_eq!(small.layers[1], layer("layers.1.weight", &[2, 1], &[1.0, 2.0], None));
    assert!(small.report.proof.unwrap().bitwise_equal);
    assert!(matches!(mlp(&[a.view()], &[]), Err(Error::Shape { .. })));
}

/// Chains of dense layers, or of convolutions and dense layers, with many zeros. Filters and neurons are silenced whole,
/// and `constants` says whether some have a positive bias.
fn chains(constants: bool) -> impl Strategy<Value = Vec<Layer>> {
    let widths = prop::collection::vec(1..7_usize, 2..6);
    (widths, 0..3_usize, any::<u64>(), 0.0..1.0_f64).prop_map(move |(widths, convolutions, seed, zero)| {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let depth = widths.len() - 1;
        let convolutions = convolutions.min(depth);
        let layers = widths.windows(2).enumerate().map(|(k, pair)| {
            let shape = match k {
                k if k < convolutions => vec![pair[1], pair[0], 1 + k, 3],
                k if k == convolutions && k > 0 => vec![pair[1], 2 * pair[0]],
                _ => vec![pair[1], pair[0]],
            };
            let silent: Vec<bool> = (0..pair[1]).map(|_| rng.random_bool(0.3)).collect();
            let weight =
                ArrayD::from_shape_fn(shape.as_slice(), |index| match rng.random_range(-2.0..2.0_f32) {
                    _ if silent[index[0]] || rng.random_bool(zero) => {
                        if rng.random() {
                            0.0
                        } else {
                            -0.0
                        }
                    }
                    w => w,
                });
            let bias = rng.random_bool(0.8).then(|| {
                let value = |silent: &bool| match rng.random_range(-1.0..1.0_f32) {
                    b if *silent && !constants => -b.abs(),
                    b => b,
                };
                silent.iter().map(value).collect()
            });
            Layer { name: k.to_string(), weight, bias }
        });
        layers.collect()
    })
}

/// Whether a chain can lose anything more.
fn settled(small: &Compact) {
    let again = run(&small.layers, None).unwrap();
    assert_eq!(again.layers, small.layers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sparse_chain_is_equal_bit_for_bit_without_folding(large in chains(false)) {
        let small = compact(&large);
        if small.report.total.folded == 0 {
            prop_assert!(small.report.proof.as_ref().unwrap().bitwise_equal);
        }
        settled(&small);
    }

    #[test]
    fn any_sparse_chain_keeps_the_bound_with_folding(large in chains(true)) {
        let small = compact(&large);
        prop_assert!(small.report.proof.as_ref().unwrap().worst_share_of_bound <= 1.0);
        settled(&small);
    }
}
