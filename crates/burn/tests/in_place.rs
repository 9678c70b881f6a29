//! Steps inside Burn are the steps of the formulas, made where Burn has its memory.

mod support;

use burn::module::ParamGroup;
use burn::optim::GradientsParams;
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Adam, Optimizer};
use maf_srl::schedule::Verify;
use maf_srl_burn::{Rule, SparseOptimizer, Unit};
use support::{Cnn, Data, Mlp, Net, gradients, gradients_of, hold, stepped, weights};

const LR: f64 = 0.05;
const LAMBDA: f64 = 1e-2;
const OF_GROUP: f64 = 2e-2;

fn rules(optim: SparseOptimizer, grouped: &str, unit: Unit) -> SparseOptimizer {
    let l1 = || Rule::new("l1".parse().unwrap(), LAMBDA);
    let lasso = "lasso".parse().unwrap();
    let on = ParamGroup::from_path(grouped);
    optim.with_rule(l1()).with_rule(l1().with_group(lasso, OF_GROUP, unit).on(on))
}

/// Trains, and holds every parameter of every step against the formulas.
fn held<N: Net>(
    net: N,
    mut optim: SparseOptimizer,
    grouped: (&str, usize),
    steps: usize,
) -> (N, SparseOptimizer) {
    let (data, mut net) = (Data::new(200, 1), net);
    let device = net.devices()[0].clone();
    for step in 0..steps {
        let g = gradients(&net, data.batch(step, 20, &device));
        let (before, of) = (weights(&net), gradients_of(&net, &g));
        net = optim.step(LR, net, g).unwrap();
        let after = weights(&net);
        for ((before, g), after) in before.iter().zip(&of).zip(&after) {
            let lambda = if before.path.ends_with("weight") { LAMBDA } else { 0.0 };
            let group = (before.path == grouped.0).then_some((grouped.1, OF_GROUP));
            let want = stepped(before, g, LR, lambda, group);
            hold(&format!("step {step}"), before, g, after, LR, &want);
        }
    }
    (net, optim)
}

#[test]
fn two_hundred_steps_of_an_mlp_are_those_of_the_formulas() {
    for gpu in support::devices() {
        let optim = SparseOptimizer::new(&gpu, Optimizer::Gradient).with_verify(Verify::Sample {
            every: 10,
            tensors: 2,
            seed: 1,
        });
        let optim = rules(optim, "layers.0.weight", Unit::Neuron);
        let net = Mlp::new(&[64, 32, 16, 10], &gpu.burn().clone().autodiff());
        let (net, mut optim) = held(net, optim, ("layers.0.weight", 1), 200);
        let found = optim.finish().unwrap();
        assert!(found.checked > 0 && found.mismatches == 0, "{found:?}");
        let first = &weights(&net)[0];
        let zeros = first.values.iter().filter(|w| **w == 0.0).count();
        assert!(zeros > first.values.len() / 10, "{zeros} zeros");
        let counts = optim.counts();
        assert_eq!((counts.steps, counts.plans), (200, 1));
        // each parameter once, to leave the memory of its own; reading weights back holds on to none
        assert_eq!(counts.copies, 6);
        assert!(counts.dispatches <= 4, "{counts:?}");
    }
}

#[test]
fn steps_of_a_cnn_are_those_of_the_formulas() {
    for gpu in support::devices() {
        let optim = rules(SparseOptimizer::new(&gpu, Optimizer::Gradient), "conv2.weight", Unit::Filter);
        let net = Cnn::new(&gpu.burn().clone().autodiff());
        held(net, optim, ("conv2.weight", 0), 30);
    }
}

#[test]
fn clones_and_snapshots_stay_as_they_are() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let mut optim =
            rules(SparseOptimizer::new(&gpu, Optimizer::HeavyBall { momentum: 0.9 }), "none", Unit::Neuron);
        let (mut net, data) = (Mlp::new(&[64, 16, 10], &device), Data::new(100, 2));
        let mut kept: Vec<(Mlp, Vec<support::Read>)> = Vec::new();
        for step in 0..6 {
            kept.push((net.clone(), weights(&net)));
            let g = gradients(&net, data.batch(step, 20, &device));
            net = optim.step(LR, net, g).unwrap();
        }
        for (k, (net, read)) in kept.iter().enumerate() {
            assert_eq!(&weights(net), read, "the clone before step {k}");
        }
        assert_ne!(weights(&net), kept[5].1);
    }
}

