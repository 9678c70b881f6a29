//! What the kernels' benchmarks share: sets of buffers, filled with random numbers, checked, reset and timed.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::element::Element;
use super::step::{Optimizer, StepParameters};
use super::{Batch, Bench, Dispatches, Judgement, Order, Outcome, PipelineCache, compare};
use crate::error::{Error, Result};
use crate::gpu::{self, Timer, View};
use crate::penalty::Groups;

/// Random numbers are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 20;

/// Elements per window in which large tensors are compared.
const WINDOW: u64 = 4096;

/// Components of the vectors in a timed batch.
pub(super) const COMPONENTS: u32 = 64;

/// Where, under which name and how large a subject is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The device.
    pub device: &'a wgpu::Device,
    /// Its queue.
    pub queue: &'a wgpu::Queue,
    /// Its kernels.
    pub kernels: &'a PipelineCache,
    /// The subject's name, for errors.
    pub name: &'a str,
    /// About how many elements it has.
    pub elements: u64,
    /// How many sets of buffers take turns, so that a kernel finds its data in memory and not in a cache.
    pub sets: usize,
}

/// One set of buffers.
pub(crate) struct Set {
    pub record: Box<dyn Fn(&mut wgpu::ComputePass<'_>)>,
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

    /// Itself where the comparison found nothing wrong.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with the first mismatch.
    pub fn checked(self) -> Result<Self> {
        match self.outcome.mismatched.first().cloned() {
            None => Ok(self),
            Some(mismatch) => Err(Error::Mismatch(mismatch)),
        }
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
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<wgpu::Buffer> {
        gpu::buffer_with(self.device, self.name, bytes, gpu::USAGE)
    }

    /// A buffer that holds `values`.
    pub(crate) fn filled(&self, values: &[f32]) -> Result<View> {
        let buffer = self.bytes(bytemuck::cast_slice(values))?;
        View::new(self.name, &buffer, 0, values.len() as u64)
    }

    /// The view of a batch of [`vectors`].
    pub(super) fn batch(&self, view: View) -> Result<Batch> {
        Batch::new(self.name, view, COMPONENTS, vectors(self.elements), Order::FeatureMajor)
    }

    /// A buffer for `length` values, `lead` elements past its begin.
    pub(crate) fn empty(&self, lead: u64, length: u64) -> Result<View> {
        let bytes = (4 * (lead + length)).next_multiple_of(16).max(16);
        let buffer = gpu::buffer(self.device, self.name, bytes, gpu::USAGE, false)?;
        View::new(self.name, &buffer, 4 * lead, length)
    }

    /// Submits what is recorded.
    pub(crate) fn submit<T>(&self, record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>) -> Result<T> {
        gpu::submit(self.device, self.queue, self.name, record)
    }

    /// Makes the sets, runs the first and judges what it left.
    pub(crate) fn load(
        &self,
        set: impl FnMut() -> Result<Set>,
        judge: impl Fn(&[Vec<f32>], &mut Outcome),
    ) -> Result<Loaded> {
        let sets = std::iter::repeat_with(set).take(self.sets.max(1)).collect::<Result<Vec<_>>>()?;
        let mut loaded = Loaded { sets, outcome: Outcome::default() };
        let first = &loaded.sets[0];
        let read = gpu::read_after((self.device, self.queue), self.name, &first.seen, |encoder| {
            loaded.reset(encoder);
            (first.record)(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        })?;
        judge(&read, &mut loaded.outcome);
        let named = |what| format!("{}: {what}", self.name);
        loaded.outcome = loaded.outcome.told(named);
        Ok(loaded)
    }
}

/// Numbers from -`largest` to `largest`, no zeros.
pub(crate) fn numbers(length: u64, seed: u64, largest: f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let one = |_| {
        let magnitude = rng.random_range(1e-3 * largest..largest);
        if rng.random::<bool>() { magnitude } else { -magnitude }
    };
    let block: Vec<f32> = (0..length.min(BLOCK)).map(one).collect();
    block.into_iter().cycle().take(length as usize).collect()
}

/// Such numbers for each of these largest magnitudes.
pub(super) fn arrays<const N: usize>(length: u64, largest: [f32; N]) -> [Vec<f32>; N] {
    std::array::from_fn(|k| numbers(length, k as u64 + 1, largest[k]))
}

/// How many vectors of [`COMPONENTS`] make about so many elements; at least one.
pub(super) fn vectors(elements: u64) -> u32 {
    (elements / u64::from(COMPONENTS)).clamp(1, u64::from(u32::MAX)) as u32
}

/// The elements that such vectors really have.
pub(super) fn whole(elements: u64) -> u64 {
    u64::from(COMPONENTS) * u64::from(vectors(elements))
}

/// So many random batches of such vectors.
pub(super) fn batches<const N: usize>(elements: u64) -> [Vec<f32>; N] {
    arrays(whole(elements), [2.0; N])
}

/// A kernel's subjects.
pub(super) fn boxed<B: Bench + 'static>(subjects: impl IntoIterator<Item = B>) -> Vec<Box<dyn Bench>> {
    subjects.into_iter().map(|subject| Box::new(subject) as Box<dyn Bench>).collect()
}

/// The reference that does `work` on the host.
pub(super) fn host<T>(mut work: impl FnMut() -> T + 'static) -> Option<Box<dyn FnMut()>> {
    Some(Box::new(move || drop(std::hint::black_box(work()))))
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

/// The values of every step that is timed.
pub(super) fn hyper() -> Result<StepParameters> {
    StepParameters::new(0.1, 10)
}

/// Weights and gradients of ordinary size and either sign, states as training leaves them; no zeros.
pub(super) fn contents(length: u64) -> Vec<Element> {
    let [w, g, m, v, copy] = arrays(length, [3.0, 1.0, 0.5, 1.0, 3.0]);
    let one = |i: usize| Element { w: w[i], g: g[i], m: m[i], v: 0.1 + 0.9 * v[i].abs(), copy: copy[i] };
    (0..w.len()).map(one).collect()
}

/// The bytes of a set of tensors.
pub(super) fn footprint(base: Optimizer, copy: bool, length: u64) -> u64 {
    4 * of_step(base, copy).len() as u64 * length
}

/// The arrays of a step's tensors: the weights, the gradient where it has one, the states, and a copy or not.
fn of_step(base: Optimizer, copy: bool) -> Vec<Array> {
    let mut arrays: Vec<Array> = vec![|e| &mut e.w];
    arrays.extend(base.has_gradient().then_some::<Array>(|e| &mut e.g));
    arrays.extend([(|e| &mut e.m) as Array, |e| &mut e.v].into_iter().take(base.states()));
    arrays.extend(copy.then_some::<Array>(|e| &mut e.copy));
    arrays
}

/// The reference of a step on such tensors: `step` takes each run of `size` elements with its number.
pub(super) fn host_runs<T>(
    length: u64,
    size: usize,
    step: impl Fn(u64, &mut [Element]) -> T + Sync + 'static,
) -> Option<Box<dyn FnMut()>> {
    let before = contents(length);
    let mut after = before.clone();
    host(move || {
        let runs = after.par_chunks_mut(size).zip(before.par_chunks(size)).enumerate();
        runs.with_min_len((1024 / size).max(1)).for_each(|(g, (after, before))| {
            after.copy_from_slice(before);
            step(g as u64, after);
        });
        std::hint::black_box(&after);
    })
}

/// Judges the groups of a window one by one; where a group's members lie apart, so that the window is the whole tensor,
/// the first and the last.
pub(super) fn by_groups(
    groups: &Groups,
    judge: impl Fn(u64, &[Element], &[Element]) -> Vec<Judgement>,
) -> impl Fn(u64, &[Element], &[Element]) -> Outcome {
    move |start, before, after| {
        let (size, count) = (groups.size(0), groups.count());
        let some = (WINDOW / size).max(1);
        let (within, apart) =
            (start / size..(start + before.len() as u64).div_ceil(size), groups.run_length() > 0);
        let mut outcome = Outcome::default();
        for g in within.filter(|&g| !apart || g < some || g >= count.saturating_sub(some)) {
            let places: Vec<usize> = groups.members(g).map(|i| i - start as usize).collect();
            let [before, after] =
                [before, after].map(|all| places.iter().map(|&i| all[i]).collect::<Vec<_>>());
            let verdicts = judge(g, &before, &after);
            let from = |i: usize| format!("{:?} became {:?}", before[i], after[i]);
            let judged = compare(after.len(), |i| verdicts[i], |i| after[i].w, from);
            outcome.merge(judged.told(|what| format!("group {g}, {what}")));
        }
        outcome
    }
}

impl Tensors {
    /// Tensors of these groups, of which whole ones are compared: all of the tensor where a group's members lie apart.
    pub fn of_groups(on: &Setup<'_>, groups: &Groups, shape: (Optimizer, bool)) -> Result<Self> {
        let unit = if groups.run_length() > 0 { groups.len() } else { groups.size(0) };
        Tensors::new(on, groups.len(), shape, windows(groups.len(), unit))
    }

    /// Tensors of `length` elements for a base step, with a copy or not, which are compared in `windows`.
    pub fn new(
        on: &Setup<'_>,
        length: u64,
        (base, copy): (Optimizer, bool),
        windows: Vec<Range<u64>>,
    ) -> Result<Self> {
        let arrays = of_step(base, copy);
        let host = contents(length.min(BLOCK));
        let block = |array: &Array| {
            let values: Vec<f32> = host.iter().map(|element| *array(&mut element.clone())).collect();
            on.bytes(bytemuck::cast_slice(&values))
        };
        let blocks = arrays.iter().map(block).collect::<Result<_>>()?;
        let (gradient, status) = (base.has_gradient(), on.bytes(&[0; 16])?);
        Ok(Tensors { length, arrays, host, blocks, gradient, windows, status })
    }

    /// Loads sets that run what `bind` makes of them, their weights `lead` elements past the begin of their buffer.
    ///
    /// Each window is judged by `window`, of its first place and its elements before and after; besides, the gradient
    /// must stay as it was and every element be finite.
    pub fn load(
        &self,
        on: &Setup<'_>,
        lead: u64,
        bind: impl Fn(&[View]) -> Result<Dispatches>,
        window: impl Fn(u64, &[Element], &[Element]) -> Outcome,
    ) -> Result<Loaded> {
        on.load(|| self.set(on, lead, &bind), |seen, outcome| self.judge(seen, outcome, &window))
    }

    fn set(&self, on: &Setup<'_>, lead: u64, bind: impl Fn(&[View]) -> Result<Dispatches>) -> Result<Set> {
        let view = |k: usize| on.empty(if k == 0 { lead } else { 0 }, self.length);
        let views = (0..self.arrays.len()).map(view).collect::<Result<Vec<_>>>()?;
        let filled = self.blocks.iter().cloned().zip(views.iter().cloned());
        on.submit(|encoder| {
            for (block, view) in filled.clone() {
                gpu::lay(encoder, &block, view.buffer(), view.offset()..view.end());
            }
            Ok(())
        })?;
        let window =
            |view: &View, at: &Range<u64>| view.part(view.offset() + 4 * at.start, at.end - at.start);
        let mut seen: Vec<View> =
            views.iter().flat_map(|view| self.windows.iter().map(|at| window(view, at))).collect();
        seen.push(View::own(&self.status, 0, 1));
        // no step changes the gradient
        let refill = filled.enumerate().filter(|(k, _)| !self.gradient || *k != 1).map(|(_, pair)| pair);
        let dispatches = bind(&views)?;
        Ok(Set { refill: refill.collect(), ..Set::new(move |pass| dispatches.record(pass), seen) })
    }

    fn judge(
        &self,
        seen: &[Vec<f32>],
        outcome: &mut Outcome,
        window: impl Fn(u64, &[Element], &[Element]) -> Outcome,
    ) {
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
            let judged = window(places.start, &before, &after);
            outcome.merge(judged.told(|what| format!("from {} on: {what}", places.start)));
        }
        let broken = seen[seen.len() - 1][0].to_bits();
        outcome.demand(broken == 0, || format!("{broken} elements not finite"));
    }
}
