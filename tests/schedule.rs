//! A thousand tensors in a few dispatches: as right as one at a time, bit for bit, and verified while it runs.

mod support;

use std::collections::HashSet;

use maf_srl::kernels::step::{Optimizer, StepParameters, VECTOR_WIDTH, Variant, Width};
use maf_srl::penalty::Penalty;
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Verify};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::work::{blank, download, submit, upload, view};

/// Where one tensor lies, in elements.
struct Place {
    spec: Spec,
    w: usize,
    g: usize,
    length: usize,
}

impl Place {
    fn tensor(&self, weights: &wgpu::Buffer, gradients: Option<&wgpu::Buffer>) -> Tensor {
        let tensor = Tensor::new(self.spec.clone(), view(weights, 4 * self.w as u64, self.length));
        match gradients {
            Some(gradients) => tensor.with_gradient(view(gradients, 4 * self.g as u64, self.length)),
            None => tensor,
        }
    }
}

/// Tensors of these lengths with random settings, placed with random gaps; and the pages' sizes in elements.
fn place(rng: &mut ChaCha8Rng, penalties: &[Penalty], lengths: &[usize]) -> (Vec<Place>, usize) {
    let (mut w, mut g) = (0, 0);
    let places = lengths
        .iter()
        .enumerate()
        .map(|(k, &length)| {
            // most gradients are aligned with their weights, some are not
            w += rng.random_range(0..4);
            g += rng.random_range(0..4);
            if rng.random_bool(0.8) {
                g += (w + 4 - g % 4) % 4;
            }
            // drawn in this order
            let scale = rng.random_range(0.1..2.0);
            let lambda = 10f64.powf(rng.random_range(-4.0..0.0));
            let spec =
                Spec::new(format!("tensor {k}"), penalties[k % penalties.len()], lambda).with_lr_scale(scale);
            let place = Place { spec, w, g, length };
            w += length;
            g += length;
            place
        })
        .collect();
    (places, w.max(g))
}

/// Words that are finite f32 numbers of either sign between 2^-12 and 2^4, without a generator's cost.
fn words(length: usize, seed: u32) -> Vec<u32> {
    (0..length as u32)
        .map(|k| {
            let mut x = k.wrapping_mul(0x9e37_79b9) ^ seed;
            x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
            x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
            x ^= x >> 16;
            (x & 0x807f_ffff) | ((115 + (x >> 27)).min(130) << 23)
        })
        .collect()
}

/// The kernels that the tensors need: all that may become dispatches while one binding holds each page.
fn variants(places: &[Place], gradient: bool) -> HashSet<(&'static str, Width)> {
    let mut used = HashSet::new();
    for place in places.iter().filter(|p| p.length > 0) {
        let lanes = VECTOR_WIDTH as usize;
        let name = place.spec.penalty.name();
        if gradient && place.w % lanes != place.g % lanes {
            used.insert((name, Width::Scalar));
            continue;
        }
        let head = ((lanes - place.w % lanes) % lanes).min(place.length);
        if (place.length - head) / lanes > 0 {
            used.insert((name, Width::Vec4));
        }
        if head > 0 || (place.length - head) % lanes > 0 {
            used.insert((name, Width::Scalar));
        }
    }
    used
}

