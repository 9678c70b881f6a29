//! What is timed of the solvers: gradient steps and Adam, by subgradients and by splitting, on groups of 64. There is nothing
//! to compare with: no other kernel of the library adds to a gradient, so that separate passes would have to be written
//! first.

use rayon::prelude::*;

use super::{Dispatches, Job, Reference, Solver, Stage, Variant};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::step::bench::{LAMBDA, RATE, WINDOW, block};
use crate::kernels::step::{Adam, Base, Element, Hyper, Width};
use crate::kernels::tiles::Kernel;
use crate::kernels::{Bench, Kernels, Loaded, Outcome};
use crate::penalty::group::Lasso;
use crate::penalty::{Group, Groups, L1, Layout, Penalty};

/// Members of a group.
const MEMBERS: u64 = 64;

/// One kernel: that of words of four, and for numbers of elements that are no multiple of four that of single ones.
#[derive(Clone, Copy, Debug)]
struct Subject {
    solver: Solver,
    base: Base,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let splitting = Solver::Splitting { beta: 1.0, published: false };
    let mut all: Vec<Box<dyn Bench>> = Vec::new();
    for base in [Base::Gradient, Base::Adam(Adam::default())] {
        for solver in [Solver::Subgradient, splitting] {
            all.push(Box::new(Subject { solver, base }));
        }
    }
    all
}

impl Subject {
    /// What each array holds: W, G, the states, the copy.
    fn arrays(&self) -> Vec<fn(&Element) -> f32> {
        let all: [fn(&Element) -> f32; 4] = [|e| e.w, |e| e.g, |e| e.m, |e| e.v];
        let copy: fn(&Element) -> f32 = |e| e.copy;
        let used = all.into_iter().take(2 + self.base.states());
        used.chain(self.solver.has_copy().then_some(copy)).collect()
    }

    fn group(elements: u64) -> Result<Group> {
        let groups = Groups::new(Layout::Blocks(MEMBERS), &[elements])?;
        Ok(Group::new(Lasso::SQRT_SIZE.into(), 0.1, groups))
    }

    fn penalty() -> Penalty {
        L1.into()
    }

    fn reference(&self, group: &Group) -> Result<Reference> {
        let hyper = Hyper::new(RATE, 10)?;
        Ok(Reference::new(self.solver, self.base, Self::penalty(), LAMBDA, Some(group), 1.0, &hyper))
    }
}

/// The random block, with copies that lie apart from the weights.
fn host(elements: u64) -> Vec<Element> {
    let mut host = block(elements);
    host.iter_mut().for_each(|e| e.copy = 0.9 * e.w);
    host
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let Subject { solver, base } = *self;
        let (stage, penalty) = (Stage::Held, Self::penalty());
        Variant { stage, solver, base, penalty, width: Width::Vec4 }.name()
    }

    fn bytes(&self, elements: u64) -> u64 {
        (self.base.bytes_per_element() + 8 * u64::from(self.solver.has_copy())) * elements
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * self.arrays().len() as u64 * elements
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let name = format!("solver/{} at {elements} elements", self.variant());
        let group = Self::group(elements)?;
        let host = host(elements);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut blocks = Vec::new();
        for read in self.arrays() {
            let values: Vec<f32> = host.iter().map(read).collect();
            blocks.push(gpu::buffer_with(device, "random block", bytemuck::cast_slice(&values), usage)?);
        }
        let reference = self.reference(&group)?;
        let rows = gpu::buffer_with(device, "rows", bytemuck::bytes_of(&reference.row()), usage)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let mut all = Vec::new();
        for _ in 0..sets.max(1) {
            let mut views = Vec::new();
            for _ in &blocks {
                let bytes = (4 * elements).next_multiple_of(16);
                let buffer = gpu::buffer(device, "timed tensor", bytes, usage, false)?;
                views.push(View::new(&name, &buffer, 0, elements)?);
            }
            let (penalty, group) = (Self::penalty(), Some(group.clone()));
            let job = Job { penalty, group, views: views.clone(), row: 0, tensor: 0 };
            let rows = rows.as_entire_buffer_binding();
            all.push((views, Dispatches::bind(kernels, self.base, self.solver, &[job], rows, &status)?));
        }
        let (device, queue) = (device.clone(), queue.clone());
        let loaded =
            OnDevice { name, device, queue, subject: *self, reference, host, blocks, status, sets: all };
        gpu::guarded(&loaded.device, &loaded.name, 0, || {
            let mut encoder =
                loaded.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            loaded.fill(&mut encoder, |_| true);
            loaded.queue.submit([encoder.finish()]);
        })?;
        Ok(Box::new(loaded))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let twin = self.reference(&Self::group(elements).ok()?).ok()?;
        let before: Vec<Element> = host(elements).iter().copied().cycle().take(elements as usize).collect();
        let mut after = before.clone();
        Some(Box::new(move || {
            after.copy_from_slice(&before);
            after.par_chunks_mut(MEMBERS as usize).enumerate().with_min_len(16).for_each(|(g, members)| {
                twin.step(g as u64, members);
            });
            std::hint::black_box(&after);
        }))
    }
}

