//! What is timed of the derivative by a layer's input: batches of 64 components.

use super::reference::judge;
use super::{Chain, bind};
use crate::error::Result;
use crate::kernels::program::Program;
use crate::kernels::timed::{self, COMPONENTS, Set};
use crate::kernels::{Bench, LearnedParameters, Loaded, Setup};
use crate::regulariser::ParameterLayout;

const L: f32 = 1.7;

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    timed::boxed([Chain])
}

impl Bench for Chain {
    fn variant(&self) -> String {
        self.name()
    }

    fn label(&self) -> String {
        format!("{} of n={COMPONENTS}", self.name())
    }

    fn bytes(&self, elements: u64) -> u64 {
        12 * timed::whole(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let [grad_r, h] = timed::batches(on.elements);
        let places = ParameterLayout { components: COMPONENTS, nonzeros: 0 };
        let mut theta = vec![1.0; places.length() as usize];
        theta[ParameterLayout::L] = L;
        let set = || {
            let (grad_r, h) = (on.batch(on.filled(&grad_r)?)?, on.batch(on.filled(&h)?)?);
            let out = on.empty(0, grad_r.view.len())?;
            let learned = LearnedParameters::new(on.name, on.filled(&theta)?, places, 1)?;
            let dispatches = bind(on.kernels, &learned, 0, &grad_r, &h, &on.batch(out.clone())?)?;
            Ok(Set::new(move |pass| dispatches.record(pass), [out]))
        };
        on.load(set, |seen, outcome| judge(L, &grad_r, &h, &seen[0], outcome))
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let [grad_r, h] = timed::batches(elements);
        timed::host(move || {
            let one = |(r, h): (&f32, &f32)| f64::from(*r) - f64::from(*h) / f64::from(L);
            grad_r.iter().zip(&h).map(one).collect::<Vec<f64>>()
        })
    }
}
