//! What the rooms' benchmarks share: sets of buffers filled from a random block, checked, reset and timed.

use std::ops::Range;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::element::Element;
use super::{Loaded, Outcome};
use crate::error::Result;
use crate::gpu::{self, Readback, View};

/// Random elements are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 20;

/// Elements per window in which large tensors are compared.
pub(super) const WINDOW: u64 = 4096;

/// The learning rate of everything that is timed.
pub(super) const RATE: f64 = 0.1;

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
        copy: signed(rng, 3.0),
    }
}

/// The block for tensors of `elements`.
pub(super) fn block(elements: u64) -> Vec<Element> {
    let mut rng = ChaCha8Rng::seed_from_u64(0xbe9c);
    (0..elements.min(BLOCK)).map(|_| random(&mut rng)).collect()
}

/// Contents for a tensor of `elements`: the block, again and again.
pub(super) fn contents(elements: u64) -> Vec<Element> {
    block(elements).into_iter().cycle().take(elements as usize).collect()
}

/// What a check reads back: each array at the windows.
pub(super) struct Seen {
    windows: Vec<Range<u64>>,
    arrays: Vec<Vec<f32>>,
}

impl Seen {
    /// Every place that was read.
    pub fn places(&self) -> Vec<u64> {
        self.windows.iter().cloned().flatten().collect()
    }

    /// Element `i` of array `k`; NaN where it was not read.
    pub fn at(&self, k: usize, i: u64) -> f32 {
        let mut before = 0;
        for window in &self.windows {
            if window.contains(&i) {
                return self.arrays[k][(before + i - window.start) as usize];
            }
            before += window.end - window.start;
        }
        f32::NAN
    }
}

/// Records one dispatch or more.
pub(super) type Recorder = Box<dyn Fn(&mut wgpu::ComputePass<'_>)>;

/// Judges what was read.
pub(super) type Judge = Box<dyn Fn(&Seen, &[Element]) -> Outcome>;

/// A subject's buffers.
pub(super) struct Timed {
    pub name: String,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// The random block, and per array its copy on the device.
    pub host: Vec<Element>,
    pub blocks: Vec<wgpu::Buffer>,
    /// Shared by all sets, so that their dispatches stand in order, as those of a schedule do.
    pub status: wgpu::Buffer,
    pub sets: Vec<(Vec<View>, Recorder)>,
    /// Which array no step changes.
    pub read_only: Option<usize>,
    /// What is compared.
    pub windows: Vec<Range<u64>>,
    pub judge: Judge,
}

impl Timed {
    /// Uploads the block's arrays, in the order of `read`.
    pub fn upload(
        device: &wgpu::Device,
        host: &[Element],
        read: &[fn(&Element) -> f32],
    ) -> Result<Vec<wgpu::Buffer>> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let array = |read: &fn(&Element) -> f32| {
            let values: Vec<f32> = host.iter().map(read).collect();
            gpu::buffer_with(device, "random block", bytemuck::cast_slice(&values), usage)
        };
        read.iter().map(array).collect()
    }

    /// Gives every array of every set its contents.
    pub fn fill_all(&self) -> Result<()> {
        gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.fill(&mut encoder, |_| true);
            self.queue.submit([encoder.finish()]);
        })
    }

    /// Records copies of the random block over the arrays that `wanted` names, in every set.
    fn fill(&self, encoder: &mut wgpu::CommandEncoder, wanted: impl Fn(usize) -> bool) {
        let whole = 4 * self.host.len() as u64;
        for (views, _) in &self.sets {
            for (k, view) in views.iter().enumerate().take(self.blocks.len()).filter(|(k, _)| wanted(*k)) {
                let mut at = view.offset();
                while at < view.end() {
                    let bytes = whole.min(view.end() - at);
                    encoder.copy_buffer_to_buffer(&self.blocks[k], 0, view.buffer(), at, bytes);
                    at += bytes;
                }
            }
        }
    }
}

/// The first, the middle and the last elements of a long tensor, all of a short one.
pub(super) fn windows(length: u64) -> Vec<Range<u64>> {
    if length <= 3 * WINDOW {
        return std::iter::once(0..length).collect();
    }
    // the middle one is on no boundary that a kernel knows
    let middle = length / 2 - WINDOW / 2 + 13;
    vec![0..WINDOW, middle..middle + WINDOW, length - WINDOW..length]
}

impl Loaded for Timed {
    fn check(&self) -> Result<Outcome> {
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
                let window = |w: &Range<u64>| {
                    let (start, bytes) = (view.offset() + 4 * w.start, 4 * (w.end - w.start));
                    Readback::record(&self.device, &mut encoder, view.buffer(), start, bytes)
                };
                read.push(self.windows.iter().map(window).collect());
            }
            let status = Readback::record(&self.device, &mut encoder, &self.status, 0, 4);
            self.queue.submit([encoder.finish()]);
            (read, status)
        })?;
        let mut seen = Seen { windows: self.windows.clone(), arrays: Vec::new() };
        for of_array in read {
            let mut values = Vec::new();
            for readback in of_array {
                values.extend(readback?.wait::<f32>(&self.device)?);
            }
            seen.arrays.push(values);
        }
        let status: Vec<u32> = status?.wait(&self.device)?;

        let mut outcome = (self.judge)(&seen, &self.host);
        if let Some(k) = self.read_only {
            let block = self.host.len() as u64;
            let kept = |&i: &u64| seen.at(k, i).to_bits() == self.host[(i % block) as usize].g.to_bits();
            outcome.demand(seen.places().iter().all(kept), || "the gradient changed".into());
        }
        outcome.demand(status[0] == 0, || format!("{} elements not finite", status[0]));
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, encoder: &mut wgpu::CommandEncoder) {
        self.fill(encoder, |k| Some(k) != self.read_only);
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        (self.sets[set % self.sets.len()].1)(pass);
    }
}
