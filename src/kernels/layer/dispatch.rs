//! The dispatches: checks, cutting, binding.

use super::{KERNEL, LARGEST, Variant, Way};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, same, shape, unsupported, within};
use crate::gpu::View;
use crate::kernels::backward::SavedActivations;
use crate::kernels::matrix::Side;
use crate::kernels::program::{Program, host_struct};
use crate::kernels::step::WORKGROUP;
use crate::kernels::window::{Strided, Window, refuse_overlap, within_binding};
use crate::kernels::{Batch, Data, Format, LearnedParameters, Matrix, Order, PipelineCache};
use crate::kernels::{Dispatch, Dispatches};

/// Layers forward: output = layer N (... layer 1 (x)).
#[derive(Clone, Debug)]
pub struct Forward {
    /// Â, its values up to date.
    pub matrix: Matrix,
    /// The numbers of one layer, shared by all, or of each.
    pub learned: LearnedParameters,
    /// N.
    pub layers: u32,
    /// The first layer's input.
    pub x: Batch,
    /// The data term.
    pub data: Data,
    /// Where the inputs of the layers after the first go, (N - 1) n m numbers, each batch in [`Order::FeatureMajor`].
    pub inputs: Option<View>,
    /// The last layer's output.
    pub output: Batch,
}

host_struct! {
    /// `struct Job` of the shader.
    #[derive(Default)]
    pub(super) struct Job {
        plain: Side,
        transposed: Side,
        components: u32,
        columns: u32,
        across: u32,
        words: u32,
        lanes: u32,
        rounds: u32,
        layers: u32,
        learned: u32,
        learned_apart: u32,
        values_apart: u32,
        scale_at: u32,
        keep: u32,
        samples: u32,
        x: Strided,
        data: Strided,
        beside: Strided,
        made: Strided,
        w: Strided,
        grad_r: Strided,
    }
}

/// No such thing.
const NONE: u32 = u32::MAX;

/// The fewest columns of which a word has four.
const WIDE: u32 = 256;

/// Workgroups that there should be: enough for a GPU, or few and large ones where each costs a switch of contexts per barrier.
/// On lavapipe 16 take 0.6 of the time that 64 take for 64 components and 128 columns, and fewer take no less.
fn wanted(device: &wgpu::Device) -> u32 {
    if device.adapter_info().device_type == wgpu::DeviceType::Cpu { 4 } else { 64 }
}

/// The most invocations that share a row.
const SHARING: u32 = 16;

/// How the columns are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub wide: bool,
    /// Words of columns in a workgroup.
    pub across: u32,
    pub lanes: u32,
    pub rounds: u32,
}

impl Cut {
    pub fn new(matrix: &Matrix, columns: u32, workgroups: u32) -> Self {
        let n = matrix.pattern().rows();
        let wide = columns >= WIDE;
        let words = if wide { columns.div_ceil(4) } else { columns };
        let across = (words / workgroups).clamp(1, (LARGEST / n).max(1));
        // what a lane of a row has work with: entries, or blocks of 128
        let useful = match matrix.format() {
            Format::Csr => matrix.pattern().nonzeros().div_ceil(n),
            Format::Bitmap => n.div_ceil(128),
            Format::Dense => n,
        };
        let all = n * across;
        let free = if all < WORKGROUP { 1 << (WORKGROUP / all).ilog2() } else { 1 };
        let lanes = free.min(SHARING).min(useful.next_power_of_two());
        Cut { wide, across, lanes, rounds: all.div_ceil(WORKGROUP / lanes) }
    }

    fn workgroups(self, columns: u32) -> u64 {
        u64::from(columns).div_ceil(u64::from(self.across) * if self.wide { 4 } else { 1 })
    }
}

