//! What is timed of the step: every penalty after a gradient step, every base step, aligned and not; and the same work
//! in two passes, which is what a user would run without a fused kernel.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Base, Dispatches, Element, Hyper, Job, Reference, Row, Variant, Width};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::{Bench, Kernels, Loaded, Outcome, compare};
use crate::penalty::{L1, NoPenalty, Penalty, Tl1};

/// Random elements are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 20;

/// Elements per window in which large tensors are compared.
pub(in crate::kernels) const WINDOW: u64 = 4096;

/// A rate and a lambda whose product zeroes about a tenth of the weights under l1 and leaves the others standing for
/// the few steps that one set of buffers takes between two resets.
pub(in crate::kernels) const RATE: f64 = 0.1;
pub(in crate::kernels) const LAMBDA: f64 = 2.5;

/// Where the weights start, in elements, so that their offset differs from the others' modulo one word.
const ASKEW: u64 = 1;

/// One kernel, or the two that do its work.
#[derive(Clone, Copy, Debug)]
struct Subject {
    base: Base,
    penalty: Penalty,
    width: Width,
    /// The base step writes its point to memory, and the prox reads it back.
    two_passes: bool,
}

/// Every subject. Base steps that share a kernel are timed once.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let stands_for_all: [Penalty; 2] = [L1.into(), Tl1::default().into()];
    let mut pairs: Vec<(Base, Penalty, Width)> =
        Penalty::all().into_iter().map(|penalty| (Base::Gradient, penalty, Width::Vec4)).collect();
    for base in Base::all() {
        pairs.extend(stands_for_all.map(|penalty| (base, penalty, Width::Vec4)));
        pairs.push((base, stands_for_all[0], Width::Scalar));
    }
    let mut seen = std::collections::HashSet::new();
    pairs
        .into_iter()
        .filter(|&(base, penalty, width)| {
            Variant::new(base, penalty, width).is_ok_and(|variant| seen.insert(variant.name()))
        })
        .map(|(base, penalty, width)| {
            Box::new(Subject { base, penalty, width, two_passes: false }) as Box<dyn Bench>
        })
        .collect()
}

impl Subject {
    fn arrays(&self) -> usize {
        1 + usize::from(self.base.has_gradient()) + self.base.states()
    }

    /// The steps that do the work, in order.
    fn steps(&self) -> Vec<(Base, Penalty)> {
        if self.two_passes {
            vec![(self.base, NoPenalty.into()), (Base::Prox, self.penalty)]
        } else {
            vec![(self.base, self.penalty)]
        }
    }

    /// The twin of all steps together: memory between two passes holds the same f32 that a fused kernel computes.
    fn reference(&self, hyper: &Hyper) -> Reference {
        Reference::new(self.base, self.penalty, LAMBDA, 1.0, hyper)
    }
}

fn hyper() -> Result<Hyper> {
    Hyper::new(RATE, 10)
}

/// Weights and gradients of ordinary size and either sign, states as training leaves them; no zeros.
fn random(rng: &mut impl Rng) -> Element {
    let signed = |rng: &mut _, largest: f32| {
        let magnitude = RngExt::random_range(rng, 1e-3 * largest..largest);
        if RngExt::random::<bool>(rng) { magnitude } else { -magnitude }
    };
    Element {
        w: signed(rng, 3.0),
        g: signed(rng, 1.0),
        m: signed(rng, 0.5),
        v: rng.random_range(0.1f32..1.0),
        ..Element::default()
    }
}

/// The random elements that tensors are filled with.
pub(in crate::kernels) fn block(elements: u64) -> Vec<Element> {
    let mut rng = ChaCha8Rng::seed_from_u64(0xbe9c);
    (0..elements.min(BLOCK)).map(|_| random(&mut rng)).collect()
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let width = self.width;
        let name = |(base, penalty)| Variant { base, penalty, width }.name();
        self.steps().into_iter().map(name).collect::<Vec<_>>().join(" + ")
    }

    fn bytes(&self, elements: u64) -> u64 {
        self.steps().iter().map(|(base, _)| base.bytes_per_element() * elements).sum()
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * self.arrays() as u64 * elements
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let hyper = hyper()?;
        let host = block(elements);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let read: [fn(&Element) -> f32; 4] = [|e| e.w, |e| e.g, |e| e.m, |e| e.v];
        let read: Vec<_> = match self.base.has_gradient() {
            true => read[..self.arrays()].to_vec(),
            false => vec![read[0]],
        };
        let mut blocks = Vec::new();
        for read in &read {
            let values: Vec<f32> = host.iter().map(read).collect();
            blocks.push(gpu::buffer_with(device, "random block", bytemuck::cast_slice(&values), usage)?);
        }

        let steps = self.steps();
        let rows: Vec<Row> =
            steps.iter().map(|&(b, p)| Reference::new(b, p, LAMBDA, 1.0, &hyper).row()).collect();
        let rows = gpu::buffer_with(device, "rows", bytemuck::cast_slice(&rows), usage)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let lead = if self.width == Width::Scalar { ASKEW } else { 0 };
        let mut loaded = OnDevice {
            name: format!("step/{} at {elements} elements", self.variant()),
            device: device.clone(),
            queue: queue.clone(),
            subject: *self,
            reference: self.reference(&hyper),
            host,
            blocks,
            status,
            sets: Vec::new(),
        };
        for _ in 0..sets.max(1) {
            let mut views = Vec::new();
            for k in 0..self.arrays() {
                let lead = if k == 0 { lead } else { 0 };
                let bytes = 4 * (lead + elements);
                let buffer = gpu::buffer(device, "timed tensor", bytes.next_multiple_of(16), usage, false)?;
                views.push(View::new(&loaded.name, &buffer, 4 * lead, elements)?);
            }
            let mut dispatches = Vec::new();
            for (row, &(base, penalty)) in steps.iter().enumerate() {
                let views = views[..if base.has_gradient() { views.len() } else { 1 }].to_vec();
                let job = Job { penalty, views, row };
                dispatches.push(Dispatches::bind(kernels, base, &[job], &rows, &loaded.status)?);
            }
            loaded.sets.push((views, dispatches));
        }
        gpu::guarded(device, &loaded.name, 0, || {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            loaded.fill(&mut encoder, |_| true);
            queue.submit([encoder.finish()]);
        })?;
        Ok(Box::new(loaded))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.width == Width::Scalar {
            return None;
        }
        let twin = self.reference(&hyper().ok()?);
        let mut before = block(elements);
        before = before.iter().copied().cycle().take(elements as usize).collect();
        let mut after = before.clone();
        Some(Box::new(move || {
            after
                .par_iter_mut()
                .zip(&before)
                .with_min_len(1024)
                .for_each(|(after, before)| *after = twin.step(*before).0);
            std::hint::black_box(&after);
        }))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        let representative = matches!(self.penalty, Penalty::L1(_) | Penalty::Tl1(_));
        let timed = self.base == Base::Gradient && self.width == Width::Vec4 && !self.two_passes;
        (representative && timed).then(|| Box::new(Subject { two_passes: true, ..*self }) as Box<dyn Bench>)
    }
}

