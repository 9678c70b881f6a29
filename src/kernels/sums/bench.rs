//! What is timed of the sums: a layer of 64 components.

use super::bind;
use super::reference::judge;
use crate::error::Result;
use crate::kernels::backward::bench::load;
use crate::kernels::backward::cases::subject;
use crate::kernels::timed::{self, COMPONENTS};
use crate::kernels::{Bench, Loaded, Setup};
use crate::regulariser::ParameterLayout;

/// A layer of as many vectors as make the elements.
#[derive(Clone, Copy, Debug)]
struct Layer;

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    timed::boxed([Layer])
}

impl Bench for Layer {
    fn variant(&self) -> String {
        "rows".into()
    }

    fn label(&self) -> String {
        format!("rows of n={COMPONENTS}")
    }

    fn bytes(&self, elements: u64) -> u64 {
        4 * (5 * timed::whole(elements) + 2 * (8 + 2 * u64::from(COMPONENTS)))
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let of = subject(COMPONENTS, timed::vectors(on.elements), 1.0);
        let places = ParameterLayout { components: of.n, nonzeros: 0 };
        load(
            on,
            &of,
            places,
            |passed, into| bind(on.kernels, passed, into),
            |numbers, after, outcome| judge(&of, numbers, places, after, outcome),
        )
    }
}
