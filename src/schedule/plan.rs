//! Binding tensors to kernels, and recording steps.

use std::sync::Arc;

use super::bindings::Bindings;
use super::kernels::{self, Learned, Rows};
use super::operator::{self, Bound, Checked, Operator};
use super::report::Verification;
use super::verify::{Checker, Verify};
use super::{Settings, Spec};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, same, shape, unsupported};
use crate::gpu::{self, Readback, Ring, View};
use crate::kernels::spmm::metric::Matrices;
use crate::kernels::step::{Optimizer, StepParameters, VECTOR_WIDTH};
use crate::kernels::tables::Tables;
use crate::kernels::{Dispatches, PipelineCache, refuse_overlap_among};
use crate::penalty::Groups;

/// Steps that may be recorded before the first of them is done, without the staging ring growing.
const SLOTS: usize = 8;

/// A tensor as the caller holds it: views of weights, gradient and, if the caller keeps them, states.
#[derive(Clone, Debug)]
pub struct Tensor {
    spec: Spec,
    views: Views,
}

/// The views of a tensor.
#[derive(Clone, Debug)]
pub(super) struct Views {
    pub weights: View,
    pub gradient: Option<View>,
    /// None where the plan makes them.
    pub states: Vec<View>,
}

/// A tensor whose numbers are right, whatever its views are.
type Placed = (Checked, Views);

impl Tensor {
    /// The weights, stepped in place.
    #[must_use]
    pub fn new(spec: Spec, weights: View) -> Self {
        Tensor { spec, views: Views { weights, gradient: None, states: Vec::new() } }
    }

    /// The gradient, read at each step; it may lie in the same buffer as the weights.
    #[must_use]
    pub fn with_gradient(mut self, gradient: View) -> Self {
        self.views.gradient = Some(gradient);
        self
    }

    /// The states in the caller's own buffers ([`Spec::states`] of them, as long as the weights, zero before the first
    /// step). The copy of variable splitting and the coefficients of a learned regulariser, which come last, are -0.0 before it where
    /// zeros are to stay from the first step on: +0.0 is a zero that stays. Without this the plan allocates them.
    #[must_use]
    pub fn with_states(mut self, states: Vec<View>) -> Self {
        self.views.states = states;
        self
    }
}

/// Binds tensors to kernels on one device, which stays its owner's.
///
/// ```no_run
/// use maf_srl::gpu::View;
/// use maf_srl::kernels::step::{Optimizer, StepParameters};
/// use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};
/// # fn embed(device: &wgpu::Device, queue: &wgpu::Queue, page: &wgpu::Buffer) -> maf_srl::Result<()> {
/// let schedule = Schedule::new(device);
/// // W and G of a layer lie in one page of the pipeline's allocator.
/// let tensor = Tensor::new(
///     Spec::new("layer1.weight", "tl1(a=1)".parse()?, 1e-3),
///     View::new("layer1.weight", page, 0, 100)?,
/// )
/// .with_gradient(View::new("layer1.weight.grad", page, 416, 100)?);
/// let mut plan = schedule.bind(Optimizer::Gradient, &[tensor], Verify::Off)?;
/// for step in 1..=100 {
///     let mut encoder = device.create_command_encoder(&Default::default());
///     // ... the pipeline's own backward pass ...
///     plan.record(&mut encoder, &StepParameters::new(0.1, step)?);
///     queue.submit([encoder.finish()]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Schedule {
    device: wgpu::Device,
    kernels: Arc<PipelineCache>,
}

