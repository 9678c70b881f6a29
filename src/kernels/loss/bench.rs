//! What is timed of the loss: batches of 64 components.

use super::reference::judge;
use super::{Loss, bind};
use crate::error::Result;
use crate::kernels::backward::bench::{COMPONENTS, batch, batches, vectors};
use crate::kernels::program::Program;
use crate::kernels::timed::Set;
use crate::kernels::{Bench, Loaded, Outcome, Setup};

const SCALE: f32 = 0.5;

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    vec![Box::new(Loss)]
}

impl Bench for Loss {
    fn variant(&self) -> String {
        self.name()
    }

    fn label(&self) -> String {
        format!("{} of n={COMPONENTS}", self.name())
    }

    fn bytes(&self, elements: u64) -> u64 {
        4 * (3 * u64::from(COMPONENTS) * u64::from(vectors(elements)) + 1)
    }

    fn footprint(&self, elements: u64) -> u64 {
        self.bytes(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let [output, target] = batches(on.elements);
        let set = || {
            let batch = |view| batch(on, view);
            let (output, target) = (batch(on.filled(&output)?)?, batch(on.filled(&target)?)?);
            let (bar, loss) = (on.empty(0, output.view.length())?, on.empty(0, 1)?);
            let dispatches = bind(on.kernels, &output, &target, (SCALE, 0.0), &batch(bar.clone())?, &loss)?;
            Ok(Set::new(move |pass| dispatches.record(pass), [bar, loss]))
        };
        on.load(set, |seen| {
            let mut outcome = Outcome::default();
            judge((SCALE, 0.0), [&output, &target], &seen[0], seen[1][0], &mut outcome);
            Ok(outcome)
        })
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let [output, target] = batches(elements);
        Some(Box::new(move || {
            let d = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
            let bar: Vec<f64> = output.iter().zip(&target).map(d).collect();
            std::hint::black_box(bar.iter().map(|d| d * d).sum::<f64>());
        }))
    }
}
