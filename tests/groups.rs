//! Schedules that mix groups and single weights: few dispatches, equal to one plan per tensor bit for bit, verified.

mod support;

use maf_srl::Error;
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::penalty::{Group, GroupPenalty, Groups, Layout, Penalty};
use maf_srl::schedule::{Counted, Schedule, Spec, Tally, Tensor, Verify};
use support::work::{blank, download, submit, upload_f32, view};

/// Deterministic numbers in [-1, 1).
fn numbers(length: usize, seed: u32) -> Vec<f32> {
    let mut x = seed;
    let next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// The k-th tensor's spec and length: every third one without groups, the others with every layout and penalty.
fn spec(k: usize) -> (Spec, usize) {
    let penalties: [Penalty; 3] = ["l1", "tl1(a=1)", "mcp(gamma=3)"].map(|p| p.parse().expect("a penalty"));
    let groups: [GroupPenalty; 3] =
        ["lasso(weight=sqrt-size)", "exclusive", "l1-l2(alpha=0.5)"].map(|p| p.parse().expect("one"));
    let shapes: [(Layout, &[u64]); 6] = [
        (Layout::Rows, &[24, 16]),
        (Layout::Columns, &[30, 21]),
        (Layout::Filters, &[8, 3, 3, 3]),
        (Layout::Channels, &[8, 4, 3, 3]),
        (Layout::Blocks(7), &[100]),
        (Layout::Whole, &[5000]),
    ];
    let name = format!("tensor {k}");
    let penalty = penalties[k % 3];
    let lambda = 0.05 + 0.01 * (k % 5) as f64;
    if k.is_multiple_of(3) {
        return (Spec::new(name, penalty, lambda), 40 + k % 50);
    }
    let (layout, shape) = shapes[k % 6].clone();
    let groups_of = Groups::new(layout, shape).expect("they fit");
    let length = groups_of.len() as usize;
    let group = Group::new(groups[k / 3 % 3], 0.02, groups_of);
    (Spec::new(name, penalty, lambda).with_group(group), length)
}

#[test]
fn groups_and_single_weights_mix_in_few_dispatches_and_equal_single_plans_bit_for_bit() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        let hyper = StepParameters::new(0.5, 1).expect("in the domain");
        let mut counts = Vec::new();
        for tensors in [90, 360] {
            let specs: Vec<(Spec, usize)> = (0..tensors).map(spec).collect();
            let total: usize = specs.iter().map(|(_, length)| length.next_multiple_of(4)).sum();
            let (w, g) = (numbers(total, 1), numbers(total, 2));
            let gradients = upload_f32(&device, &g);
            let bound = |weights: &wgpu::Buffer| -> Vec<Tensor> {
                let mut at = 0;
                specs
                    .iter()
                    .map(|(spec, length)| {
                        let tensor = Tensor::new(spec.clone(), view(weights, 4 * at, *length))
                            .with_gradient(view(&gradients, 4 * at, *length));
                        at += length.next_multiple_of(4) as u64;
                        tensor
                    })
                    .collect()
            };
            let batched = upload_f32(&device, &w);
            let mut plan =
                schedule.bind(Optimizer::Gradient, &bound(&batched), Verify::Full).expect("they bind");
            submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
            let found = plan.finish().unwrap_or_else(|e| panic!("{}: {e}", one.label));
            let elements: usize = specs.iter().map(|(_, length)| length).sum();
            assert_eq!((found.checked, found.mismatches), (elements as u64, 0), "{}", one.label);
            counts.push(plan.dispatches());

            let looped = upload_f32(&device, &w);
            for tensor in bound(&looped) {
                let mut plan = schedule.bind(Optimizer::Gradient, &[tensor], Verify::Off).expect("it binds");
                submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
            }
            let (batched, looped) = (download(&device, &queue, &batched), download(&device, &queue, &looped));
            let differs = batched.iter().zip(&looped).position(|(a, b)| a != b);
            assert_eq!(differs, None, "{}: batched is looped, bit for bit", one.label);
            assert!(batched.iter().filter(|w| **w == 0).count() > elements / 20, "{}: zeros", one.label);
        }
        assert_eq!(counts[0], counts[1], "{}: four times the tensors take as many dispatches", one.label);
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    let group = Group::new(
        "exclusive".parse().expect("one"),
        1e-4,
        Groups::new(Layout::Whole, &[300_000]).expect("they fit"),
    );
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let w = numbers(300_000, 3);
        let run = || {
            let weights = upload_f32(&device, &w);
            let spec = Spec::new("w", "none".parse().expect("one"), 0.0).with_group(group.clone());
            let tensor = Tensor::new(spec, view(&weights, 0, w.len()));
            let mut plan =
                Schedule::new(&device).bind(Optimizer::Prox, &[tensor], Verify::Full).expect("it binds");
            let hyper = StepParameters::new(1.0, 1).expect("in the domain");
            submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
            assert_eq!(plan.finish().expect("no mismatch").checked, 300_000);
            download(&device, &queue, &weights)
        };
        assert_eq!(run(), run(), "{}", one.label);
    }
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let one = &support::software_adapters()[0];
    let (device, _) = one.device();
    let weights = blank(&device, 4096);
    let l1: Penalty = "l1".parse().expect("one");
    let lasso: GroupPenalty = "lasso".parse().expect("one");
    let rows = Groups::new(Layout::Rows, &[10, 10]).expect("they fit");
    let bind = |spec: Spec, length: usize, base: Optimizer| {
        let mut tensor = Tensor::new(spec, view(&weights, 0, length));
        if base.has_gradient() {
            tensor = tensor.with_gradient(view(&weights, 2048, length));
        }
        Schedule::new(&device).bind(base, &[tensor], Verify::Off).map(drop)
    };
    let spec = || Spec::new("fc1", l1, 0.1).with_group(Group::new(lasso, 0.1, rows.clone()));
    bind(spec(), 100, Optimizer::Prox).expect("it fits");
    let error = bind(spec(), 99, Optimizer::Prox).expect_err("99 weights, groups of 100");
    assert!(matches!(&error, Error::Shape { place, .. } if place.contains("fc1")), "{error}");
    let adam = Optimizer::AdamMetric(Default::default());
    let error = bind(spec(), 100, adam).expect_err("groups have no prox in Adam's metric");
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let error = bind(
        Spec::new("fc1", l1, 0.1).with_group(Group::new(lasso, -1.0, rows.clone())),
        100,
        Optimizer::Prox,
    );
    assert!(matches!(error, Err(Error::Domain { .. })), "{error:?}");
    let weighted = rows.clone().with_weights(&[0.5; 10]).expect("ten");
    let log: GroupPenalty = "log".parse().expect("one");
    let error =
        bind(Spec::new("fc1", l1, 0.1).with_group(Group::new(log, 0.1, weighted)), 100, Optimizer::Prox);
    assert!(matches!(error, Err(Error::Unsupported { .. })), "{error:?}");
}

