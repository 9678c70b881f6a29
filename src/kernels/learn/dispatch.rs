//! The dispatches of a step.

use std::sync::Arc;

use super::{Hyper, Method, Numbers, Rates, Variant, start};
use crate::error::{Result, require, shape, unsupported};
use crate::gpu::{self, Ring};
use crate::kernels::program::host_struct;
use crate::kernels::step::WORKGROUP;
use crate::kernels::window::{Window, refuse_overlap, within_binding};
use crate::kernels::{Dispatch, Dispatches, Kernels, Learned};
use crate::matrix::Pattern;
use crate::penalty::WEIGHT;
use crate::regulariser::{Floors, HEAD, Places};

/// Steps that may be recorded before the first of them is done, without the ring of their values growing.
const SLOTS: usize = 4;

/// What is learned, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// That of Â. Not looked at where the places have neither components nor entries (DSRL).
    pub pattern: Arc<Pattern>,
    /// The numbers.
    pub learned: Learned,
    /// Their gradient, at the same places.
    pub gradient: Learned,
    /// Adam's first and second moments, at the same places; the caller sets them to 0 before the first step.
    pub moments: Option<[Learned; 2]>,
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
    pub fn bind(kernels: &Kernels, job: &Job) -> Result<Self> {
        job.check()?;
        let device = kernels.device();
        let limits = device.limits();
        let ring = Ring::new(device, size_of::<Numbers>() as u64, SLOTS)?;
        let words = |name: &str, count: u32| {
            let usage =
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            gpu::buffer_with(device, name, &vec![0; 4 * count as usize], usage)
        };
        let layers = job.learned.layers;
        let (status, norms) = (words("status words", layers)?, words("norms", layers)?);

        let places = job.learned.places;
        let theta = Window::new("learned numbers", &job.learned.view, &limits)?;
        let gradient = Window::new("gradient", &job.gradient.view, &limits)?;
        let moments = match &job.moments {
            Some([first, second]) => Some((
                Window::new("first moments", &first.view, &limits)?,
                Window::new("second moments", &second.view, &limits)?,
            )),
            None => None,
        };
        let (beta1, beta2, epsilon) = match job.method {
            Method::Adam { beta1, beta2, epsilon } => (beta1, beta2, epsilon),
            Method::Gradient => (0.0, 0.0, 0.0),
        };
        let first = |window: Option<&Window>| window.map_or(0, |window| window.first);
        let work = Work {
            theta: theta.first,
            gradient: gradient.first,
            first: first(moments.as_ref().map(|m| &m.0)),
            second: first(moments.as_ref().map(|m| &m.1)),
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
            unused0: 0,
            unused1: 0,
            unused2: 0,
        };
        let mut bindings = vec![
            (1, ring.target().as_entire_buffer_binding()),
            (2, theta.binding()),
            (3, gradient.binding()),
            (6, status.as_entire_buffer_binding()),
        ];
        let variant = match (job.method, &moments) {
            (Method::Adam { .. }, Some((first, second))) => {
                bindings.extend([(4, first.binding()), (5, second.binding())]);
                Variant::Adam
            }
            _ => Variant::Gradient,
        };
        let most = limits.max_compute_workgroups_per_dimension;
        let across = (work.end - HEAD).div_ceil(WORKGROUP).clamp(1, most);
        let update = Dispatch::of_job(
            kernels,
            &variant,
            bytemuck::bytes_of(&work),
            &bindings,
            (across, layers.clamp(1, most)),
        )?;
        let mut dispatches = Dispatches::from(update);

        if let Some(rounds) = job.bound {
            let n = places.components;
            let structure = bytemuck::cast_slice::<u32, u8>(&structure(&job.pattern)).to_vec();
            let vectors = vectors(n, layers);
            let vectors: &[u8] = bytemuck::cast_slice(&vectors);
            for (place, bytes) in [("structure of the pattern", structure.len()), ("vectors", vectors.len())]
            {
                within_binding(place, bytes as u64, &limits)?;
            }
            let usage = wgpu::BufferUsages::STORAGE;
            let structure = gpu::buffer_with(device, "structure of the pattern", &structure, usage)?;
            let vectors = gpu::buffer_with(device, "vectors", vectors, usage)?;
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
            let (work, groups) = (bytemuck::bytes_of(&work), (layers.clamp(1, most), 1));
            dispatches.extend([Dispatch::of_job(kernels, &Variant::Bound, work, &bindings, groups)?]);
        }
        Ok(Update { method: job.method, rates: job.rates, ring, status, norms, dispatches })
    }

    /// Records, before the pass with [`Update::record`], that the values of this step go to the device and the status
    /// words to 0. Allocates nothing but, where more than four recorded steps are not done yet, one more small slot.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] for a rate outside [0, 1e6] or step 0; [`crate::Error::DeviceLost`].
    pub fn set(&mut self, encoder: &mut wgpu::CommandEncoder, hyper: Hyper) -> Result<()> {
        let numbers = Numbers::new(self.method, self.rates, hyper)?;
        self.ring.record(encoder, |write| write(0, bytemuck::bytes_of(&numbers)))?;
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

impl Job {
    fn check(&self) -> Result<()> {
        let place = "learn";
        let places = self.learned.places;
        let [first, second] = self.moments.as_ref().map_or([None, None], |[a, b]| [Some(a), Some(b)]);
        let all = [("gradient", Some(&self.gradient)), ("first moments", first), ("second moments", second)];
        for (name, other) in all {
            let Some(other) = other else { continue };
            if (other.places, other.layers) != (places, self.learned.layers) {
                let text = |l: &Learned| format!("{} layers of {:?}", l.layers, l.places);
                return Err(shape(place, name, text(other), text(&self.learned)));
            }
        }
        let alone = places == Places { components: 0, nonzeros: 0 };
        let pattern = &self.pattern;
        let of_pattern = Places { components: pattern.rows(), nonzeros: pattern.nonzeros() };
        if !alone && (places != of_pattern || pattern.columns() != pattern.rows()) {
            let of = |p: &Places| format!("{} components, {} entries", p.components, p.nonzeros);
            return Err(shape(place, "places", of(&places), of(&of_pattern) + " of the square pattern"));
        }
        if alone && self.bound.is_some() {
            return Err(unsupported(
                place,
                "a norm bound without a matrix",
                "none where the places have no components",
            ));
        }
        if let Method::Adam { beta1, beta2, epsilon } = self.method {
            for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
                require((0.0..1.0).contains(&beta), place, name, beta, "[0, 1)")?;
            }
            require((1e-12..=1.0).contains(&epsilon), place, "epsilon", epsilon, "[1e-12, 1]")?;
            if self.moments.is_none() {
                return Err(unsupported(
                    place,
                    "Adam without moments",
                    "two vectors of moments at the places of the numbers",
                ));
            }
        }
        let Rates { values, q, b, activation, l } = self.rates;
        for (name, rate) in [("values", values), ("q", q), ("b", b), ("activation", activation), ("l", l)] {
            require(WEIGHT.contains(rate), place, &format!("rate of {name}"), rate, WEIGHT)?;
        }
        require(WEIGHT.contains(self.decay), place, "decay", self.decay, WEIGHT)?;
        let Floors { epsilon, l } = self.floors;
        require((1e-6..=1.0).contains(&epsilon), place, "floor of slopes and scales", epsilon, "[1e-6, 1]")?;
        require((1e-6..=1e6).contains(&l), place, "floor of L", l, "[1e-6, 1e6]")?;
        if let Some(rounds) = self.bound {
            let allowed = (1..=1000).contains(&rounds);
            require(allowed, place, "rounds of the norm bound", f64::from(rounds), "[1, 1000]")?;
        }
        let mut written = vec![("learned numbers", &self.learned.view)];
        written.extend(first.map(|m| ("first moments", &m.view)));
        written.extend(second.map(|m| ("second moments", &m.view)));
        refuse_overlap(&[("gradient", &self.gradient.view)], &written)
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
    let mut all = first.clone();
    for _ in 0..layers {
        all.extend_from_slice(&first);
        all.resize(all.len() + n as usize, 0.0);
    }
    all
}
