//! What is timed of the step with groups: every group penalty, every tier and every kind of layout; and the same work in
//! two passes, the step and then the operator of the groups, which is what a user would run without a fused kernel.

use rayon::prelude::*;

use super::{Job, Reference, bind};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::step::{self, Adam, Base, Element, Hyper};
use crate::kernels::tiles::HELD;
use crate::kernels::timed::{self, RATE, Recorder, Seen, Timed, WINDOW};
use crate::kernels::{Bench, Kernels, Loaded, Outcome};
use crate::penalty::group::{Exclusive, Lasso};
use crate::penalty::{Group, GroupPenalty, Groups, L1, Layout, NoPenalty, Penalty, Tl1};

/// Lambdas that leave most groups standing for the few steps between two resets.
const LAMBDA: f64 = 0.5;
const GROUP_LAMBDA: f64 = 0.05;

/// How a timed tensor is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// Rows of so many elements.
    Rows(u64),
    /// Columns of so many.
    Columns(u64),
    /// One group.
    Whole,
}

impl Shape {
    /// The groups of about `elements` elements.
    fn groups(self, elements: u64) -> Result<Groups> {
        match self {
            Shape::Rows(n) => Groups::new(Layout::Rows, &[(elements / n).max(1), n]),
            Shape::Columns(n) => Groups::new(Layout::Columns, &[n, (elements / n).max(1)]),
            Shape::Whole => Groups::new(Layout::Whole, &[elements]),
        }
    }

    /// Passes that write the weights, after the first.
    fn passes_more(self, elements: u64) -> u64 {
        match self {
            Shape::Rows(n) | Shape::Columns(n) => u64::from(n > HELD),
            Shape::Whole => u64::from(elements > HELD),
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Shape::Rows(n) => write!(f, "rows of {n}"),
            Shape::Columns(n) => write!(f, "columns of {n}"),
            Shape::Whole => write!(f, "whole"),
        }
    }
}

/// One kernel, or the two that do its work.
#[derive(Clone, Copy, Debug)]
struct Subject {
    base: Base,
    penalty: Penalty,
    group: GroupPenalty,
    shape: Shape,
    /// The step writes its result to memory, and the groups' operator reads it back.
    two_passes: bool,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let lasso: GroupPenalty = Lasso::SQRT_SIZE.into();
    let l1: Penalty = L1.into();
    let mut all: Vec<(Base, Penalty, GroupPenalty, Shape)> = Vec::new();
    for shape in [
        Shape::Rows(1),
        Shape::Rows(9),
        Shape::Rows(64),
        Shape::Rows(576),
        Shape::Rows(4096),
        Shape::Rows(8192),
        Shape::Columns(64),
        Shape::Columns(512),
        Shape::Columns(4096),
        Shape::Whole,
    ] {
        all.push((Base::Gradient, l1, lasso, shape));
    }
    for group in GroupPenalty::all() {
        all.push((Base::Gradient, l1, group, Shape::Rows(512)));
    }
    all.push((Base::Gradient, Tl1::default().into(), lasso, Shape::Rows(512)));
    all.push((Base::Prox, NoPenalty.into(), lasso, Shape::Rows(512)));
    all.push((Base::Adam(Adam::default()), l1, lasso, Shape::Rows(512)));
    all.push((Base::Gradient, l1, Exclusive.into(), Shape::Whole));
    let subject = |(base, penalty, group, shape)| Subject { base, penalty, group, shape, two_passes: false };
    all.into_iter().map(|parts| Box::new(subject(parts)) as Box<dyn Bench>).collect()
}

fn hyper() -> Result<Hyper> {
    Hyper::new(RATE, 10)
}

impl Subject {
    fn group(&self, elements: u64) -> Result<Group> {
        Ok(Group::new(self.group, GROUP_LAMBDA, self.shape.groups(elements)?))
    }

    fn reference(&self, elements: u64) -> Result<Reference> {
        let group = self.group(elements)?;
        Ok(Reference::new(self.base, self.penalty, LAMBDA, &group, 1.0, &hyper()?))
    }

    /// Elements that are really there: whole groups.
    fn length(&self, elements: u64) -> u64 {
        self.shape.groups(elements).map_or(elements, |groups| groups.length())
    }

    fn arrays(&self) -> usize {
        1 + usize::from(self.base.has_gradient()) + self.base.states()
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let (base, penalty, group) = (self.base.kernel(), self.penalty.name(), self.group.name());
        let width = match self.shape {
            Shape::Rows(n) if n % 4 == 0 => "vec4",
            Shape::Whole => "vec4",
            _ => "strided",
        };
        if self.two_passes {
            format!("{base}/{penalty}/vec4 + prox/none/{group}/{width}")
        } else {
            format!("{base}/{penalty}/{group}/{width}")
        }
    }

    fn label(&self) -> String {
        format!("{}, {}", self.variant(), self.shape)
    }

