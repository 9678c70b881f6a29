//! What is timed of the step with groups: every group penalty, every tier and every kind of layout; and the same work in
//! two passes, the step and then the operator of the groups, which is what a user would run without a fused kernel.

use super::{GroupReference, Grouped, bind};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::operator::Tabled;
use crate::kernels::step::{self, Adam, Element, Elementwise, Optimizer};
use crate::kernels::tiles::HELD;
use crate::kernels::timed::{self, Tensors};
use crate::kernels::{Bench, Loaded, Reference, Setup, TensorJob};
use crate::penalty::group::{Exclusive, Lasso};
use crate::penalty::{Group, GroupPenalty, Groups, L1, Layout, NoPenalty, Penalty, Tl1};

/// Lambdas that leave most groups standing for the few steps between two resets.
const LAMBDA: f64 = 0.5;
const GROUP_LAMBDA: f64 = 0.05;

/// One kernel, or the two that do its work.
#[derive(Clone, Debug)]
struct Subject {
    base: Optimizer,
    penalty: Penalty,
    group: GroupPenalty,
    /// How the tensor is divided, and how many elements a row or column has.
    layout: (Layout, u64),
    /// The step writes its result to memory, and the groups' operator reads it back.
    two_passes: bool,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let lasso: GroupPenalty = Lasso::SQRT_SIZE.into();
    let l1: Penalty = L1.into();
    let rows = [1, 9, 64, 576, 4096, 8192].map(|n| (Layout::Rows, n));
    let columns = [64, 512, 4096].map(|n| (Layout::Columns, n));
    let layouts = rows.into_iter().chain(columns).chain([(Layout::Whole, 0)]);
    let mut all: Vec<_> = layouts.map(|layout| (Optimizer::Gradient, l1, lasso, layout)).collect();
    let rows = (Layout::Rows, 512);
    all.extend(GroupPenalty::all().into_iter().map(|group| (Optimizer::Gradient, l1, group, rows.clone())));
    all.extend([
        (Optimizer::Gradient, Tl1::default().into(), lasso, rows.clone()),
        (Optimizer::Prox, NoPenalty.into(), lasso, rows.clone()),
        (Optimizer::Adam(Adam::default()), l1, lasso, rows),
        (Optimizer::Gradient, l1, Exclusive.into(), (Layout::Whole, 0)),
    ]);
    let subject =
        |(base, penalty, group, layout)| Subject { base, penalty, group, layout, two_passes: false };
    timed::boxed(all.into_iter().map(subject))
}

impl Subject {
    /// The groups of about so many elements.
    fn group(&self, elements: u64) -> Result<Group> {
        let groups = match self.layout {
            (Layout::Rows, n) => Groups::new(Layout::Rows, &[(elements / n).max(1), n]),
            (Layout::Columns, n) => Groups::new(Layout::Columns, &[n, (elements / n).max(1)]),
            _ => Groups::new(Layout::Whole, &[elements]),
        };
        Ok(Group::new(self.group, GROUP_LAMBDA, groups?))
    }

    fn reference(&self, group: &Group) -> Result<GroupReference> {
        let operator = Grouped::new(Elementwise::new(self.penalty, LAMBDA), group.clone());
        Ok(GroupReference::of(&operator, self.base, 1.0, &timed::hyper()?))
    }

    /// Elements that are really there: whole groups. And those of a group.
    fn size(&self, elements: u64) -> (u64, u64) {
        let of = |group: Group| (group.groups.len(), group.groups.size(0));
        self.group(elements).map_or((elements, elements), of)
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let (base, penalty, group) = (self.base.kernel(), self.penalty.name(), self.group.name());
        let reach = match self.layout {
            (Layout::Rows, n) if n % 4 == 0 => "vec4",
            (Layout::Whole, _) => "vec4",
            (Layout::Columns, _) => "columns",
            _ => "strided",
        };
        if self.two_passes {
            format!("{base}/{penalty}/vec4 + prox/none/{group}/{reach}")
        } else {
            format!("{base}/{penalty}/{group}/{reach}")
        }
    }

    fn label(&self) -> String {
        match &self.layout {
            (Layout::Whole, _) => format!("{}, whole", self.variant()),
            (layout, n) => format!("{}, {layout} of {n}", self.variant()),
        }
    }

    fn bytes(&self, elements: u64) -> u64 {
        let searched = u64::from(self.group.rule().measurements() > 1);
        let (length, size) = self.size(elements);
        // that write the weights, after the first
        let passes = u64::from(size > HELD);
        // a search goes on for an unknown number of measurements; one of them is the least
        let more = passes * (8 + 4 * searched) + 8 * u64::from(self.two_passes);
        (self.base.bytes_per_element() + more) * length
    }

    fn footprint(&self, elements: u64) -> u64 {
        timed::footprint(self.base, false, self.size(elements).0)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let group = self.group(on.elements)?;
        let (base, penalty, hyper) = (self.base, self.penalty, timed::hyper()?);
        let reference = self.reference(&group)?;
        let tensors = Tensors::of_groups(on, &group.groups, (base, false))?;
        // the operator by itself after the step without groups, where there are two passes
        let own = Elementwise::new(penalty, LAMBDA);
        let (then_base, then) = if self.two_passes {
            (Optimizer::Prox, Elementwise::new(NoPenalty.into(), 0.0))
        } else {
            (base, own)
        };
        let operator = Grouped::new(then, group.clone());
        let first = on.bytes(bytemuck::bytes_of(&own.row(base, 1.0, &hyper)))?;
        let then = on.bytes(bytemuck::bytes_of(&operator.row(then_base, 1.0, &hyper)))?;
        let bind = |views: &[View]| {
            let job = TensorJob { operator: &own, views, row: 0, tensor: 0 };
            let jobs = if self.two_passes { vec![job] } else { Vec::new() };
            let rows = first.as_entire_buffer_binding();
            let mut all = step::bind(on.kernels, base, &jobs, rows, &tensors.status)?;
            let views = if self.two_passes { &views[..1] } else { views };
            let job = TensorJob { operator: &operator, views, row: 0, tensor: 0 };
            let rows = then.as_entire_buffer_binding();
            all.extend(bind(on.kernels, then_base, &[job], rows, &tensors.status)?);
            Ok(all)
        };
        let judge = |g, before: &[Element], after: &[Element]| reference.judge(g, before, after);
        tensors.load(on, 0, bind, timed::by_groups(&group.groups, judge))
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        // one reference per penalty, on rows; the others do the same work in another order
        if self.layout != (Layout::Rows, 512) {
            return None;
        }
        let reference = self.reference(&self.group(elements).ok()?).ok()?;
        timed::host_runs(self.size(elements).0, 512, move |g, members| reference.step(g, members))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        let timed = self.base == Optimizer::Gradient
            && matches!(self.group, GroupPenalty::Lasso(_))
            && matches!(self.layout, (Layout::Rows, 64 | 4096) | (Layout::Columns, 512))
            && !self.two_passes;
        timed.then(|| Box::new(Subject { two_passes: true, ..self.clone() }) as Box<dyn Bench>)
    }
}
