//! The easy layer: weights and gradients in host memory, steps on a GPU or on the CPU.

use super::operator::{self, Checked, Operator};
use super::plan::{ABSENT, Plan, Schedule, Views};
use super::{Settings, Spec, Verification, Verify, reference};
use crate::error::{Error, Result, same};
use crate::gpu::{self, Context, Readback, View};
use crate::kernels::step::{Element, Optimizer, StepParameters};

/// Where the steps run.
#[derive(Clone, Debug)]
pub enum Backend {
    /// A GPU, or a software adapter that poses as one.
    Gpu(Box<Context>),
    /// The float64 references, on all cores. There is nothing to verify them against, so no element is counted as checked.
    Cpu,
}

impl Backend {
    /// `None`: the best adapter, else the CPU references. `Some`: an index, part of an adapter's name, or `cpu`.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where `Some` matches none; [`Error::Gpu`] where the driver gives no device.
    pub fn choose(device: Option<&str>) -> Result<Self> {
        match device {
            Some(text) if text.trim().eq_ignore_ascii_case("cpu") => Ok(Backend::Cpu),
            Some(text) => Context::new(Some(text)).map(|c| Backend::Gpu(Box::new(c))),
            None => match Context::new(None) {
                Err(Error::NoAdapter { .. }) => Ok(Backend::Cpu),
                other => other.map(|c| Backend::Gpu(Box::new(c))),
            },
        }
    }

    /// The adapter's name and backend, or `cpu (float64 references)`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Backend::Gpu(context) => context.name(),
            Backend::Cpu => "cpu (float64 references)".into(),
        }
    }
}

/// What one step found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Non-finite elements per tensor that the step met or made.
    pub nonfinite: Vec<u32>,
}

/// Many tensors held where the steps run, stepped with gradients from the host.
#[derive(Debug)]
pub struct HostSchedule {
    base: Optimizer,
    lengths: Vec<(String, usize)>,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Gpu { context: Box<Context>, plan: Box<Plan>, pages: Vec<Page>, places: Vec<(usize, u64)> },
    Cpu { checked: Vec<Checked>, tensors: Vec<Vec<Element>>, nonfinite: Vec<u32> },
}

/// Weights and gradients of as many tensors as fit a buffer, laid out alike.
#[derive(Debug)]
struct Page {
    weights: wgpu::Buffer,
    gradients: Option<wgpu::Buffer>,
    bytes: u64,
}

impl HostSchedule {
    /// Uploads `weights`, one slice per spec. Tensors may be empty.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers of specs and slices differ; those of [`Schedule::bind`].
    pub fn new(
        backend: &Backend,
        specs: &[Spec],
        weights: &[&[f32]],
        base: Optimizer,
        verify: Verify,
    ) -> Result<Self> {
        same("weights", "number of tensors", weights.len(), specs.len())?;
        base.check()?;
        verify.check()?;
        // here, and not by binding alone: nothing is allocated before all is known to be right
        let all = specs.iter().map(|spec| Checked::new(base, spec)).collect::<Result<Vec<_>>>()?;
        for (checked, w) in all.iter().zip(weights) {
            if let Some(groups) = checked.operator().groups() {
                same(checked.name(), "length of W", w.len(), groups.len() as usize)?;
            }
        }
        let lengths = all.iter().zip(weights).map(|(c, w)| (c.name().into(), w.len())).collect();
        let engine = match backend {
            Backend::Gpu(context) => gpu_engine(context, all, weights, base, verify)?,
            Backend::Cpu => {
                let load = |w: &&[f32]| {
                    w.iter().map(|&w| Element { w, copy: ABSENT, ..Element::default() }).collect()
                };
                let nonfinite = vec![0; all.len()];
                Engine::Cpu { checked: all, tensors: weights.iter().map(load).collect(), nonfinite }
            }
        };
        Ok(HostSchedule { base, lengths, engine })
    }

