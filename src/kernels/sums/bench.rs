//! What is timed of the sums: a layer of 64 components, and the loss; and how layers are put on the device for the room
//! `sampled` too.

use super::cases::{Numbers, Subject, demand, judge, subject};
use super::reference::{Near, Sum};
use super::{Into, Passed, bind, dispatch, loss};
use crate::accuracy::{FLUSH, RELATIVE};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::timed::Set;
use crate::kernels::{Bench, Dispatches, Loaded, Outcome, Setup};
use crate::regulariser::Places;

/// What is timed.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// The sums of a layer.
    Layer,
    /// The loss and its derivative.
    Loss,
}

/// Components of everything timed here.
const COMPONENTS: u32 = 64;

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    [Work::Layer, Work::Loss].map(|work| Box::new(work) as Box<dyn Bench>).into()
}

/// A layer of as many vectors as make the elements.
fn layer(elements: u64) -> Subject {
    subject(COMPONENTS, (elements / u64::from(COMPONENTS)).max(1) as u32, 1.0)
}

impl Bench for Work {
    fn variant(&self) -> String {
        match self {
            Work::Layer => "rows".into(),
            Work::Loss => "loss".into(),
        }
    }

    fn label(&self) -> String {
        format!("{} of n={COMPONENTS}", self.variant())
    }

    fn bytes(&self, elements: u64) -> u64 {
        let of = layer(elements);
        let (n, m) = (u64::from(of.n), u64::from(of.m));
        match self {
            Work::Layer => 4 * (5 * n * m + 2 * (8 + 2 * n)),
            Work::Loss => 4 * (3 * n * m + 1),
        }
    }

    fn footprint(&self, elements: u64) -> u64 {
        self.bytes(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let of = layer(on.elements);
        let places = Places { components: of.n, nonzeros: 0 };
        match self {
            Work::Layer => load(
                on,
                &of,
                places,
                |passed, into| bind(on.kernels, passed, into),
                |numbers, after, outcome| judge(&of, numbers, places, after, outcome),
            ),
            Work::Loss => {
                let scale = 0.5;
                let bind = |passed: &Passed, into: &Into| {
                    let one = View { length: 1, ..super::layer_of(on.name, &into.gradient, into.layer)? };
                    loss(on.kernels, &passed.x, passed.data.batch(), scale, &passed.r_bar, &one)
                };
                load(on, &of, places, bind, |numbers, after, outcome| {
                    let mut sum = Sum::default();
                    for (a, b) in numbers.x.iter().zip(&numbers.data) {
                        let d = f64::from(*a) - f64::from(*b);
                        let d = Near { value: d, error: RELATIVE * d.abs() + FLUSH };
                        sum.add_product(d, d);
                    }
                    let count = numbers.x.len() as f64;
                    let span = dispatch::loss_span(numbers.x.len() as u64) as f64;
                    let chain = span / 256.0 + count / span / 256.0 + 20.0;
                    demand(outcome, "the loss", &sum.times(0.5 * f64::from(scale)), chain, after[0]);
                })
            }
        }
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let of = layer(elements);
        let places = Places { components: of.n, nonzeros: 0 };
        let numbers = of.numbers(places);
        match self {
            Work::Layer => None,
            Work::Loss => Some(Box::new(move || {
                let d = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
                let bar: Vec<f64> = numbers.x.iter().zip(&numbers.data).map(d).collect();
                std::hint::black_box(bar.iter().map(|d| d * d).sum::<f64>());
            })),
        }
    }
}

/// Loads a layer's arrays, and what `bind` makes of each set; `judge` is asked about the gradient's layer.
pub(in crate::kernels) fn load(
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
        let written = super::layer_of(on.name, &into.gradient, into.layer)?;
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
