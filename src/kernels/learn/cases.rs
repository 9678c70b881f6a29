//! The cases of a step: shapes, methods, rates at rest, every region of the projections, numbers that are not finite; and of the
//! norm bound, warm over two steps.

use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Iteration, State};
use super::{LearnJob, LearnReference, Method, Rates, Update, UpdateParameters};
use crate::error::Result;
use crate::gpu::{self, Readback};
use crate::kernels::fixture::Fixture;
use crate::kernels::{Case, LearnedParameters, Outcome, PipelineCache};
use crate::matrix::Pattern;
use crate::regulariser::{Floors, HEAD, ParameterLayout};

/// A step of layers.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    /// n and density; no matrix at all for n = 0.
    components: u32,
    density: f64,
    layers: u32,
    method: Method,
    rates: Rates,
    decay: f64,
    hyper: UpdateParameters,
    leads: [u64; 4],
    one_buffer: bool,
    contents: Contents,
}

/// What the numbers are like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Contents {
    Ordinary,
    /// Every region of the projections, one per layer.
    Regions,
    /// NaN, infinities, huge, tiny and subnormal numbers, zeros of both signs.
    Strange,
}

/// The norm bound after steps at rest.
#[derive(Clone, Debug)]
struct Bound {
    name: String,
    components: u32,
    density: f64,
    layers: u32,
    rounds: u32,
    lead: u64,
    /// What multiplies the values of each layer in turn.
    scales: Vec<f32>,
}

const MOVING: Rates = Rates { values: 1.0, q: 0.5, b: 2.0, activation: 0.25, l: 1.5 };
const RESTING: Rates = Rates { values: 0.0, q: 0.0, b: 0.0, activation: 0.0, l: 0.0 };

/// Slopes at which the projection of the knees is another.
const SLOPES: [f32; 8] = [0.2, 1.0, 1.000_001, 1.3, 2.0, 10.0, 1e4, 1e9];

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all: Vec<Box<dyn Case>> = Vec::new();
    let adam = Method::default();
    let mut add = |what: &str, components, density, layers, method, rates, contents, k: u64| {
        let text = if method == Method::Gradient { "gradient" } else { "adam" };
        let one_buffer = k % 2 == 1;
        all.push(Box::new(Step {
            name: format!("learn/{text}/{what}/n={components}/density={density}/layers={layers}"),
            components,
            density,
            layers,
            method,
            rates,
            decay: if k.is_multiple_of(3) { 0.01 } else { 0.0 },
            hyper: UpdateParameters { rate: 0.02, step: 1 + 40 * k },
            leads: if one_buffer { [1, 2, 3, 0] } else { [k % 4, 0, 0, k % 3] },
            one_buffer,
            contents,
        }));
    };
    for method in [adam, Method::Gradient] {
        let sizes = [
            (0, 1.0),
            (1, 1.0),
            (2, 1.0),
            (3, 0.7),
            (16, 0.5),
            (63, 0.3),
            (64, 0.3),
            (65, 0.05),
            (256, 0.05),
        ];
        for (k, (n, density)) in (0..).zip(sizes) {
            add("shape", n, density, 1 + k as u32 % 3, method, MOVING, Contents::Ordinary, k);
        }
        add("shape", 1000, 0.05, 2, method, MOVING, Contents::Ordinary, 2);
        add("regions", 2, 1.0, 8 * 40, method, MOVING, Contents::Regions, 3);
        add("regions-at-rest", 3, 1.0, 8 * 40, method, RESTING, Contents::Regions, 4);
        add("regions", 0, 1.0, 8 * 40, method, MOVING, Contents::Regions, 1);
        for (k, (name, rates)) in (0..).zip([
            ("values-rest", Rates { values: 0.0, ..MOVING }),
            ("q-rests", Rates { q: 0.0, ..MOVING }),
            ("b-rests", Rates { b: 0.0, ..MOVING }),
            ("activation-rests", Rates { activation: 0.0, ..MOVING }),
            ("l-rests", Rates { l: 0.0, ..MOVING }),
            ("all-rest", RESTING),
        ]) {
            add(name, 16, 0.5, 3, method, rates, Contents::Ordinary, k);
            add(&format!("strange-{name}"), 16, 0.5, 12, method, rates, Contents::Strange, k + 1);
        }
        add("strange", 17, 0.4, 60, method, MOVING, Contents::Strange, 5);
        add("strange", 0, 1.0, 200, method, MOVING, Contents::Strange, 6);
    }
    // more than there are workgroups in a row
    add("many-layers", 0, 1.0, 66_000, Method::Gradient, MOVING, Contents::Ordinary, 1);
    let sizes =
        [(1, 1.0), (2, 1.0), (3, 0.7), (16, 0.5), (63, 0.3), (64, 0.3), (65, 0.05), (256, 0.1), (1000, 0.05)];
    for (k, (components, density)) in (0..).zip(sizes) {
        let rounds: &[u32] = if components == 1000 { &[2] } else { &[1, 2, 3] };
        for &rounds in rounds {
            all.push(Box::new(Bound {
                name: format!("learn/bound/n={components}/density={density}/rounds={rounds}"),
                components,
                density,
                layers: 1 + (k + rounds) % 3,
                rounds,
                lead: u64::from(k % 4),
                scales: vec![1.0, 0.01, 30.0],
            }));
        }
    }
    let strange = vec![1e-30, f32::NAN, 1e15, 0.0, 1e-7, 1e8, f32::INFINITY, 1.0];
    all.push(Box::new(Bound {
        name: "learn/bound/strange".into(),
        components: 17,
        density: 0.5,
        layers: 24,
        rounds: 2,
        lead: 3,
        scales: strange,
    }));
    all
}

