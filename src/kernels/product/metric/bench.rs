//! What is timed of the operator in a learned regulariser's metric: vectors of 64 components.

use super::cases::regulariser;
use super::{Job, Reference, Regularised, Row, bind};
use crate::error::Result;
use crate::kernels::product::{Operand, Path, Variant};
use crate::kernels::program::Program;
use crate::kernels::step::{Base, Element, Hyper};
use crate::kernels::timed::{COMPONENTS, RATE, Set, numbers};
use crate::kernels::{Bench, Loaded, Outcome, Setup, compare};
use crate::penalty::{Groups, Layout};

const DENSITY: f64 = 0.4;
const LAMBDA: f64 = 0.5;

/// Groups that are compared.
const SEEN: u64 = 64;

/// The operator by itself, without a base step: two products, of which the first names it.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels::product) struct Metric;

fn groups(elements: u64) -> Result<Groups> {
    let n = u64::from(COMPONENTS);
    Groups::new(Layout::Rows, &[(elements / n).max(1), n])
}

impl Bench for Metric {
    fn variant(&self) -> String {
        let (path, operand) = (Path::Tiles, Operand::Plain);
        Variant::Product { path, operand, finish: super::Finish::Activated }.name()
    }

    fn label(&self) -> String {
        format!("prox in the metric of n={COMPONENTS}, density {DENSITY}")
    }

    fn bytes(&self, elements: u64) -> u64 {
        8 * groups(elements).map_or(0, |groups| groups.length())
    }

    fn footprint(&self, elements: u64) -> u64 {
        2 * self.bytes(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let of = Regularised { regulariser: regulariser(COMPONENTS, DENSITY)?, groups: groups(on.elements)? };
        let hyper = Hyper::new(RATE, 1)?;
        let values = numbers(of.groups.length(), 4, 3.0);
        let rows = on.bytes(&Row::new(&of, LAMBDA, 1.0).alone(&hyper))?;
        let block = on.filled(&values)?;
        let set = || {
            let weights = on.empty(0, of.groups.length())?;
            let name = on.name.to_owned();
            let job = Job { name, of: of.clone(), weights: weights.clone(), row: 0 };
            let dispatches = bind(on.kernels, &[job], &rows)?;
            let set = Set::new(move |pass| dispatches.record(pass), [weights.clone()]);
            Ok(Set { refill: vec![(block.buffer().clone(), weights)], ..set })
        };
        let reference = Reference::new(Base::Prox, &of, LAMBDA, 1.0, &hyper);
        on.load(set, |seen| {
            let count = of.groups.count();
            let mut outcome = Outcome::default();
            for g in (0..count).filter(|g| *g < SEEN || *g >= count.saturating_sub(SEEN)) {
                let of_group = |all: &[f32]| -> Vec<Element> {
                    of.groups.members(g).map(|i| Element { w: all[i], ..Element::default() }).collect()
                };
                let (before, after) = (of_group(&values), of_group(&seen[0]));
                let verdicts = reference.judge(&before, &after);
                outcome.merge(compare(after.len(), |k| verdicts[k], |k| after[k].w));
            }
            Ok(outcome)
        })
    }
}