impl Schedule {
    /// For a borrowed device. No handler is installed on it; pipelines are compiled by [`Schedule::bind`] and kept.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        Self::with_pipelines(device, PipelineCache::new(device))
    }

    /// The same with the given kernels, which must belong to `device`.
    #[must_use]
    pub fn with_pipelines(device: &wgpu::Device, kernels: PipelineCache) -> Self {
        Schedule { device: device.clone(), kernels: Arc::new(kernels) }
    }

    /// Checks everything, compiles what is missing, and allocates tables, states and staging.
    ///
    /// The plan keeps the bound buffers alive while it lives. One that its owner destroys all the same turns a recorded step
    /// into a validation error of the owner's submission, as any use of a destroyed buffer does.
    ///
    /// Buffers must be of this device. One of another device of the same [`wgpu::Instance`] is refused; one of another instance
    /// wgpu 30 looks up by a number that means nothing here: it panics, or takes the buffer for another that has the number.
    /// Nothing that wgpu says of a buffer without unsafe code tells its instance, so that this cannot be an error of ours.
    ///
    /// # Errors
    /// [`Error::Domain`] and [`Error::Unsupported`] for parameters and combinations, [`Error::Shape`] for lengths that
    /// differ, and for the shape of a view, where it was said, that groups are not made for, [`Error::Overlap`] for views that share memory, [`Error::Limit`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`] and [`Error::Gpu`] for what the device cannot give. Nothing has been recorded then.
    pub fn bind(&self, base: Optimizer, tensors: &[Tensor], verify: Verify) -> Result<Plan> {
        base.check()?;
        verify.check()?;
        let check = |tensor: &Tensor| Ok((Checked::new(base, &tensor.spec)?, tensor.views.clone()));
        self.bind_checked(base, tensors.iter().map(check).collect::<Result<Vec<Placed>>>()?, verify)
    }

    /// The same, where base step, verification and the tensors' numbers are checked already.
    pub(super) fn bind_checked(&self, base: Optimizer, tensors: Vec<Placed>, verify: Verify) -> Result<Plan> {
        let mut rows = Rows::default();
        let mut bound = Vec::with_capacity(tensors.len());
        for (checked, views) in tensors {
            check_kinds(base, &checked, &views)?;
            let row = rows.next(checked.operator());
            let views = [views.weights].into_iter().chain(views.gradient).chain(views.states).collect();
            bound.push(Bound { checked, views, row });
        }
        for tensor in &bound {
            check(base, tensor, verify)?;
        }
        refuse_overlap(base, &bound)?;
        self.add_states(&mut bound)?;
        rows.place(u64::from(self.device.limits().min_storage_buffer_offset_alignment));

        let target = gpu::buffer(&self.device, "hyper-parameters", rows.bytes, gpu::USAGE, false)?;
        let ring = Ring::new(&self.device, "hyper-parameter slot", rows.bytes, SLOTS)?;
        let status =
            gpu::buffer(&self.device, "status words", (4 * bound.len() as u64).max(16), gpu::USAGE, false)?;
        let checker = Checker::new(&self.device, base, &bound, verify)?;
        let mut plan = Plan {
            kernels: self.kernels.clone(),
            base,
            rows,
            ring,
            target,
            status,
            matrices: Matrices::default(),
            bindings: Bindings::new(&self.device),
            dispatches: Dispatches::default(),
            learned: Vec::new(),
            tensors: bound,
            checker,
            device: self.device.clone(),
        };
        plan.bind()?;
        Ok(plan)
    }

    /// Gives tensors without states new ones, aligned with the weights modulo one word: zero, and [`ABSENT`] for what is kept
    /// beside the weights and is not there before the first step.
    fn add_states(&self, tensors: &mut [Bound]) -> Result<()> {
        let wanted =
            |bound: &Bound| 1 + usize::from(bound.checked.base().has_gradient()) + bound.checked.states();
        let keeps = |bound: &Bound| bound.checked.operator().keeps();
        let without: Vec<usize> =
            (0..tensors.len()).filter(|&k| tensors[k].views.len() < wanted(&tensors[k])).collect();
        for kept in [false, true] {
            loop {
                let misses = |&&k: &&usize| {
                    let left = wanted(&tensors[k]) - tensors[k].views.len();
                    left > 0 && kept == (left == 1 && keeps(&tensors[k]))
                };
                let missing: Vec<usize> = without.iter().filter(misses).copied().collect();
                if missing.is_empty() {
                    break;
                }
                let pieces = missing.iter().map(|&k| {
                    let w = &tensors[k].views[0];
                    (w.offset % (4 * VECTOR_WIDTH), 4 * w.length)
                });
                let (sizes, places) = gpu::pack(self.device.limits().max_buffer_size, pieces);
                let new = |&bytes: &u64| state(&self.device, bytes, kept);
                let buffers = sizes.iter().map(new).collect::<Result<Vec<_>>>()?;
                for (&k, &(page, offset)) in missing.iter().zip(&places) {
                    let length = tensors[k].views[0].length;
                    tensors[k].views.push(View::new("optimiser state", &buffers[page], offset, length)?);
                }
            }
        }
        Ok(())
    }
}

