//! The cases of the step: every penalty times every base step at small, ordinary and large steps and on both sides of
//! each regime switch, and every layout of memory that a caller may bring.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Element, Elementwise, Optimizer, StepParameters, StepReference, VECTOR_WIDTH, Variant, WORKGROUP, Width,
    bind,
};
use crate::error::Result;
use crate::gpu;
use crate::kernels::fixture::Fixture;
use crate::kernels::operator::Tabled;
use crate::kernels::{Case, Outcome, PipelineCache, TensorJob, compare};
use crate::penalty::Penalty;

/// One tensor, stepped once.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    base: Optimizer,
    penalty: Penalty,
    lambda: f64,
    hyper: StepParameters,
    length: usize,
    /// Where the tensors start, in elements: W, G, M, V.
    leads: [u64; 4],
    /// Whether all of them lie in one buffer.
    one_buffer: bool,
}

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all: Vec<Step> = Vec::new();
    for base in Optimizer::all() {
        for penalty in Penalty::all() {
            if Variant::new(base, penalty, Width::Scalar).is_ok() {
                all.extend(values(base, penalty));
            }
        }
        all.extend(layouts(base));
        all.extend(frozen(base));
    }
    all.into_iter().map(|case| Box::new(case) as Box<dyn Case>).collect()
}

/// One base step and penalty over the range of step sizes.
fn values(base: Optimizer, penalty: Penalty) -> Vec<Step> {
    let mut settings: Vec<(Penalty, f64, f64)> = Vec::new();
    for shape in penalty.rule().examples() {
        for (rate, lambda) in
            [(1e-3, 1e-5), (0.05, 0.02), (1.0, 0.3), (0.5, 4.0), (30.0, 1.5), (2e4, 3e-3), (0.1, 0.0)]
        {
            settings.push((shape, rate, lambda));
        }
        for lambda in [0.25, 2.0] {
            for step in shape.rule().regime_switches(lambda) {
                // exactly at the switch, and on both sides of it, near and far
                for factor in [1.0, 1.0 - 1e-6, 1.0 + 1e-6, 0.97, 1.03] {
                    settings.push((shape, step * factor, lambda));
                }
            }
        }
    }
    let hypers = |rate| [1, 2, 1000].map(|step| StepParameters::new(rate, step)).into_iter().flatten();
    let steps = if base.states() > 1 { 3 } else { 1 };
    settings
        .into_iter()
        .flat_map(|(shape, rate, lambda)| hypers(rate).take(steps).map(move |hyper| (shape, lambda, hyper)))
        .map(|(shape, lambda, hyper)| Step {
            name: format!(
                "step/{}/{shape}/rate={}/lambda={lambda}/step={}",
                base.name(),
                hyper.lr(),
                hyper.step()
            ),
            base,
            penalty: shape,
            lambda,
            hyper,
            length: 1021,
            leads: [0; 4],
            one_buffer: false,
        })
        .collect()
}

/// Sizes and offsets, with a penalty whose code is short.
fn layouts(base: Optimizer) -> Vec<Step> {
    let Ok(hyper) = StepParameters::new(0.1, 7) else { return Vec::new() };
    let penalty = Penalty::all().into_iter().find(|p| p.name() == "l1").unwrap_or(Penalty::all()[0]);
    let tile = (WORKGROUP as usize) * VECTOR_WIDTH as usize;
    let mut all = Vec::new();
    let mut add = |length: usize, leads: [u64; 4], one_buffer: bool| {
        let offsets = leads.map(|l| l.to_string()).join("-");
        let place = if one_buffer { "one-buffer" } else { "separate" };
        all.push(Step {
            name: format!("step/{}/layout/{place}/length={length}/offsets={offsets}", base.name()),
            base,
            penalty,
            lambda: 0.3,
            hyper,
            length,
            leads,
            one_buffer,
        });
    };
    for length in [0, 1, 2, 3, 4, 5, 63, 255, 256, 257, tile - 1, tile, tile + 1, 5 * tile + 3] {
        add(length, [0; 4], false);
    }
    for leads in [[1, 1, 1, 1], [2, 6, 10, 2], [3, 3, 3, 7], [1, 2, 3, 0], [0, 1, 0, 0], [104, 100, 96, 92]] {
        for length in [3, 9, 300, tile + 2] {
            add(length, leads, false);
            add(length, leads, true);
        }
    }
    all
}

/// Zeros that stay, among every kind of value: the first step and a later one, a smooth penalty and one that jumps.
fn frozen(base: Optimizer) -> Vec<Step> {
    let chosen = Penalty::all().into_iter().filter(|p| ["l1", "tl1"].contains(&p.name()));
    let made = |penalty: Penalty| values(base, penalty).into_iter().step_by(4).take(8);
    let offsets = layouts(base).into_iter().filter(|step| step.length == 300);
    let frozen = |step: Step| {
        let hyper = step.hyper.with_frozen_zeros(true);
        Step { name: format!("{}/frozen", step.name), hyper, ..step }
    };
    chosen.flat_map(made).chain(offsets).map(frozen).collect()
}

