//! What is timed of the solvers: gradient steps and Adam, by subgradients and by splitting, on groups of 64. There is nothing
//! to compare with: no other kernel of the library adds to a gradient, so that separate passes would have to be written
//! first.

use super::{Solved, Solver, SolverReference, Stage, Variant, bind};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::operator::Tabled;
use crate::kernels::program::Program;
use crate::kernels::step::{Adam, Element, Elementwise, Optimizer};
use crate::kernels::timed::{self, Tensors};
use crate::kernels::word::Reach;
use crate::kernels::{Bench, Loaded, Reference, Setup, TensorJob};
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
    base: Optimizer,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let splitting = Solver::Splitting { beta: 1.0, published: false };
    let solvers = [Solver::Subgradient, splitting];
    let bases = [Optimizer::Gradient, Optimizer::Adam(Adam::default())];
    timed::boxed(bases.into_iter().flat_map(|base| solvers.map(|solver| Subject { solver, base })))
}

impl Subject {
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

    fn reference(&self, group: &Group) -> Result<SolverReference> {
        Ok(SolverReference::of(&self.operator(group)?, self.base, 1.0, &timed::hyper()?))
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let Subject { solver, base } = *self;
        let (stage, penalty) = (Stage::Held, Self::penalty());
        Variant { stage, solver, base, penalty, reach: Reach::Vec4 }.name()
    }

    fn bytes(&self, elements: u64) -> u64 {
        (self.base.bytes_per_element() + 8 * u64::from(self.solver.has_copy())) * elements
    }

    fn footprint(&self, elements: u64) -> u64 {
        timed::footprint(self.base, self.solver.has_copy(), elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let group = Self::group(on.elements)?;
        let reference = self.reference(&group)?;
        let tensors = Tensors::of_groups(on, &group.groups, (self.base, self.solver.has_copy()))?;
        let operator = self.operator(&group)?;
        let rows = on.bytes(bytemuck::bytes_of(&operator.row(self.base, 1.0, &timed::hyper()?)))?;
        let bind = |views: &[View]| {
            let job = TensorJob { operator: &operator, views, row: 0, tensor: 0 };
            let rows = rows.as_entire_buffer_binding();
            bind(on.kernels, self.base, &[job], rows, &tensors.status)
        };
        let judge = |g, before: &[Element], after: &[Element]| reference.judge(g, before, after);
        tensors.load(on, 0, bind, timed::by_groups(&group.groups, judge))
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let reference = self.reference(&Self::group(elements).ok()?).ok()?;
        timed::host_runs(elements, MEMBERS as usize, move |g, members| reference.step(g, members))
    }
}