/// What stands in a copy or a coefficient before the first step: -0.0, which counts as 0 and which no kernel writes, so that it is
/// no zero that stays.
pub(super) const ABSENT: f32 = -0.0;

/// A page of states: zero, or of what is kept and not there yet.
fn state(device: &wgpu::Device, bytes: u64, kept: bool) -> Result<wgpu::Buffer> {
    if !kept {
        return gpu::buffer(device, "optimiser state", bytes, gpu::USAGE, false);
    }
    let absent = vec![ABSENT; bytes as usize / size_of::<f32>()];
    gpu::buffer_with(device, "optimiser state", bytemuck::cast_slice(&absent), gpu::USAGE)
}

/// Whether a tensor has the views that its step needs.
fn check_kinds(base: Optimizer, checked: &Checked, views: &Views) -> Result<()> {
    let name = checked.name();
    if base.has_gradient() != views.gradient.is_some() {
        let has = if base.has_gradient() { "without" } else { "with" };
        let what = format!("base step {} {has} a gradient", base.name());
        return Err(unsupported(name, what, "a gradient for every base step but prox"));
    }
    let states = checked.states();
    if !views.states.is_empty() && views.states.len() != states {
        return Err(shape(name, "number of states", views.states.len(), states));
    }
    Ok(())
}

/// What messages call a view of a tensor.
fn named(base: Optimizer, name: &str, view: usize) -> String {
    match (view, base.has_gradient()) {
        (0, _) => format!("{name}: W"),
        (1, true) => format!("{name}: G"),
        (k, gradient) => format!("{name}: state {}", k - 1 - usize::from(gradient)),
    }
}

/// Whether a tensor's views fit each other, its groups and what is verified.
fn check(base: Optimizer, tensor: &Bound, verify: Verify) -> Result<()> {
    let Bound { checked, views, .. } = tensor;
    let length = views[0].length;
    let groups = checked.operator().groups().map(Groups::len);
    if let Some(expected) = groups.filter(|expected| *expected != length) {
        let expected = format!("{expected}, as its groups have");
        return Err(shape(named(base, checked.name(), 0), "length", length, expected));
    }
    let shapes = |groups: &Groups| {
        let said = views.iter().enumerate().filter_map(|(k, view)| Some((k, view.shape()?)));
        said.into_iter().try_for_each(|(k, shape)| groups.fits(&named(base, checked.name(), k), shape))
    };
    checked.operator().groups().map_or(Ok(()), shapes)?;
    for (k, view) in views.iter().enumerate() {
        if view.length != length {
            let expected = format!("{length}, as W has");
            return Err(shape(named(base, checked.name(), k), "length", view.length, expected));
        }
        if verify != Verify::Off && !view.buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            let what = "verification of a buffer without BufferUsages::COPY_SRC";
            let allowed = "buffers with COPY_SRC, or Verify::Off";
            return Err(unsupported(named(base, checked.name(), k), what, allowed));
        }
    }
    Ok(())
}

