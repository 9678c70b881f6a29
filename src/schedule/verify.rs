//! Checking steps against the float64 reference while training goes on.
//!
//! For a step that is checked, inputs and outputs of the chosen tensors are copied on the device, before and after the
//! dispatches and in the same encoder, and after them the step's number, which is written on the device with the step's values:
//! what comes back without it did not run. When the submission is done, worker threads compare them; nothing waits for it, but
//! where the memory for checks is spent.

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
    /// Every `every`-th recorded step, `tensors` tensors of it, drawn with `seed`. Skipped, and counted as that, where [the memory
    /// for checks](crate::schedule::Plan::set_check_memory) is spent.
    Sample {
        /// Check the first step and every this many after it (at least 1).
        every: u64,
        /// How many tensors of such a step (at least 1; all where there are fewer).
        tensors: usize,
        /// Seed of the draw.
        seed: u64,
    },
    /// Every tensor at every step. What arrives is copied, up to 64 MiB at a time, on the thread that polls the device;
    /// it is compared on worker threads. Where they fall behind and [the memory for checks](crate::schedule::Plan::set_check_memory)
    /// is spent, recording polls the device and waits for them.
    Full,
}

impl Verify {
    /// Bytes that the checks of a plan may take unless [said otherwise](crate::schedule::Plan::set_check_memory): 256 MiB.
    pub const MEMORY: u64 = 256 << 20;

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

/// Bytes of a step's number.
pub(super) const NUMBER: u64 = size_of::<u64>() as u64;

/// How long recording waits where the device is idle and no check proceeds. Another thread that polls may be copying what has
/// arrived; longer than that takes, and the checks are in encoders that nobody has submitted.
const PATIENCE: Duration = Duration::from_millis(100);

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
    /// Of all pieces; the step's number follows.
    bytes: u64,
    pieces: Vec<Piece>,
}

/// A check between the copies before and after the dispatches.
pub(super) struct Open {
    hyper: StepParameters,
    number: u64,
    batches: Vec<(wgpu::Buffer, Batch, Ticket)>,
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
    /// Bytes that they take: of those recorded their staging buffers and the copies to come, of those arrived the copies.
    bytes: u64,
    /// Recording has waited in vain, and no batch has arrived or gone since.
    stuck: bool,
}

/// Staging buffers to be used again. Worker threads hold none, and nothing else of wgpu's: the owner may destroy the
/// device, or leave the process, while they compare.
type Spare = Arc<Mutex<Vec<wgpu::Buffer>>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// One batch, recorded or under comparison; however that ends, it is no longer counted then.
struct Ticket {
    shared: Arc<Shared>,
    /// Whether it is the first of its step, which counts for the step.
    first: bool,
    /// Bytes of its staging buffer, and as many of its copy.
    bytes: u64,
    arrived: bool,
}

impl Ticket {
    fn new(shared: Arc<Shared>, first: bool, bytes: u64) -> Self {
        let mut state = shared.lock();
        state.recorded += 1;
        state.bytes += 2 * bytes;
        drop(state);
        Ticket { shared, first, bytes, arrived: false }
    }

    /// Its step has run, and it is copied.
    fn arrive(&mut self) {
        let mut state = self.shared.lock();
        state.found.steps += u64::from(self.first);
        state.recorded -= 1;
        state.arrived += 1;
        state.bytes -= self.bytes;
        state.stuck = false;
        self.arrived = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if self.arrived {
            state.arrived -= 1;
            state.bytes -= self.bytes;
        } else {
            state.found.not_run += u64::from(self.first);
            state.recorded -= 1;
            state.bytes -= 2 * self.bytes;
        }
        state.stuck = false;
        self.shared.done.notify_all();
    }
}

