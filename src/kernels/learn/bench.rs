//! What is timed of a step: many layers of n = 64 with a third of Â, by either method; and the norm bound.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::cases::{set, submit, words};
use super::reference::State;
use super::{Hyper, Job, Method, Rates, Reference, Update, Variant};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::{Bench, Kernels, Learned, Loaded, Outcome};
use crate::matrix::Pattern;
use crate::regulariser::{Floors, HEAD, Places};

/// Components of a layer, and the share of Â's entries.
const N: u32 = 64;
const DENSITY: f64 = 0.3;

/// Steps are timed without a bound, the bound with a step at rest before it.
#[derive(Clone, Copy, Debug)]
struct Subject {
    method: Method,
    bound: Option<u32>,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let adam = Method::default();
    let subjects = [(adam, None), (Method::Gradient, None), (Method::Gradient, Some(1))];
    subjects
        .into_iter()
        .map(|(method, bound)| Box::new(Subject { method, bound }) as Box<dyn Bench>)
        .collect()
}

const HYPER: Hyper = Hyper { rate: 1e-3, step: 10 };

impl Subject {
    /// Layers of about so many numbers; at least one.
    fn shape(elements: u64) -> Result<(Arc<Pattern>, Places, u32)> {
        let pattern = Pattern::random(N, DENSITY, 5)?;
        let places = Places { components: N, nonzeros: pattern.nonzeros() };
        let layers = (elements / u64::from(places.length())).max(1) as u32;
        Ok((Arc::new(pattern), places, layers))
    }

    /// How many of the numbers a step reads and writes.
    fn moved(elements: u64) -> u64 {
        Self::shape(elements)
            .map_or(0, |(_, places, layers)| u64::from(layers) * (places.values().end as u64 - 3))
    }

    fn arrays(&self) -> usize {
        if matches!(self.method, Method::Adam { .. }) { 4 } else { 2 }
    }
}

/// Numbers as training meets them, their gradient and moments: one layer's, to be laid end to end.
fn layer(places: Places) -> [Vec<f32>; 4] {
    let mut rng = ChaCha8Rng::seed_from_u64(0x1eab);
    let length = places.length() as usize;
    let mut all = [0.5f32, 1.0, 0.3, 0.0].map(|size| -> Vec<f32> {
        (0..length).map(|_| rng.random_range(-size - 1e-3..size + 1e-3)).collect()
    });
    all[3].fill_with(|| rng.random_range(0.1..1.0));
    all[0][..HEAD as usize].copy_from_slice(&[1.0, 1.0, 0.5, 0.1, 0.2, 0.0, 0.0, 0.0]);
    all[0][places.q()].fill_with(|| rng.random_range(0.5..1.5));
    all
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let variant = match (self.bound, self.method) {
            (Some(_), _) => Variant::Bound,
            (None, Method::Adam { .. }) => Variant::Adam,
            (None, Method::Gradient) => Variant::Gradient,
        };
        variant.name().into()
    }

    fn label(&self) -> String {
        match self.bound {
            Some(rounds) => format!("bound, {rounds} round, n={N}"),
            None => self.variant(),
        }
    }

    fn bytes(&self, elements: u64) -> u64 {
        match (self.bound, self.method) {
            // read for the rows, again for the columns, and scaled
            (Some(rounds), _) => (8 * u64::from(rounds) + 8) * Self::moved(elements),
            (None, Method::Adam { .. }) => 28 * Self::moved(elements),
            (None, Method::Gradient) => 12 * Self::moved(elements),
        }
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * self.arrays() as u64 * elements.max(4096)
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let (pattern, places, layers) = Self::shape(elements)?;
        let one = layer(places);
        let total = one[0].len() * layers as usize;
        let arrays: Vec<Vec<f32>> =
            one.iter().map(|array| array.iter().copied().cycle().take(total).collect()).collect();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut loaded = Vec::new();
        for _ in 0..sets.max(1) {
            let mut learned = Vec::new();
            for array in &arrays[..self.arrays()] {
                let buffer = gpu::buffer_with(device, "timed numbers", bytemuck::cast_slice(array), usage)?;
                let view = View::new("timed numbers", &buffer, 0, total as u64)?;
                learned.push(Learned::new("timed numbers", view, places, layers)?);
            }
            let resting = Rates { values: 0.0, q: 0.0, b: 0.0, activation: 0.0, l: 0.0 };
            let moving = Rates { values: 1.0, q: 1.0, b: 1.0, activation: 1.0, l: 1.0 };
            let job = Job {
                pattern: pattern.clone(),
                learned: learned[0].clone(),
                gradient: learned[1].clone(),
                moments: learned.get(2).cloned().zip(learned.get(3).cloned()).map(|(m, v)| [m, v]),
                method: self.method,
                rates: if self.bound.is_some() { resting } else { moving },
                decay: 0.0,
                floors: Floors::default(),
                bound: self.bound,
            };
            let mut dispatches = Update::bind(kernels, &job)?;
            set(device, queue, &mut dispatches, HYPER)?;
            loaded.push((job, dispatches));
        }
        Ok(Box::new(OnDevice { device: device.clone(), queue: queue.clone(), arrays, sets: loaded }))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.bound.is_some() {
            return None;
        }
        // the arithmetic of a step in float64
        let count = Self::moved(elements) as usize;
        let adam = matches!(self.method, Method::Adam { .. });
        let mut all = vec![[0.1f64, 0.2, 0.3, 0.4]; count];
        Some(Box::new(move || {
            all.par_iter_mut().with_min_len(4096).for_each(|[theta, g, m, v]| {
                if adam {
                    *m = 0.9 * *m + 0.1 * *g;
                    *v = 0.999 * *v + 0.001 * *g * *g;
                    *theta -= 1e-3 * *m / (v.sqrt() + 1e-8);
                } else {
                    *theta -= 1e-3 * *g;
                }
            });
            std::hint::black_box(&all);
        }))
    }
}