/// A square pattern, and the places with it; no places without components.
fn shape(components: u32, density: f64) -> Result<(Arc<Pattern>, ParameterLayout)> {
    let pattern = Pattern::random(components.max(1), density, 11)?;
    let nonzeros = if components == 0 { 0 } else { pattern.nonzeros() };
    Ok((Arc::new(pattern), ParameterLayout { components, nonzeros }))
}

/// Any of the numbers that are not ordinary.
fn strange(rng: &mut impl Rng) -> f32 {
    match rng.random_range(0..12) {
        0 => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => f32::from_bits(0xff80_0001),
        4 => f32::from_bits(rng.random_range(1..0x80_0000)),
        5 => -0.0,
        6 => 0.0,
        7 => 3e38,
        8 => -3e38,
        9 => 1e-30,
        10 => 1e19,
        _ => -1e30,
    }
}

impl Step {
    /// The numbers, their gradient, and the moments.
    fn arrays(&self, places: ParameterLayout) -> [Vec<f32>; 4] {
        let mut rng = ChaCha8Rng::seed_from_u64(0x1ea4);
        let length = places.length() as usize;
        let mut all = [const { Vec::new() }; 4];
        for layer in 0..self.layers as usize {
            let start = layer * length;
            all.iter_mut().for_each(|array| array.resize(start + length, 0.0));
            let [theta, gradient, first, second] = &mut all;
            for p in start..start + length {
                theta[p] = rng.random_range(-1.0..1.0);
                gradient[p] = rng.random_range(-2.0..2.0);
                first[p] = rng.random_range(-1.0..1.0);
                second[p] = rng.random_range(1e-3..1.0);
            }
            for q in places.q() {
                theta[start + q] = rng.random_range(0.001..1.5);
            }
            let head = &mut theta[start..start + HEAD as usize];
            head[0] = rng.random_range(0.55..3.0);
            head[1] = rng.random_range(0.001..2.0);
            head[2] = rng.random_range(0.001..1.1);
            head[3] = rng.random_range(0.0..0.5);
            head[4] = head[3] + rng.random_range(0.0..0.5);
            if self.contents == Contents::Regions {
                head[1] = SLOPES[layer % 8];
                let angle: f32 = rng.random_range(0.0..std::f32::consts::TAU);
                let size = [0.0, 1e-20, 0.3, 1.0, 1e6][layer / 8 % 5];
                (head[3], head[4]) = (size * angle.cos(), size * angle.sin());
                if layer % 7 == 0 {
                    head[3] = head[4];
                }
                // so that steps leave them where they are
                gradient[start + 1..start + 5].fill(0.0);
                first[start + 1..start + 5].fill(0.0);
            }
            if self.contents == Contents::Strange {
                for p in start..start + length {
                    for array in [&mut *theta, &mut *gradient, &mut *first, &mut *second] {
                        if rng.random_range(0..if p < start + 5 { 9 } else { 25 }) == 0 {
                            array[p] = strange(&mut rng);
                        }
                    }
                }
            }
            for array in &mut all {
                array[start + 5..start + 8].fill(0.0);
                array[start + places.values().end..].fill(0.0);
            }
        }
        all
    }
}

