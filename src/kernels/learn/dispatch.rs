//! The dispatches of a step.

use std::sync::Arc;

use super::{Method, Numbers, Rates, UpdateParameters, Variant, check_rounds, start};
use crate::error::{Result, require, shape, unsupported};
use crate::gpu::{self, Ring};
use crate::kernels::program::host_struct;
use crate::kernels::step::WORKGROUP;
use crate::kernels::window::{Window, refuse_overlap, within_binding};
use crate::kernels::{Dispatch, Dispatches, LearnedParameters, PipelineCache};
use crate::matrix::Pattern;
use crate::penalty::WEIGHT;
use crate::regulariser::{Floors, HEAD, ParameterLayout};

/// Steps that may be recorded before the first of them is done, without the ring of their values growing.
const SLOTS: usize = 4;

/// What is learned, and how.
#[derive(Clone, Debug)]
pub struct LearnJob {
    /// That of Â. Not looked at where the places have neither components nor entries (DSRL).
    pub pattern: Arc<Pattern>,
    /// The numbers.
    pub learned: LearnedParameters,
    /// Their gradient, at the same places.
    pub gradient: LearnedParameters,
    /// Adam's first and second moments, at the same places; the caller sets them to 0 before the first step.
    pub moments: Option<[LearnedParameters; 2]>,
    /// The optimiser.
    pub method: Method,
    /// The learning rates of each kind of numbers.
    pub rates: Rates,
    /// L2 weight decay, in [0, 1e6]: its multiple of a number is added to its gradient, where its rate is not 0.
    pub decay: f64,
    /// What projections keep to.
    pub floors: Floors,
    /// Rounds of power iteration after each step; `None` leaves the norm of Â free.
    pub bound: Option<u32>,
}

host_struct! {
    /// WGSL's `Job`, of `shaders/learn.wgsl`.
    #[derive(Default)]
    pub(super) struct Work {
        theta: u32,
        gradient: u32,
        first: u32,
        second: u32,
        layers: u32,
        length: u32,
        b: u32,
        values: u32,
        end: u32,
        decay: f32,
        beta1: f32,
        rest1: f32,
        beta2: f32,
        rest2: f32,
        epsilon: f32,
        floor: f32,
        floor_l: f32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
    }

    /// WGSL's `Job`, of `shaders/learn/bound.wgsl`.
    pub(super) struct BoundWork {
        theta: u32,
        length: u32,
        values: u32,
        layers: u32,
        n: u32,
        nonzeros: u32,
        rounds: u32,
        unused0: u32,
    }
}

/// One step after another, ready to be recorded.
#[derive(Debug)]
pub struct Update {
    method: Method,
    rates: Rates,
    ring: Ring,
    target: wgpu::Buffer,
    status: wgpu::Buffer,
    norms: wgpu::Buffer,
    dispatches: Dispatches,
}

impl Update {
    /// Checks everything, compiles what is missing, and binds.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where places, layers or the pattern differ, [`crate::Error::Unsupported`] where the moments are missing,
    /// [`crate::Error::Domain`], [`crate::Error::Overlap`]; [`crate::Error::Limit`], [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device
    /// cannot give.
    pub fn bind(kernels: &PipelineCache, job: &LearnJob) -> Result<Self> {
        job.check()?;
        let device = kernels.device();
        let limits = device.limits();
        let bytes = size_of::<Numbers>() as u64;
        let ring = Ring::new(device, "numbers of a step", bytes, SLOTS)?;
        let target = gpu::buffer(device, "numbers of a step", bytes, gpu::USAGE, false)?;
        let words =
            |name: &str, count: u32| gpu::buffer_with(device, name, &vec![0; 4 * count as usize], gpu::USAGE);
        let layers = job.learned.layers;
        let (status, norms) = (words("status words", layers)?, words("norms", layers)?);

        let places = job.learned.places;
        let theta = Window::new("learned numbers", &job.learned.view, &limits)?;
        let gradient = Window::new("gradient", &job.gradient.view, &limits)?;
        let moments = job.moments().map(|(name, of)| Window::new(name, &of.view, &limits));
        let moments = moments.collect::<Result<Vec<_>>>()?;
        let moment = |k: usize| moments.get(k).map_or(0, |window| window.first);
        let [beta1, beta2, epsilon] = job.method.constants();
        let work = Work {
            theta: theta.first,
            gradient: gradient.first,
            first: moment(0),
            second: moment(1),
            layers,
            length: places.length(),
            b: places.b().start as u32,
            values: places.values().start as u32,
            end: places.values().end as u32,
            decay: job.decay as f32,
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            epsilon: epsilon as f32,
            floor: job.floors.epsilon as f32,
            floor_l: job.floors.l as f32,
            ..Work::default()
        };
        let mut bindings = vec![
            (1, target.as_entire_buffer_binding()),
            (2, theta.binding()),
            (3, gradient.binding()),
            (6, status.as_entire_buffer_binding()),
        ];
        let variant = match job.method {
            Method::Adam { .. } => Variant::Adam,
            Method::Gradient => Variant::Gradient,
        };
        if variant == Variant::Adam {
            bindings.extend((4..).zip(moments.iter().map(Window::binding)));
        }
        let most = limits.max_compute_workgroups_per_dimension;
        let across = (work.end - HEAD).div_ceil(WORKGROUP).clamp(1, most);
        let down = layers.clamp(1, most);
        let bytes = bytemuck::bytes_of(&work);
        let update = Dispatch::of_job(kernels, &variant, bytes, &bindings, (across, down))?;
        let mut dispatches = Dispatches::from(update);

        if let Some(rounds) = job.bound {
            let n = places.components;
            let buffer = |place: &str, contents: &[u8]| {
                within_binding(place, contents.len() as u64, &limits)?;
                gpu::buffer_with(device, place, contents, gpu::USAGE)
            };
            let structure =
                buffer("structure of the pattern", bytemuck::cast_slice(&structure(&job.pattern)))?;
            let vectors = buffer("vectors", bytemuck::cast_slice(&vectors(n, layers)))?;
            let work = BoundWork {
                theta: theta.first,
                length: places.length(),
                values: work.values,
                layers,
                n,
                nonzeros: places.nonzeros,
                rounds,
                unused0: 0,
            };
            let bindings = [
                (1, structure.as_entire_buffer_binding()),
                (2, theta.binding()),
                (3, vectors.as_entire_buffer_binding()),
                (4, norms.as_entire_buffer_binding()),
                (6, status.as_entire_buffer_binding()),
            ];
            let work = bytemuck::bytes_of(&work);
            dispatches.extend([Dispatch::of_job(kernels, &Variant::Bound, work, &bindings, (down, 1))?]);
        }
        Ok(Update { method: job.method, rates: job.rates, ring, target, status, norms, dispatches })
    }