/// Burn moves what nobody holds by its address when it cleans its memory up, here with pages that have grown since.
#[test]
fn the_right_memory_is_stepped_after_a_cleanup() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let mut optim = SparseOptimizer::new(&gpu, Optimizer::Gradient);
        let (mut net, data) = (Mlp::new(&[64, 32, 10], &device), Data::new(100, 7));
        let mut large = Vec::new();
        for step in 0..9 {
            let g = gradients(&net, data.batch(step, 20, &device));
            let (before, of) = (weights(&net), gradients_of(&net, &g));
            if step % 3 == 1 {
                large.push(burn::tensor::Tensor::<1>::zeros([(9 + step) << 20], gpu.burn()));
                gpu.burn().sync().unwrap();
                gpu.burn().memory_cleanup();
                gpu.burn().sync().unwrap();
            }
            net = optim.step(LR, net, g).unwrap();
            for ((before, g), after) in before.iter().zip(&of).zip(&weights(&net)) {
                let want = stepped(before, g, LR, 0.0, None);
                hold(&format!("step {step}"), before, g, after, LR, &want);
            }
        }
        // what the plan writes is held, and stays where it is
        assert_eq!((optim.counts().plans, optim.counts().copies), (1, 4));
    }
}

#[test]
fn parameters_without_a_gradient_keep_weights_states_and_step_counts() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let data = Data::new(100, 3);
        let run = |also_others: bool| {
            device.seed(7);
            let mut net = Mlp::new(&[64, 16, 10], &device);
            let first = net.layers[0].weight.id;
            let mut optim = SparseOptimizer::new(&gpu, Optimizer::Adam(Adam::default()));
            let mut seen = Vec::new();
            for step in 0..6 {
                let mut g = gradients(&net, data.batch(step, 20, &device));
                if step % 2 == 1 {
                    // only the first weights
                    let alone = g.remove::<2>(first).unwrap();
                    g = GradientsParams::new();
                    if also_others {
                        g.register::<2>(first, alone);
                    }
                }
                let before = weights(&net);
                net = optim.step(1e-2, net, g).unwrap();
                if step % 2 == 1 {
                    assert_eq!(before[1..], weights(&net)[1..], "step {step}");
                }
                seen.push(weights(&net));
            }
            (seen, optim.counts())
        };
        let (_, counts) = run(true);
        assert_eq!(counts.plans, 1, "a set within the one before is not bound anew");
        // without any gradient nothing moves
        let (seen, _) = run(false);
        assert_eq!(seen[0], seen[1]);
        assert_ne!(seen[1], seen[2]);
    }
}