impl Case for Step {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn elements(&self) -> usize {
        let length = shape(self.components, self.density).map_or(0, |(_, places)| places.length());
        (self.layers * length) as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let (pattern, places) = shape(self.components, self.density)?;
        let arrays = self.arrays(places);
        let mut fixture = Fixture::new(kernels, &self.name, &arrays, &self.leads, self.one_buffer)?;
        let learned =
            |k: usize| LearnedParameters::new(&self.name, fixture.views[k].clone(), places, self.layers);
        let job = LearnJob {
            pattern,
            learned: learned(0)?,
            gradient: learned(1)?,
            moments: Some([learned(2)?, learned(3)?]),
            method: self.method,
            rates: self.rates,
            decay: self.decay,
            floors: Floors::default(),
            bound: None,
        };
        let mut dispatches = Update::bind(kernels, &job)?;
        set(device, queue, &mut dispatches, self.hyper)?;
        fixture.rehearse(device, queue, |pass| dispatches.record(pass))?;
        set(device, queue, &mut dispatches, self.hyper)?;
        fixture.run_once(device, queue, dispatches.status(), |pass| dispatches.record(pass))?;
        let status = words::<u32>(device, queue, dispatches.status(), 0, u64::from(self.layers))?;
        let after: Vec<Vec<f32>> =
            [0, 2, 3].iter().map(|&k| (0..arrays[k].len()).map(|i| fixture.value(k, i)).collect()).collect();
        let before = State { learned: &arrays[0], moments: [&arrays[2], &arrays[3]] };
        let now = State { learned: &after[0], moments: [&after[1], &after[2]] };
        let mut outcome = LearnReference::new(&job).judge(self.hyper, before, &arrays[1], now, &status)?;
        fixture.judge_surroundings(Some(1), &mut outcome);
        Ok(outcome)
    }
}

/// Submits the values of a step.
pub(super) fn set(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    dispatches: &mut Update,
    hyper: UpdateParameters,
) -> Result<()> {
    gpu::submit(device, queue, "learn", |encoder| dispatches.set(encoder, hyper))
}

/// Reads words back.
pub(super) fn words<T: bytemuck::Pod>(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffer: &wgpu::Buffer,
    offset: u64,
    count: u64,
) -> Result<Vec<T>> {
    gpu::submit(device, queue, "learn", |encoder| {
        Readback::record(device, encoder, buffer, offset, 4 * count)
    })?
    .wait(device)
}