    /// Records, before the pass with [`Update::record`], that the values of this step go to the device and the status
    /// words to 0. Allocates nothing but, where more than four recorded steps are not done yet, one more small slot.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] for a rate outside [0, 1e6] or step 0; [`crate::Error::DeviceLost`].
    pub fn set(&mut self, encoder: &mut wgpu::CommandEncoder, hyper: UpdateParameters) -> Result<()> {
        let numbers = Numbers::new(self.method, self.rates, hyper)?;
        let write = |write: &mut dyn FnMut(u64, &[u8])| write(0, bytemuck::bytes_of(&numbers));
        self.ring.record(encoder, &self.target, write)?;
        encoder.clear_buffer(&self.status, 0, None);
        Ok(())
    }

    /// Records the step with the values that were set last.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.dispatches.record(pass);
    }

    /// A u32 per layer: how many of its numbers the latest step found not finite, and one more where the norm was not. Usage
    /// `COPY_SRC`.
    #[must_use]
    pub fn status(&self) -> &wgpu::Buffer {
        &self.status
    }

    /// An f32 per layer: sigma before the latest division. Usage `COPY_SRC`; zeros without a bound.
    #[must_use]
    pub fn norms(&self) -> &wgpu::Buffer {
        &self.norms
    }
}

impl LearnJob {
    fn check(&self) -> Result<()> {
        let place = "learn";
        let places = self.learned.places;
        for (name, other) in self.moments().chain([("gradient", &self.gradient)]) {
            self.learned.like(place, name, other)?;
        }
        let alone = places == ParameterLayout { components: 0, nonzeros: 0 };
        let pattern = &self.pattern;
        let of_pattern = ParameterLayout { components: pattern.rows(), nonzeros: pattern.nonzeros() };
        if !alone && (places != of_pattern || pattern.columns() != pattern.rows()) {
            let of = |p: &ParameterLayout| format!("{} components, {} entries", p.components, p.nonzeros);
            return Err(shape(place, "places", of(&places), of(&of_pattern) + " of the square pattern"));
        }
        if alone && self.bound.is_some() {
            let allowed = "none where the places have no components";
            return Err(unsupported(place, "a norm bound without a matrix", allowed));
        }
        self.method.check(place)?;
        if matches!(self.method, Method::Adam { .. }) && self.moments.is_none() {
            let allowed = "two vectors of moments at the places of the numbers";
            return Err(unsupported(place, "Adam without moments", allowed));
        }
        let Rates { values, q, b, activation, l } = self.rates;
        for (name, rate) in [("values", values), ("q", q), ("b", b), ("activation", activation), ("l", l)] {
            require(WEIGHT.contains(rate), place, format_args!("rate of {name}"), rate, WEIGHT)?;
        }
        require(WEIGHT.contains(self.decay), place, "decay", self.decay, WEIGHT)?;
        self.floors.check(place)?;
        check_rounds(place, self.bound)?;
        let written = [("learned numbers", &self.learned)].into_iter().chain(self.moments());
        let written: Vec<_> = written.map(|(name, of)| (name, &of.view)).collect();
        refuse_overlap(&[("gradient", &self.gradient.view)], &written)
    }

    /// The moments, if there are any, by their names.
    fn moments(&self) -> impl Iterator<Item = (&'static str, &LearnedParameters)> {
        ["first moments", "second moments"].into_iter().zip(self.moments.iter().flatten())
    }
}

/// Starts and columns of the rows; starts and rows of the columns, and the numbers of their entries.
fn structure(pattern: &Pattern) -> Vec<u32> {
    let (transposed, numbers) = pattern.transposed();
    [pattern.starts(), pattern.indices(), transposed.starts(), transposed.indices(), &numbers].concat()
}

/// The first vector, and twice as many numbers for each layer: the first vector and room for q Â p.
fn vectors(n: u32, layers: u32) -> Vec<f32> {
    let first: Vec<f32> = start(n).iter().map(|&x| x as f32).collect();
    let own = [&first[..], &vec![0.0; n as usize]].concat();
    [first, own.repeat(layers as usize)].concat()
}
