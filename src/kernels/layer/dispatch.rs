//! The dispatches: checks, cutting, binding.

use super::{LARGEST, ROOM, Variant, Way};
use crate::error::{Error, Result, shape, unsupported};
use crate::gpu::View;
use crate::kernels::matrix::Side;
use crate::kernels::program::{Program, host_struct};
use crate::kernels::step::WORKGROUP;
use crate::kernels::window::{Strided, Window, refuse_overlap, within_binding};
use crate::kernels::{Batch, Data, Format, Kernels, Learned, Matrix, Order};
use crate::kernels::{Dispatch, Dispatches};
use crate::regulariser::Places;

/// Layers forward: output = layer N (... layer 1 (x)).
#[derive(Clone, Debug)]
pub struct Forward {
    /// Â, its values up to date.
    pub matrix: Matrix,
    /// The numbers of one layer, shared by all, or of each.
    pub learned: Learned,
    /// N.
    pub layers: u32,
    /// The first layer's input.
    pub x: Batch,
    /// The data term.
    pub data: Data,
    /// Where the inputs of the layers after the first go, (N - 1) n m numbers, each batch in [`Order::Components`].
    pub inputs: Option<View>,
    /// The last layer's output.
    pub output: Batch,
}

/// A layer backward.
#[derive(Clone, Debug)]
pub struct Backward {
    /// Â, its values up to date.
    pub matrix: Matrix,
    /// The learned numbers.
    pub learned: Learned,
    /// Whose numbers these are: 0 where they are shared.
    pub layer: u32,
    /// The layer's input.
    pub x: Batch,
    /// The data term.
    pub data: Data,
    /// ȳ: the derivative of a loss by the layer's output.
    pub bar: Batch,
    /// The layer whose 1 - 1/L multiplies ȳ.
    pub scale_by: Option<u32>,
    /// Â r. In [`Order::Components`] and in one buffer with the next two.
    pub u: Batch,
    /// w̄ = Â ȳ, scaled.
    pub w: Batch,
    /// r̄ = Âᵀ (q∘xi'(q∘u)∘w̄).
    pub r_bar: Batch,
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
        r_bar: Strided,
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
pub fn forward(kernels: &Kernels, job: &Forward) -> Result<Dispatches> {
    let Forward { matrix, learned, layers, x, data, inputs, output } = job;
    let place = "layers forward";
    check(place, matrix, learned, &[("x", x), ("data", data.batch()), ("output", output)])?;
    if *layers == 0 || (learned.layers != 1 && learned.layers != *layers) {
        let expected = format!("the {} of the learned numbers, at least 1", learned.layers);
        return Err(shape(place, "layers", layers, expected));
    }
    if matches!(data, Data::Given(_)) && *layers != 1 {
        return Err(unsupported(
            place,
            format!("a given gradient for {layers} layers, each of which needs its own"),
            "one layer",
        ));
    }
    let numbers = u64::from(x.components) * u64::from(x.vectors);
    if let Some(view) = inputs {
        let expected = u64::from(layers - 1) * numbers;
        if view.length() != expected {
            return Err(shape(place, "length of inputs", view.length(), expected));
        }
    }
    let inputs = inputs.as_ref().filter(|view| view.length() > 0);
    let read = [("x", &x.view), ("data", &data.batch().view), ("the learned numbers", &learned.view)];
    let mut written = vec![("output", &output.view)];
    written.extend(inputs.map(|view| ("inputs", view)));
    refuse_overlap(&read, &written)?;

    let limits = kernels.device().limits();
    let window = |name: &str, view: &View| Window::new(&format!("{place}: {name}"), view, &limits);
    let shared = learned.layers == 1;
    let cut = Cut::new(matrix, x.vectors, wanted(kernels.device()));
    let theta = window("learned numbers", &learned.view)?;
    let [from, term, made] =
        [window("x", &x.view)?, window("data", &data.batch().view)?, window("output", &output.view)?];
    // something has to be bound
    let beside = window("inputs", inputs.unwrap_or(&output.view))?;
    let components = Order::Components;
    let job = Job {
        layers: *layers,
        learned: theta.first,
        learned_apart: if shared { 0 } else { learned.places.length() },
        values_apart: if shared { 0 } else { matrix.apart() },
        keep: u32::from(inputs.is_some()),
        x: from.strided(x),
        data: term.strided(data.batch()),
        beside: inputs.map_or(Strided::default(), |view| {
            beside.strided(&Batch { view: view.clone(), order: components, ..x.clone() })
        }),
        made: made.strided(output),
        ..common(matrix, x, cut)
    };
    let variant = Variant {
        way: Way::Forward,
        format: matrix.format(),
        wide: cut.wide,
        given: matches!(data, Data::Given(_)),
    };
    bind(kernels, variant, cut, &job, matrix, [theta, from, term, beside, made])
}

/// The same for one layer backward.
///
/// # Errors
/// As [`forward`]; [`Error::Unsupported`] also where u, w̄ and r̄ do not lie in one buffer or have another order than
/// [`Order::Components`]; [`Error::Shape`] for a layer that there is not.
pub fn backward(kernels: &Kernels, job: &Backward) -> Result<Dispatches> {
    let Backward { matrix, learned, layer, x, data, bar, scale_by, u, w, r_bar } = job;
    let place = "a layer backward";
    let made = [("u", u), ("w", w), ("r_bar", r_bar)];
    let read = [("x", x), ("data", data.batch()), ("bar", bar)];
    check(place, matrix, learned, &[read, made].concat())?;
    for (name, number) in [("layer", Some(layer)), ("scale_by", scale_by.as_ref())] {
        if let Some(number) = number.filter(|&&number| number >= learned.layers) {
            let expected = format!("less than the {} layers of the learned numbers", learned.layers);
            return Err(shape(place, name, number, expected));
        }
    }
    for (name, batch) in made {
        if batch.order != Order::Components || batch.view.buffer() != u.view.buffer() {
            return Err(unsupported(
                place,
                format!("{name} in another order, or another buffer than u"),
                "u, w and r_bar in one buffer, in Order::Components",
            ));
        }
    }
    let mut views = read.map(|(name, batch)| (name, &batch.view)).to_vec();
    views.push(("the learned numbers", &learned.view));
    refuse_overlap(&views, &made.map(|(name, batch)| (name, &batch.view)))?;

    let limits = kernels.device().limits();
    let window = |name: &str, view: &View| Window::new(&format!("{place}: {name}"), view, &limits);
    let cut = Cut::new(matrix, x.vectors, wanted(kernels.device()));
    let theta = window("learned numbers", &learned.view)?;
    let [from, term, beside] =
        [window("x", &x.view)?, window("data", &data.batch().view)?, window("bar", &bar.view)?];
    let offset = made.iter().map(|(_, batch)| batch.view.offset()).min().unwrap_or(0);
    let end = made.iter().map(|(_, batch)| batch.view.end()).max().unwrap_or(0);
    let all = View { offset, length: (end - offset) / 4, ..u.view.clone() };
    let all = window("u, w and r_bar", &all)?;
    let first = theta.first;
    let common = common(matrix, x, cut);
    let job = Job {
        plain: Side { values: common.plain.values + layer * matrix.apart(), ..common.plain },
        transposed: Side { values: common.transposed.values + layer * matrix.apart(), ..common.transposed },
        layers: 1,
        learned: first + layer * learned.places.length(),
        scale_at: scale_by.map_or(NONE, |k| first + k * learned.places.length() + Places::L as u32),
        x: from.strided(x),
        data: term.strided(data.batch()),
        beside: beside.strided(bar),
        made: all.strided(u),
        w: all.strided(w),
        r_bar: all.strided(r_bar),
        ..common
    };
    let variant = Variant {
        way: Way::Backward,
        format: matrix.format(),
        wide: cut.wide,
        given: matches!(data, Data::Given(_)),
    };
    bind(kernels, variant, cut, &job, matrix, [theta, from, term, beside, all])
}

/// Sizes fit together, and on the chip.
fn check(place: &str, matrix: &Matrix, learned: &Learned, batches: &[(&str, &Batch)]) -> Result<()> {
    let pattern = matrix.pattern();
    let (n, m) = (pattern.rows(), batches[0].1.vectors);
    if n > LARGEST {
        return Err(Error::Limit {
            place: format!("{place}: {n} components"),
            name: "max_compute_workgroup_storage_size",
            needed: 32 * u64::from(n),
            limit: 32 * u64::from(LARGEST),
        });
    }
    let places = Places { components: n, nonzeros: pattern.nonzeros() };
    let sizes = [
        ("columns of the matrix", pattern.columns(), n),
        ("components of the learned numbers", learned.places.components, n),
        ("entries of the learned numbers", learned.places.nonzeros, places.nonzeros),
        ("layers of the learned numbers", learned.layers, matrix.layers()),
    ];
    let wrong = sizes.into_iter().find(|(_, got, expected)| got != expected);
    if let Some((name, got, expected)) = wrong {
        return Err(shape(place, name, got, expected));
    }
    for (name, batch) in batches {
        if (batch.components, batch.vectors) != (n, m) {
            let got = format!("{} x {}", batch.components, batch.vectors);
            return Err(shape(place, format!("shape of {name}"), got, format_args!("{n} x {m}")));
        }
    }
    Ok(())
}

/// What every job says.
fn common(matrix: &Matrix, x: &Batch, cut: Cut) -> Job {
    Job {
        plain: matrix.side(false),
        transposed: matrix.side(true),
        components: x.components,
        columns: x.vectors,
        across: cut.across,
        words: cut.across * x.components,
        lanes: cut.lanes,
        rounds: cut.rounds,
        scale_at: NONE,
        samples: u32::from(x.order == Order::Samples),
        ..Job::default()
    }
}

fn bind(
    kernels: &Kernels,
    variant: Variant,
    cut: Cut,
    job: &Job,
    matrix: &Matrix,
    windows: [Window; 5],
) -> Result<Dispatches> {
    if job.columns == 0 {
        return Ok(Dispatches::default());
    }
    let limits = kernels.device().limits();
    let place = format!("{}/{}", ROOM.name, variant.name());
    let [structure, values] = [&matrix.structure, &matrix.values].map(wgpu::Buffer::as_entire_buffer_binding);
    for buffer in [&matrix.structure, &matrix.values] {
        within_binding(&format!("{place}: the matrix"), buffer.size(), &limits)?;
    }
    let [theta, x, data, beside, made] = windows.each_ref().map(Window::binding);
    let buffers: Vec<_> = (1..).zip([theta, structure, values, x, data, beside, made]).collect();
    let groups = cut.workgroups(job.columns);
    Ok(Dispatch::of_groups(kernels, &variant, bytemuck::bytes_of(job), &buffers, groups)?.into())
}