    /// One step: a gradient per tensor in (none at all for [`Optimizer::Prox`]), the new weights out.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the tensor whose lengths differ; [`Error::Mismatch`] where a check that is done by now
    /// failed; the errors of the device.
    pub fn step(
        &mut self,
        hyper: StepParameters,
        gradients: &[&[f32]],
        weights: &mut [&mut [f32]],
    ) -> Result<StepReport> {
        let wanted = if self.base.has_gradient() { self.lengths.len() } else { 0 };
        same("gradients", "number of tensors", gradients.len(), wanted)?;
        same("weights", "number of tensors", weights.len(), self.lengths.len())?;
        for (k, (name, length)) in self.lengths.iter().enumerate() {
            same(name, "length of W", weights[k].len(), *length)?;
            if let Some(gradient) = gradients.get(k) {
                same(name, "length of G", gradient.len(), *length)?;
            }
        }
        match &mut self.engine {
            Engine::Gpu { context, plan, pages, places } => {
                gpu_step(context, plan, pages, places, &hyper, gradients, weights)
            }
            Engine::Cpu { checked, tensors, nonfinite } => {
                for (k, tensor) in tensors.iter_mut().enumerate() {
                    if checked[k].settings().rests {
                        continue;
                    }
                    if let Some(gradient) = gradients.get(k) {
                        tensor.iter_mut().zip(*gradient).for_each(|(e, &g)| e.g = g);
                    }
                    nonfinite[k] = reference::step(&*checked[k].reference(&hyper), tensor);
                    checked[k].count();
                }
                for (weights, tensor) in weights.iter_mut().zip(tensors) {
                    weights.iter_mut().zip(tensor).for_each(|(w, e)| *w = e.w);
                }
                Ok(StepReport { nonfinite: nonfinite.clone() })
            }
        }
    }

    /// How a tensor takes its next step, as [`Plan::settings`].
    #[must_use]
    pub fn settings(&self, tensor: usize) -> Option<&Settings> {
        match &self.engine {
            Engine::Gpu { plan, .. } => plan.settings(tensor),
            Engine::Cpu { checked, .. } => checked.get(tensor).map(Checked::settings),
        }
    }

    /// Has a tensor take its steps in another way, as [`Plan::set`].
    ///
    /// # Errors
    /// Those of [`Plan::set`].
    pub fn set(&mut self, tensor: usize, settings: Settings) -> Result<()> {
        match &mut self.engine {
            Engine::Gpu { plan, .. } => plan.set(tensor, settings),
            Engine::Cpu { checked, .. } => operator::set(checked.iter_mut(), tensor, settings),
        }
    }

    /// Sets the memory for checks, as [`Plan::set_check_memory`]; nothing on the CPU.
    pub fn set_check_memory(&mut self, bytes: u64) {
        if let Engine::Gpu { plan, .. } = &mut self.engine {
            plan.set_check_memory(bytes);
        }
    }

    /// The sparse copies of variable splitting, its results: per tensor, none where it has another solver.
    ///
    /// # Errors
    /// The errors of the device.
    pub fn copies(&self) -> Result<Vec<Option<Vec<f32>>>> {
        match &self.engine {
            Engine::Gpu { context, plan, .. } => {
                let mut read = Vec::with_capacity(self.lengths.len());
                context.submit("copies", |encoder| {
                    for copy in (0..self.lengths.len()).map(|k| plan.copy(k)) {
                        let record = |v: &View| {
                            Readback::record(&context.device, encoder, v.buffer(), v.offset(), 4 * v.len())
                        };
                        read.push(copy.map(record).transpose()?);
                    }
                    Ok(())
                })?;
                read.into_iter().map(|r| r.map(|r| r.wait::<f32>(&context.device)).transpose()).collect()
            }
            Engine::Cpu { checked, tensors, .. } => {
                let copy = |(checked, tensor): (&Checked, &Vec<Element>)| {
                    let has = matches!(checked.operator(), Operator::Solved(_)) && checked.operator().keeps();
                    has.then(|| tensor.iter().map(|e| e.copy).collect())
                };
                Ok(checked.iter().zip(tensors).map(copy).collect())
            }
        }
    }

