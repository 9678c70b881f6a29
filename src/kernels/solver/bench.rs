//! What is timed of the solvers: gradient steps and Adam, by subgradients and by splitting, on groups of 64. There is nothing
//! to compare with: no other kernel of the library adds to a gradient, so that separate passes would have to be written
//! first.

use rayon::prelude::*;

use super::{Job, Reference, Solver, Stage, Variant, bind};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::packer::Kernel;
use crate::kernels::step::{Adam, Base, Element, Hyper, Width};
use crate::kernels::timed::{self, RATE, Recorder, Seen, Timed, WINDOW};
use crate::kernels::{Bench, Kernels, Loaded, Outcome};
use crate::penalty::group::Lasso;
use crate::penalty::{Group, Groups, L1, Layout, Penalty};

/// A lambda that leaves most weights standing for the few steps between two resets.
const LAMBDA: f64 = 0.5;

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
        sets_wanted: usize,
    ) -> Result<Box<dyn Loaded>> {
        let name = format!("solver/{} at {elements} elements", self.variant());
        let group = Self::group(elements)?;
        let host = timed::block(elements);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let blocks = Timed::upload(device, &host, &self.arrays())?;
        let reference = self.reference(&group)?;
        let rows = gpu::buffer_with(device, "rows", bytemuck::bytes_of(&reference.row()), usage)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let mut sets: Vec<(Vec<View>, Recorder)> = Vec::new();
        for _ in 0..sets_wanted.max(1) {
            let mut views = Vec::new();
            for _ in &blocks {
                let bytes = (4 * elements).next_multiple_of(16);
                let buffer = gpu::buffer(device, "timed tensor", bytes, usage, false)?;
                views.push(View::new(&name, &buffer, 0, elements)?);
            }
            let (penalty, group) = (Self::penalty(), Some(group.clone()));
            let job = Job { penalty, group, views: views.clone(), row: 0, tensor: 0 };
            let rows = rows.as_entire_buffer_binding();
            let bound = bind(kernels, self.base, self.solver, &[job], rows, &status)?;
            sets.push((views, Box::new(move |pass| bound.record(pass))));
        }
        let (states, copies) = (self.base.states(), self.solver.has_copy());
        let judge = move |seen: &Seen, host: &[Element]| {
            let places = seen.places();
            let before = |i: u64| host[(i % host.len() as u64) as usize];
            let after = |i: u64| Element {
                w: seen.at(0, i),
                m: if states > 0 { seen.at(2, i) } else { 0.0 },
                v: if states > 1 { seen.at(3, i) } else { 0.0 },
                copy: if copies { seen.at(2 + states, i) } else { 0.0 },
                ..before(i)
            };
            let mut outcome = Outcome::default();
            // windows begin and end where groups do, the last one where the tensor ends
            for members in places.chunk_by(|a, b| a + 1 == *b && a / MEMBERS == b / MEMBERS) {
                let (was, is): (Vec<_>, Vec<_>) = members.iter().map(|&i| (before(i), after(i))).unzip();
                let verdicts = reference.judge(members[0] / MEMBERS, &was, &is);
                for (j, &i) in verdicts.iter().zip(members) {
                    outcome.demand(j.ok, || format!("index {i}: {:?} became {:?}", before(i), after(i)));
                }
            }
            outcome
        };
        let whole = |place: u64| place / MEMBERS * MEMBERS;
        let windows = if elements <= 3 * WINDOW {
            std::iter::once(0..elements).collect()
        } else {
            let middle = whole(elements / 2);
            vec![0..WINDOW, middle..middle + WINDOW, whole(elements - WINDOW)..elements]
        };
        let loaded = Timed {
            name,
            device: device.clone(),
            queue: queue.clone(),
            host,
            blocks,
            status,
            sets,
            read_only: Some(1),
            windows,
            judge: Box::new(judge),
        };
        loaded.fill_all()?;
        Ok(Box::new(loaded))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let twin = self.reference(&Self::group(elements).ok()?).ok()?;
        let before = timed::contents(elements);
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
