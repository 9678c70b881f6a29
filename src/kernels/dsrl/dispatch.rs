//! The dispatches, forward and backward.

use super::{KERNEL, Stage};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, same, shape, within};
use crate::gpu::{self, View};
use crate::kernels::program::host_struct;
use crate::kernels::step::WORKGROUP;
use crate::kernels::window::{Window, refuse_overlap, within_binding};
use crate::kernels::{Dispatch, Dispatches};
use crate::kernels::{LearnedParameters, PipelineCache};
use crate::regulariser::ParameterLayout;

/// The places of a layer's numbers: the head alone.
pub(super) const PLACES: ParameterLayout = ParameterLayout { components: 0, nonzeros: 0 };

/// The sums of a layer: by L, eta1, eta2, delta1, delta2.
pub(super) const SUMS: u32 = 5;

/// Elements of a workgroup's tile backward.
pub(super) const TILE: u32 = 8 * WORKGROUP;

/// The most workgroups backward: they keep a large GPU busy, and their sums are few.
pub(super) const GROUPS: u32 = 2048;

/// Backward every so many layers' input is kept.
const SPAN: u32 = 4;

/// The most bytes of scratch for the inputs that are kept.
const KEPT: u64 = 64 << 20;

/// Bytes for the inputs of layers that a workgroup backward keeps.
fn kept_bytes(layers: u32) -> u64 {
    4 * u64::from(TILE) * u64::from((layers - 1) / SPAN)
}

/// The workgroups backward: fewer than tiles where there are many, or many layers.
pub(super) fn groups_of(tiles: u32, layers: u32) -> u32 {
    let kept = KEPT / kept_bytes(layers).max(1);
    tiles.min(GROUPS).min(kept.clamp(1, u64::from(u32::MAX)) as u32)
}

/// N layers of as many elements as x has; shapes do not matter.
#[derive(Clone, Debug)]
pub struct Forward {
    /// The numbers of one layer, which all share, or of each; their places have neither components nor entries.
    pub learned: LearnedParameters,
    /// N.
    pub layers: u32,
    /// x_0.
    pub x: View,
    /// c, which may be x.
    pub c: View,
    /// x_N; shares memory with neither.
    pub output: View,
}

/// The way back through the same layers.
#[derive(Clone, Debug)]
pub struct Backward {
    /// The numbers, as in [`Forward`].
    pub learned: LearnedParameters,
    /// N.
    pub layers: u32,
    /// x_0.
    pub x: View,
    /// c.
    pub c: View,
    /// The derivative by x_N.
    pub grad_output: View,
    /// Takes the derivative by x_0.
    pub grad_input: Option<View>,
    /// Takes the derivative by the numbers, at their places; summed over layers that share them.
    pub gradient: LearnedParameters,
    /// Whether the gradient is added to what is there.
    pub add: bool,
}

host_struct! {
    /// WGSL's `Job`, of `shaders/dsrl.wgsl`.
    #[derive(Default)]
    pub(super) struct Work {
        theta: u32,
        x: u32,
        c: u32,
        grad_output: u32,
        output: u32,
        gradient: u32,
        elements: u32,
        layers: u32,
        apart: u32,
        groups: u32,
        tiles: u32,
        delivers: u32,
        adds: u32,
        kept: u32,
        unused0: u32,
        unused1: u32,
    }
}

/// Binds a pass forward.
///
/// # Errors
/// [`Error::Shape`] where lengths or layers do not fit, [`Error::Overlap`] where the output shares memory with another view;
/// [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot give.
pub fn forward(kernels: &PipelineCache, job: &Forward) -> Result<Dispatches> {
    check(&job.learned, job.layers, &job.x, &[("c", &job.c), ("output", &job.output)])?;
    let read = [("learned numbers", &job.learned.view), ("x", &job.x), ("c", &job.c)];
    refuse_overlap(&read, &[("output", &job.output)])?;
    if job.x.is_empty() {
        return Ok(Dispatches::default());
    }
    let limits = kernels.device().limits();
    let theta = Window::new("learned numbers", &job.learned.view, &limits)?;
    let x = Window::new("x", &job.x, &limits)?;
    let c = Window::new("c", &job.c, &limits)?;
    let output = Window::new("output", &job.output, &limits)?;
    let work = Work {
        theta: theta.first,
        x: x.first,
        c: c.first,
        output: output.first,
        elements: job.x.len() as u32,
        layers: job.layers,
        apart: job.learned.apart(),
        ..Work::default()
    };
    let bindings = [(1, theta.binding()), (2, x.binding()), (3, c.binding()), (5, output.binding())];
    let tiles = u64::from(work.elements.div_ceil(4 * WORKGROUP));
    Ok(Dispatch::of_groups(kernels, &Stage::Forward, bytemuck::bytes_of(&work), &bindings, tiles)?.into())
}