/// Checks, compiles what is missing, and binds N layers.
///
/// # Errors
/// [`Error::Shape`] for sizes that do not fit together; [`Error::Unsupported`] for a given gradient with more than one layer;
/// [`Error::Overlap`] where an output shares memory with an input or the other output; [`Error::Limit`] for more components
/// than [`LARGEST`] and for batches larger than a binding; [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device
/// cannot give.
pub fn forward(kernels: &PipelineCache, job: &Forward) -> Result<Dispatches> {
    let Forward { matrix, learned, layers, x, data, inputs, output } = job;
    let place = "layers forward";
    check(place, matrix, learned, &[("x", x), ("data", data.batch()), ("output", output)])?;
    if *layers == 0 || (learned.layers != 1 && learned.layers != *layers) {
        let expected = format!("the {} of the learned numbers, at least 1", learned.layers);
        return Err(shape(place, "layers", layers, expected));
    }
    if data.is_given() && *layers != 1 {
        let what = format!("a given gradient for {layers} layers, each of which needs its own");
        return Err(unsupported(place, what, "one layer"));
    }
    if let Some(view) = inputs {
        let numbers = u64::from(x.components) * u64::from(x.vectors);
        same(place, "length of inputs", view.len(), u64::from(layers - 1) * numbers)?;
    }
    let inputs = inputs.as_ref().filter(|view| !view.is_empty());
    let read = [("x", &x.view), ("data", &data.batch().view), ("the learned numbers", &learned.view)];
    let mut written = vec![("output", &output.view)];
    written.extend(inputs.map(|view| ("inputs", view)));
    refuse_overlap(&read, &written)?;

    let window = windows(place, kernels);
    let theta = window("learned numbers", &learned.view)?;
    let [from, term, made] =
        [window("x", &x.view)?, window("data", &data.batch().view)?, window("output", &output.view)?];
    // something has to be bound
    let beside = window("inputs", inputs.unwrap_or(&output.view))?;
    let job = Job {
        layers: *layers,
        learned: theta.first,
        learned_apart: learned.apart(),
        values_apart: if learned.layers == 1 { 0 } else { matrix.apart() },
        scale_at: NONE,
        keep: u32::from(inputs.is_some()),
        x: from.strided(x),
        data: term.strided(data.batch()),
        beside: inputs.map_or(Strided::default(), |view| {
            beside.strided(&Batch { view: view.clone(), order: Order::FeatureMajor, ..x.clone() })
        }),
        made: made.strided(output),
        ..Job::default()
    };
    bind(kernels, Way::Forward, (matrix, 0), (x, data), job, [theta, from, term, beside, made])
}

/// The same for one layer backward: u, w̄ and r̄ of what is passed are computed, from all else in it.
///
/// # Errors
/// As [`forward`]; [`Error::Unsupported`] also where u, w̄ and r̄ do not lie in one buffer or have another order than
/// [`Order::FeatureMajor`]; [`Error::Shape`] for a layer that there is not.
pub fn backward(kernels: &PipelineCache, matrix: &Matrix, passed: &SavedActivations) -> Result<Dispatches> {
    let SavedActivations { learned, layer, x, data, grad_output, scale_by, u, w, grad_r } = passed;
    let place = "a layer backward";
    let made = [("u", u), ("w", w), ("grad_r", grad_r)];
    let read = [("x", x), ("data", data.batch()), ("grad_output", grad_output)];
    check(place, matrix, learned, &[read, made].concat())?;
    for (name, number) in [("layer", Some(layer)), ("scale_by", scale_by.as_ref())] {
        if let Some(number) = number.filter(|&&number| number >= learned.layers) {
            let expected = format!("less than the {} layers of the learned numbers", learned.layers);
            return Err(shape(place, name, number, expected));
        }
    }
    for (name, batch) in made {
        if batch.order != Order::FeatureMajor || batch.view.buffer() != u.view.buffer() {
            let what = format!("{name} in another order, or another buffer than u");
            return Err(unsupported(place, what, "u, w and grad_r in one buffer, in Order::FeatureMajor"));
        }
    }
    let mut views = read.map(|(name, batch)| (name, &batch.view)).to_vec();
    views.push(("the learned numbers", &learned.view));
    refuse_overlap(&views, &made.map(|(name, batch)| (name, &batch.view)))?;

    let window = windows(place, kernels);
    let theta = window("learned numbers", &learned.view)?;
    let [from, term, beside] = [
        window("x", &x.view)?,
        window("data", &data.batch().view)?,
        window("grad_output", &grad_output.view)?,
    ];
    let [u_at, w_at, grad_r_at] = [&u.view, &w.view, &grad_r.view];
    let offset = u_at.offset().min(w_at.offset()).min(grad_r_at.offset());
    let end = u_at.end().max(w_at.end()).max(grad_r_at.end());
    let all = window("u, w and grad_r", &u_at.part(offset, (end - offset) / 4))?;
    let job = Job {
        layers: 1,
        learned: passed.theta(&theta),
        scale_at: passed.scale_at(&theta),
        x: from.strided(x),
        data: term.strided(data.batch()),
        beside: beside.strided(grad_output),
        made: all.strided(u),
        w: all.strided(w),
        grad_r: all.strided(grad_r),
        ..Job::default()
    };
    bind(kernels, Way::Backward, (matrix, *layer), (x, data), job, [theta, from, term, beside, all])
}

