//! What the rooms' benchmarks share: sets of buffers, filled with random numbers, checked, reset and timed.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::element::Element;
use super::{Kernels, Outcome};
use crate::error::Result;
use crate::gpu::{self, Timer, View};

/// Random numbers are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 20;

/// Elements per window in which large tensors are compared.
pub(super) const WINDOW: u64 = 4096;

/// The learning rate of everything that is timed.
pub(super) const RATE: f64 = 0.1;

/// Records one dispatch or more.
pub(super) type Recorder = Box<dyn Fn(&mut wgpu::ComputePass<'_>)>;

/// Judges what the views of a set hold after one run.
pub(super) type Judge<'a> = Box<dyn Fn(&[Vec<f32>]) -> Result<Outcome> + 'a>;

/// Where, under which name and how large a subject is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The device.
    pub device: &'a wgpu::Device,
    /// Its queue.
    pub queue: &'a wgpu::Queue,
    /// Its kernels.
    pub kernels: &'a Kernels,
    /// The subject's name, for errors.
    pub name: &'a str,
    /// About how many elements it has.
    pub elements: u64,
    /// How many sets of buffers take turns, so that a kernel finds its data in memory and not in a cache.
    pub sets: usize,
}

/// One set of buffers.
pub(super) struct Set {
    pub record: Recorder,
    /// What a check reads.
    pub seen: Vec<View>,
    /// What is laid, again and again, over which view before a measurement.
    pub refill: Vec<(wgpu::Buffer, View)>,
}

impl Set {
    /// A set whose contents no run changes, or none so that the next would take another time.
    pub fn new(
        record: impl Fn(&mut wgpu::ComputePass<'_>) + 'static,
        seen: impl IntoIterator<Item = View>,
    ) -> Self {
        Set { record: Box::new(record), seen: seen.into_iter().collect(), refill: Vec::new() }
    }
}

/// A [`super::Bench`] on the device.
pub struct Loaded {
    sets: Vec<Set>,
    /// What the comparison before any timing found.
    outcome: Outcome,
}

impl Loaded {
    /// What the comparison of one run with the float64 reference found: of every element of small tensors, of windows
    /// of large ones. Nothing is to be timed where it names a mismatch.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The most turns to be timed at once: each set takes few of them between two resets, so that its contents stay what
    /// training sees.
    #[must_use]
    pub fn most(&self) -> usize {
        4 * self.sets.len()
    }

    /// The nanoseconds of so many turns, for which the sets take turns. Before, every set gets the contents it had after
    /// loading, where a run would change them.
    ///
    /// # Errors
    /// Those of [`Timer::time`].
    pub fn time(&self, timer: &Timer, turns: usize) -> Result<f64> {
        let record = |pass: &mut wgpu::ComputePass<'_>| {
            self.sets.iter().cycle().take(turns).for_each(|set| (set.record)(pass));
        };
        timer.time(|encoder| self.reset(encoder), record)
    }

    fn reset(&self, encoder: &mut wgpu::CommandEncoder) {
        for (block, view) in self.sets.iter().flat_map(|set| &set.refill) {
            gpu::lay(encoder, block, view.buffer(), view.offset()..view.end());
        }
    }
}

impl Setup<'_> {
    /// A buffer of bytes.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<wgpu::Buffer> {
        gpu::buffer_with(self.device, self.name, bytes, gpu::USAGE)
    }

    /// A buffer that holds `values`.
    pub(super) fn filled(&self, values: &[f32]) -> Result<View> {
        let buffer = self.bytes(bytemuck::cast_slice(values))?;
        View::new(self.name, &buffer, 0, values.len() as u64)
    }

    /// A buffer for `length` values, `lead` elements past its begin.
    pub(super) fn empty(&self, lead: u64, length: u64) -> Result<View> {
        let bytes = (4 * (lead + length)).next_multiple_of(16).max(16);
        let buffer = gpu::buffer(self.device, self.name, bytes, gpu::USAGE, false)?;
        View::new(self.name, &buffer, 4 * lead, length)
    }

    /// Submits what is recorded.
    pub(super) fn submit<T>(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>) -> Result<T> {
        gpu::submit(self.device, self.queue, self.name, record)
    }

    /// Makes the sets, runs the first and judges what it left.
    pub(super) fn load(
        &self,
        set: impl FnMut() -> Result<Set>,
        judge: impl Fn(&[Vec<f32>]) -> Result<Outcome>,
    ) -> Result<Loaded> {
        let sets = std::iter::repeat_with(set).take(self.sets.max(1)).collect::<Result<Vec<_>>>()?;
        let mut loaded = Loaded { sets, outcome: Outcome::default() };
        let first = &loaded.sets[0];
        let read = gpu::read_after((self.device, self.queue), self.name, &first.seen, |encoder| {
            loaded.reset(encoder);
            (first.record)(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        })?;
        loaded.outcome = judge(&read)?;
        let named = |what| format!("{}: {what}", self.name);
        loaded.outcome.first_mismatch = loaded.outcome.first_mismatch.map(named);
        Ok(loaded)
    }
}

/// Numbers from -`largest` to `largest`, no zeros.
pub(super) fn numbers(length: u64, seed: u64, largest: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let one = |_| {
        let magnitude = rng.random_range(1e-3 * largest..largest);
        if rng.random::<bool>() { magnitude } else { -magnitude }
    };
    let block: Vec<f32> = (0..length.min(BLOCK)).map(one).collect();
    block.into_iter().cycle().take(length as usize).collect()
}