/// A subject's buffers.
struct OnDevice {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    subject: Subject,
    reference: Reference,
    /// The random block, and per array its copy on the device.
    host: Vec<Element>,
    blocks: Vec<wgpu::Buffer>,
    status: wgpu::Buffer,
    sets: Vec<(Vec<View>, Dispatches)>,
}

impl OnDevice {
    /// Records copies of the random block over the arrays that `wanted` names, in every set.
    fn fill(&self, encoder: &mut wgpu::CommandEncoder, wanted: impl Fn(usize) -> bool) {
        let whole = 4 * self.host.len() as u64;
        for (views, _) in &self.sets {
            for (k, view) in views.iter().enumerate().filter(|(k, _)| wanted(*k)) {
                let mut at = view.offset();
                while at < view.end() {
                    let bytes = whole.min(view.end() - at);
                    encoder.copy_buffer_to_buffer(&self.blocks[k], 0, view.buffer(), at, bytes);
                    at += bytes;
                }
            }
        }
    }

    /// The ranges of whole groups that are compared.
    fn windows(&self) -> Vec<std::ops::Range<u64>> {
        let length = self.sets[0].0[0].length();
        if length <= 3 * WINDOW {
            return std::iter::once(0..length).collect();
        }
        let from = |place: u64| place / MEMBERS * MEMBERS;
        let middle = from(length / 2);
        vec![0..WINDOW, middle..middle + WINDOW, from(length - WINDOW)..length]
    }
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let windows = self.windows();
        let (read, status) = gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.clear_buffer(&self.status, 0, None);
            self.reset(&mut encoder);
            self.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0);
            let mut read: Vec<Vec<Result<Readback>>> = Vec::new();
            for view in &self.sets[0].0 {
                let window = |w: &std::ops::Range<u64>| {
                    let (from, bytes) = (view.offset() + 4 * w.start, 4 * (w.end - w.start));
                    Readback::record(&self.device, &mut encoder, view.buffer(), from, bytes)
                };
                read.push(windows.iter().map(window).collect());
            }
            let status = Readback::record(&self.device, &mut encoder, &self.status, 0, 4);
            self.queue.submit([encoder.finish()]);
            (read, status)
        })?;
        // per array, the windows end to end
        let mut arrays: Vec<Vec<f32>> = Vec::new();
        for of_array in read {
            let mut values = Vec::new();
            for readback in of_array {
                values.extend(readback?.wait::<f32>(&self.device)?);
            }
            arrays.push(values);
        }
        let status: Vec<u32> = status?.wait(&self.device)?;

        let places: Vec<u64> = windows.into_iter().flatten().collect();
        let states = self.subject.base.states();
        let copies = self.subject.solver.has_copy();
        let before = |i: usize| self.host[(places[i] % self.host.len() as u64) as usize];
        let after = |i: usize| Element {
            w: arrays[0][i],
            m: if states > 0 { arrays[2][i] } else { 0.0 },
            v: if states > 1 { arrays[3][i] } else { 0.0 },
            copy: if copies { arrays[2 + states][i] } else { 0.0 },
            ..before(i)
        };
        let mut outcome = Outcome::default();
        let all: Vec<usize> = (0..places.len()).collect();
        // windows begin and end where groups do, the last one where the tensor ends
        for members in
            all.chunk_by(|&a, &b| places[a] + 1 == places[b] && places[a] / MEMBERS == places[b] / MEMBERS)
        {
            let (was, is): (Vec<_>, Vec<_>) = members.iter().map(|&i| (before(i), after(i))).unzip();
            let verdicts = self.reference.judge(places[members[0]] / MEMBERS, &was, &is);
            for (j, &i) in verdicts.iter().zip(members) {
                outcome
                    .demand(j.ok, || format!("index {}: {:?} became {:?}", places[i], before(i), after(i)));
                outcome
                    .demand(arrays[1][i].to_bits() == before(i).g.to_bits(), || "a gradient changed".into());
            }
        }
        outcome.demand(status[0] == 0, || format!("{} elements not finite", status[0]));
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, encoder: &mut wgpu::CommandEncoder) {
        // the gradient is the array that no step changes
        self.fill(encoder, |k| k != 1);
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        self.sets[set % self.sets.len()].1.record(pass);
    }
}
