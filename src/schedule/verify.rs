//! Checking steps against the float64 reference while training goes on.
//!
//! For a step that is checked, inputs and outputs of the chosen tensors are copied on the device, before and after the
//! dispatches and in the same encoder. When the submission is done, worker threads compare them; nothing waits for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::operator::{Bound, Checked};
use super::reference;
use super::report::Verification;
use crate::error::{Error, Result};
use crate::gpu;
use crate::kernels::step::{Element, Optimizer, StepParameters};
use rand::SeedableRng;
use rand::seq::index::sample;

/// Which steps and tensors are checked against the float64 reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// None.
    Off,
    /// Every `every`-th recorded step, `tensors` tensors of it, drawn with `seed`.
    Sample {
        /// Check the first step and every this many after it (at least 1).
        every: u64,
        /// How many tensors of such a step (at least 1; all where there are fewer).
        tensors: usize,
        /// Seed of the draw.
        seed: u64,
    },
    /// Every tensor at every step. What arrives is copied, up to 64 MiB at a time, on the thread that polls the device;
    /// it is compared on worker threads.
    Full,
}

impl Verify {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Domain`] where a sample is empty.
    pub fn check(&self) -> Result<()> {
        if let Verify::Sample { every, tensors, .. } = *self {
            crate::error::require(every >= 1, "verification", "every", every, "[1, inf)")?;
            crate::error::require(tensors >= 1, "verification", "tensors", tensors, "[1, inf)")?;
        }
        Ok(())
    }

    /// The tensors to check at the `recorded`-th step (from 0).
    fn chosen(&self, recorded: u64, tensors: usize) -> Vec<usize> {
        match *self {
            Verify::Off => Vec::new(),
            Verify::Full => (0..tensors).collect(),
            Verify::Sample { every, .. } if !recorded.is_multiple_of(every) => Vec::new(),
            Verify::Sample { tensors: wanted, seed, .. } => {
                let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed ^ recorded.rotate_left(32));
                let mut drawn = sample(&mut rng, tensors, wanted.min(tensors)).into_vec();
                drawn.sort_unstable();
                drawn
            }
        }
    }
}

/// Bytes that are compared at a time, but for tensors with groups, which are compared whole.
const LARGEST: u64 = 1 << 26;

/// Elements of one tensor inside a staging buffer.
#[derive(Clone, Debug)]
struct Piece {
    tensor: usize,
    first: u64,
    count: u64,
    /// First byte of the copies, the arrays before the step and then those after it, each of `count` elements.
    offset: u64,
}

/// A staging buffer with the pieces that it takes.
#[derive(Debug)]
struct Batch {
    bytes: u64,
    pieces: Vec<Piece>,
}

/// A check between the copies before and after the dispatches.
pub(super) struct Open {
    hyper: StepParameters,
    batches: Vec<(wgpu::Buffer, Batch)>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug)]
struct State {
    found: Verification,
    trouble: Option<Error>,
    /// Batches that are recorded and have not arrived. They may never: an encoder need not be submitted.
    recorded: usize,
    /// Batches that have arrived and are not compared yet.
    arrived: usize,
}

/// Staging buffers to be used again. Worker threads hold none, and nothing else of wgpu's: the owner may destroy the
/// device, or leave the process, while they compare.
type Spare = Arc<Mutex<Vec<wgpu::Buffer>>>;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One batch, recorded or under comparison; however that ends, it is no longer counted then.
struct Ticket {
    shared: Arc<Shared>,
    arrived: bool,
}

impl Ticket {
    fn new(shared: Arc<Shared>) -> Self {
        shared.lock().recorded += 1;
        Ticket { shared, arrived: false }
    }

    fn arrive(&mut self) {
        let mut state = self.shared.lock();
        state.recorded -= 1;
        state.arrived += 1;
        self.arrived = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        match self.arrived {
            true => state.arrived -= 1,
            false => state.recorded -= 1,
        }
        self.shared.done.notify_all();
    }
}

/// The checks of one plan.
#[derive(Debug)]
pub(super) struct Checker {
    device: wgpu::Device,
    base: Optimizer,
    verify: Verify,
    recorded: u64,
    shared: Arc<Shared>,
    spare: Spare,
}

impl Checker {
    pub fn new(device: &wgpu::Device, base: Optimizer, tensors: &[Bound], verify: Verify) -> Result<Self> {
        let found = Verification::new(tensors.iter().map(|t| t.checked.allowed_ulps()));
        let limit = device.limits().max_buffer_size;
        let checker = Checker {
            device: device.clone(),
            base,
            verify,
            recorded: 0,
            shared: Arc::new(Shared {
                state: Mutex::new(State { found, trouble: None, recorded: 0, arrived: 0 }),
                done: Condvar::new(),
            }),
            spare: Spare::default(),
        };
        for tensor in
            tensors.iter().filter(|t| verify != Verify::Off && t.checked.operator().groups().is_some())
        {
            let needed = checker.bytes_per_element(tensor) * tensor.views[0].length;
            if needed > limit {
                let place = format!("{}: verification of groups", tensor.checked.name());
                return Err(Error::Limit { place, name: "max_buffer_size", needed, limit });
            }
        }
        Ok(checker)
    }

    /// Which steps are checked.
    pub fn verify(&self) -> Verify {
        self.verify
    }

    /// Keeps an error that recording could not return.
    pub fn trouble(&self, error: Error) {
        self.shared.lock().trouble.get_or_insert(error);
    }

    /// The first of a tensor's views that is a state.
    fn first_state(&self) -> usize {
        1 + usize::from(self.base.has_gradient())
    }

    /// Arrays copied before the step and after it, as indices of a tensor's views.
    fn arrays(&self, tensor: &Bound) -> (std::ops::Range<usize>, impl Iterator<Item = usize> + use<>) {
        let (first, all) = (self.first_state(), tensor.views.len());
        (0..all, std::iter::once(0).chain(first..all))
    }

    /// Bytes of all copies per element of a tensor.
    fn bytes_per_element(&self, tensor: &Bound) -> u64 {
        4 * (2 * tensor.views.len() - usize::from(self.base.has_gradient())) as u64
    }

    /// Packs the chosen tensors into staging buffers.
    fn batches(&self, tensors: &[Bound], chosen: &[usize]) -> Vec<Batch> {
        let largest = LARGEST.min(self.device.limits().max_buffer_size);
        let mut batches: Vec<Batch> = Vec::new();
        for &tensor in chosen {
            let length = tensors[tensor].views[0].length;
            let per_element = self.bytes_per_element(&tensors[tensor]);
            // groups are judged whole
            let most = if tensors[tensor].checked.operator().groups().is_some() {
                length
            } else {
                largest / per_element
            };
            let mut first = 0;
            while first < length {
                let count = most.min(length - first);
                let bytes = count * per_element;
                if batches.last().is_none_or(|b| b.bytes + bytes > largest) {
                    batches.push(Batch { bytes: 0, pieces: Vec::new() });
                }
                if let Some(batch) = batches.last_mut() {
                    batch.pieces.push(Piece { tensor, first, count, offset: batch.bytes });
                    batch.bytes += bytes;
                }
                first += count;
            }
        }
        batches
    }

    /// Records the copies of the inputs, where this step is checked.
    pub fn before(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        tensors: &[Bound],
        hyper: &StepParameters,
    ) -> Option<Open> {
        let chosen = self.verify.chosen(self.recorded, tensors.len());
        self.recorded += 1;
        if chosen.is_empty() {
            return None;
        }
        let mut open = Open { hyper: *hyper, batches: Vec::new() };
        for batch in self.batches(tensors, &chosen) {
            let spare = {
                let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
                let fits = spare.iter().position(|b| b.size() >= batch.bytes);
                fits.map(|k| spare.swap_remove(k))
            };
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let staging = match spare {
                Some(buffer) => buffer,
                None => match gpu::buffer(&self.device, "verification", batch.bytes, usage, false) {
                    Ok(buffer) => buffer,
                    Err(error) => {
                        self.trouble(error);
                        continue;
                    }
                },
            };
            for piece in &batch.pieces {
                let mut to = piece.offset;
                for k in self.arrays(&tensors[piece.tensor]).0 {
                    copy(encoder, tensors, piece, k, &staging, &mut to);
                }
            }
            open.batches.push((staging, batch));
        }
        Some(open)
    }

    /// Records the copies of the outputs and what happens when they have arrived.
    pub fn after(&self, encoder: &mut wgpu::CommandEncoder, tensors: &[Bound], open: Open) {
        for (k, (staging, batch)) in open.batches.into_iter().enumerate() {
            for piece in &batch.pieces {
                let (before, after) = self.arrays(&tensors[piece.tensor]);
                let mut to = piece.offset + 4 * piece.count * before.len() as u64;
                for k in after {
                    copy(encoder, tensors, piece, k, &staging, &mut to);
                }
            }
            let work: Vec<(Piece, Checked)> =
                batch.pieces.iter().map(|p| (p.clone(), tensors[p.tensor].checked.clone())).collect();
            let (spare, mapped) = (self.spare.clone(), staging.clone());
            let mut ticket = Ticket::new(self.shared.clone());
            let (base, hyper, starts) = (self.base, open.hyper, k == 0);
            let used = usize::try_from(batch.bytes).unwrap_or(usize::MAX);
            encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., move |result| {
                let arrived = match result {
                    Ok(()) => mapped.get_mapped_range(..).map_err(|e| e.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let values: Vec<f32> = match arrived {
                    Ok(bytes) => bytemuck::pod_collect_to_vec(&bytes[..used]),
                    Err(reason) => {
                        ticket.shared.lock().trouble.get_or_insert(gpu::lost("verification", reason));
                        return;
                    }
                };
                mapped.unmap();
                spare.lock().unwrap_or_else(PoisonError::into_inner).push(mapped);
                // counted here and not when recorded: an encoder may be dropped instead of submitted
                ticket.shared.lock().found.steps += u64::from(starts);
                ticket.arrive();
                rayon::spawn(move || finish(&ticket, base, &hyper, &values, &work));
            });
        }
    }

    pub fn check(&self) -> Result<()> {
        let state = self.shared.lock();
        match &state.trouble {
            // kept: what was not recorded or compared once stays so
            Some(error) => Err(error.clone()),
            None => state.found.judge(),
        }
    }

    pub fn result(&self) -> Result<Verification> {
        self.check()?;
        Ok(self.shared.lock().found.clone())
    }

    /// Waits for the worker threads. The device must have been polled until its queue was empty: then every submitted
    /// check has arrived, or is about to in another thread that polls. One that is recorded only is waited for in vain.
    pub fn join(&self) {
        const LOOK: Duration = Duration::from_millis(1);
        let mut last = (Instant::now(), 0);
        loop {
            let state = self.shared.lock();
            if state.recorded != last.1 {
                last = (Instant::now(), state.recorded);
            }
            if state.arrived == 0 && (state.recorded == 0 || last.0.elapsed() > gpu::LATE) {
                return;
            }
            drop(state);
            // On a worker thread the comparisons may have no other thread to run on.
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                let state = self.shared.lock();
                if state.recorded + state.arrived > 0 {
                    drop(self.shared.done.wait_timeout(state, LOOK));
                }
            }
        }
    }
}

/// Records the copy of one array of a piece.
fn copy(
    encoder: &mut wgpu::CommandEncoder,
    tensors: &[Bound],
    piece: &Piece,
    view: usize,
    staging: &wgpu::Buffer,
    to: &mut u64,
) {
    let view = &tensors[piece.tensor].views[view];
    encoder.copy_buffer_to_buffer(&view.buffer, view.offset + 4 * piece.first, staging, *to, 4 * piece.count);
    *to += 4 * piece.count;
}

/// Compares a batch that has arrived.
fn finish(
    ticket: &Ticket,
    base: Optimizer,
    hyper: &StepParameters,
    values: &[f32],
    work: &[(Piece, Checked)],
) {
    for (piece, checked) in work {
        let count = piece.count as usize;
        let start = piece.offset as usize / 4;
        let array = |k: usize, i: usize| values[start + k * count + i];
        let gradient = usize::from(base.has_gradient());
        let states = base.states();
        let arrays = 1 + gradient + checked.states();
        let element = |i: usize| {
            let read = |first: usize| {
                let state = |k: usize| if states > k { array(first + k, i) } else { 0.0 };
                let copy = if checked.operator().keeps() { array(first + states, i) } else { 0.0 };
                Element { m: state(0), v: state(1), copy, ..Element::default() }
            };
            let g = if gradient == 1 { array(1, i) } else { 0.0 };
            let before = Element { w: array(0, i), g, ..read(1 + gradient) };
            let after = Element { w: array(arrays, i), g, ..read(arrays + 1) };
            (before, after)
        };
        let step = checked.hyper(hyper).step();
        let report = match checked.settings().rests {
            true => reference::untouched(step, piece.first, count, element),
            false => reference::compare(&*checked.reference(hyper), step, piece.first, count, element),
        };
        ticket.shared.lock().found.add(piece.tensor, &report);
    }
}