/// A subject's buffers.
struct OnDevice {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    subject: Subject,
    reference: Reference,
    /// The random block, and per array its copy on the device.
    host: Vec<Element>,
    blocks: Vec<wgpu::Buffer>,
    /// Shared by all sets, so that their dispatches stand in order, as those of a schedule do.
    status: wgpu::Buffer,
    sets: Vec<(Vec<View>, Vec<Dispatches>)>,
}

impl OnDevice {
    /// Which array is the gradient, the one that no step changes.
    fn gradient(&self) -> Option<usize> {
        self.subject.base.has_gradient().then_some(1)
    }

    /// Records copies of the random block over the arrays that `wanted` names, in every set.
    fn fill(&self, encoder: &mut wgpu::CommandEncoder, wanted: impl Fn(usize) -> bool) {
        let whole = 4 * self.host.len() as u64;
        for (views, _) in &self.sets {
            for (k, view) in views.iter().enumerate().filter(|(k, _)| wanted(*k)) {
                let mut at = view.offset();
                while at < view.end() {
                    let bytes = whole.min(view.end() - at);
                    encoder.copy_buffer_to_buffer(&self.blocks[k], 0, view.buffer(), at, bytes);
                    at += bytes;
                }
            }
        }
    }

    /// The ranges of elements that are compared.
    fn windows(&self) -> Vec<std::ops::Range<u64>> {
        let length = self.sets[0].0[0].length();
        if length <= 3 * WINDOW {
            return std::iter::once(0..length).collect();
        }
        // the middle one is on no boundary that a kernel knows
        let middle = length / 2 - WINDOW / 2 + 13;
        vec![0..WINDOW, middle..middle + WINDOW, length - WINDOW..length]
    }
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let windows = self.windows();
        let (read, status) = gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.clear_buffer(&self.status, 0, None);
            self.reset(&mut encoder);
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                self.record(&mut pass, 0);
            }
            let mut read: Vec<Vec<Result<Readback>>> = Vec::new();
            for view in &self.sets[0].0 {
                let window = |w: &std::ops::Range<u64>| {
                    let (from, bytes) = (view.offset() + 4 * w.start, 4 * (w.end - w.start));
                    Readback::record(&self.device, &mut encoder, view.buffer(), from, bytes)
                };
                read.push(windows.iter().map(window).collect());
            }
            let status = Readback::record(&self.device, &mut encoder, &self.status, 0, 4);
            self.queue.submit([encoder.finish()]);
            (read, status)
        })?;
        // per array, the windows end to end
        let mut arrays: Vec<Vec<f32>> = Vec::new();
        for of_array in read {
            let mut values = Vec::new();
            for readback in of_array {
                values.extend(readback?.wait::<f32>(&self.device)?);
            }
            arrays.push(values);
        }
        let status: Vec<u32> = status?.wait(&self.device)?;

        let places: Vec<u64> = windows.into_iter().flatten().collect();
        let before = |i: usize| self.host[(places[i] % self.host.len() as u64) as usize];
        let state = |k: usize, i: usize| arrays.get(2 + k).map_or(0.0, |values| values[i]);
        let after = |i: usize| Element { w: arrays[0][i], m: state(0, i), v: state(1, i), ..before(i) };
        let mut outcome =
            compare(places.len(), |i| self.reference.judge(before(i), after(i)), |i| after(i).w);
        if let Some(k) = self.gradient() {
            let kept = (0..places.len()).all(|i| arrays[k][i].to_bits() == before(i).g.to_bits());
            outcome.demand(kept, || "the gradient changed".into());
        }
        outcome.demand(status[0] == 0, || format!("{} elements not finite", status[0]));
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, encoder: &mut wgpu::CommandEncoder) {
        self.fill(encoder, |k| Some(k) != self.gradient());
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        for dispatches in &self.sets[set % self.sets.len()].1 {
            dispatches.record(pass);
        }
    }
}
