//! Binding tensors to kernels, and recording steps.

use std::collections::HashMap;
use std::sync::Arc;

use super::Spec;
use super::operator::{Bound, Checked};
use super::report::Verification;
use super::rooms::{self, Rows};
use super::verify::{Checker, Verify};
use crate::error::{Error, Result, shape, unsupported};
use crate::gpu::{self, Readback, Ring, View};
use crate::kernels::step::{Base, Hyper, LANES};
use crate::kernels::{Dispatches, Kernels};
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
    /// step). Without this the plan allocates them.
    #[must_use]
    pub fn with_states(mut self, states: Vec<View>) -> Self {
        self.views.states = states;
        self
    }
}

impl Views {
    /// Every view with its name in messages.
    fn named(&self, name: &str) -> impl Iterator<Item = (String, &View)> {
        std::iter::once((format!("{name}: W"), &self.weights))
            .chain(self.gradient.iter().map(move |g| (format!("{name}: G"), g)))
            .chain(self.states.iter().enumerate().map(move |(k, s)| (format!("{name}: state {k}"), s)))
    }
}

/// Binds tensors to kernels on one device, which stays its owner's.
///
/// ```no_run
/// use maf_srl::gpu::View;
/// use maf_srl::kernels::step::{Base, Hyper};
/// use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};
/// # fn embed(device: &wgpu::Device, queue: &wgpu::Queue, page: &wgpu::Buffer) -> maf_srl::Result<()> {
/// let schedule = Schedule::new(device);
/// // W and G of a layer lie in one page of the pipeline's allocator.
/// let tensor = Tensor::new(
///     Spec::new("layer1.weight", "tl1(a=1)".parse()?, 1e-3),
///     View::new("layer1.weight", page, 0, 100)?,
/// )
/// .with_gradient(View::new("layer1.weight.grad", page, 416, 100)?);
/// let mut plan = schedule.bind(Base::Gradient, &[tensor], Verify::Off)?;
/// for step in 1..=100 {
///     let mut encoder = device.create_command_encoder(&Default::default());
///     // ... the pipeline's own backward pass ...
///     plan.record(&mut encoder, &Hyper::new(0.1, step)?);
///     queue.submit([encoder.finish()]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Schedule {
    device: wgpu::Device,
    kernels: Arc<Kernels>,
}