/// Refuses views of one plan that share memory, but for gradients among themselves, which are only read.
fn refuse_overlap(base: Optimizer, tensors: &[Bound]) -> Result<()> {
    let is_gradient = |k: usize| base.has_gradient() && k == 1;
    let views = tensors.iter().enumerate().flat_map(|(tensor, bound)| {
        bound.views.iter().enumerate().map(move |(k, view)| ((tensor, k), view, !is_gradient(k)))
    });
    refuse_overlap_among(views, |(tensor, k)| named(base, tensors[tensor].checked.name(), k))
}

/// New places of what a plan's tensors lie in: for each kind that moved, one view per tensor in the order of binding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Update<'a> {
    weights: Option<&'a [View]>,
    gradients: Option<&'a [View]>,
    states: Option<&'a [Vec<View>]>,
}

impl<'a> Update<'a> {
    /// Nothing has moved.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The weights lie here now. Their contents are the caller's: none is copied.
    #[must_use]
    pub fn with_weights(self, weights: &'a [View]) -> Self {
        Update { weights: Some(weights), ..self }
    }

    /// The gradients lie here now. They may share memory with each other, so that tensors which sit out, whose gradients no step
    /// reads, can all have one view of zeros; but not with weights or states.
    #[must_use]
    pub fn with_gradients(self, gradients: &'a [View]) -> Self {
        Update { gradients: Some(gradients), ..self }
    }

    /// The states lie here now, as many of each tensor as [`Plan::states`] has. Their contents are the caller's: none is
    /// copied.
    #[must_use]
    pub fn with_states(self, states: &'a [Vec<View>]) -> Self {
        Update { states: Some(states), ..self }
    }

    /// The views of one tensor that are given, each with its place among the views of the tensor.
    fn of(&self, base: Optimizer, tensor: usize) -> impl Iterator<Item = (usize, &'a View)> + use<'a> {
        let first = 1 + usize::from(base.has_gradient());
        let weights = self.weights.map(|all| (0, &all[tensor]));
        let gradient = self.gradients.map(|all| (1, &all[tensor]));
        let states = self.states.map_or(&[][..], |all| &all[tensor]);
        weights.into_iter().chain(gradient).chain((first..).zip(states))
    }

    /// Whether there are as many views as a plan has.
    fn check(&self, base: Optimizer, tensors: &[Bound]) -> Result<()> {
        if self.gradients.is_some() && !base.has_gradient() {
            let what = format!("gradients for the base step {}", base.name());
            return Err(unsupported("update", what, "every base step but prox"));
        }
        let counts = [
            ("number of weights", self.weights.map(<[View]>::len)),
            ("number of gradients", self.gradients.map(<[View]>::len)),
            ("number of tensors with states", self.states.map(<[Vec<View>]>::len)),
        ];
        for (what, count) in counts {
            same("update", what, count.unwrap_or(tensors.len()), tensors.len())?;
        }
        for (bound, states) in tensors.iter().zip(self.states.unwrap_or_default()) {
            same(bound.checked.name(), "number of states", states.len(), bound.checked.states())?;
        }
        Ok(())
    }
}

/// Tensors bound to kernels: recorded each step into the caller's encoder.
#[derive(Debug)]
pub struct Plan {
    device: wgpu::Device,
    kernels: Arc<PipelineCache>,
    base: Optimizer,
    rows: Rows,
    ring: Ring,
    /// The rows on the device.
    target: wgpu::Buffer,
    status: wgpu::Buffer,
    matrices: Matrices,
    bindings: Bindings,
    dispatches: Dispatches,
    /// What goes before and after them: the operators of learned regularisers, which read no gradient.
    learned: Vec<Learned>,
    tensors: Vec<Bound>,
    checker: Checker,
}

/// A step whose values are recorded and whose dispatches are not: see [`Plan::stage`].
#[derive(Debug)]
#[must_use = "the step's values are recorded, but no weight moves unless it is dispatched"]
pub struct Staged<'a> {
    plan: &'a Plan,
}

