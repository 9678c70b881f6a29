//! Settings per tensor and step: a tensor that sits out is not touched, one that joins later counts its own steps, numbers that
//! are set are those that could have been bound, and frozen zeros stay.

mod support;

use std::sync::Arc;

use maf_srl::Error;
use maf_srl::gpu::{Context, View};
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Adam, Optimizer, StepParameters};
use maf_srl::matrix::Pattern;
use maf_srl::penalty::{Activation, Group, Groups, Layout};
use maf_srl::regulariser::{Parameters, Regulariser};
use maf_srl::schedule::{Backend, HostSchedule, Plan, Schedule, Settings, Spec, Tensor, Update, Verify};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::work::{download, submit, upload_f32, view};

fn numbers(seed: u64, length: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn hyper(step: u64) -> StepParameters {
    StepParameters::new(0.05, step).expect("in the domain")
}

fn adam(decay: f64) -> Optimizer {
    Optimizer::Adam(Adam { decay, ..Adam::default() })
}

/// A tensor for every operator, and large groups that take several dispatches.
fn specs(base: Optimizer) -> Vec<(Spec, usize)> {
    let l1 = |name: &str| Spec::new(name, "l1".parse().expect("known"), 0.02);
    let rows = |count: u64, size: u64| {
        let groups = Groups::new(Layout::Rows, &[count, size]).expect("they fit");
        Group::new("lasso".parse().expect("known"), 0.02, groups)
    };
    let mut all = vec![(l1("elementwise"), 61)];
    if matches!(base, Optimizer::AdamMetric(_)) {
        return all;
    }
    all.push((l1("groups").with_group(rows(6, 8)), 48));
    all.push((l1("large groups").with_group(rows(2, 5000)), 10_000));
    if base.has_gradient() {
        let splitting = Solver::Splitting { beta: 0.5, published: false };
        all.push((l1("splitting").with_solver(splitting).with_group(rows(5, 9)), 45));
        all.push((l1("large splitting").with_solver(splitting).with_group(rows(1, 4500)), 4500));
        all.push((l1("subgradient").with_solver(Solver::Subgradient), 33));
        all.push((l1("proximal-subgradient").with_solver(Solver::ProximalSubgradient), 34));
    }
    let activation = Activation { eta1: 0.4, eta2: 0.9, delta1: 0.3, delta2: 0.8 };
    let pattern = Arc::new(Pattern::random(7, 0.6, 1).expect("a pattern"));
    let mut parameters = Parameters::identity(pattern, activation, 1.0).expect("they fit");
    let off = numbers(3, parameters.values.len());
    parameters.values.iter_mut().zip(off).for_each(|(a, x)| *a = 0.9 * *a + 0.1 * f64::from(x));
    let regulariser = Arc::new(Regulariser::new(parameters).expect("invertible"));
    let groups = Groups::new(Layout::Rows, &[9, 7]).expect("they fit");
    let learned = Spec::new("learned", "none".parse().expect("known"), 0.3);
    all.push((learned.with_regulariser(regulariser, groups), 63));
    all
}

/// Tensors in buffers of their own, with gradients in several sets that take turns.
struct World {
    device: wgpu::Device,
    queue: wgpu::Queue,
    specs: Vec<(Spec, usize)>,
    base: Optimizer,
    weights: Vec<View>,
    gradients: Vec<Vec<View>>,
}

impl World {
    fn new(one: &support::TestAdapter, base: Optimizer, specs: Vec<(Spec, usize)>) -> Self {
        let (device, queue) = one.device();
        let page = |seed: u64| -> Vec<View> {
            let one = |(k, (_, length)): (usize, &(Spec, usize))| {
                view(&upload_f32(&device, &numbers(seed + k as u64, *length)), 0, *length)
            };
            specs.iter().enumerate().map(one).collect()
        };
        let (weights, gradients) = (page(100), (2..6).map(|seed| page(100 * seed)).collect());
        World { device, queue, specs, base, weights, gradients }
    }

    fn bind(&self, verify: Verify) -> Plan {
        let tensor = |((spec, _), (w, g)): (&(Spec, usize), (&View, &View))| {
            let tensor = Tensor::new(spec.clone(), w.clone());
            if self.base.has_gradient() { tensor.with_gradient(g.clone()) } else { tensor }
        };
        let views = self.weights.iter().zip(&self.gradients[0]);
        let tensors: Vec<_> = self.specs.iter().zip(views).map(tensor).collect();
        Schedule::new(&self.device).bind(self.base, &tensors, verify).expect("they bind")
    }

    fn step(&self, plan: &mut Plan, hyper: &StepParameters) {
        if self.base.has_gradient() {
            let turn = &self.gradients[hyper.step() as usize % self.gradients.len()];
            plan.update(&Update::new().with_gradients(turn)).expect("they fit");
        }
        submit(&self.device, &self.queue, |encoder| plan.record(encoder, hyper));
    }

    fn words(&self, view: &View) -> Vec<u32> {
        let all = download(&self.device, &self.queue, view.buffer());
        all[view.offset() as usize / 4..][..view.len() as usize].to_vec()
    }

    /// Weights and states of a tensor.
    fn state(&self, plan: &Plan, tensor: usize) -> Vec<Vec<u32>> {
        std::iter::once(&self.weights[tensor]).chain(plan.states(tensor)).map(|v| self.words(v)).collect()
    }

    fn status(&self, plan: &Plan) -> Vec<u32> {
        let read = submit(&self.device, &self.queue, |encoder| plan.status(encoder).expect("room"));
        read.wait(&self.device).expect("the device answers")
    }
}

fn set(plan: &mut Plan, tensor: usize, change: impl FnOnce(&mut Settings)) {
    let mut settings = *plan.settings(tensor).expect("it is there");
    change(&mut settings);
    plan.set(tensor, settings).expect("in the domain");
}

#[test]
fn a_tensor_that_sits_out_is_not_touched_and_the_others_take_their_steps() {
    for one in support::software_adapters() {
        for base in [Optimizer::Prox, Optimizer::HeavyBall { momentum: 0.9 }, adam(0.01)] {
            let world = World::new(&one, base, specs(base));
            // two elements of the first tensor are not finite, and its status word says so
            world.queue.write_buffer(world.weights[0].buffer(), 40, bytemuck::cast_slice(&[f32::NAN; 2]));
            let alone = World::new(&one, base, specs(base));
            let (mut plan, mut other) = (world.bind(Verify::Full), alone.bind(Verify::Off));
            let count = world.specs.len();
            for resting in 0..count {
                world.step(&mut plan, &hyper(1));
                alone.step(&mut other, &hyper(1));
                set(&mut plan, resting, |settings| settings.rests = true);
                let before: Vec<_> = (0..count).map(|k| world.state(&plan, k)).collect();
                let status = world.status(&plan);
                assert_eq!(status[0], 2, "{} {base}", one.label);
                for step in 2..5 {
                    world.step(&mut plan, &hyper(step));
                    alone.step(&mut other, &hyper(step));
                }
                let name = &world.specs[resting].0.name;
                for (k, before) in before.iter().enumerate().filter(|(k, _)| *k > 0 || resting == 0) {
                    let after = world.state(&plan, k);
                    // a prox taken again may find nothing left to move
                    let moves = base.has_gradient() || after != *before;
                    assert!(k == resting || moves, "{} {base}: {name} rests, {k} does not", one.label);
                    assert!(k != resting || after == *before, "{} {base}: {name} moved", one.label);
                }
                // those that have not sat out yet are where they are in a plan in which none does
                for k in resting + 1..count {
                    let name = &world.specs[k].0.name;
                    assert_eq!(world.state(&plan, k), alone.state(&other, k), "{} {base}: {name}", one.label);
                }
                assert_eq!(world.status(&plan)[0], status[0], "{} {base}", one.label);
                set(&mut plan, resting, |settings| settings.rests = false);
                let back = world.state(&plan, resting);
                world.step(&mut plan, &hyper(5));
                alone.step(&mut other, &hyper(5));
                if base.has_gradient() {
                    assert_ne!(back, world.state(&plan, resting), "{} {base}: {name} is back", one.label);
                }
            }
            let found = plan.finish().expect("no mismatch");
            let elements: usize = world.specs.iter().map(|(_, length)| length).sum();
            assert_eq!(found.checked, (5 * count * elements) as u64, "{} {base}", one.label);
            assert_eq!(other.finish().expect("off").checked, 0);
        }
    }
}

#[test]
fn a_tensor_that_joins_later_counts_its_own_steps() {
    for one in support::software_adapters() {
        let base = adam(0.0);
        let early = World::new(&one, base, specs(base));
        let late = World::new(&one, base, specs(base));
        let (mut first, mut second) = (early.bind(Verify::Full), late.bind(Verify::Full));
        let count = early.specs.len();
        let gradients = |step: usize| &early.gradients[step % 4];
        for k in 0..count {
            set(&mut second, k, |settings| settings.rests = true);
        }
        // six steps without it; then its own first step meets the gradient of the other plan's first
        for step in 1..7 {
            submit(&late.device, &late.queue, |encoder| second.record(encoder, &hyper(step)));
        }
        for k in 0..count {
            set(&mut second, k, |settings| (settings.rests, settings.step) = (false, Some(1)));
        }
        for step in 1..6 {
            let turn = gradients(step as usize);
            first.update(&Update::new().with_gradients(turn)).expect("they fit");
            submit(&early.device, &early.queue, |encoder| first.record(encoder, &hyper(step)));
            second
                .update(&Update::new().with_gradients(&late.gradients[step as usize % 4]))
                .expect("they fit");
            submit(&late.device, &late.queue, |encoder| second.record(encoder, &hyper(step + 6)));
            assert_eq!(second.settings(0).expect("there").step, Some(step + 1));
        }
        for k in 0..count {
            assert_eq!(early.state(&first, k), late.state(&second, k), "{}: tensor {k}", one.label);
        }
        first.finish().and(second.finish()).expect("no mismatch");
    }
}

#[test]
fn what_is_not_there_before_a_first_step_is_no_zero_that_stays() {
    for one in support::software_adapters() {
        let base = Optimizer::HeavyBall { momentum: 0.9 };
        let (frozen, free) = (World::new(&one, base, specs(base)), World::new(&one, base, specs(base)));
        let (mut first, mut second) = (frozen.bind(Verify::Full), free.bind(Verify::Full));
        // no step numbered 1, and for all but one no first step before the fourth
        for k in 1..frozen.specs.len() {
            for plan in [&mut first, &mut second] {
                set(plan, k, |settings| settings.rests = true);
            }
        }
        for step in 7..10 {
            frozen.step(&mut first, &hyper(step));
            free.step(&mut second, &hyper(step));
        }
        for k in 1..frozen.specs.len() {
            for plan in [&mut first, &mut second] {
                set(plan, k, |settings| settings.rests = false);
            }
        }
        frozen.step(&mut first, &hyper(10).with_frozen_zeros(true));
        free.step(&mut second, &hyper(10));
        for k in 1..frozen.specs.len() {
            let name = &frozen.specs[k].0.name;
            assert_eq!(frozen.state(&first, k), free.state(&second, k), "{}: {name}", one.label);
            if let Some(kept) = first.copy(k).or(first.coefficients(k)) {
                assert!(frozen.words(kept).iter().any(|word| *word != 0), "{}: {name}", one.label);
            }
        }
        first.finish().and(second.finish()).expect("no mismatch");
    }
}

#[test]
fn settings_equal_what_could_have_been_bound() {
    for one in support::software_adapters() {
        let plain = World::new(&one, adam(0.0), specs(adam(0.0)));
        let changed = specs(adam(0.0)).into_iter().map(|(spec, length)| {
            let group = spec.group.clone().map(|group| Group { lambda: 0.07, ..group });
            let mut spec = spec.with_lr_scale(0.5);
            (spec.lambda, spec.group) = (0.11, group);
            (spec, length)
        });
        let bound = World::new(&one, adam(0.3), changed.collect());
        let (mut first, mut second) = (plain.bind(Verify::Full), bound.bind(Verify::Full));
        for k in 0..plain.specs.len() {
            let grouped = plain.specs[k].0.group.is_some();
            set(&mut first, k, |settings| {
                (settings.lambda, settings.lr_scale, settings.decay) = (0.11, 0.5, 0.3);
                settings.group_lambda = if grouped { 0.07 } else { 0.0 };
            });
        }
        for step in 1..4 {
            plain.step(&mut first, &hyper(step));
            bound.step(&mut second, &hyper(step));
        }
        for k in 0..plain.specs.len() {
            assert_eq!(plain.state(&first, k), bound.state(&second, k), "{}: tensor {k}", one.label);
        }
        first.finish().and(second.finish()).expect("no mismatch");
    }
}

#[test]
fn settings_outside_their_domains_are_refused() {
    let one = support::software_adapters().remove(0);
    let base = Optimizer::HeavyBall { momentum: 0.9 };
    let world = World::new(&one, base, specs(base));
    let mut plan = world.bind(Verify::Off);
    let good = *plan.settings(0).expect("there");
    assert_eq!(plan.settings(99), None);
    let mut refused = |tensor: usize, change: &dyn Fn(&mut Settings)| {
        let mut settings = good;
        change(&mut settings);
        let error = plan.set(tensor, settings).expect_err("refused");
        assert_eq!(plan.settings(0), Some(&good), "as it was");
        error
    };
    for change in [
        (|s: &mut Settings| s.lambda = -1.0) as fn(&mut Settings),
        |s| s.lr_scale = f64::NAN,
        |s| s.group_lambda = f64::INFINITY,
        |s| s.decay = -0.1,
        |s| s.step = Some(0),
    ] {
        let error = refused(0, &change);
        assert!(
            matches!(error, Error::Domain { .. }) && error.to_string().contains("elementwise"),
            "{error}"
        );
    }
    assert!(matches!(refused(99, &|_| {}), Error::Domain { .. }));
    assert!(matches!(refused(0, &|s| s.group_lambda = 0.1), Error::Unsupported { .. }));
    let error = refused(0, &|s| s.decay = 0.1);
    assert!(matches!(error, Error::Unsupported { .. }) && error.to_string().contains("adamw"), "{error}");
}

/// Which elements of the tensor are zeros that stay: of the weights, of the copy of splitting, of the coefficients.
fn zeros(world: &World, plan: &Plan, tensor: usize) -> Vec<bool> {
    let kept = plan.copy(tensor).or(plan.coefficients(tensor)).unwrap_or(&world.weights[tensor]);
    world.words(kept).iter().map(|word| *word == 0).collect()
}

#[test]
fn a_thousand_steps_bring_no_frozen_zero_back() {
    const FIRST: u64 = 60;
    const STEPS: u64 = 1000;
    let bases = [
        Optimizer::Gradient,
        Optimizer::HeavyBall { momentum: 0.9 },
        Optimizer::Nesterov { momentum: 0.9 },
        adam(0.01),
        Optimizer::AdamMetric(Adam::default()),
    ];
    for one in support::software_adapters() {
        for base in bases {
            let world = World::new(&one, base, specs(base));
            let mut plan = world.bind(Verify::Sample { every: 97, tensors: 3, seed: 5 });
            // a strong penalty makes zeros, then it is taken away and large gradients pull at them
            let strong = |step| hyper(step).with_lambda_scale(40.0).expect("in the domain");
            (1..=FIRST).for_each(|step| world.step(&mut plan, &strong(step)));
            let count = world.specs.len();
            let before: Vec<_> = (0..count).map(|k| zeros(&world, &plan, k)).collect();
            let second: Vec<_> = (0..count).map(|k| world.state(&plan, k)).collect();
            let free = |step| hyper(step).with_lambda_scale(0.0).expect("in the domain");
            for step in FIRST + 1..=FIRST + STEPS {
                // every other step says it for all, the others for each tensor
                for k in 0..count {
                    set(&mut plan, k, |settings| settings.freeze = step % 2 == 0);
                }
                world.step(&mut plan, &free(step).with_frozen_zeros(step % 2 == 1));
                if step % 250 == 0 || step == FIRST + STEPS {
                    for (k, before) in before.iter().enumerate() {
                        let after = zeros(&world, &plan, k);
                        let name = &world.specs[k].0.name;
                        let back = before.iter().zip(&after).filter(|(was, is)| **was && !**is).count();
                        assert_eq!(back, 0, "{} {base}: {name}: zeros that came back", one.label);
                    }
                }
            }
            for (k, before) in before.iter().enumerate() {
                let name = &world.specs[k].0.name;
                let held = before.iter().filter(|zero| **zero).count();
                // subgradients make no zeros
                let some = name == "subgradient" || held > 0;
                assert!(some, "{} {base}: {name}: no zero to begin with", one.label);
                if plan.copy(k).is_some() || plan.coefficients(k).is_some() {
                    continue;
                }
                let after = world.state(&plan, k);
                for (i, _) in before.iter().enumerate().filter(|(_, zero)| **zero) {
                    assert!(base.states() < 1 || after[1][i] == 0, "{} {base}: {name}: momentum", one.label);
                    let same = base.states() < 2 || after[2][i] == second[k][2][i];
                    assert!(same, "{} {base}: {name}: second moment", one.label);
                }
            }
            plan.finish().expect("no mismatch");

            // let go, they come back
            for k in 0..count {
                set(&mut plan, k, |settings| settings.freeze = false);
            }
            (2000..2010).for_each(|step| world.step(&mut plan, &free(step)));
            let after = zeros(&world, &plan, 0);
            assert!(before[0].iter().zip(&after).any(|(was, is)| *was && !*is), "{} {base}", one.label);
        }
    }
}

#[test]
fn the_cpu_takes_the_same_settings() {
    let base = adam(0.01);
    let all = specs(base);
    let weights: Vec<Vec<f32>> =
        all.iter().enumerate().map(|(k, (_, length))| numbers(k as u64, *length)).collect();
    let specs: Vec<Spec> = all.iter().map(|(spec, _)| spec.clone()).collect();
    let mut backends = vec![Backend::Cpu];
    for one in support::software_adapters() {
        backends.push(Backend::Gpu(Box::new(Context::on(one.adapter).expect("a device"))));
    }
    for backend in backends {
        let slices: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
        let mut schedule = HostSchedule::new(&backend, &specs, &slices, base, Verify::Full).expect("bound");
        let mut now = weights.clone();
        let mut step = |schedule: &mut HostSchedule, step: u64| {
            let gradients: Vec<Vec<f32>> =
                all.iter().map(|(_, length)| numbers(50 + step, *length)).collect();
            let gradients: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
            let mut out: Vec<&mut [f32]> = now.iter_mut().map(Vec::as_mut_slice).collect();
            schedule.step(hyper(step), &gradients, &mut out).expect("a step");
            now.clone()
        };
        let change = |schedule: &mut HostSchedule, tensor: usize, change: fn(&mut Settings)| {
            let mut settings = *schedule.settings(tensor).expect("it is there");
            change(&mut settings);
            schedule.set(tensor, settings).expect("in the domain");
        };
        change(&mut schedule, 0, |settings| settings.lambda = 3.0);
        let made = step(&mut schedule, 1);
        let zeros: Vec<usize> = (0..61).filter(|&i| made[0][i] == 0.0).collect();
        assert!(!zeros.is_empty(), "{}", backend.name());
        change(&mut schedule, 0, |settings| (settings.lambda, settings.freeze) = (0.0, true));
        change(&mut schedule, 1, |settings| settings.rests = true);
        let frozen = step(&mut schedule, 2);
        assert!(zeros.iter().all(|&i| frozen[0][i].to_bits() == 0), "{}", backend.name());
        assert_eq!((&frozen[1], frozen[0] != made[0]), (&made[1], true), "{}", backend.name());
        let settings = *schedule.settings(0).expect("it is there");
        assert!(schedule.set(99, settings).is_err());
        schedule.finish().expect("no mismatch");
    }
}
