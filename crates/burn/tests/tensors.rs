//! Steps in place are those of Burn's own tensor operations.

mod support;

use burn::module::ParamGroup;
use burn::optim::ModuleOptimizer;
use maf_srl::kernels::step::{Adam, Optimizer};
use maf_srl_burn::{Gpu, ProxOptimizer, Rule, SparseOptimizer, Unit};
use support::{Cnn, Data, Lenet, Mlp, Net, gradients, weights};

const LR: f64 = 0.02;
const LAMBDA: f64 = 1e-2;

/// Steps by both, each from the weights that the one in place came to, with states of its own.
fn agree<N: Net>(
    gpu: &Gpu,
    mut net: N,
    data: &Data,
    base: Optimizer,
    penalty: &str,
    paths: &[&str],
    steps: usize,
) {
    let (device, unit) = (net.devices()[0].clone(), |path: &str| match path.starts_with("conv") {
        true => (Unit::Filter, 0),
        false => (Unit::Neuron, 1),
    });
    let plain = ProxOptimizer::new(base, "none".parse().unwrap(), 0.0).unwrap();
    let mut tensors = ModuleOptimizer::from(plain);
    let mut sparse = SparseOptimizer::new(gpu, base);
    for path in paths {
        let (unit, axis) = unit(path);
        let (penalty, lasso) = (penalty.parse().unwrap(), "lasso(weight=sqrt-size)".parse().unwrap());
        let one = ProxOptimizer::new(base, penalty, LAMBDA).unwrap().with_group(lasso, LAMBDA, axis).unwrap();
        tensors = tensors.with_group(ParamGroup::from_path(*path), one, None);
        let rule = Rule::new(penalty, LAMBDA).with_group(lasso, LAMBDA, unit);
        sparse = sparse.with_rule(rule.on(ParamGroup::from_path(*path)));
    }
    let mut zeros = 0;
    for step in 0..steps {
        let batch = || data.batch(step, 5, &device);
        let before = weights(&net);
        let other = tensors.step(LR, net.clone(), gradients(&net, batch()));
        let g = gradients(&net, batch());
        net = sparse.step(LR, net, g).unwrap();
        zeros = 0;
        for ((a, b), before) in weights(&net).iter().zip(&weights(&other)).zip(&before) {
            let largest = before.values.iter().fold(1e-3_f32, |most, w| most.max(w.abs()));
            for (k, (x, y)) in a.values.iter().zip(&b.values).enumerate() {
                let apart = (x - y).abs();
                // some forty roundings of the largest weight: of a long sum, a root, a quotient
                assert!(
                    apart <= largest * 2.0_f32.powi(-18),
                    "{base} step {step}, {}[{k}]: {x:e}, {y:e}",
                    a.path
                );
                assert!(x.to_bits() != (-0.0_f32).to_bits() && y.to_bits() != (-0.0_f32).to_bits());
            }
            zeros += a.values.iter().filter(|w| **w == 0.0).count();
        }
    }
    assert!(zeros > 100 || penalty == "l2sq", "{base} {penalty}: {zeros} zeros");
}

#[test]
fn an_mlp_for_every_base_step_and_penalty_of_tensor_operations() {
    for gpu in support::devices() {
        let adamw = Adam { decay: 0.01, ..Adam::default() };
        for (base, penalty, steps) in [
            (Optimizer::HeavyBall { momentum: 0.9 }, "l1", 200),
            (Optimizer::Adam(adamw), "elastic-net(mix=0.7)", 200),
            (Optimizer::Gradient, "mcp(gamma=3)", 60),
            (Optimizer::Nesterov { momentum: 0.9 }, "l0", 60),
            (Optimizer::Adam(Adam::default()), "l2sq", 60),
        ] {
            let net = Mlp::new(&[64, 32, 16, 10], &gpu.burn().clone().autodiff());
            agree(
                &gpu,
                net,
                &Data::new(200, 1),
                base,
                penalty,
                &["layers.0.weight", "layers.1.weight"],
                steps,
            );
        }
    }
}

#[test]
fn two_hundred_steps_of_convolutional_networks() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let base = Optimizer::HeavyBall { momentum: 0.9 };
        let paths = ["conv1.weight", "conv2.weight", "fc1.weight"];
        agree(&gpu, Cnn::new(&device), &Data::new(100, 2), base, "l1", &paths, 200);
        agree(&gpu, Lenet::new(&device), &Data::of_width(28, 40, 3), base, "l1", &paths, 200);
    }
}

#[test]
fn what_tensor_operations_do_not_have_is_refused() {
    let new = |base: &str, penalty: &str, lambda| {
        ProxOptimizer::new(base.parse().unwrap(), penalty.parse().unwrap(), lambda)
    };
    for (base, penalty, lambda, needle) in [
        ("gradient", "tl1", 0.1, "tl1(a=1)"),
        ("adam-metric", "l1", 0.1, "adam-metric"),
        ("prox", "l1", 0.1, "prox"),
        ("gradient", "l1", -1.0, "lambda = -1"),
    ] {
        let error = new(base, penalty, lambda).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    }
    let grouped = |penalty: &str, lambda| {
        new("gradient", "l1", 0.1).unwrap().with_group(penalty.parse().unwrap(), lambda, 0)
    };
    assert!(grouped("cges", 0.1).unwrap_err().to_string().contains("cges"));
    assert!(grouped("lasso", f64::NAN).is_err() && grouped("lasso", 0.1).is_ok());
}

#[test]
fn states_come_back_from_a_record() {
    let gpu = &support::devices()[0];
    let device = gpu.burn().clone().autodiff();
    let data = Data::new(100, 6);
    let make = || {
        let base = Optimizer::Adam(Adam::default());
        ModuleOptimizer::from(ProxOptimizer::new(base, "l1".parse().unwrap(), LAMBDA).unwrap())
    };
    let train = |net: Mlp, optim: &mut ModuleOptimizer, steps: std::ops::Range<usize>| {
        steps.fold(net, |net, step| {
            let g = gradients(&net, data.batch(step, 20, &device));
            optim.step(LR, net, g)
        })
    };
    let mut through = make();
    let half = train(Mlp::new(&[64, 16, 10], &device), &mut through, 0..5);
    let mut again = make().from_bytes(through.clone().into_bytes().unwrap()).unwrap();
    let expected = weights(&train(half.clone(), &mut through, 5..10));
    assert_eq!(weights(&train(half.clone(), &mut again, 5..10)), expected);
    assert_ne!(weights(&train(half, &mut make(), 5..10)), expected);
}