#[test]
fn a_thousand_tensors_take_a_dispatch_per_kernel_and_equal_single_plans_bit_for_bit() {
    const SEED: u64 = 20_240_601;
    println!("seed {SEED}");
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut lengths = vec![10_000_000, 10_000_000, 1];
    lengths.extend((3..1000).map(|_| 10f64.powf(rng.random_range(0.0..4.5)) as usize));
    let (places, total) = place(&mut rng, &Penalty::all(), &lengths);
    assert!(4 * total < 128 << 20, "one binding holds a page");
    let (w, g) = (words(total, 1), words(total, 2));

    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        let gradients = upload(&device, &g);
        let hyper = StepParameters::new(0.05, 1).expect("in the domain");

        let batched = upload(&device, &w);
        let tensors: Vec<Tensor> = places.iter().map(|p| p.tensor(&batched, Some(&gradients))).collect();
        let mut plan = schedule.bind(Optimizer::Gradient, &tensors, Verify::Off).expect("they bind");
        let used = variants(&places, true);
        println!(
            "{}: {} tensors, {} dispatches, {} kernels",
            one.label,
            tensors.len(),
            plan.dispatches(),
            used.len()
        );
        assert!(plan.dispatches() <= used.len(), "{}: {} > {}", one.label, plan.dispatches(), used.len());
        submit(&device, &queue, |encoder| plan.record(encoder, &hyper));

        let looped = upload(&device, &w);
        let mut single: Vec<Plan> = places
            .iter()
            .map(|p| {
                schedule
                    .bind(Optimizer::Gradient, &[p.tensor(&looped, Some(&gradients))], Verify::Off)
                    .expect("it binds")
            })
            .collect();
        submit(&device, &queue, |encoder| {
            for plan in &mut single {
                plan.record(encoder, &hyper);
            }
        });
        let (batched, looped) = (download(&device, &queue, &batched), download(&device, &queue, &looped));
        if let Some(k) = (0..total).find(|&k| batched[k] != looped[k]) {
            panic!("{}: word {k}: batched {:#010x}, looped {:#010x}", one.label, batched[k], looped[k]);
        }
        let mut next = 0;
        for place in &places {
            assert_eq!(
                batched[next..place.w],
                w[next..place.w],
                "{}: the gap before {}",
                one.label,
                place.spec.name
            );
            let range = place.w..place.w + place.length;
            let moved = range.clone().filter(|&k| batched[k] != w[k]).count();
            // a gradient below half an ULP of its weight may leave it as it is
            assert!(
                2 * moved >= place.length,
                "{}: {}: {moved} of {}",
                one.label,
                place.spec.name,
                place.length
            );
            next = range.end;
        }
    }
}

#[test]
fn every_base_step_verifies_over_steps_with_changing_rates_and_lambdas() {
    const SEED: u64 = 7_041_776;
    const STEPS: u64 = 5;
    println!("seed {SEED}");
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        for base in Optimizer::all() {
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            let penalties: Vec<Penalty> = Penalty::all()
                .into_iter()
                .filter(|&p| Variant::new(base, p, Width::Scalar).is_ok())
                .collect();
            let mut lengths: Vec<usize> =
                (0..45).map(|_| 10f64.powf(rng.random_range(0.0..3.0)) as usize).collect();
            lengths.extend([0, 4097, 2]);
            let (places, total) = place(&mut rng, &penalties, &lengths);
            let weights = upload(&device, &words(total, 3));
            let gradients = upload(&device, &words(total, 4));
            // every third tensor has states of the caller's; new buffers are zero
            let own = [blank(&device, 4 * total as u64), blank(&device, 4 * total as u64)];
            let tensors: Vec<Tensor> = (0..)
                .zip(&places)
                .map(|(k, p)| {
                    let tensor = p.tensor(&weights, base.has_gradient().then_some(&gradients));
                    if k % 3 > 0 {
                        return tensor;
                    }
                    let states = own[..base.states()].iter();
                    tensor.with_states(states.map(|s| view(s, 4 * p.w as u64, p.length)).collect())
                })
                .collect();
            let mut plan = schedule.bind(base, &tensors, Verify::Full).expect("they bind");
            let used = variants(&places, base.has_gradient());
            // tensors with states of the caller's lie in other buffers than those with the plan's
            let buffers = if base.states() > 0 { 2 } else { 1 };
            assert!(
                plan.dispatches() <= buffers * used.len(),
                "{}: {base}: {}",
                one.label,
                plan.dispatches()
            );
            for step in 1..=STEPS {
                let hyper = StepParameters::new(0.2 / step as f64, step)
                    .and_then(|h| h.with_lambda_scale(0.5 * step as f64))
                    .expect("in the domain");
                submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
            }
            let found = plan.finish().unwrap_or_else(|error| panic!("{}: {base}: {error}", one.label));
            let elements: usize = lengths.iter().sum();
            assert_eq!(
                (found.steps, found.checked),
                (STEPS, STEPS * elements as u64),
                "{}: {base}",
                one.label
            );
            assert_eq!(found.mismatches, 0, "{}: {base}", one.label);
            for (report, place) in found.tensors.iter().zip(&places) {
                assert_eq!(report.name, place.spec.name);
                assert_eq!(
                    report.checked,
                    STEPS * place.length as u64,
                    "{}: {base}: {}",
                    one.label,
                    report.name
                );
                assert!(report.max_ulps <= report.allowed_ulps, "{}: {base}: {report:?}", one.label);
            }
            // the states that the plan keeps for checkpoints are those that were stepped
            for (k, place) in places.iter().enumerate().filter(|(_, p)| p.length > 0) {
                assert_eq!(plan.states(k).len(), base.states(), "{base}");
                for state in plan.states(k) {
                    assert_eq!(state.len(), place.length as u64);
                }
            }
            for state in plan.states(46) {
                let all = download(&device, &queue, state.buffer());
                let mine = &all[state.offset() as usize / 4..state.end() as usize / 4];
                assert!(
                    mine.iter().all(|&word| word != 0),
                    "{}: {base}: a state of tensor 46 is zero",
                    one.label
                );
            }
        }
    }
}