impl Schedule {
    /// For a borrowed device. No handler is installed on it; pipelines are compiled by [`Schedule::bind`] and kept.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        Self::with_kernels(device, Kernels::new(device))
    }

    /// The same with the given kernels, which must belong to `device`.
    #[must_use]
    pub fn with_kernels(device: &wgpu::Device, kernels: Kernels) -> Self {
        Schedule { device: device.clone(), kernels: Arc::new(kernels) }
    }

    /// Checks everything, compiles what is missing, and allocates tables, states and staging.
    ///
    /// The plan keeps the bound buffers alive while it lives. One that its owner destroys all the same turns a recorded step
    /// into a validation error of the owner's submission, as any use of a destroyed buffer does.
    ///
    /// # Errors
    /// [`Error::Domain`] and [`Error::Unsupported`] for parameters and combinations, [`Error::Shape`] for lengths that
    /// differ, [`Error::Overlap`] for views that share memory, [`Error::Limit`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`] and [`Error::Gpu`] for what the device cannot give. Nothing has been recorded then.
    pub fn bind(&self, base: Base, tensors: &[Tensor], verify: Verify) -> Result<Plan> {
        base.check()?;
        verify.check()?;
        let check = |tensor: &Tensor| Ok((Checked::new(base, &tensor.spec)?, tensor.views.clone()));
        self.bind_checked(base, tensors.iter().map(check).collect::<Result<Vec<Placed>>>()?, verify)
    }

    /// The same, where base step, verification and the tensors' numbers are checked already.
    pub(super) fn bind_checked(&self, base: Base, tensors: Vec<Placed>, verify: Verify) -> Result<Plan> {
        for tensor in &tensors {
            check(base, tensor, verify)?;
        }
        refuse_overlap(&tensors)?;

        let states = self.states(&tensors)?;
        let mut rows = Rows::default();
        let mut bound = Vec::with_capacity(tensors.len());
        for ((checked, Views { weights, gradient, .. }), states) in tensors.into_iter().zip(states) {
            let row = rows.row_of(&checked);
            let views = [weights].into_iter().chain(gradient).chain(states).collect();
            bound.push(Bound { checked, views, row });
        }
        rows.place(u64::from(self.device.limits().min_storage_buffer_offset_alignment));

        let ring = Ring::new(&self.device, rows.bytes, SLOTS)?;
        let status =
            gpu::buffer(&self.device, "status words", (4 * bound.len() as u64).max(16), gpu::USAGE, false)?;
        let checker = Checker::new(&self.device, base, &bound, verify)?;
        let mut dispatches = rooms::bind(&self.kernels, base, &bound, &rows, ring.target(), &status)?;
        let regularised = rooms::bind_learned(&self.kernels, &bound, &rows, ring.target())?;
        dispatches.extend(regularised.clone());
        Ok(Plan {
            device: self.device.clone(),
            kernels: self.kernels.clone(),
            base,
            rows,
            ring,
            status,
            dispatches,
            regularised,
            tensors: bound,
            checker,
        })
    }

    /// The states of every tensor: the caller's, or new ones, zero, aligned with the weights modulo one word.
    fn states(&self, tensors: &[Placed]) -> Result<Vec<Vec<View>>> {
        let mut all: Vec<Vec<View>> = tensors.iter().map(|(_, views)| views.states.clone()).collect();
        let most = tensors.iter().map(|(checked, _)| checked.states()).max().unwrap_or(0);
        for state in 0..most {
            let wanted = |(checked, views): &Placed| views.states.is_empty() && checked.states() > state;
            let missing: Vec<usize> = (0..tensors.len()).filter(|&k| wanted(&tensors[k])).collect();
            let pieces = missing.iter().map(|&k| {
                let w = &tensors[k].1.weights;
                (w.offset % (4 * LANES), 4 * w.length)
            });
            let (sizes, places) = gpu::pack(self.device.limits().max_buffer_size, pieces);
            let mut buffers = Vec::new();
            for &bytes in &sizes {
                buffers.push(gpu::buffer(&self.device, "optimiser state", bytes, gpu::USAGE, false)?);
            }
            for (&k, &(page, offset)) in missing.iter().zip(&places) {
                all[k].push(View::new(
                    "optimiser state",
                    &buffers[page],
                    offset,
                    tensors[k].1.weights.length,
                )?);
            }
        }
        Ok(all)
    }
}

/// Whether one tensor's views are right.
fn check(base: Base, (checked, views): &Placed, verify: Verify) -> Result<()> {
    let (name, length) = (checked.name(), views.weights.length);
    if base.has_gradient() != views.gradient.is_some() {
        let has = if base.has_gradient() { "without" } else { "with" };
        let what = format!("base step {} {has} a gradient", base.name());
        return Err(unsupported(name, what, "a gradient for every base step but prox"));
    }
    let states = checked.states();
    if !views.states.is_empty() && views.states.len() != states {
        return Err(shape(name, "number of states", views.states.len(), states));
    }
    if let Some(expected) =
        checked.operator().groups().map(Groups::length).filter(|expected| *expected != length)
    {
        let expected = format!("{expected}, as its groups have");
        return Err(shape(format!("{name}: W"), "length", length, expected));
    }
    for (place, view) in views.named(name) {
        if view.length != length {
            return Err(shape(place, "length", view.length, format!("{length}, as W has")));
        }
        if verify != Verify::Off && !view.buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            let what = "verification of a buffer without BufferUsages::COPY_SRC";
            return Err(unsupported(place, what, "buffers with COPY_SRC, or Verify::Off"));
        }
    }
    Ok(())
}

/// Refuses views of one plan that share memory.
#[expect(clippy::mutable_key_type, reason = "a buffer is hashed by its identity, which never changes")]
fn refuse_overlap(tensors: &[Placed]) -> Result<()> {
    let mut by_buffer: HashMap<&wgpu::Buffer, Vec<(String, &View)>> = HashMap::new();
    for (name, view) in
        tensors.iter().flat_map(|(checked, views)| views.named(checked.name())).filter(|(_, v)| v.length > 0)
    {
        by_buffer.entry(&view.buffer).or_default().push((name, view));
    }
    for views in by_buffer.values_mut() {
        views.sort_by_key(|(_, v)| v.offset);
        for pair in views.windows(2) {
            if let Some(shared) = pair[0].1.overlap(pair[1].1) {
                return Err(Error::Overlap {
                    first: pair[0].0.clone(),
                    second: pair[1].0.clone(),
                    start: shared.start,
                    end: shared.end,
                });
            }
        }
    }
    Ok(())
}