/// A subject's buffers.
struct OnDevice {
    device: wgpu::Device,
    queue: wgpu::Queue,
    arrays: Vec<Vec<f32>>,
    sets: Vec<(Job, Update)>,
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let (device, queue) = (&self.device, &self.queue);
        let (job, dispatches) = &self.sets[0];
        let learned = [
            Some(&job.learned),
            None,
            job.moments.as_ref().map(|m| &m[0]),
            job.moments.as_ref().map(|m| &m[1]),
        ];
        for (array, to) in self.arrays.iter().zip(learned) {
            if let Some(to) = to {
                queue.write_buffer(to.view.buffer(), to.view.offset(), bytemuck::cast_slice(array));
            }
        }
        submit(device, queue, |encoder| {
            encoder.clear_buffer(dispatches.status(), 0, None);
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            dispatches.record(&mut pass);
        })?;
        let read = |view: &View| words::<f32>(device, queue, view.buffer(), view.offset(), view.length());
        let theta = read(&job.learned.view)?;
        let moments = match &job.moments {
            Some([m, v]) => [read(&m.view)?, read(&v.view)?],
            None => [Vec::new(), Vec::new()],
        };
        let status = words::<u32>(device, queue, dispatches.status(), 0, u64::from(job.learned.layers))?;
        let mut outcome = Outcome::default();
        if job.bound.is_some() {
            // all layers are alike, and cases judge what they hold
            let length = job.learned.places.length() as usize;
            for (k, x) in theta.iter().enumerate() {
                outcome.demand(*x == theta[k % length] && x.is_finite(), || format!("place {k}: {x:e}"));
            }
            let shrunk =
                theta[job.learned.places.values()].iter().zip(&self.arrays[0][job.learned.places.values()]);
            outcome.demand(shrunk.clone().all(|(a, b)| a.abs() < b.abs()), || {
                "the values did not shrink".into()
            });
            return Ok(outcome);
        }
        let [_, gradient, m, v] = &self.arrays[..] else { return Ok(outcome) };
        let before = match &job.moments {
            Some(_) => State { learned: &self.arrays[0], moments: [m, v] },
            None => State { learned: &self.arrays[0], moments: [&[], &[]] },
        };
        let after = State { learned: &theta, moments: [&moments[0], &moments[1]] };
        Reference::new(job).judge(HYPER, before, gradient, after, &status)
    }

    /// A step changes little, and not how long the next one takes.
    fn reset(&self, _: &mut wgpu::CommandEncoder) {}

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        self.sets[set % self.sets.len()].1.record(pass);
    }
}
