//! What is timed of a step: many layers of n = 64 with a third of Â, by either method; and the norm bound.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::cases::set;
use super::reference::State;
use super::{LearnJob, LearnReference, Method, Rates, Update, UpdateParameters, Variant};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::program::Program;
use crate::kernels::timed::{self, Set};
use crate::kernels::{Bench, LearnedParameters, Loaded, Outcome, Setup};
use crate::matrix::Pattern;
use crate::regulariser::{Floors, HEAD, ParameterLayout};

/// Components of a layer, and the share of Â's entries.
const N: u32 = 64;
const DENSITY: f64 = 0.3;

/// Rounds of the bound.
const ROUNDS: u32 = 1;

/// Steps are timed without a bound, the bound with a step at rest before it.
#[derive(Clone, Copy, Debug)]
struct Subject(Variant);

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    timed::boxed(Variant::ALL.map(Subject))
}

const HYPER: UpdateParameters = UpdateParameters { rate: 1e-3, step: 10 };

impl Subject {
    /// Layers of about so many numbers; at least one.
    fn shape(elements: u64) -> Result<(Arc<Pattern>, ParameterLayout, u32)> {
        let pattern = Pattern::random(N, DENSITY, 5)?;
        let places = ParameterLayout { components: N, nonzeros: pattern.nonzeros() };
        let layers = (elements / u64::from(places.length())).max(1) as u32;
        Ok((Arc::new(pattern), places, layers))
    }

    /// How many of the numbers a step reads and writes.
    fn moved(elements: u64) -> u64 {
        Self::shape(elements)
            .map_or(0, |(_, places, layers)| u64::from(layers) * (places.values().end as u64 - 3))
    }

    fn arrays(&self) -> usize {
        if self.0 == Variant::Adam { 4 } else { 2 }
    }
}

/// Numbers as training meets them, their gradient and moments: one layer's, to be laid end to end.
fn layer(places: ParameterLayout) -> [Vec<f32>; 4] {
    let mut rng = ChaCha8Rng::seed_from_u64(0x1eab);
    let length = places.length() as usize;
    let mut all = [0.5f32, 1.0, 0.3, 0.0].map(|size| -> Vec<f32> {
        (0..length).map(|_| rng.random_range(-size - 1e-3..size + 1e-3)).collect()
    });
    all[3].fill_with(|| rng.random_range(0.1..1.0));
    all[0][..HEAD as usize].copy_from_slice(&[1.0, 1.0, 0.5, 0.1, 0.2, 0.0, 0.0, 0.0]);
    all[0][places.q()].fill_with(|| rng.random_range(0.5..1.5));
    all
}

impl Bench for Subject {
    fn variant(&self) -> String {
        self.0.name()
    }

    fn label(&self) -> String {
        match self.0 {
            Variant::Bound => format!("bound, {ROUNDS} round, n={N}"),
            _ => self.variant(),
        }
    }

    fn bytes(&self, elements: u64) -> u64 {
        let each = match self.0 {
            // read for the rows, again for the columns, and scaled
            Variant::Bound => 8 * u64::from(ROUNDS) + 8,
            Variant::Adam => 28,
            Variant::Gradient => 12,
        };
        each * Self::moved(elements)
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * self.arrays() as u64 * elements.max(4096)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let (pattern, places, layers) = Self::shape(on.elements)?;
        let one = layer(places);
        let total = one[0].len() * layers as usize;
        let arrays = one.map(|array| -> Vec<f32> { array.into_iter().cycle().take(total).collect() });
        let (adam, bound) = (self.0 == Variant::Adam, (self.0 == Variant::Bound).then_some(ROUNDS));
        let rate = if bound.is_some() { 0.0 } else { 1.0 };
        let job = |views: &[View]| -> Result<LearnJob> {
            let learned = |k: usize| LearnedParameters::new(on.name, views[k].clone(), places, layers);
            Ok(LearnJob {
                pattern: pattern.clone(),
                learned: learned(0)?,
                gradient: learned(1)?,
                moments: if adam { Some([learned(2)?, learned(3)?]) } else { None },
                method: if adam { Method::default() } else { Method::Gradient },
                rates: Rates { values: rate, q: rate, b: rate, activation: rate, l: rate },
                decay: 0.0,
                floors: Floors::default(),
                bound,
            })
        };
        let fill =
            || arrays[..self.arrays()].iter().map(|array| on.filled(array)).collect::<Result<Vec<_>>>();
        let reference = LearnReference::new(&job(&fill()?)?);
        let set = || {
            let views = fill()?;
            let mut update = Update::bind(on.kernels, &job(&views)?)?;
            set(on.device, on.queue, &mut update, HYPER)?;
            let status = View::own(update.status(), 0, u64::from(layers));
            Ok(Set::new(move |pass| update.record(pass), views.into_iter().chain([status])))
        };
        on.load(set, |seen, outcome| {
            let (theta, status) = (&seen[0], bytemuck::cast_slice(&seen[seen.len() - 1]));
            if bound.is_some() {
                return shrunk(places, &arrays[0], theta, outcome);
            }
            match reference.judge(HYPER, state(adam, &arrays), &arrays[1], state(adam, seen), status) {
                Ok(judged) => outcome.merge(judged),
                Err(error) => outcome.demand(false, || error.to_string()),
            }
        })
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.0 == Variant::Bound {
            return None;
        }
        // the arithmetic of a step in float64
        let count = Self::moved(elements) as usize;
        let adam = self.0 == Variant::Adam;
        let mut all = vec![[0.1f64, 0.2, 0.3, 0.4]; count];
        timed::host(move || {
            all.par_iter_mut().with_min_len(4096).for_each(|[theta, g, m, v]| {
                if adam {
                    *m = 0.9 * *m + 0.1 * *g;
                    *v = 0.999 * *v + 0.001 * *g * *g;
                    *theta -= 1e-3 * *m / (v.sqrt() + 1e-8);
                } else {
                    *theta -= 1e-3 * *g;
                }
            });
            std::hint::black_box(&all);
        })
    }
}

fn state(adam: bool, arrays: &[Vec<f32>]) -> State<'_> {
    State { learned: &arrays[0], moments: [2, 3].map(|k| if adam { &arrays[k][..] } else { &[] }) }
}

/// What a bound leaves: all layers alike, as they were before, and their values smaller; cases judge by how much.
fn shrunk(places: ParameterLayout, before: &[f32], after: &[f32], outcome: &mut Outcome) {
    for (k, x) in after.iter().enumerate() {
        let alike = *x == after[k % places.length() as usize] && x.is_finite();
        outcome.demand(alike, || format!("place {k}: {x:e}"));
    }
    let shrunk = places.values().all(|at| after[at].abs() < before[at].abs());
    outcome.demand(shrunk, || "the values did not shrink".into());
}