#[test]
fn gradients_are_scaled_by_their_norm_over_all_parameters() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let data = Data::new(100, 4);
        let net = Mlp::new(&[64, 16, 10], &device);
        let g = gradients(&net, data.batch(0, 20, &device));
        let (before, of) = (weights(&net), gradients_of(&net, &g));
        let norm = of.iter().flat_map(|g| &g.values).map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        for (largest, scale) in [(norm / 4.0, 0.25), (2.0 * norm, 1.0)] {
            let g = gradients(&net, data.batch(0, 20, &device));
            let mut optim =
                SparseOptimizer::new(&gpu, Optimizer::Gradient).with_largest_norm(largest).unwrap();
            let after = weights(&optim.step(LR, net.clone(), g).unwrap());
            for ((before, g), after) in before.iter().zip(&of).zip(&after) {
                let want = stepped(before, g, LR * scale, 0.0, None);
                hold(&format!("at most {largest}"), before, g, after, LR, &want);
            }
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_the_module_comes_back() {
    let gpu = &support::devices()[0];
    let device = gpu.burn().clone().autodiff();
    let (net, data) = (Mlp::new(&[64, 16, 10], &device), Data::new(100, 5));
    let before = weights(&net);
    let g = gradients(&net, data.batch(0, 20, &device));
    let rule =
        Rule::new("l1".parse().unwrap(), 1e-3).with_group("lasso".parse().unwrap(), 1e-3, Unit::Filter);
    let mut optim = SparseOptimizer::new(gpu, Optimizer::Gradient).with_rule(rule);
    let failed = optim.step(LR, net, g).unwrap_err();
    let text = failed.error.to_string();
    assert!(text.contains("layers.0.weight") && text.contains("filter"), "{text}");
    assert_eq!(weights(&*failed.module), before);

    let g = gradients(&*failed.module, data.batch(0, 20, &device));
    let mut optim = SparseOptimizer::new(gpu, Optimizer::Gradient);
    let out = optim.step(f64::NAN, *failed.module, g).and_then(|net| {
        // put off, where Burn fuses
        match optim.finish() {
            Ok(_) => Ok(net),
            Err(error) => Err(maf_srl_burn::Failed { module: Box::new(net), error: Box::new(error) }),
        }
    });
    let failed = out.unwrap_err();
    assert!(failed.error.to_string().contains("learning rate"), "{}", failed.error);
    assert_eq!(weights(&*failed.module), before);
    assert!(SparseOptimizer::new(gpu, Optimizer::Gradient).with_largest_norm(0.0).is_err());

    // an optimiser of another device
    let g = gradients(&*failed.module, data.batch(0, 20, &device));
    let mut optim = SparseOptimizer::new(&support::devices()[1], Optimizer::Gradient);
    let failed = optim.step(LR, *failed.module, g).unwrap_err();
    assert!(failed.error.to_string().contains("layers.0.weight"), "{}", failed.error);
    assert_eq!(weights(&*failed.module), before);
}

#[test]
fn training_that_was_stopped_goes_on_bit_for_bit() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let data = Data::new(100, 6);
        let make = |base| {
            let rule = || Rule::new("tl1(a=1)".parse().unwrap(), LAMBDA);
            let split = rule().with_solver(Solver::Splitting { beta: 1.0, published: false });
            SparseOptimizer::new(&gpu, base)
                .with_rule(rule())
                .with_rule(split.on(ParamGroup::from_path("layers.1.weight")))
        };
        let train = |net: Mlp, optim: &mut SparseOptimizer, steps: std::ops::Range<usize>| {
            steps.fold(net, |net, step| {
                optim.freeze_zeros(step > 6);
                let g = gradients(&net, data.batch(step, 20, &device));
                optim.step(1e-2, net, g).unwrap()
            })
        };
        for base in [Optimizer::Adam(Adam::default()), Optimizer::HeavyBall { momentum: 0.9 }] {
            let net = Mlp::new(&[64, 16, 10], &device);
            let mut through = make(base);
            let half = train(net, &mut through, 0..5);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("optim.bpk");
            through.to_record().unwrap().save(&path).unwrap();
            let kept = half.clone();
            let expected = weights(&train(half, &mut through, 5..10));

            let record = maf_srl_burn::SparseRecord::load(&path).unwrap();
            let mut again = make(base).load_record(record).unwrap();
            assert_eq!(weights(&train(kept.clone(), &mut again, 5..10)), expected);
            // and without the states it is not the same
            assert_ne!(weights(&train(kept, &mut make(base), 5..10)), expected);
        }
        let record = make(Optimizer::Gradient).to_record().unwrap();
        assert!(make(Optimizer::Adam(Adam::default())).load_record(record).is_err());
    }
}

#[test]
fn threads_train_at_once_as_they_do_alone() {
    for gpu in support::devices() {
        let device = gpu.burn().clone().autodiff();
        let nets: Vec<Mlp> = (0..2).map(|_| Mlp::new(&[64, 32, 10], &device)).collect();
        let train = |net: Mlp, seed: u64| {
            let (data, device) = (Data::new(100, seed), gpu.burn().clone().autodiff());
            let base = Optimizer::HeavyBall { momentum: 0.9 };
            let mut optim = rules(SparseOptimizer::new(&gpu, base), "layers.0.weight", Unit::Neuron);
            let net = (0..20).fold(net, |net, step| {
                let g = gradients(&net, data.batch(step, 20, &device));
                optim.step(LR, net, g).unwrap()
            });
            optim.finish().unwrap();
            weights(&net)
        };
        let alone: Vec<_> = (0..2).map(|k| train(nets[k].clone(), k as u64)).collect();
        let at_once: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = nets
                .into_iter()
                .enumerate()
                .map(|(k, net)| {
                    let train = &train;
                    scope.spawn(move || train(net, k as u64))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(at_once == alone);
    }
}