/// The first, the middle and the last elements of a long tensor, all of a short one; every window begins and ends at a
/// multiple of `unit` or where the tensor does.
pub(super) fn windows(length: u64, unit: u64) -> Vec<Range<u64>> {
    let span = (WINDOW / unit).max(1) * unit;
    if length <= 3 * span {
        return std::iter::once(0..length).collect();
    }
    // the middle one is on no boundary that a kernel knows
    let [middle, last] = [length / 2 - span / 2 + 13, length - span].map(|at| at / unit * unit);
    vec![0..span, middle..middle + span, last..length]
}

/// An array of a timed tensor: its place in an [`Element`].
type Array = fn(&mut Element) -> &mut f32;

/// Timed tensors: their arrays are the weights, the gradient and the states, filled from one random block.
pub(super) struct Tensors {
    length: u64,
    arrays: Vec<Array>,
    host: Vec<Element>,
    blocks: Vec<wgpu::Buffer>,
    gradient: bool,
    windows: Vec<Range<u64>>,
    /// Shared by all sets, so that their dispatches stand in order, as those of a schedule do.
    pub status: wgpu::Buffer,
}

/// Weights and gradients of ordinary size and either sign, states as training leaves them; no zeros.
pub(super) fn contents(length: u64) -> Vec<Element> {
    let [w, g, m, v, copy] =
        [(1, 3.0), (2, 1.0), (3, 0.5), (4, 1.0), (5, 3.0)].map(|(seed, most)| numbers(length, seed, most));
    let one = |i: usize| Element { w: w[i], g: g[i], m: m[i], v: 0.1 + 0.9 * v[i].abs(), copy: copy[i] };
    (0..w.len()).map(one).collect()
}

impl Tensors {
    /// Tensors of `length` elements with a gradient or without, so many states, and a copy or not, which are compared
    /// in `windows`.
    pub fn new(
        on: &Setup<'_>,
        length: u64,
        (gradient, states, copy): (bool, usize, bool),
        windows: Vec<Range<u64>>,
    ) -> Result<Self> {
        let mut arrays: Vec<Array> = vec![|e| &mut e.w];
        arrays.extend(gradient.then_some::<Array>(|e| &mut e.g));
        arrays.extend([(|e| &mut e.m) as Array, |e| &mut e.v].into_iter().take(states));
        arrays.extend(copy.then_some::<Array>(|e| &mut e.copy));
        let host = contents(length.min(BLOCK));
        let block = |array: &Array| {
            let values: Vec<f32> = host.iter().map(|element| *array(&mut element.clone())).collect();
            on.bytes(bytemuck::cast_slice(&values))
        };
        let blocks = arrays.iter().map(block).collect::<Result<_>>()?;
        Ok(Tensors { length, arrays, host, blocks, gradient, windows, status: on.bytes(&[0; 16])? })
    }

    /// A set: its weights lie `lead` elements past the begin of their buffer.
    pub fn set(
        &self,
        on: &Setup<'_>,
        lead: u64,
        bind: impl FnOnce(&[View]) -> Result<Recorder>,
    ) -> Result<Set> {
        let view = |k: usize| on.empty(if k == 0 { lead } else { 0 }, self.length);
        let views = (0..self.arrays.len()).map(view).collect::<Result<Vec<_>>>()?;
        let filled = self.blocks.iter().cloned().zip(views.iter().cloned());
        on.submit(|encoder| {
            for (block, view) in filled.clone() {
                gpu::lay(encoder, &block, view.buffer(), view.offset()..view.end());
            }
            Ok(())
        })?;
        let window = |view: &View, at: &Range<u64>| View {
            offset: view.offset() + 4 * at.start,
            length: at.end - at.start,
            ..view.clone()
        };
        let mut seen: Vec<View> =
            views.iter().flat_map(|view| self.windows.iter().map(|at| window(view, at))).collect();
        seen.push(View { buffer: self.status.clone(), offset: 0, length: 1 });
        // no step changes the gradient
        let refill = filled.enumerate().filter(|(k, _)| !self.gradient || *k != 1).map(|(_, pair)| pair);
        Ok(Set { record: bind(&views)?, seen, refill: refill.collect() })
    }

    /// Judges each window by `window`, of its first place and its elements before and after; and that the gradient
    /// stayed as it was and every element is finite.
    pub fn judge<'a>(&'a self, window: impl Fn(u64, &[Element], &[Element]) -> Outcome + 'a) -> Judge<'a> {
        Box::new(move |seen| {
            let mut outcome = Outcome::default();
            for (k, places) in self.windows.iter().enumerate() {
                let before = |i: u64| self.host[(i % self.host.len() as u64) as usize];
                let before: Vec<Element> = places.clone().map(before).collect();
                let mut after: Vec<Element> =
                    before.iter().map(|e| Element { m: 0.0, v: 0.0, copy: 0.0, ..*e }).collect();
                for (array, values) in self.arrays.iter().zip(seen[k..].iter().step_by(self.windows.len())) {
                    after.iter_mut().zip(values).for_each(|(element, value)| *array(element) = *value);
                }
                let kept = before.iter().zip(&after).all(|(a, b)| a.g.to_bits() == b.g.to_bits());
                outcome.demand(kept, || "the gradient changed".into());
                let mut judged = window(places.start, &before, &after);
                judged.first_mismatch =
                    judged.first_mismatch.map(|what| format!("from {} on: {what}", places.start));
                outcome.merge(judged);
            }
            let broken = seen[seen.len() - 1][0].to_bits();
            outcome.demand(broken == 0, || format!("{broken} elements not finite"));
            Ok(outcome)
        })
    }
}
