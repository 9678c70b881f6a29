//! How the kernels of derivatives load what they time.

use super::cases::{Numbers, Subject};
use super::{GradientTarget, SavedActivations};
use crate::error::Result;
use crate::kernels::timed::Set;
use crate::kernels::{Dispatches, Loaded, Outcome, Setup};
use crate::regulariser::ParameterLayout;

/// Loads a layer's arrays, and what `bind` makes of each set; `judge` is asked about the gradient's layer.
pub fn load(
    on: &Setup<'_>,
    of: &Subject,
    places: ParameterLayout,
    bind: impl Fn(&SavedActivations, &GradientTarget) -> Result<Dispatches>,
    judge: impl Fn(&Numbers, &[f32], &mut Outcome),
) -> Result<Loaded> {
    let numbers = of.numbers(places);
    let arrays = of.arrays(&numbers);
    let set = || {
        let views = arrays.iter().map(|array| on.filled(array)).collect::<Result<Vec<_>>>()?;
        let (passed, into) = of.passed(on.name, &views, places)?;
        let dispatches = bind(&passed, &into)?;
        let written = into.gradient.of_layer(on.name, into.layer)?;
        Ok(Set::new(move |pass| dispatches.record(pass), [written, passed.x.view]))
    };
    on.load(set, |seen, outcome| {
        judge(&numbers, &seen[0], outcome);
        for (after, before) in seen[1].iter().zip(&arrays[0]) {
            outcome.demand(after.to_bits() == before.to_bits(), || "x changed".into());
        }
    })
}