#[test]
fn a_member_that_is_not_finite_makes_its_group_nan_and_no_other() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let mut w = numbers(60, 5);
        w[25] = f32::INFINITY;
        let weights = upload_f32(&device, &w);
        let rows = Groups::new(Layout::Rows, &[6, 10]).expect("they fit");
        let group = Group::new("lasso".parse().expect("one"), 0.1, rows);
        let spec = Spec::new("w", "l1".parse().expect("one"), 0.1).with_group(group);
        let tensor = Tensor::new(spec, view(&weights, 0, 60));
        let mut plan =
            Schedule::new(&device).bind(Optimizer::Prox, &[tensor], Verify::Full).expect("it binds");
        let hyper = StepParameters::new(1.0, 1).expect("in the domain");
        let status = submit(&device, &queue, |encoder| {
            plan.record(encoder, &hyper);
            plan.status(encoder).expect("a readback")
        });
        plan.finish().unwrap_or_else(|e| panic!("{}: {e}", one.label));
        let status: Vec<u32> = status.wait(&device).expect("the device answers");
        assert_eq!(status, [10], "{}", one.label);
        let after = download(&device, &queue, &weights);
        for (k, word) in after.iter().enumerate() {
            let nan = f32::from_bits(*word).is_nan();
            assert_eq!(nan, (20..30).contains(&k), "{}: {k}", one.label);
        }
    }
}

