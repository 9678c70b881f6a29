//! What is timed of the step with groups: every group penalty, every tier and every kind of layout; and the same work in
//! two passes, the step and then the operator of the groups, which is what a user would run without a fused kernel.

use super::{Job, Reference, bind};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::step::{self, Adam, Base, Element, Hyper};
use crate::kernels::tiles::HELD;
use crate::kernels::timed::{self, RATE, Tensors, WINDOW};
use crate::kernels::{Bench, Loaded, Outcome, Setup, compare};
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
    timed::boxed(all.into_iter().map(subject))
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
        timed::footprint(self.base, false, self.length(elements))
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let group = self.group(on.elements)?;
        let (base, penalty, length) = (self.base, self.penalty, group.groups.length());
        let reference = self.reference(on.elements)?;
        // whole groups: all elements are read where they lie apart
        let windows = match self.shape {
            Shape::Rows(n) => timed::windows(length, n),
            _ => std::iter::once(0..length).collect(),
        };
        let tensors = Tensors::new(on, length, (base, false), windows)?;
        // the operator by itself after the step without groups, where there are two passes
        let (then_base, then_penalty, then_lambda) =
            if self.two_passes { (Base::Prox, NoPenalty.into(), 0.0) } else { (base, penalty, LAMBDA) };
        let first = step::Reference::new(base, penalty, LAMBDA, 1.0, &hyper()?).row();
        let first = on.bytes(bytemuck::bytes_of(&first))?;
        let then = Reference::new(then_base, then_penalty, then_lambda, &group, 1.0, &hyper()?).row();
        let then = on.bytes(bytemuck::bytes_of(&then))?;
        let bind = |views: &[View]| {
            let job = step::Job { penalty, views: views.to_vec(), row: 0, tensor: 0 };
            let jobs = if self.two_passes { vec![job] } else { Vec::new() };
            let rows = first.as_entire_buffer_binding();
            let mut all = step::bind(on.kernels, base, &jobs, rows, &tensors.status)?;
            let views = if self.two_passes { &views[..1] } else { views }.to_vec();
            let job = Job { penalty: then_penalty, group: group.clone(), views, row: 0, tensor: 0 };
            let rows = then.as_entire_buffer_binding();
            all.extend(bind(on.kernels, then_base, &[job], rows, &tensors.status)?);
            Ok(all)
        };
        let some = (WINDOW / group.groups.size(0).max(1)).max(1);
        let judge = |start: u64, before: &[Element], after: &[Element]| {
            let count = group.groups.count();
            let judged: Vec<u64> = match self.shape {
                Shape::Rows(n) => (start / n..(start + before.len() as u64) / n).collect(),
                _ => (0..count).filter(|&g| g < some || g >= count.saturating_sub(some)).collect(),
            };
            let mut outcome = Outcome::default();
            for g in judged {
                let places: Vec<usize> = group.groups.members(g).map(|i| i - start as usize).collect();
                let [before, after] =
                    [before, after].map(|all| places.iter().map(|&i| all[i]).collect::<Vec<_>>());
                let verdicts = reference.judge(g, &before, &after);
                outcome.merge(compare(after.len(), |i| verdicts[i], |i| after[i].w));
            }
            outcome
        };
        tensors.load(on, 0, bind, judge)
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        // one twin per penalty, on rows; the others do the same work in another order
        if self.shape != Shape::Rows(512) {
            return None;
        }
        let twin = self.reference(elements).ok()?;
        timed::twin_of_runs(self.length(elements), 512, move |g, members| {
            twin.step(g, members);
        })
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        let timed = self.base == Base::Gradient
            && matches!(self.group, GroupPenalty::Lasso(_))
            && matches!(self.shape, Shape::Rows(64 | 4096) | Shape::Columns(512))
            && !self.two_passes;
        timed.then(|| Box::new(Subject { two_passes: true, ..*self }) as Box<dyn Bench>)
    }
}
