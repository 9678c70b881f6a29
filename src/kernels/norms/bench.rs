//! What is timed of the norms: groups of every tier, and columns.

use super::{Norm, NormsJob, NormsReference, Stage, Variant, bind};
use crate::error::Result;
use crate::kernels::program::Program;
use crate::kernels::timed::{self, Set, numbers};
use crate::kernels::word::Reach;
use crate::kernels::{Bench, Loaded, Setup};
use crate::penalty::{Groups, Layout};

/// The magnitudes that are timed.
const SEED: u64 = 0xbe9c;
const LARGEST: f32 = 3.0;

/// One norm of groups of one form.
#[derive(Clone, Debug)]
struct Subject {
    norm: Norm,
    layout: Layout,
}

/// Every subject: each tier with the norm that takes most arithmetic, and each norm.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let layouts = [1, 9, 64, 4096].map(Layout::Blocks).into_iter().chain([Layout::Whole, Layout::Columns]);
    let tiers = layouts.map(|layout| Subject { norm: Norm::L2, layout });
    let others = [Norm::L1, Norm::Linf, Norm::L0];
    let norms = others.map(|norm| Subject { norm, layout: Layout::Blocks(64) });
    timed::boxed(tiers.chain(norms))
}

impl Subject {
    /// The groups of `elements` elements, or of a few less in columns, where there are about as many as each has members.
    fn groups(&self, elements: u64) -> Result<Groups> {
        let columns = 1 << (elements.max(1).ilog2() / 2);
        match self.layout {
            Layout::Columns => Groups::new(Layout::Columns, &[elements / columns, columns]),
            _ => Groups::new(self.layout.clone(), &[elements]),
        }
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let (stage, reach) = match self.layout {
            Layout::Blocks(1) => (Stage::Each, Reach::Strided),
            Layout::Blocks(k) if k % 4 == 0 => (Stage::Whole, Reach::Vec4),
            Layout::Whole => (Stage::Part, Reach::Vec4),
            Layout::Columns => (Stage::Part, Reach::Columns),
            _ => (Stage::Whole, Reach::Strided),
        };
        Variant::new(stage, self.norm, reach).name()
    }

    fn label(&self) -> String {
        format!("{} of {}", self.variant(), self.layout)
    }

    fn bytes(&self, elements: u64) -> u64 {
        self.groups(elements).map_or(0, |groups| 4 * (groups.len() + groups.count()))
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let groups = self.groups(on.elements)?;
        let values = numbers(groups.len(), SEED, LARGEST);
        let set = || {
            let (input, output) = (on.filled(&values)?, on.empty(0, groups.count())?);
            let job = NormsJob { groups: groups.clone(), input: input.clone(), output: output.clone() };
            let dispatches = bind(on.kernels, self.norm, &[job])?;
            Ok(Set::new(move |pass| dispatches.record(pass), [input, output]))
        };
        let reference = NormsReference::new(self.norm, &groups);
        on.load(set, |seen, outcome| {
            outcome.merge(reference.compare(&values, bytemuck::cast_slice(&seen[1])));
            for (after, before) in seen[0].iter().zip(&values) {
                outcome.demand(after.to_bits() == before.to_bits(), || "the tensor changed".into());
            }
        })
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let groups = self.groups(elements).ok()?;
        let values = numbers(groups.len(), SEED, LARGEST);
        let reference = NormsReference::new(self.norm, &groups);
        timed::host(move || reference.values(&values))
    }
}
