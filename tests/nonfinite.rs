//! Numbers that are none, and the ends of the range: what comes in broken never comes out plausible.

mod support;

use maf_srl::kernels::step::{Element, Optimizer, StepParameters, StepReference, Variant, Width};
use maf_srl::penalty::Penalty;
use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};
use support::TestAdapter;
use support::work::{download, submit, upload, view};

const QUIET_NAN: u32 = 0x7fc0_0000;
const GUARD: u32 = 0x7fba_dbad;

/// NaN of every kind: quiet and signalling, of either sign, with payloads; and the infinities.
const NONFINITE: [u32; 10] = [
    0x7fc0_0000, // the quiet one
    0xffc0_0000, // with a sign
    0x7f80_0001, // signalling, the smallest payload
    0xff80_0001,
    0x7fbf_ffff, // signalling, the largest
    0x7fc0_dead, // quiet with a payload
    0x7fff_ffff,
    0xffff_ffff,
    0x7f80_0000, // infinity
    0xff80_0000,
];

/// Zeros, subnormal numbers, the ends of the normal range, and ordinary ones.
const FINITE: [u32; 14] = [
    0x0000_0000, // 0
    0x8000_0000, // -0
    0x0000_0001, // the smallest subnormal
    0x8000_0001,
    0x007f_ffff, // the largest
    0x807f_ffff,
    0x0080_0000, // the smallest normal
    0x8080_0000,
    0x3f80_0000, // 1
    0xbf80_0000,
    0x3a83_126f, // 0.001
    0x7f00_0000, // 2^127
    0x7f7f_ffff, // the largest
    0xff7f_ffff,
];

fn is_finite(word: u32) -> bool {
    f32::from_bits(word).is_finite()
}

/// One step of a tensor at byte 4 of its buffers, guard words round it. Returns W, the states and the status word.
fn step(
    one: &TestAdapter,
    (device, queue): &(wgpu::Device, wgpu::Queue),
    schedule: &Schedule,
    base: Optimizer,
    penalty: Penalty,
    (w, g): (&[u32], &[u32]),
) -> (Vec<u32>, Vec<Vec<u32>>, u32) {
    let fenced = |words: &[u32]| upload(device, &[&[GUARD], words, &[GUARD, GUARD]].concat());
    let (weights, gradients) = (fenced(w), fenced(g));
    let states: Vec<wgpu::Buffer> = (0..base.states()).map(|_| fenced(&vec![0; w.len()])).collect();
    let mut tensor = Tensor::new(Spec::new("layer", penalty, LAMBDA), view(&weights, 4, w.len()));
    if base.has_gradient() {
        tensor = tensor.with_gradient(view(&gradients, 4, g.len()));
    }
    let views = states.iter().map(|s| view(s, 4, w.len())).collect();
    let mut plan = schedule.bind(base, &[tensor.with_states(views)], Verify::Full).expect("it binds");
    let status = submit(device, queue, |encoder| {
        plan.record(encoder, &hyper());
        plan.status(encoder).expect("a staging buffer")
    });
    let count: Vec<u32> = status.wait(device).expect("the device answers");
    plan.finish().unwrap_or_else(|error| panic!("{}: {base} {penalty}: {error}", one.label));
    let unfenced = |buffer: &wgpu::Buffer| {
        let words = download(device, queue, buffer);
        let (inner, end) = words[1..].split_at(w.len());
        assert_eq!((words[0], end), (GUARD, [GUARD, GUARD].as_slice()), "{}: {base} {penalty}", one.label);
        inner.to_vec()
    };
    assert_eq!(unfenced(&gradients), g, "{}: {base} {penalty}: the gradient stays", one.label);
    (unfenced(&weights), states.iter().map(unfenced).collect(), count[0])
}

const LAMBDA: f64 = 0.3;

fn hyper() -> StepParameters {
    StepParameters::new(0.5, 1).expect("in the domain")
}

fn combinations() -> impl Iterator<Item = (Optimizer, Penalty)> {
    Optimizer::all().into_iter().flat_map(|base| {
        let fits = move |p: &Penalty| Variant::new(base, *p, Width::Scalar).is_ok();
        Penalty::all().into_iter().filter(fits).map(move |penalty| (base, penalty))
    })
}

#[test]
fn broken_weights_and_gradients_come_out_broken_and_are_counted() {
    // every weight with every gradient; a length with a vec4 body, a head and a tail
    let all = || NONFINITE.iter().chain(&FINITE).copied();
    let (w, g): (Vec<u32>, Vec<u32>) = all().flat_map(|w| all().map(move |g| (w, g))).unzip();
    for one in support::software_adapters() {
        let pair = one.device();
        let schedule = Schedule::new(&pair.0);
        for (base, penalty) in combinations() {
            let place = format!("{}: {base} {penalty}", one.label);
            let (got, states, count) = step(&one, &pair, &schedule, base, penalty, (&w, &g));
            let reference = StepReference::new(base, penalty, LAMBDA, 1.0, &hyper());
            let mut broken = 0;
            for k in 0..w.len() {
                let reads_finite = is_finite(w[k]) && (!base.has_gradient() || is_finite(g[k]));
                broken += u32::from(!is_finite(got[k]));
                assert_ne!(got[k], 0x8000_0000, "{place}: index {k}: -0.0 came out");
                if !reads_finite {
                    let expected = if base.has_gradient() { QUIET_NAN } else { w[k] };
                    assert_eq!(got[k], expected, "{place}: index {k} of {:#010x} {:#010x}", w[k], g[k]);
                    for state in &states {
                        assert_eq!(state[k], QUIET_NAN, "{place}: a state at index {k}");
                    }
                    continue;
                }
                // finite inputs: right by the reference, which knows of overflow; never another NaN than ours
                let before =
                    Element { w: f32::from_bits(w[k]), g: f32::from_bits(g[k]), ..Element::default() };
                let state = |n: usize| states.get(n).map_or(0.0, |s| f32::from_bits(s[k]));
                let after = Element { w: f32::from_bits(got[k]), m: state(0), v: state(1), ..before };
                assert!(reference.judge(before, after).ok, "{place}: index {k}: {before:?} {after:?}");
                assert!(is_finite(got[k]) || got[k] == QUIET_NAN, "{place}: index {k}: {:#010x}", got[k]);
            }
            assert_eq!(count, broken, "{place}: the status word");
            assert!(broken as usize >= NONFINITE.len() * 24, "{place}: {broken}");
        }
    }
}

