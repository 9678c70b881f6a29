//! What is timed of the step: every penalty after a gradient step, every base step, aligned and not; and the same work
//! in two passes, which is what a user would run without a fused kernel.

use rayon::prelude::*;

use super::{Base, Elementwise, Hyper, Reference, Row, Variant, Width, bind};
use crate::error::Result;
use crate::kernels::timed::{self, RATE, Tensors};
use crate::kernels::{Bench, Job, Loaded, Setup, compare};
use crate::penalty::{L1, NoPenalty, Penalty, Tl1};

/// With the rate of all benchmarks a lambda that zeroes about a tenth of the weights under l1 and leaves the others standing for
/// the few steps that one set of buffers takes between two resets.
const LAMBDA: f64 = 2.5;

/// Where the weights start, in elements, so that their offset differs from the others' modulo one word.
const ASKEW: u64 = 1;

/// One kernel, or the two that do its work.
#[derive(Clone, Copy, Debug)]
struct Subject {
    base: Base,
    penalty: Penalty,
    width: Width,
    /// The base step writes its point to memory, and the prox reads it back.
    two_passes: bool,
}

/// Every subject. Base steps that share a kernel are timed once.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let stands_for_all: [Penalty; 2] = [L1.into(), Tl1::default().into()];
    let mut pairs: Vec<(Base, Penalty, Width)> =
        Penalty::all().into_iter().map(|penalty| (Base::Gradient, penalty, Width::Vec4)).collect();
    for base in Base::all() {
        pairs.extend(stands_for_all.map(|penalty| (base, penalty, Width::Vec4)));
        pairs.push((base, stands_for_all[0], Width::Scalar));
    }
    let mut seen = std::collections::HashSet::new();
    pairs
        .into_iter()
        .filter(|&(base, penalty, width)| {
            Variant::new(base, penalty, width).is_ok_and(|variant| seen.insert(variant.name()))
        })
        .map(|(base, penalty, width)| {
            Box::new(Subject { base, penalty, width, two_passes: false }) as Box<dyn Bench>
        })
        .collect()
}

impl Subject {
    fn arrays(&self) -> usize {
        1 + usize::from(self.base.has_gradient()) + self.base.states()
    }

    /// The steps that do the work, in order.
    fn steps(&self) -> Vec<(Base, Penalty)> {
        if self.two_passes {
            vec![(self.base, NoPenalty.into()), (Base::Prox, self.penalty)]
        } else {
            vec![(self.base, self.penalty)]
        }
    }

    /// The twin of all steps together: memory between two passes holds the same f32 that a fused kernel computes.
    fn reference(&self, hyper: &Hyper) -> Reference {
        Reference::new(self.base, self.penalty, LAMBDA, 1.0, hyper)
    }
}

fn hyper() -> Result<Hyper> {
    Hyper::new(RATE, 10)
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let width = self.width;
        let name = |(base, penalty)| Variant { base, penalty, width }.name();
        self.steps().into_iter().map(name).collect::<Vec<_>>().join(" + ")
    }

    fn bytes(&self, elements: u64) -> u64 {
        self.steps().iter().map(|(base, _)| base.bytes_per_element() * elements).sum()
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * self.arrays() as u64 * elements
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let hyper = hyper()?;
        let shape = (self.base.has_gradient(), self.base.states(), false);
        let tensors = Tensors::new(on, on.elements, shape, timed::windows(on.elements, 1))?;
        let steps = self.steps();
        let rows: Vec<Row> =
            steps.iter().map(|&(b, p)| Reference::new(b, p, LAMBDA, 1.0, &hyper).row()).collect();
        let rows = on.bytes(bytemuck::cast_slice(&rows))?;
        let lead = if self.width == Width::Scalar { ASKEW } else { 0 };
        let set = || {
            tensors.set(on, lead, |views| {
                let mut dispatches = Vec::new();
                for (row, &(base, penalty)) in steps.iter().enumerate() {
                    let views = views[..if base.has_gradient() { views.len() } else { 1 }].to_vec();
                    let job = Job { operator: Elementwise::new(penalty, LAMBDA), views, row, tensor: 0 };
                    let rows = rows.as_entire_buffer_binding();
                    dispatches.push(bind(on.kernels, base, &[job], rows, &tensors.status)?);
                }
                Ok(Box::new(move |pass| dispatches.iter().for_each(|d| d.record(pass))))
            })
        };
        let reference = self.reference(&hyper);
        on.load(
            set,
            tensors.judge(|_, before, after| {
                compare(after.len(), |i| reference.judge(before[i], after[i]), |i| after[i].w)
            }),
        )
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.width == Width::Scalar {
            return None;
        }
        let twin = self.reference(&hyper().ok()?);
        let before = timed::contents(elements);
        let mut after = before.clone();
        Some(Box::new(move || {
            after
                .par_iter_mut()
                .zip(&before)
                .with_min_len(1024)
                .for_each(|(after, before)| *after = twin.step(*before).0);
            std::hint::black_box(&after);
        }))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        let representative = matches!(self.penalty, Penalty::L1(_) | Penalty::Tl1(_));
        let timed = self.base == Base::Gradient && self.width == Width::Vec4 && !self.two_passes;
        (representative && timed).then(|| Box::new(Subject { two_passes: true, ..*self }) as Box<dyn Bench>)
    }
}