/// Windows of views by their names, for messages.
fn windows<'a>(place: &'a str, kernels: &PipelineCache) -> impl Fn(&str, &View) -> Result<Window> + use<'a> {
    let limits = kernels.device().limits();
    move |name, view| Window::new(&format!("{place}: {name}"), view, &limits)
}

/// Sizes fit together, and on the chip.
fn check(
    place: &str,
    matrix: &Matrix,
    learned: &LearnedParameters,
    batches: &[(&str, &Batch)],
) -> Result<()> {
    let pattern = matrix.pattern();
    let (n, m) = (pattern.rows(), batches[0].1.vectors);
    let storage = [n, LARGEST].map(|components| 32 * u64::from(components));
    let name = "max_compute_workgroup_storage_size";
    within(format_args!("{place}: {n} components"), name, storage[0], storage[1])?;
    let sizes = [
        ("columns of the matrix", pattern.columns(), n),
        ("components of the learned numbers", learned.places.components, n),
        ("entries of the learned numbers", learned.places.nonzeros, pattern.nonzeros()),
        ("layers of the learned numbers", learned.layers, matrix.layers()),
    ];
    sizes.into_iter().try_for_each(|(name, got, expected)| same(place, name, got, expected))?;
    let said = |components, vectors| format!("{components} x {vectors}");
    batches.iter().try_for_each(|(name, batch)| {
        same(place, format_args!("shape of {name}"), said(batch.components, batch.vectors), said(n, m))
    })
}

/// Cuts, and completes the job with what both ways say alike: of `matrix` one layer, or the first of several.
fn bind(
    kernels: &PipelineCache,
    way: Way,
    (matrix, layer): (&Matrix, u32),
    (x, data): (&Batch, &Data),
    job: Job,
    windows: [Window; 5],
) -> Result<Dispatches> {
    if x.vectors == 0 {
        return Ok(Dispatches::default());
    }
    let cut = Cut::new(matrix, x.vectors, wanted(kernels.device()));
    let variant = Variant { way, format: matrix.format(), wide: cut.wide, given: data.is_given() };
    let job = Job {
        plain: matrix.side(layer, false),
        transposed: matrix.side(layer, true),
        components: x.components,
        columns: x.vectors,
        across: cut.across,
        words: cut.across * x.components,
        lanes: cut.lanes,
        rounds: cut.rounds,
        samples: u32::from(x.order == Order::BatchMajor),
        ..job
    };
    let [structure, values] = [&matrix.structure, &matrix.values].map(|buffer| {
        let place = format!("{}/{}: the matrix", KERNEL.name, variant.name());
        within_binding(&place, buffer.size(), &kernels.device().limits())?;
        Ok(buffer.as_entire_buffer_binding())
    });
    let [theta, x, data, beside, made] = windows.each_ref().map(Window::binding);
    let buffers: Vec<_> = (1..).zip([theta, structure?, values?, x, data, beside, made]).collect();
    let groups = cut.workgroups(job.columns);
    Ok(Dispatch::of_groups(kernels, &variant, bytemuck::bytes_of(&job), &buffers, groups)?.into())
}
