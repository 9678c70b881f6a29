//! What is timed of the loss: batches of 64 components.

use super::reference::judge;
use super::{Loss, bind};
use crate::error::Result;
use crate::kernels::program::Program;
use crate::kernels::timed::{self, COMPONENTS, Set};
use crate::kernels::{Bench, Loaded, Setup};

const SCALE: f32 = 0.5;

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    timed::boxed([Loss])
}

impl Bench for Loss {
    fn variant(&self) -> String {
        self.name()
    }

    fn label(&self) -> String {
        format!("{} of n={COMPONENTS}", self.name())
    }

    fn bytes(&self, elements: u64) -> u64 {
        4 * (3 * timed::whole(elements) + 1)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let [output, target] = timed::batches(on.elements);
        let set = || {
            let (output, target) = (on.batch(on.filled(&output)?)?, on.batch(on.filled(&target)?)?);
            let (grad_output, loss) = (on.empty(0, output.view.len())?, on.empty(0, 1)?);
            let bar_of = on.batch(grad_output.clone())?;
            let dispatches = bind(on.kernels, &output, &target, (SCALE, 0.0), &bar_of, &loss)?;
            Ok(Set::new(move |pass| dispatches.record(pass), [grad_output, loss]))
        };
        on.load(set, |seen, outcome| {
            judge((SCALE, 0.0), [&output, &target], &seen[0], seen[1][0], outcome);
        })
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let [output, target] = timed::batches(elements);
        timed::host(move || {
            let d = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
            let grad_output: Vec<f64> = output.iter().zip(&target).map(d).collect();
            grad_output.iter().map(|d| d * d).sum::<f64>()
        })
    }
}
