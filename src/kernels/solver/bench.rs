//! What is timed of the solvers: gradient steps and Adam, by subgradients and by splitting, on groups of 64. There is nothing
//! to compare with: no other kernel of the library adds to a gradient, so that separate passes would have to be written
//! first.

use rayon::prelude::*;

use super::{Reference, Solved, Solver, Stage, Variant, bind};
use crate::error::Result;
use crate::kernels::program::Program;
use crate::kernels::step::{Adam, Base, Element, Elementwise, Hyper, Width};
use crate::kernels::timed::{self, RATE, Tensors};
use crate::kernels::{Bench, Job, Loaded, Outcome, Setup, Twin};
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
    fn arrays(&self) -> usize {
        2 + self.base.states() + usize::from(self.solver.has_copy())
    }

    fn group(elements: u64) -> Result<Group> {
        let groups = Groups::new(Layout::Blocks(MEMBERS), &[elements])?;
        Ok(Group::new(Lasso::SQRT_SIZE.into(), 0.1, groups))
    }

    fn penalty() -> Penalty {
        L1.into()
    }

    fn operator(&self, group: &Group) -> Result<Solved> {
        let own = Elementwise::new(Self::penalty(), LAMBDA);
        Solved::new("bench", self.solver, own, Some(group.clone()))
    }

    fn reference(&self, group: &Group) -> Result<Reference> {
        let hyper = Hyper::new(RATE, 10)?;
        Ok(Reference::of(&self.operator(group)?, self.base, 1.0, &hyper))
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
        4 * self.arrays() as u64 * elements
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let group = Self::group(on.elements)?;
        let reference = self.reference(&group)?;
        let shape = (true, self.base.states(), self.solver.has_copy());
        let tensors = Tensors::new(on, on.elements, shape, timed::windows(on.elements, MEMBERS))?;
        let rows = on.bytes(bytemuck::bytes_of(&reference.row()))?;
        let set = || {
            tensors.set(on, 0, |views| {
                let job = Job { operator: self.operator(&group)?, views: views.to_vec(), row: 0, tensor: 0 };
                let rows = rows.as_entire_buffer_binding();
                let bound = bind(on.kernels, self.base, &[job], rows, &tensors.status)?;
                Ok(Box::new(move |pass| bound.record(pass)))
            })
        };
        let judge = |start: u64, before: &[Element], after: &[Element]| {
            let size = MEMBERS as usize;
            let mut outcome = Outcome::default();
            for (g, (before, after)) in (start / MEMBERS..).zip(before.chunks(size).zip(after.chunks(size))) {
                for (i, j) in reference.judge(g, before, after).iter().enumerate() {
                    outcome.demand(j.ok, || format!("group {g}: {:?} became {:?}", before[i], after[i]));
                }
            }
            outcome
        };
        on.load(set, tensors.judge(judge))
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