    fn bytes(&self, elements: u64) -> u64 {
        let searched = u64::from(self.group.rule().measurements() > 1);
        let passes = self.shape.passes_more(elements);
        // a search goes on for an unknown number of measurements; one of them is the least
        let more = passes * (8 + 4 * searched) + 8 * u64::from(self.two_passes);
        (self.base.bytes_per_element() + more) * self.length(elements)
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * self.arrays() as u64 * self.length(elements)
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets_wanted: usize,
    ) -> Result<Box<dyn Loaded>> {
        let group = self.group(elements)?;
        let length = group.groups.length();
        let (base, penalty) = (self.base, self.penalty);
        let reference = self.reference(elements)?;
        let host = timed::block(length);
        let read: [fn(&Element) -> f32; 4] = [|e| e.w, |e| e.g, |e| e.m, |e| e.v];
        let blocks = Timed::upload(device, &host, &read[..self.arrays()])?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;

        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let name = format!("group/{} at {length} elements", self.label());
        // the operator by itself after the step without groups, where there are two passes
        let (then_base, then_penalty, then_lambda) =
            if self.two_passes { (Base::Prox, NoPenalty.into(), 0.0) } else { (base, penalty, LAMBDA) };
        let row = |row: &[u8]| gpu::buffer_with(device, "rows", row, usage);
        let first = step::Reference::new(base, penalty, LAMBDA, 1.0, &hyper()?).row();
        let first = row(bytemuck::bytes_of(&first))?;
        let then = Reference::new(then_base, then_penalty, then_lambda, &group, 1.0, &hyper()?).row();
        let then = row(bytemuck::bytes_of(&then))?;
        let mut sets: Vec<(Vec<View>, Recorder)> = Vec::new();
        for _ in 0..sets_wanted.max(1) {
            let mut views = Vec::new();
            for _ in 0..self.arrays() {
                let bytes = (4 * length).next_multiple_of(16);
                let buffer = gpu::buffer(device, "timed tensor", bytes, usage, false)?;
                views.push(View::new(&name, &buffer, 0, length)?);
            }
            let job = step::Job { penalty, views: views.clone(), row: 0, tensor: 0 };
            let jobs = if self.two_passes { vec![job] } else { Vec::new() };
            let step = step::bind(kernels, base, &jobs, first.as_entire_buffer_binding(), &status)?;
            let used = if self.two_passes { &views[..1] } else { &views[..] };
            let job =
                Job { penalty: then_penalty, group: group.clone(), views: used.to_vec(), row: 0, tensor: 0 };
            let rows = then.as_entire_buffer_binding();
            let groups = bind(kernels, then_base, &[job], rows, &status)?;
            sets.push((
                views,
                Box::new(move |pass| {
                    step.record(pass);
                    groups.record(pass);
                }),
            ));
        }

        // whole groups: all elements are read where they lie apart, and some groups are judged
        let size = group.groups.size(0).max(1);
        let count = group.groups.count();
        let some = (WINDOW / size).max(1);
        let judged: Vec<u64> =
            (0..some.min(count)).chain(count.saturating_sub(some).max(some.min(count))..count).collect();
        let windows = match self.shape {
            Shape::Rows(n) => judged.iter().map(|g| g * n..(g + 1) * n).collect(),
            _ => std::iter::once(0..length).collect(),
        };
        let states = base.states();
        let judge = move |seen: &Seen, host: &[Element]| {
            let judge_group = |g: &u64| {
                let places: Vec<u64> = group.groups.members(*g).map(|i| i as u64).collect();
                let before: Vec<Element> =
                    places.iter().map(|i| host[(i % host.len() as u64) as usize]).collect();
                let after = |(i, e): (&u64, &Element)| {
                    let state = |k: usize| if states > k { seen.at(2 + k, *i) } else { 0.0 };
                    Element { w: seen.at(0, *i), m: state(0), v: state(1), ..*e }
                };
                let after: Vec<Element> = places.iter().zip(&before).map(after).collect();
                let mut outcome = Outcome::default();
                for ((j, e), i) in reference.judge(*g, &before, &after).iter().zip(&after).zip(&places) {
                    outcome.max_ulps = outcome.max_ulps.max(if j.ok { j.ulps } else { 0.0 });
                    outcome.demand(j.ok, || format!("index {i}: GPU {:e}, reference {:e}", e.w, j.expected));
                }
                outcome
            };
            judged.iter().map(judge_group).fold(Outcome::default(), |mut a, b| {
                a.merge(b);
                a
            })
        };
        let loaded = Timed {
            name,
            device: device.clone(),
            queue: queue.clone(),
            host,
            blocks,
            status,
            sets,
            read_only: base.has_gradient().then_some(1),
            windows,
            judge: Box::new(judge),
        };
        loaded.fill_all()?;
        Ok(Box::new(loaded))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        // one twin per penalty, on rows; the others do the same work in another order
        if self.shape != Shape::Rows(512) {
            return None;
        }
        let (twin, length) = (self.reference(elements).ok()?, self.length(elements));
        let before = timed::contents(length);
        let mut after = before.clone();
        Some(Box::new(move || {
            after.copy_from_slice(&before);
            after.par_chunks_mut(512).enumerate().for_each(|(g, members)| {
                twin.step(g as u64, members);
            });
            std::hint::black_box(&after);
        }))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        let timed = self.base == Base::Gradient
            && matches!(self.group, GroupPenalty::Lasso(_))
            && matches!(self.shape, Shape::Rows(64 | 4096) | Shape::Columns(512))
            && !self.two_passes;
        timed.then(|| Box::new(Subject { two_passes: true, ..*self }) as Box<dyn Bench>)
    }
}