impl Staged<'_> {
    /// Records the second half of the step: one dispatch per bucket, and those of regularisers. Not verified.
    pub fn dispatch(self, pass: &mut wgpu::ComputePass<'_>) {
        self.plan.dispatch(pass);
    }
}

impl Plan {
    /// Records one step of every tensor that does not sit out. Submits nothing, and allocates nothing but, where more than eight
    /// recorded steps are not done yet, one more small staging slot. What is verified takes memory for its comparison, within
    /// [`Plan::set_check_memory`]; only [`Verify::Full`] waits where that is spent.
    ///
    /// The step keeps the values of `hyper`, and the [`Settings`] and views of now, whatever is recorded after it. Steps take
    /// effect in the order in which their encoders are submitted; one whose encoder is dropped has no effect.
    ///
    /// It cannot fail: what goes wrong while recording (a device lost meanwhile, no memory for a check) is returned by
    /// [`Plan::verification`].
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, hyper: &StepParameters) {
        if !self.begin(encoder, hyper, self.checker.number()) {
            return;
        }
        let check = self.checker.before(encoder, &self.tensors, hyper);
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("maf-srl step"),
                timestamp_writes: None,
            });
            self.dispatch(&mut pass);
        }
        if let Some(check) = check {
            self.checker.after(encoder, &self.tensors, check, (&self.target, self.rows.number));
        }
        self.count();
    }

    /// Records the first half of a step: its values go to the device and the status words to zero. The second half is
    /// [`Staged::dispatch`], into a compute pass of the caller's own in the same encoder. None where the first half could not be
    /// recorded, for then the second would repeat an older step; why is returned by [`Plan::verification`].
    pub fn stage(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        hyper: &StepParameters,
    ) -> Option<Staged<'_>> {
        if !self.begin(encoder, hyper, 0) {
            return None;
        }
        self.count();
        Some(Staged { plan: self })
    }

    /// `number` is 0 for a step that is not verified.
    fn begin(&mut self, encoder: &mut wgpu::CommandEncoder, hyper: &StepParameters, number: u64) -> bool {
        let Plan { rows, tensors, ring, target, .. } = self;
        let write = |write: &mut dyn FnMut(u64, &[u8])| rows.write(tensors, hyper, number, write);
        if let Err(error) = ring.record(encoder, target, write) {
            self.checker.trouble(error);
            return false;
        }
        // the words of tensors that sit out are left alone
        let mut at = 0;
        for run in self.tensors.chunk_by(|a, b| a.checked.settings().rests == b.checked.settings().rests) {
            let bytes = 4 * run.len() as u64;
            if !run[0].checked.settings().rests {
                encoder.clear_buffer(&self.status, at, Some(bytes));
            }
            at += bytes;
        }
        true
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        let takes = |learned: &&Learned| !self.tensors[learned.tensor].checked.settings().rests;
        let learned = || self.learned.iter().filter(takes).map(|learned| &learned.dispatches);
        learned().for_each(|[before, _]| before.record(pass));
        self.dispatches.record(pass);
        learned().for_each(|[_, after]| after.record(pass));
    }

    fn count(&mut self) {
        self.tensors.iter_mut().for_each(|tensor| tensor.checked.count());
    }

    /// Sets how many bytes staging buffers and copies for checks may take at a time, [`Verify::MEMORY`] until then. A check takes
    /// twice what it compares: W, G and the states before a step, and W and the states after it. One that is larger than `bytes`
    /// runs alone, so that the bound is the larger of both.
    ///
    /// Where earlier checks leave no room, [`Verify::Sample`] skips the check. With [`Verify::Full`] recording polls the device and
    /// waits until the comparisons have made room, on any thread, whether the caller polls or not. Only what is recorded and not
    /// submitted cannot be waited for: where nothing else is left, the check is skipped after a tenth of a second. What was skipped
    /// is counted in [`Verification::skipped`].
    pub fn set_check_memory(&mut self, bytes: u64) {
        self.checker.set_memory(bytes);
    }

    /// How a tensor, by its position at binding, takes its next step. None where there are not so many tensors.
    #[must_use]
    pub fn settings(&self, tensor: usize) -> Option<&Settings> {
        self.tensors.get(tensor).map(|bound| bound.checked.settings())
    }

    /// Has a tensor take its steps in another way from the next recorded step on; steps recorded already stay as they are.
    ///
    /// ```no_run
    /// # use maf_srl::schedule::Plan;
    /// # fn freeze(plan: &mut Plan) -> maf_srl::Result<()> {
    /// // zeros of the first tensor stay from now on, and its learning rate is halved
    /// if let Some(mut settings) = plan.settings(0).copied() {
    ///     settings.freeze = true;
    ///     settings.lr_scale *= 0.5;
    ///     plan.set(0, settings)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a number outside its range and a tensor that is not there; [`Error::Unsupported`] for a lambda of
    /// groups or a weight decay where there is none. The settings are as they were then.
    pub fn set(&mut self, tensor: usize, settings: Settings) -> Result<()> {
        operator::set(self.tensors.iter_mut().map(|bound| &mut bound.checked), tensor, settings)
    }

    /// Takes the views of weights, gradients and states that have moved, from the next recorded step on: for pipelines whose
    /// memory is their framework's. Settings, status words, checks, totals and steps recorded already stay as they are. Returns
    /// whether anything had moved; where nothing had, it returns at once. Where views moved, tables of offsets are made
    /// anew; bind groups of buffers that were bound not long ago are taken again. A kernel is compiled only where the offsets of a
    /// tensor agree modulo four elements and did not before, or the other way round; groups are then summed in another order.
    ///
    /// # Errors
    /// Those of [`Schedule::bind`] for the views. The plan is as it was then.
    pub fn update(&mut self, update: &Update<'_>) -> Result<bool> {
        let base = self.base;
        update.check(base, &self.tensors)?;
        let mut moved = Vec::new();
        for (tensor, bound) in self.tensors.iter_mut().enumerate() {
            for (k, view) in update.of(base, tensor) {
                if bound.views[k] != *view {
                    moved.push((tensor, k, std::mem::replace(&mut bound.views[k], view.clone())));
                }
            }
        }
        if moved.is_empty() {
            return Ok(false);
        }
        let verify = self.checker.verify();
        let fits = |of: &[(usize, usize, View)]| check(base, &self.tensors[of[0].0], verify);
        let checked = moved.chunk_by(|a, b| a.0 == b.0).try_for_each(fits);
        let done = checked.and_then(|()| refuse_overlap(base, &self.tensors)).and_then(|()| self.bind());
        if done.is_err() {
            for (tensor, k, before) in moved {
                self.tensors[tensor].views[k] = before;
            }
        }
        done.map(|()| true)
    }

    /// Makes the dispatches of the views of now. On an error they are as they were.
    fn bind(&mut self) -> Result<()> {
        let Plan { kernels, tensors, rows, target, status, matrices, .. } = self;
        let learned = kernels::bind_learned(kernels, tensors, rows, target, matrices, &self.learned)?;
        let base = self.base;
        let lay = |tables: &mut Tables| kernels::lay(kernels, base, tensors, rows, (target, status), tables);
        self.dispatches = self.bindings.update(lay)?;
        self.learned = learned;
        Ok(())
    }

    /// How many bind groups are kept, those of the views of now and of the eight updates before that moved any, and the bytes of
    /// all buffers, the caller's and the plan's, that they keep alive. Those of learned regularisers are made anew where their
    /// weights move, and none is kept.
    #[must_use]
    pub fn pinned(&self) -> (usize, u64) {
        self.bindings.pinned()
    }

    /// Lets go of all bind groups, and with them of all buffers, that the views of now do not need: after a large piece of memory
    /// has moved for good.
    pub fn trim(&mut self) {
        self.bindings.trim();
    }

    /// How many dispatches a step takes.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
            + self.learned.iter().flat_map(|learned| &learned.dispatches).map(|d| d.len()).sum::<usize>()
    }

    /// How many staging slots there are.
    #[must_use]
    pub fn staging_slots(&self) -> usize {
        self.ring.slots()
    }

    /// The base step.
    #[must_use]
    pub fn base(&self) -> Optimizer {
        self.base
    }

    /// The states of a tensor (by its position at binding), the copy of variable splitting or the coefficients of a learned
    /// regulariser last: for checkpoints, and for
    /// [`Tensor::with_states`] where the tensors are bound anew. None for a base step without states, and where there are
    /// not so many tensors.
    #[must_use]
    pub fn states(&self, tensor: usize) -> &[View] {
        let first = 1 + usize::from(self.base.has_gradient());
        self.tensors.get(tensor).and_then(|bound| bound.views.get(first..)).unwrap_or_default()
    }

    /// The sparse copy of a tensor under variable splitting, which is its result; none with another solver.
    #[must_use]
    pub fn copy(&self, tensor: usize) -> Option<&View> {
        self.kept(tensor, |of| matches!(of, Operator::Solved(_)))
    }

    /// What a tensor's training comes to: its sparse copy under variable splitting, else its weights. None where there are not so
    /// many tensors.
    #[must_use]
    pub fn result(&self, tensor: usize) -> Option<&View> {
        self.copy(tensor).or_else(|| self.tensors.get(tensor)?.views.first())
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(super) fn kernels(&self) -> &PipelineCache {
        &self.kernels
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.iter().map(|bound| bound.checked.name())
    }

    /// The coefficients prox_tg(Â^-T x) of a tensor with a learned regulariser, as the latest step made them, which are sparse
    /// where its weights Âᵀ of them are not; none with another operator.
    #[must_use]
    pub fn coefficients(&self, tensor: usize) -> Option<&View> {
        self.kept(tensor, |of| matches!(of, Operator::Learned(_)))
    }

    fn kept(&self, tensor: usize, of: impl Fn(&Operator) -> bool) -> Option<&View> {
        let bound = self.tensors.get(tensor)?;
        let operator = bound.checked.operator();
        if operator.keeps() && of(operator) { bound.views.last() } else { None }
    }

    /// Records a copy of the status words: per tensor, the non-finite elements that the latest step recorded before
    /// met or made.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where the staging buffer cannot be had.
    pub fn status(&self, encoder: &mut wgpu::CommandEncoder) -> Result<Readback> {
        let bytes = 4 * self.tensors.len() as u64;
        Readback::record(&self.device, encoder, &self.status, 0, bytes)
    }

    /// The buffer of the status words, one u32 per tensor.
    #[must_use]
    pub fn status_buffer(&self) -> &wgpu::Buffer {
        &self.status
    }

    /// Whether the checks that are done by now held: cheap enough for every step. Does not block; checks proceed when the
    /// device is polled.
    ///
    /// # Errors
    /// As [`Plan::verification`].
    pub fn check(&self) -> Result<()> {
        self.checker.check()
    }

    /// What the checks that are done by now found, tensor by tensor. Does not block; checks proceed when the device is polled.
    ///
    /// # Errors
    /// [`Error::Mismatch`] naming tensor, step, index, both values and the bound; or what went wrong while recording.
    pub fn verification(&self) -> Result<Verification> {
        self.checker.result()
    }

    /// Waits for every submitted check, then as [`Plan::verification`]. A check that is recorded and not submitted yet
    /// costs a wait of two seconds; one whose submission was refused counts in [`Verification::not_run`].
    ///
    /// # Errors
    /// As [`Plan::verification`].
    pub fn finish(&self) -> Result<Verification> {
        gpu::wait(&self.device, "verification")?;
        self.checker.join();
        self.checker.result()
    }
}