#[test]
fn three_elements_at_an_odd_offset_and_none_at_all() {
    for one in support::software_adapters() {
        let pair = one.device();
        let schedule = Schedule::new(&pair.0);
        for (base, penalty) in combinations() {
            let place = format!("{}: {base} {penalty}", one.label);
            let (w, g) = ([0x3f80_0000, 0x7fc0_dead, 0xc000_0000], [0, 0, 0]);
            let (got, _, count) = step(&one, &pair, &schedule, base, penalty, (&w, &g));
            assert_eq!(count, 1, "{place}: one element of three");
            assert_eq!(got[1], if base.has_gradient() { QUIET_NAN } else { 0x7fc0_dead }, "{place}");
            assert!(is_finite(got[0]) && is_finite(got[2]), "{place}: the neighbours stay numbers");
            let (got, _, count) = step(&one, &pair, &schedule, base, penalty, (&[], &[]));
            assert_eq!((got.len(), count), (0, 0), "{place}: an empty tensor");
        }
    }
}

#[test]
fn each_tensor_counts_its_own_and_each_step_anew() {
    let lengths = [300usize, 0, 3, 1025, 64];
    let broken = [7usize, 0, 3, 500, 0];
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let mut words = vec![GUARD];
        let mut places = Vec::new();
        for (&length, &broken) in lengths.iter().zip(&broken) {
            places.push(words.len());
            // spread over the tensor, and as many as asked for
            words.extend((0..length).map(|k| match (k + 1) * broken / length > k * broken / length {
                true => NONFINITE[k % NONFINITE.len()],
                false => 1.0f32.to_bits(),
            }));
            words.push(GUARD);
        }
        let page = upload(&device, &words);
        let penalties = Penalty::all();
        let tensors: Vec<Tensor> = (0..lengths.len())
            .map(|k| {
                let spec = Spec::new(format!("tensor {k}"), penalties[k % penalties.len()], 1e-3);
                Tensor::new(spec, view(&page, 4 * places[k] as u64, lengths[k]))
            })
            .collect();
        let mut plan =
            Schedule::new(&device).bind(Optimizer::Prox, &tensors, Verify::Full).expect("they bind");
        let (first, second) = submit(&device, &queue, |encoder| {
            plan.record(encoder, &hyper());
            let first = plan.status(encoder).expect("a staging buffer");
            plan.record(encoder, &hyper());
            (first, plan.status(encoder).expect("a staging buffer"))
        });
        let expected: Vec<u32> = broken.iter().map(|&n| n as u32).collect();
        assert_eq!(first.wait::<u32>(&device).expect("an answer"), expected, "{}", one.label);
        let again: Vec<u32> = second.wait(&device).expect("an answer");
        assert_eq!(again, expected, "{}: counted anew, not on top", one.label);
        plan.finish().expect("no mismatch");
        let got = download(&device, &queue, &page);
        for (k, (&before, &after)) in words.iter().zip(&got).enumerate() {
            if !is_finite(before) {
                assert_eq!(
                    before, after,
                    "{}: word {k}: the prox hands it through, and guards stay",
                    one.label
                );
            }
        }
    }
}

#[test]
fn zeros_are_positive_whatever_makes_them() {
    // weights of either sign below and at the threshold, zeros of either sign, steps that land on zero exactly
    let numbers = [0.0f32, 0.1, 0.15, 0.14999999, 1e-20, 1e-40, 0.5, 1.0];
    let mut w: Vec<u32> = numbers.iter().flat_map(|x| [x.to_bits(), (-x).to_bits()]).collect();
    let mut g = vec![0; w.len()];
    w.extend([1.0f32, -1.0].map(f32::to_bits)); // 1 - 0.5 * 2
    g.extend([2.0f32, -2.0].map(f32::to_bits));
    for one in support::software_adapters() {
        let pair = one.device();
        let schedule = Schedule::new(&pair.0);
        for (base, penalty) in combinations() {
            let (got, _, count) = step(&one, &pair, &schedule, base, penalty, (&w, &g));
            let place = format!("{}: {base} {penalty}: {got:08x?}", one.label);
            assert_eq!(count, 0, "{place}");
            assert!(got.iter().all(|&word| word != 0x8000_0000), "{place}");
            assert_eq!(got[..2], [0, 0], "{place}: zeros of either sign become +0.0");
            if base == Optimizer::Gradient {
                assert_eq!(got[w.len() - 2..], [0, 0], "{place}: a step that lands on zero");
            }
        }
    }
}