#[test]
fn every_solver_works_in_one_schedule_and_splitting_gives_its_copy() {
    use maf_srl::kernels::solver::Solver;
    use maf_srl::kernels::step::Adam;
    use maf_srl::schedule::{Backend, HostSchedule};

    let splitting = |published| Solver::Splitting { beta: 2.0, published };
    let solvers = [
        Solver::Proximal,
        Solver::Subgradient,
        Solver::ProximalSubgradient,
        splitting(false),
        splitting(true),
    ];
    let lasso: GroupPenalty = "lasso(weight=sqrt-size)".parse().expect("one");
    let mut specs = Vec::new();
    for (k, solver) in solvers.into_iter().enumerate() {
        for (layout, shape) in
            [(Layout::Rows, [20, 30]), (Layout::Columns, [20, 30]), (Layout::Whole, [60, 100])]
        {
            let groups = Groups::new(layout, &shape).expect("they fit");
            let scad: Penalty = "scad(a=3.7)".parse().expect("one");
            let spec = Spec::new(format!("{solver} {k}"), scad, 0.1).with_solver(solver);
            specs.push(spec.with_group(Group::new(lasso, 0.05, groups)));
        }
        specs.push(
            Spec::new(format!("{solver} {k} without groups"), "l1".parse().expect("one"), 0.1)
                .with_solver(solver),
        );
    }
    let lengths: Vec<usize> =
        specs.iter().map(|s| s.group.as_ref().map_or(333, |g| g.groups.len() as usize)).collect();
    let tensors = |seed: u32| -> Vec<Vec<f32>> {
        (seed..).zip(&lengths).map(|(seed, &length)| numbers(length, seed)).collect()
    };
    for base in [Optimizer::Gradient, Optimizer::Adam(Adam::default())] {
        let mut results = Vec::new();
        let mut backends = vec![("cpu".to_owned(), Backend::Cpu)];
        for one in support::software_adapters() {
            let context = maf_srl::gpu::Context::on(one.adapter).expect("a device");
            backends.push((one.label.to_string(), Backend::Gpu(Box::new(context))));
        }
        for (label, backend) in &backends {
            let mut weights = tensors(1);
            let start: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
            let mut schedule =
                HostSchedule::new(backend, &specs, &start, base, Verify::Full).expect("they bind");
            for step in 1..=4 {
                let hyper = StepParameters::new(0.05, step).expect("in the domain");
                let hyper = hyper.with_beta_scale(1.25f64.powi(step as i32)).expect("in the domain");
                let gradients = tensors(100 * step as u32);
                let gradients: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
                let mut out: Vec<&mut [f32]> = weights.iter_mut().map(Vec::as_mut_slice).collect();
                schedule.step(hyper, &gradients, &mut out).unwrap_or_else(|e| panic!("{label}: {e}"));
            }
            let found = schedule.finish().unwrap_or_else(|e| panic!("{label}: {e}"));
            if label != "cpu" {
                assert_eq!(found.checked, 4 * lengths.iter().sum::<usize>() as u64, "{label}");
            }
            let copies = schedule.copies().expect("they are read");
            for ((spec, copy), w) in specs.iter().zip(&copies).zip(&weights) {
                let zeros = |values: &[f32]| values.iter().filter(|v| v.to_bits() == 0).count();
                match spec.solver {
                    Solver::Splitting { .. } => {
                        let copy = copy.as_ref().expect("splitting has a copy");
                        assert!(zeros(copy) > 0 && zeros(w) < 3, "{label}: {}", spec.name);
                    }
                    Solver::Subgradient => assert!(copy.is_none() && zeros(w) < 3, "{label}: {}", spec.name),
                    _ => assert!(copy.is_none() && zeros(w) > 0, "{label}: {}", spec.name),
                }
            }
            results.push(copies);
        }
        // the GPU's copies are those of the float64 references, up to branches at thresholds
        for gpu in &results[1..] {
            for (a, b) in results[0].iter().flatten().zip(gpu.iter().flatten()) {
                let far = a.iter().zip(b).filter(|(a, b)| (**a - **b).abs() > 1e-4).count();
                assert!(far <= a.len() / 200, "{far} of {}", a.len());
            }
        }
    }
}