    /// How many dispatches a step takes; 0 on the CPU.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        match &self.engine {
            Engine::Gpu { plan, .. } => plan.dispatches(),
            Engine::Cpu { .. } => 0,
        }
    }

    /// Waits for outstanding checks and returns the totals.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where a check failed; the errors of the device.
    pub fn finish(&mut self) -> Result<Verification> {
        match &self.engine {
            Engine::Gpu { context, plan, .. } => {
                let found = plan.finish();
                context.check()?;
                found
            }
            Engine::Cpu { checked, .. } => Ok(Verification::new(checked.iter().map(Checked::allowed_ulps))),
        }
    }
}

/// Lays the tensors out in pages, uploads the weights, and binds.
fn gpu_engine(
    context: &Context,
    checked: Vec<Checked>,
    weights: &[&[f32]],
    base: Optimizer,
    verify: Verify,
) -> Result<Engine> {
    let pieces = weights.iter().map(|w| (0, 4 * w.len() as u64));
    let (sizes, places) = gpu::pack(context.device.limits().max_buffer_size, pieces);
    let mut pages = Vec::new();
    for bytes in sizes {
        let new = |place| gpu::buffer(&context.device, place, bytes, gpu::USAGE, false);
        let gradients = if base.has_gradient() { Some(new("gradients")?) } else { None };
        pages.push(Page { weights: new("weights")?, gradients, bytes });
    }
    let mut tensors = Vec::with_capacity(checked.len());
    for ((checked, w), &(page, offset)) in checked.into_iter().zip(weights).zip(&places) {
        let view = |buffer: &wgpu::Buffer| View::new(checked.name(), buffer, offset, w.len() as u64);
        let weights = view(&pages[page].weights)?;
        let gradient = pages[page].gradients.as_ref().map(view).transpose()?;
        tensors.push((checked, Views { weights, gradient, states: Vec::new() }));
    }
    let placed = weights.iter().zip(&places).map(|(w, &(page, offset))| (&pages[page].weights, offset, *w));
    upload(context, placed)?;
    let plan = Schedule::new(&context.device).bind_checked(base, tensors, verify)?;
    context.check()?;
    Ok(Engine::Gpu { context: Box::new(context.clone()), plan: Box::new(plan), pages, places })
}

/// Writes tensors to their places, under one guard: the scopes cost more than a small write.
fn upload<'a>(
    context: &Context,
    tensors: impl Iterator<Item = (&'a wgpu::Buffer, u64, &'a [f32])> + Clone,
) -> Result<()> {
    let bytes = tensors.clone().map(|(_, _, values)| 4 * values.len() as u64).sum();
    gpu::guarded(&context.device, "upload", bytes, || {
        for (buffer, offset, values) in tensors.filter(|(_, _, values)| !values.is_empty()) {
            context.queue.write_buffer(buffer, offset, bytemuck::cast_slice(values));
        }
    })
}

fn gpu_step<'a>(
    context: &Context,
    plan: &mut Plan,
    pages: &'a [Page],
    places: &[(usize, u64)],
    hyper: &StepParameters,
    gradients: &'a [&'a [f32]],
    weights: &mut [&mut [f32]],
) -> Result<StepReport> {
    let place = |(gradient, &(page, offset)): (&'a &'a [f32], &(usize, u64))| {
        pages[page].gradients.as_ref().map(|buffer| (buffer, offset, *gradient))
    };
    upload(context, gradients.iter().zip(places).filter_map(place))?;
    let (out, status) = context.submit("step", |encoder| {
        plan.record(encoder, hyper);
        let out: Result<Vec<Readback>> = pages
            .iter()
            .map(|page| Readback::record(&context.device, encoder, &page.weights, 0, page.bytes))
            .collect();
        Ok((out?, plan.status(encoder)?))
    })?;
    let mut values = Vec::with_capacity(out.len());
    for readback in out {
        values.push(readback.wait::<f32>(&context.device)?);
    }
    for (w, &(page, offset)) in weights.iter_mut().zip(places) {
        let start = offset as usize / 4;
        w.copy_from_slice(&values[page][start..start + w.len()]);
    }
    let nonfinite = status.wait(&context.device)?;
    context.check()?;
    plan.check()?;
    Ok(StepReport { nonfinite })
}
