//! What is timed: a small layer by entries and by tiles, and a large one.

use std::sync::Arc;

use super::dispatch::{Cut, bind_cut};
use super::{Path, reference};
use crate::error::Result;
use crate::kernels::backward::bench::load;
use crate::kernels::backward::cases::{Numbers, Subject, demand, subject};
use crate::kernels::backward::{GradientTarget, SavedActivations};
use crate::kernels::program::Program;
use crate::kernels::timed;
use crate::kernels::{Bench, Loaded, Outcome, Setup};
use crate::matrix::Pattern;
use crate::regulariser::ParameterLayout;

/// Entries that are compared.
const COMPARED: usize = 64;

/// A layer of n components by a path.
#[derive(Clone, Copy, Debug)]
struct Timed(u32, Path);

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let subjects = [
        Timed(64, Path::Entries),
        Timed(64, Path::Tiles32),
        Timed(512, Path::Entries),
        Timed(512, Path::Tiles32),
        Timed(512, Path::Tiles64),
    ];
    timed::boxed(subjects)
}

impl Timed {
    fn layer(&self, elements: u64) -> (Subject, Arc<Pattern>, ParameterLayout) {
        let of = subject(self.0, (elements / u64::from(self.0)).max(1) as u32, 0.4);
        let pattern = of.pattern();
        let places = ParameterLayout { components: of.n, nonzeros: pattern.nonzeros() };
        (of, pattern, places)
    }
}

impl Bench for Timed {
    fn variant(&self) -> String {
        self.1.name()
    }

    fn label(&self) -> String {
        format!("{} of n={}", self.variant(), self.0)
    }

    fn bytes(&self, elements: u64) -> u64 {
        let (of, _, places) = self.layer(elements);
        4 * (5 * u64::from(of.n) * u64::from(of.m) + u64::from(places.length()))
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let (of, pattern, places) = self.layer(on.elements);
        let cut = Cut::new(&pattern, of.m, Some(self.1));
        let bind = |passed: &SavedActivations, into: &GradientTarget| {
            bind_cut(on.kernels, &pattern, passed, into, &cut)
        };
        let judge = |numbers: &Numbers, after: &[f32], outcome: &mut Outcome| {
            let layer = of.layer(numbers, places);
            let apart = (pattern.nonzeros() as usize).div_ceil(COMPARED);
            for (at, entry) in places.values().zip(pattern.entries()).step_by(apart) {
                let sum = reference::sum(&layer, numbers, of.given, of.n as usize, entry);
                demand(outcome, &format!("entry {entry:?}"), &sum, cut.chain(), after[at]);
            }
        };
        load(on, &of, places, bind, judge)
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.1 != Path::Entries {
            return None;
        }
        let (of, pattern, places) = self.layer(elements);
        let numbers = of.numbers(places);
        let layer = of.layer(&numbers, places);
        timed::host(move || reference::sums(&pattern, &layer, &numbers, of.given))
    }
}