#[test]
fn what_is_zero_is_counted_where_it_lies() {
    let l1: Penalty = "l1".parse().expect("a penalty");
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        // a matrix by its columns, and the copy of variable splitting of another in blocks
        let split = Solver::Splitting { beta: 2.0, published: false };
        let specs = [Spec::new("plain", l1, 0.4), Spec::new("split", l1, 1.0).with_solver(split)];
        let lengths = [30 * 21, 300];
        let (weights, gradients) = (numbers(1000, 1), vec![0.0; 1000]);
        let (weights, gradients) = (upload_f32(&device, &weights), upload_f32(&device, &gradients));
        let tensors: Vec<Tensor> = specs
            .iter()
            .zip(lengths)
            .enumerate()
            .map(|(k, (spec, length))| {
                let of = |buffer| view(buffer, 2528 * k as u64, length);
                Tensor::new(spec.clone(), of(&weights)).with_gradient(of(&gradients))
            })
            .collect();
        let mut plan = schedule.bind(Optimizer::Gradient, &tensors, Verify::Off).expect("they bind");
        let of = |tensor, layout, shape: &[u64], uses| Counted {
            tensor,
            groups: Groups::new(layout, shape).expect("they fit"),
            uses,
        };
        let counted = [of(1, Layout::Blocks(2), &[300], 1), of(0, Layout::Columns, &[30, 21], 5)];
        let nonzeros = plan.nonzeros(&counted).expect("they bind");
        let words = submit(&device, &queue, |encoder| {
            plan.record(encoder, &StepParameters::new(1.0, 1).expect("in the domain"));
            nonzeros.record(encoder).expect("there is memory")
        });
        let words = words.wait::<u32>(&device).expect("the device answers");
        let tallies = nonzeros.tallies(&words).expect("as many");
        for (counted, tally) in counted.iter().zip(&tallies) {
            let result = plan.result(counted.tensor).expect("it is there");
            let all = download(&device, &queue, result.buffer());
            let first = result.offset() as usize / 4;
            let values = &all[first..first + result.len() as usize];
            let live = |g: &u64| counted.groups.members(*g).any(|k| values[k] != 0);
            let expected = Tally {
                weights: values.len() as u64,
                nonzeros: values.iter().filter(|w| **w != 0).count() as u64,
                units: counted.groups.count(),
                live: (0..counted.groups.count()).filter(live).count() as u64,
                uses: counted.uses,
            };
            assert_eq!(*tally, expected, "{}", one.label);
            assert!(tally.nonzeros > 0 && tally.nonzeros < tally.weights, "{tally:?}");
        }
        assert!(tallies[0].live < tallies[0].units, "{tallies:?}");
        assert!(nonzeros.tallies(&words[1..]).is_err());
        assert!(plan.nonzeros(&[of(2, Layout::Whole, &[300], 1)]).is_err());
        assert!(plan.nonzeros(&[of(1, Layout::Whole, &[299], 1)]).is_err());
    }
}
