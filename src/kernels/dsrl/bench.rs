//! What is timed of the fused layers: ten of them, forward beside ten dispatches of one layer each, and backward.

use rayon::prelude::*;

use super::dispatch::PLACES;
use super::{Backward, DsrlReference, Forward, Stage, backward, forward};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::program::Program;
use crate::kernels::timed::{self, Set};
use crate::kernels::{Bench, LearnedParameters, Loaded, Setup};

/// N.
const LAYERS: u32 = 10;

/// L, eta1, eta2, delta1, delta2.
const NUMBERS: [f32; 8] = [1.7, 1.1, 0.6, 0.05, 0.7, 0.0, 0.0, 0.0];

/// Ten layers in one dispatch or backward, or in a dispatch each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Forward,
    Separate,
    Backward,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    timed::boxed([Subject::Forward, Subject::Backward])
}

/// x, c and the derivative by the output.
fn arrays(elements: u64) -> [Vec<f32>; 3] {
    timed::arrays(elements, [2.0, 1.5, 1.0])
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let backward = Stage::Backward { shared: true };
        let stage = if *self == Subject::Backward { backward } else { Stage::Forward };
        stage.name()
    }

    fn label(&self) -> String {
        match self {
            Subject::Forward => format!("forward, {LAYERS} layers"),
            Subject::Separate => format!("forward, {LAYERS} dispatches of a layer"),
            Subject::Backward => format!("backward, {LAYERS} layers"),
        }
    }

    fn bytes(&self, elements: u64) -> u64 {
        let each = match self {
            Subject::Forward => 12,
            Subject::Separate => 12 * u64::from(LAYERS),
            Subject::Backward => 16,
        };
        each * elements
    }

    fn footprint(&self, elements: u64) -> u64 {
        (if *self == Subject::Forward { 12 } else { 16 }) * elements
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let host = arrays(on.elements);
        let set = || {
            let [x, c] = [on.filled(&host[0])?, on.filled(&host[1])?];
            let learned = LearnedParameters::new(on.name, on.filled(&NUMBERS)?, PLACES, 1)?;
            let output = on.empty(0, on.elements)?;
            let forward = |layers: u32, x: &View, output: &View| {
                let (learned, x, c, output) = (learned.clone(), x.clone(), c.clone(), output.clone());
                forward(on.kernels, &Forward { learned, layers, x, c, output })
            };
            let mut seen = vec![output.clone()];
            let dispatches = match self {
                Subject::Forward => vec![forward(LAYERS, &x, &output)?],
                Subject::Separate => {
                    let other = on.empty(0, on.elements)?;
                    // an even number of layers, so that the last one writes the output
                    let ends = [&other, &output].into_iter().cycle().take(LAYERS as usize);
                    let begins = std::iter::once(&x).chain(ends.clone());
                    begins.zip(ends).map(|(from, to)| forward(1, from, to)).collect::<Result<_>>()?
                }
                Subject::Backward => {
                    let gradient = LearnedParameters::new(on.name, on.filled(&[0.0; 8])?, PLACES, 1)?;
                    seen.push(gradient.view.clone());
                    let (layers, grad_output, grad_input) = (LAYERS, on.filled(&host[2])?, Some(output));
                    let job =
                        Backward { learned, layers, x, c, grad_output, grad_input, gradient, add: false };
                    vec![backward(on.kernels, &job)?]
                }
            };
            Ok(Set::new(move |pass| dispatches.iter().for_each(|d| d.record(pass)), seen))
        };
        let reference = DsrlReference::new(&NUMBERS, LAYERS);
        let [x, c, grad_output] = &host;
        on.load(set, |seen, outcome| {
            outcome.merge(match self {
                Subject::Backward => {
                    reference.judge_backward([x, c, grad_output], None, Some(&seen[0]), &seen[1])
                }
                Subject::Forward | Subject::Separate => reference.judge_forward(x, c, &seen[0]),
            });
        })
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if *self != Subject::Forward {
            return None;
        }
        let [x, c, _] = arrays(elements);
        let reference = DsrlReference::new(&NUMBERS, LAYERS);
        timed::host(move || {
            let one = |(x, c): (&f32, &f32)| reference.value(*x, *c);
            x.par_iter().zip(&c).with_min_len(1024).map(one).collect::<Vec<f64>>()
        })
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        (*self == Subject::Forward).then(|| Box::new(Subject::Separate) as Box<dyn Bench>)
    }
}