/// Tensors bound to kernels: recorded each step into the caller's encoder.
#[derive(Debug)]
pub struct Plan {
    device: wgpu::Device,
    kernels: Arc<Kernels>,
    base: Base,
    rows: Rows,
    ring: Ring,
    status: wgpu::Buffer,
    /// All of a step.
    dispatches: Dispatches,
    /// The last of them, which read no gradient.
    regularised: Dispatches,
    tensors: Vec<Bound>,
    checker: Checker,
}

impl Plan {
    /// Records one step of every tensor. Submits nothing, and allocates nothing but, where more than eight recorded
    /// steps are not done yet, one more small staging slot. (What is verified takes memory for its comparison.)
    ///
    /// The step keeps the values of `hyper` whatever is recorded after it. Steps take effect in the order in which
    /// their encoders are submitted; one whose encoder is dropped has no effect.
    ///
    /// It cannot fail: what goes wrong while recording (a device lost meanwhile, no memory for a check) is returned by
    /// [`Plan::verification`].
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, hyper: &Hyper) {
        if !self.stage(encoder, hyper) {
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
            self.checker.after(encoder, &self.tensors, check);
        }
    }

    /// Records the first half of a step: its values go to the device and the status words to zero. Returns whether
    /// that could be recorded; where not, [`Plan::dispatch`] must be left out, for it would repeat an older step. For
    /// callers who put that into a pass of their own.
    #[must_use]
    pub fn stage(&mut self, encoder: &mut wgpu::CommandEncoder, hyper: &Hyper) -> bool {
        let (base, rows) = (self.base, &self.rows);
        match self.ring.record(encoder, |write| rows.write(base, hyper, write)) {
            Ok(()) => {
                encoder.clear_buffer(&self.status, 0, None);
                true
            }
            Err(error) => {
                self.checker.trouble(error);
                false
            }
        }
    }

    /// Records the second half: one dispatch per bucket, and those of regularisers. Not verified.
    pub fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.dispatches.record(pass);
    }

    /// Reads the gradients from other views from the next recorded step on, one per tensor in the order of binding: for
    /// pipelines whose backward pass puts them into new memory each time. States, status words, checks and steps recorded
    /// already stay as they are. Costs new tables of offsets; a kernel is compiled only where the offsets of a tensor agree
    /// modulo four elements and did not before, or the other way round; groups are then summed in another
    /// order. On an error the plan is as it was.
    ///
    /// # Errors
    /// Those of [`Schedule::bind`] for the views.
    pub fn rebind(&mut self, gradients: &[View]) -> Result<()> {
        if gradients.len() != self.tensors.len() {
            return Err(shape("rebind", "number of gradients", gradients.len(), self.tensors.len()));
        }
        let rebound = |(bound, gradient): (&Bound, &View)| {
            let (weights, gradient) = (bound.views[0].clone(), Some(gradient.clone()));
            let states = bound.views.get(2..).unwrap_or_default().to_vec();
            (bound.checked.clone(), Views { weights, gradient, states })
        };
        let tensors: Vec<Placed> = self.tensors.iter().zip(gradients).map(rebound).collect();
        for tensor in &tensors {
            check(self.base, tensor, self.checker.verify())?;
        }
        refuse_overlap(&tensors)?;
        let mut bound = self.tensors.clone();
        for (one, gradient) in bound.iter_mut().zip(gradients) {
            one.views[1] = gradient.clone();
        }
        let (rows, target) = (&self.rows, self.ring.target());
        self.dispatches = rooms::bind(&self.kernels, self.base, &bound, rows, target, &self.status)?;
        self.dispatches.extend(self.regularised.clone());
        self.tensors = bound;
        Ok(())
    }

    /// How many dispatches a step takes.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// How many staging slots there are.
    #[must_use]
    pub fn staging_slots(&self) -> usize {
        self.ring.slots()
    }

    /// The base step.
    #[must_use]
    pub fn base(&self) -> Base {
        self.base
    }

    /// The states of a tensor (by its position at binding), the copy of variable splitting last: for checkpoints, and for
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
        self.tensors.get(tensor).filter(|t| t.checked.operator().has_copy()).and_then(|t| t.views.last())
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
    /// costs a wait of two seconds.
    ///
    /// # Errors
    /// As [`Plan::verification`].
    pub fn finish(&self) -> Result<Verification> {
        gpu::wait(&self.device, "verification")?;
        self.checker.join();
        self.checker.result()
    }
}
