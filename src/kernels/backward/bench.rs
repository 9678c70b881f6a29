//! How the rooms of derivatives load what they time.

use super::cases::{Numbers, Subject};
use super::{Into, Passed};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::timed::{Set, numbers};
use crate::kernels::{Batch, Dispatches, Loaded, Order, Outcome, Setup};
use crate::regulariser::Places;

/// Components of what is timed.
pub const COMPONENTS: u32 = 64;

/// As many vectors as make the elements.
pub fn vectors(elements: u64) -> u32 {
    (elements / u64::from(COMPONENTS)).max(1) as u32
}

/// Two batches of as many vectors, component by component.
pub fn batches(elements: u64) -> [Vec<f32>; 2] {
    let length = u64::from(COMPONENTS) * u64::from(vectors(elements));
    [numbers(length, 1, 2.0), numbers(length, 2, 2.0)]
}

/// Such a batch on the device.
pub fn batch(on: &Setup<'_>, view: View) -> Result<Batch> {
    Batch::new(on.name, view, COMPONENTS, vectors(on.elements), Order::Components)
}

/// Loads a layer's arrays, and what `bind` makes of each set; `judge` is asked about the gradient's layer.
pub fn load(
    on: &Setup<'_>,
    of: &Subject,
    places: Places,
    bind: impl Fn(&Passed, &Into) -> Result<Dispatches>,
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
    on.load(set, |seen| {
        let mut outcome = Outcome::default();
        judge(&numbers, &seen[0], &mut outcome);
        for (after, before) in seen[1].iter().zip(&arrays[0]) {
            outcome.demand(after.to_bits() == before.to_bits(), || "x changed".into());
        }
        Ok(outcome)
    })
}