#[test]
fn a_sample_checks_what_it_says_and_nothing_else() {
    const STEPS: u64 = 7;
    let verify = |seed| Verify::Sample { every: 3, tensors: 4, seed };
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        let mut rng = ChaCha8Rng::seed_from_u64(99);
        let lengths: Vec<usize> = (1..=20).map(|k| 10 * k).collect();
        let (places, total) = place(&mut rng, &Penalty::all(), &lengths);
        let run = |verify| {
            let (weights, gradients) = (upload(&device, &words(total, 5)), upload(&device, &words(total, 6)));
            let tensors: Vec<Tensor> = places.iter().map(|p| p.tensor(&weights, Some(&gradients))).collect();
            let mut plan = schedule.bind(Optimizer::Gradient, &tensors, verify).expect("they bind");
            for step in 1..=STEPS {
                let hyper = StepParameters::new(0.1, step).expect("in the domain");
                submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
            }
            plan.finish().expect("no mismatch")
        };
        let found = run(verify(1));
        assert_eq!(found.steps, 3, "{}: the first step and every third after it", one.label);
        let mut draws = 0;
        for (report, length) in found.tensors.iter().zip(&lengths) {
            assert_eq!(report.checked % *length as u64, 0, "{}: whole tensors", one.label);
            draws += report.checked / *length as u64;
        }
        assert_eq!(draws, 3 * 4, "{}: four tensors each time", one.label);
        assert_eq!(found.checked, found.tensors.iter().map(|t| t.checked).sum::<u64>(), "{}", one.label);
        // The memory depends on how fast the workers were; all else is the seed's.
        let again = maf_srl::schedule::Verification { memory: found.memory, ..run(verify(1)) };
        assert_eq!(again, found, "{}: a seed draws the same tensors", one.label);
        let chosen =
            |v: &maf_srl::schedule::Verification| v.tensors.iter().map(|t| t.checked > 0).collect::<Vec<_>>();
        assert_ne!(chosen(&run(verify(2))), chosen(&found), "{}: another seed draws others", one.label);
        let all = run(Verify::Sample { every: 7, tensors: 1000, seed: 3 });
        assert_eq!((all.steps, all.checked), (1, lengths.iter().sum::<usize>() as u64), "{}", one.label);
        let off = run(Verify::Off);
        assert_eq!((off.steps, off.checked), (0, 0), "{}", one.label);
    }
}

#[test]
fn a_step_recorded_in_halves_equals_a_whole_one_and_is_not_verified() {
    let l1: Penalty = "l1".parse().expect("a penalty of the register");
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        let hyper = StepParameters::new(0.01, 1).expect("in the domain");
        let run = |halves: bool| {
            let weights = upload(&device, &words(64, 8));
            let tensor = Tensor::new(Spec::new("layer", l1, 30.0), view(&weights, 0, 64));
            let mut plan = schedule.bind(Optimizer::Prox, &[tensor], Verify::Full).expect("it binds");
            submit(&device, &queue, |encoder| {
                if halves {
                    let staged = plan.stage(encoder, &hyper).expect("recorded");
                    staged.dispatch(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                } else {
                    plan.record(encoder, &hyper);
                }
            });
            (download(&device, &queue, &weights), plan.finish().expect("no mismatch").checked)
        };
        let (whole, halves) = (run(false), run(true));
        assert_eq!((whole.1, halves.1), (64, 0), "{}", one.label);
        assert_eq!(whole.0, halves.0, "{}", one.label);
        assert_ne!(whole.0, words(64, 8), "{}: the weights moved", one.label);
    }
}