/// Values that break kernels: signed zeros, subnormals, huge and tiny ones, NaN and infinities.
const SPECIAL: [f32; 20] = [
    0.0,
    -0.0,
    1e-38,
    -1e-38,
    1e-45,
    -3e-42,
    1.1754944e-38,
    -1e-30,
    1e-20,
    1e18,
    -3e19,
    1e30,
    -1e30,
    3e38,
    -3e38,
    f32::MAX,
    f32::MIN,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

impl Step {
    /// Inputs: the special values, thresholds with their neighbours, and magnitudes over twelve decades.
    fn elements(&self, reference: &StepReference) -> Vec<Element> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x5eed);
        let prox = reference.prox();
        let mut points: Vec<f32> = SPECIAL.to_vec();
        for edge in [prox.threshold.at, prox.threshold.jump, prox.step * prox.lambda, prox.lambda, 1.0] {
            for scale in [1.0, 1.0 - 1e-6, 1.0 + 1e-6, 0.5, 2.0, 1.0 - 1e-3, 1.0 + 1e-3] {
                let near = (edge * scale) as f32;
                for steps in -3i32..=3 {
                    if near.is_normal() {
                        points.push(f32::from_bits(near.to_bits().wrapping_add_signed(steps)));
                    }
                }
                points.push(-near);
            }
        }
        (0..self.length)
            .map(|k| {
                let w = match () {
                    () if k < points.len() => points[k],
                    () if self.hyper.frozen_zeros() && k % 3 == 1 => [0.0, -0.0][k % 2],
                    () => any(&mut rng),
                };
                // alone at a threshold, the point is the weight: most gradients of those are zero
                let g = match k % 7 {
                    _ if k < points.len() && k % 3 != 0 => 0.0,
                    0 => SPECIAL[(k / 7) % SPECIAL.len()],
                    _ => any(&mut rng),
                };
                let state = |rng: &mut ChaCha8Rng| if k % 5 == 0 { 0.0 } else { any(rng) };
                let (m, v) = match k % 61 {
                    11 => (SPECIAL[k % SPECIAL.len()], 0.0),
                    12 => (0.0, -1e-40),
                    _ => (state(&mut rng), state(&mut rng).abs()),
                };
                self.near_own_threshold(k, Element { w, g, m, v, ..Element::default() }, reference)
            })
            .collect()
    }
}

impl Step {
    /// In Adam's metric every element has a threshold of its own: some of those without momentum come close to theirs.
    fn near_own_threshold(&self, k: usize, e: Element, reference: &StepReference) -> Element {
        let metric = matches!(self.base, Optimizer::AdamMetric(_));
        if !metric || k % 4 != 3 || e.w == 0.0 || !e.v.is_normal() {
            return e;
        }
        let still = Element { g: 0.0, m: 0.0, ..e };
        let beside = [-4e-4, -3e-5, -2e-6, 2e-6, 3e-5, 4e-4][k / 4 % 6];
        let near = (reference.prox_of(still).threshold.at * (1.0 + beside)) as f32;
        if near.is_normal() { Element { w: near.copysign(e.w), ..still } } else { e }
    }
}

/// A magnitude between 1e-6 and 1e6, log-uniform, of either sign; half of them of ordinary size.
fn any(rng: &mut impl Rng) -> f32 {
    let magnitude = if rng.random::<bool>() {
        rng.random_range(0.0..3.0)
    } else {
        10f64.powf(rng.random_range(-6.0..6.0))
    };
    (if rng.random::<bool>() { magnitude } else { -magnitude }) as f32
}

impl Case for Step {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn elements(&self) -> usize {
        self.length
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let reference = StepReference::new(self.base, self.penalty, self.lambda, 1.0, &self.hyper);
        let before = self.elements(&reference);
        let arrays = 1 + usize::from(self.base.has_gradient()) + self.base.states();
        let read: Vec<fn(&Element) -> f32> =
            if self.base.has_gradient() { vec![|e| e.w, |e| e.g, |e| e.m, |e| e.v] } else { vec![|e| e.w] };
        let array = |read: &fn(&Element) -> f32| before.iter().map(read).collect();
        let data: Vec<Vec<f32>> = read.iter().take(arrays).map(array).collect();
        let mut fixture = Fixture::new(kernels, &self.name, &data, &self.leads, self.one_buffer)?;
        let usage = gpu::USAGE;
        let operator = Elementwise::new(self.penalty, self.lambda);
        let row = operator.row(self.base, 1.0, &self.hyper);
        let rows = gpu::buffer_with(device, "rows", bytemuck::bytes_of(&row), usage)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let job = TensorJob { operator: &operator, views: &fixture.views, row: 0, tensor: 0 };
        let dispatches = bind(kernels, self.base, &[job], rows.as_entire_buffer_binding(), &status)?;
        let counted = fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;

        let value = |k: usize, i: usize| fixture.value(k, i);
        let gradient = usize::from(self.base.has_gradient());
        let after = |i: usize| Element {
            w: value(0, i),
            m: if self.base.states() > 0 { value(1 + gradient, i) } else { 0.0 },
            v: if self.base.states() > 1 { value(2 + gradient, i) } else { 0.0 },
            ..before[i]
        };
        let from = |i: usize| format!("{:?} became {:?}", before[i], after(i));
        let judge = |i: usize| reference.judge(before[i], after(i));
        let mut outcome = compare(self.length, judge, |i| after(i).w, from);

        fixture.judge_surroundings((gradient == 1).then_some(1), &mut outcome);
        let nonfinite = (0..self.length).filter(|&i| !after(i).w.is_finite()).count();
        outcome.demand(counted as usize == nonfinite, || {
            format!("status word {counted} for {nonfinite} elements that are not finite")
        });
        Ok(outcome)
    }
}
