//! What is timed of the step: every penalty after a gradient step, every base step, aligned and not; and the same work
//! in two passes, which is what a user would run without a fused kernel.

use super::{
    Elementwise, Optimizer, StepParameters, StepReference, StepRow, Variant, WORKGROUP, Width, bind,
};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::operator::Tabled;
use crate::kernels::timed::{self, Tensors};
use crate::kernels::{Bench, Dispatches, Loaded, Setup, TensorJob, compare};
use crate::penalty::{L1, NoPenalty, Penalty, Tl1};

/// With the rate of all benchmarks a lambda that zeroes about a tenth of the weights under l1 and leaves the others standing for
/// the few steps that one set of buffers takes between two resets.
const LAMBDA: f64 = 2.5;

/// Where the weights start, in elements, so that their offset differs from the others' modulo one word.
const ASKEW: u64 = 1;

/// One kernel, or the two that do its work.
#[derive(Clone, Copy, Debug)]
struct Subject {
    base: Optimizer,
    penalty: Penalty,
    width: Width,
    /// The base step writes its point to memory, and the prox reads it back.
    two_passes: bool,
}

/// Every subject. Base steps that share a kernel are timed once.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let stands_for_all: [Penalty; 2] = [L1.into(), Tl1::default().into()];
    let mut pairs: Vec<(Optimizer, Penalty, Width)> =
        Penalty::all().into_iter().map(|penalty| (Optimizer::Gradient, penalty, Width::Vec4)).collect();
    for base in Optimizer::all() {
        pairs.extend(stands_for_all.map(|penalty| (base, penalty, Width::Vec4)));
        pairs.push((base, stands_for_all[0], Width::Scalar));
    }
    let mut seen = std::collections::HashSet::new();
    let first = |&(base, penalty, width): &(Optimizer, Penalty, Width)| {
        Variant::new(base, penalty, width).is_ok_and(|variant| seen.insert(variant.name()))
    };
    let subject = |(base, penalty, width)| Subject { base, penalty, width, two_passes: false };
    timed::boxed(pairs.into_iter().filter(first).map(subject))
}

impl Subject {
    /// The steps that do the work, in order.
    fn steps(&self) -> Vec<(Optimizer, Penalty)> {
        if self.two_passes {
            vec![(self.base, NoPenalty.into()), (Optimizer::Prox, self.penalty)]
        } else {
            vec![(self.base, self.penalty)]
        }
    }

    /// The reference of all steps together: memory between two passes holds the same f32 that a fused kernel computes.
    fn reference(&self, hyper: &StepParameters) -> StepReference {
        StepReference::new(self.base, self.penalty, LAMBDA, 1.0, hyper)
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let width = self.width;
        let name = |(base, penalty)| Variant { base, penalty, width, invocations: WORKGROUP }.name();
        self.steps().into_iter().map(name).collect::<Vec<_>>().join(" + ")
    }

    fn bytes(&self, elements: u64) -> u64 {
        self.steps().iter().map(|(base, _)| base.bytes_per_element() * elements).sum()
    }

    fn footprint(&self, elements: u64) -> u64 {
        timed::footprint(self.base, false, elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let hyper = timed::hyper()?;
        let tensors = Tensors::new(on, on.elements, (self.base, false), timed::windows(on.elements, 1))?;
        let steps = self.steps();
        let rows: Vec<StepRow> =
            steps.iter().map(|&(b, p)| Elementwise::new(p, LAMBDA).row(b, 1.0, &hyper)).collect();
        let rows = on.bytes(bytemuck::cast_slice(&rows))?;
        let lead = if self.width == Width::Scalar { ASKEW } else { 0 };
        let bind = |views: &[View]| {
            let mut all = Dispatches::default();
            for (row, &(base, penalty)) in steps.iter().enumerate() {
                let views = &views[..if base.has_gradient() { views.len() } else { 1 }];
                let job = TensorJob { operator: &Elementwise::new(penalty, LAMBDA), views, row, tensor: 0 };
                all.extend(bind(on.kernels, base, &[job], rows.as_entire_buffer_binding(), &tensors.status)?);
            }
            Ok(all)
        };
        let reference = self.reference(&hyper);
        tensors.load(on, lead, bind, |_, before, after| {
            let from = |i: usize| format!("{:?} became {:?}", before[i], after[i]);
            compare(after.len(), |i| reference.judge(before[i], after[i]), |i| after[i].w, from)
        })
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.width == Width::Scalar {
            return None;
        }
        let reference = self.reference(&timed::hyper().ok()?);
        timed::host_runs(elements, 1024, move |_, run| {
            run.iter_mut().for_each(|element| *element = reference.step(*element).0);
        })
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        let representative = matches!(self.penalty, Penalty::L1(_) | Penalty::Tl1(_));
        let timed = self.base == Optimizer::Gradient && self.width == Width::Vec4 && !self.two_passes;
        (representative && timed).then(|| Box::new(Subject { two_passes: true, ..*self }) as Box<dyn Bench>)
    }
}