/// The checks of one plan.
#[derive(Debug)]
pub(super) struct Checker {
    device: wgpu::Device,
    base: Optimizer,
    verify: Verify,
    /// Bytes that the checks may take.
    memory: u64,
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
            memory: Verify::MEMORY,
            recorded: 0,
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    found,
                    trouble: None,
                    recorded: 0,
                    arrived: 0,
                    bytes: 0,
                    stuck: false,
                }),
                done: Condvar::new(),
            }),
            spare: Spare::default(),
        };
        for tensor in
            tensors.iter().filter(|t| verify != Verify::Off && t.checked.operator().groups().is_some())
        {
            let needed = checker.bytes_per_element(tensor) * tensor.views[0].length + NUMBER;
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

    /// Sets how many bytes the checks may take.
    pub fn set_memory(&mut self, bytes: u64) {
        self.memory = bytes;
    }

    /// The number of the step that is recorded next, which none before it has; 0 is none's.
    pub fn number(&self) -> u64 {
        self.recorded + 1
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
        let largest = LARGEST.min(self.device.limits().max_buffer_size - NUMBER);
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

    /// Records the copies of the inputs, where this step is checked and there is room.
    pub fn before(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        tensors: &[Bound],
        hyper: &StepParameters,
    ) -> Option<Open> {
        let chosen = self.verify.chosen(self.recorded, tensors.len());
        self.recorded += 1;
        let batches = self.batches(tensors, &chosen);
        if batches.is_empty() {
            return None;
        }
        if !self.has_room(2 * batches.iter().map(|b| b.bytes + NUMBER).sum::<u64>()) {
            self.shared.lock().found.skipped += 1;
            return None;
        }
        let mut open = Open { hyper: *hyper, number: self.recorded, batches: Vec::new() };
        for batch in batches {
            let staging = match self.staging(batch.bytes + NUMBER) {
                Ok(staging) => staging,
                Err(error) => {
                    self.trouble(error);
                    return None;
                }
            };
            for piece in &batch.pieces {
                let mut to = piece.offset;
                for k in self.arrays(&tensors[piece.tensor]).0 {
                    copy(encoder, tensors, piece, k, &staging, &mut to);
                }
            }
            let ticket = Ticket::new(self.shared.clone(), open.batches.is_empty(), staging.size());
            open.batches.push((staging, batch, ticket));
        }
        self.trim();
        Some(open)
    }

    /// Whether a check of so many bytes may be recorded now; full verification waits for earlier ones as long as any proceeds.
    /// One that is larger than the whole memory may alone.
    fn has_room(&self, needed: u64) -> bool {
        let mut waited = None;
        loop {
            let state = self.shared.lock();
            if state.bytes == 0 || state.bytes.saturating_add(needed) <= self.memory {
                return true;
            }
            if self.verify != Verify::Full || state.stuck {
                return false;
            }
            let left = (state.recorded, state.arrived);
            drop(state);
            // the caller may poll late or never
            let idle = self.device.poll(wgpu::PollType::Poll).map_or(true, |status| status.is_queue_empty());
            let (seen, since) = *waited.get_or_insert((left, Instant::now()));
            if seen != left || left.1 > 0 || !idle {
                waited = None;
            } else if since.elapsed() > PATIENCE {
                self.shared.lock().stuck = true;
            }
            self.rest();
        }
    }

    /// Lets the comparisons proceed for a moment.
    fn rest(&self) {
        const LOOK: Duration = Duration::from_millis(1);
        // On a worker thread the comparisons may have no other thread to run on.
        if rayon::yield_now() != Some(rayon::Yield::Executed) {
            let state = self.shared.lock();
            if state.recorded + state.arrived > 0 {
                drop(self.shared.done.wait_timeout(state, LOOK));
            }
        }
    }

    /// A spare buffer of so many bytes, else a new one: a larger one would take more than there is room for.
    fn staging(&self, bytes: u64) -> Result<wgpu::Buffer> {
        let mut spare = locked(&self.spare);
        if let Some(k) = spare.iter().position(|buffer| buffer.size() == bytes) {
            return Ok(spare.swap_remove(k));
        }
        drop(spare);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        gpu::buffer(&self.device, "verification", bytes, usage, false)
    }

    /// Drops spare buffers beyond the memory for checks, and notes how much they take.
    fn trim(&self) {
        let mut spare = locked(&self.spare);
        let mut state = self.shared.lock();
        let mut kept = spare.iter().map(wgpu::Buffer::size).sum::<u64>();
        while state.bytes + kept > self.memory
            && let Some(dropped) = spare.pop()
        {
            kept -= dropped.size();
        }
        state.found.memory = state.found.memory.max(state.bytes + kept);
    }

    /// Records the copies of the outputs and of the step's number, which `number` holds on the device, and what happens when they
    /// have arrived.
    pub fn after(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        tensors: &[Bound],
        open: Open,
        number: (&wgpu::Buffer, u64),
    ) {
        for (staging, batch, mut ticket) in open.batches {
            for piece in &batch.pieces {
                let (before, after) = self.arrays(&tensors[piece.tensor]);
                let mut to = piece.offset + 4 * piece.count * before.len() as u64;
                for k in after {
                    copy(encoder, tensors, piece, k, &staging, &mut to);
                }
            }
            encoder.copy_buffer_to_buffer(number.0, number.1, &staging, batch.bytes, NUMBER);
            let work: Vec<(Piece, Checked)> =
                batch.pieces.iter().map(|p| (p.clone(), tensors[p.tensor].checked.clone())).collect();
            let (spare, mapped) = (self.spare.clone(), staging.clone());
            let (base, hyper, number) = (self.base, open.hyper, open.number);
            let used = usize::try_from(batch.bytes).unwrap_or(usize::MAX);
            encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., move |result| {
                let arrived = match result {
                    Ok(()) => mapped.get_mapped_range(..).map_err(|e| e.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                let values: Option<Vec<f32>> = match arrived {
                    Ok(bytes) => {
                        let (bytes, rest) = bytes.split_at(used);
                        // A refused submission maps its buffers all the same: what they hold is an older check's.
                        let ran = rest[..NUMBER as usize] == number.to_ne_bytes();
                        ran.then(|| bytemuck::pod_collect_to_vec(bytes))
                    }
                    Err(reason) => {
                        ticket.shared.lock().trouble.get_or_insert(gpu::lost("verification", reason));
                        return;
                    }
                };
                mapped.unmap();
                locked(&spare).push(mapped);
                // counted here and not when recorded: an encoder may be dropped instead of submitted
                let Some(values) = values else { return };
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
            self.rest();
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