/// Binds a pass backward.
///
/// # Errors
/// As [`forward`]; neither the gradient nor the derivative by x_0 may share memory with another view.
pub fn backward(kernels: &PipelineCache, job: &Backward) -> Result<Dispatches> {
    let mut views = vec![("c", &job.c), ("derivative by the output", &job.grad_output)];
    views.extend(job.grad_input.iter().map(|view| ("derivative by x", view)));
    check(&job.learned, job.layers, &job.x, &views)?;
    let (learned, gradient) = (&job.learned, &job.gradient);
    learned.like(KERNEL.name, "gradient", gradient)?;
    let read = [("learned numbers", &learned.view), ("x", &job.x), views[0], views[1]];
    refuse_overlap(&read, &[&views[2..], &[("gradient", &gradient.view)]].concat())?;

    let device = kernels.device();
    let limits = device.limits();
    let tiles = (job.x.len() as u32).div_ceil(TILE);
    let groups = groups_of(tiles, job.layers).min(limits.max_compute_workgroups_per_dimension);
    let sums = u64::from(SUMS) * u64::from(gradient.layers) * u64::from(groups);
    let bytes = 4 * sums + kept_bytes(job.layers) * u64::from(groups);
    within_binding("sums and inputs of layers", bytes, &limits)?;
    let partials = gpu::buffer(device, "sums and inputs of layers", bytes.max(16), gpu::USAGE, false)?;
    let kept = sums as u32;
    let sums = Window::new("gradient", &gradient.view, &limits)?;
    let theta = Window::new("learned numbers", &learned.view, &limits)?;
    let mut work = Work {
        theta: theta.first,
        gradient: sums.first,
        elements: job.x.len() as u32,
        layers: job.layers,
        apart: learned.apart(),
        groups,
        tiles,
        delivers: u32::from(job.grad_input.is_some()),
        adds: u32::from(job.add),
        kept,
        ..Work::default()
    };
    let mut order = Dispatches::default();
    if groups > 0 {
        let x = Window::new("x", &job.x, &limits)?;
        let c = Window::new("c", &job.c, &limits)?;
        let grad_output = Window::new("derivative by the output", &job.grad_output, &limits)?;
        (work.x, work.c, work.grad_output) = (x.first, c.first, grad_output.first);
        // something has to be bound
        let output =
            Window::new("derivative by x", job.grad_input.as_ref().unwrap_or(&job.grad_output), &limits)?;
        work.output = output.first;
        let bindings = [
            (1, theta.binding()),
            (2, x.binding()),
            (3, c.binding()),
            (4, grad_output.binding()),
            (5, output.binding()),
            (6, partials.as_entire_buffer_binding()),
        ];
        let work = bytemuck::bytes_of(&work);
        let stage = Stage::Backward { shared: learned.apart() == 0 };
        order.extend([Dispatch::of_job(kernels, &stage, work, &bindings, (groups, 1))?]);
    }
    let most = limits.max_compute_workgroups_per_dimension;
    let bindings = [(6, partials.as_entire_buffer_binding()), (7, sums.binding())];
    let (work, groups) = (bytemuck::bytes_of(&work), (gradient.layers.clamp(1, most), 1));
    order.extend([Dispatch::of_job(kernels, &Stage::Fold, work, &bindings, groups)?]);
    Ok(order)
}

fn check(learned: &LearnedParameters, layers: u32, x: &View, others: &[(&str, &View)]) -> Result<()> {
    if learned.places != PLACES {
        let got = format_args!("{:?}", learned.places);
        return Err(shape(KERNEL.name, "places of the numbers", got, "neither components nor entries"));
    }
    if layers == 0 || (learned.layers != 1 && learned.layers != layers) {
        let expected = format!("1 or that of the network, {layers}, at least 1");
        return Err(shape(KERNEL.name, "number of layers of the numbers", learned.layers, expected));
    }
    for (name, view) in others {
        same(KERNEL.name, format_args!("length of {name}"), view.len(), x.len())?;
    }
    within(KERNEL.name, "elements", x.len(), u64::from(u32::MAX) / 4)
}