impl Case for Bound {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn elements(&self) -> usize {
        let length = shape(self.components, self.density).map_or(0, |(_, places)| places.length());
        (self.layers * length) as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let (pattern, places) = shape(self.components, self.density)?;
        let length = places.length() as usize;
        let mut rng = ChaCha8Rng::seed_from_u64(0xb0d5);
        let mut theta = vec![0.0f32; self.layers as usize * length];
        for (layer, numbers) in theta.chunks_mut(length).enumerate() {
            numbers[..5].copy_from_slice(&[1.0, 1.0, 0.5, 0.1, 0.2]);
            numbers[places.q()].fill_with(|| rng.random_range(0.1..2.0));
            let scale = self.scales[layer % self.scales.len()];
            numbers[places.values()].fill_with(|| rng.random_range(-1.0..1.0f32));
            if scale.is_finite() {
                numbers[places.values()].iter_mut().for_each(|x| *x *= scale);
            } else {
                // one entry alone
                numbers[places.values().end - 2] = scale;
            }
        }
        let mut outcome = Outcome::default();
        let arrays = [theta.clone(), vec![1.0; theta.len()]];
        let mut fixture = Fixture::new(kernels, &self.name, &arrays, &[self.lead, 0], false)?;
        let learned =
            |k: usize| LearnedParameters::new(&self.name, fixture.views[k].clone(), places, self.layers);
        let job = LearnJob {
            pattern: pattern.clone(),
            learned: learned(0)?,
            gradient: learned(1)?,
            moments: None,
            method: Method::Gradient,
            rates: RESTING,
            decay: 0.0,
            floors: Floors::default(),
            bound: Some(self.rounds),
        };
        let mut dispatches = Update::bind(kernels, &job)?;
        let mut iterations: Vec<Iteration> =
            (0..self.layers).map(|_| Iteration::new(self.components)).collect();
        let numbers = fixture.views[0].clone();
        for last in [false, true] {
            set(device, queue, &mut dispatches, UpdateParameters { rate: 0.1, step: 1 })?;
            let after = if last {
                fixture.run_once(device, queue, dispatches.status(), |pass| dispatches.record(pass))?;
                (0..theta.len()).map(|i| fixture.value(0, i)).collect()
            } else {
                gpu::submit(device, queue, "learn", |encoder| {
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                    dispatches.record(&mut pass);
                    Ok(())
                })?;
                words::<f32>(device, queue, numbers.buffer(), numbers.offset(), numbers.len())?
            };
            let norms = words::<u32>(device, queue, dispatches.norms(), 0, u64::from(self.layers))?;
            let status = words::<u32>(device, queue, dispatches.status(), 0, u64::from(self.layers))?;
            for (layer, iteration) in iterations.iter_mut().enumerate() {
                let place = |p: usize| layer * length + p;
                let (q, values) = (places.q(), places.values());
                let slice = |r: &std::ops::Range<usize>| &theta[place(r.start)..place(r.end)];
                let (sigma, error) = iteration.run(&pattern, slice(&values), slice(&q), self.rounds);
                let got = f32::from_bits(norms[layer]);
                let near = (f64::from(got) - sigma).abs() <= 1.01 * error;
                outcome.demand(near || (sigma.is_nan() && got.is_nan()), || {
                    format!("layer {layer}: sigma {got:e}, reference {sigma:e}, allowed {error:e}")
                });
                let lost = u32::from(!sigma.is_finite());
                outcome
                    .demand(status[layer] == lost, || format!("status {} of layer {layer}", status[layer]));
                for p in 0..length {
                    let (before, now) = (theta[place(p)], after[place(p)]);
                    let shrinks = values.contains(&p) && sigma.is_finite() && got > 1.0;
                    let expected = f64::from(before) / f64::from(if shrinks { got } else { 1.0 });
                    let distance = (f64::from(now) - expected).abs();
                    let ok = if shrinks {
                        distance <= 2.5 * crate::accuracy::ulp(expected)
                    } else {
                        now.to_bits() == before.to_bits()
                    };
                    outcome
                        .demand(ok, || format!("layer {layer}, place {p}: {now:e}, reference {expected:e}"));
                }
            }
            theta = after;
        }
        fixture.judge_surroundings(Some(1), &mut outcome);
        Ok(outcome)
    }
}
