//! The cases: the layers of the kernel `sums`, by every path.

use super::dispatch::{Cut, bind, bind_cut};
use super::{Path, reference};
use crate::error::Result;
use crate::kernels::backward::cases::{Subject, demand, start, subject, subjects, unchanged};
use crate::kernels::program::Program;
use crate::kernels::{Case, Outcome, PipelineCache};
use crate::regulariser::ParameterLayout;

/// A layer by a path, or the one that is chosen.
#[derive(Clone, Debug)]
struct Layered(Subject, Option<Path>);

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all: Vec<Box<dyn Case>> = Vec::new();
    for subject in subjects() {
        let paths = Path::ALL.map(Some).into_iter().chain([None]);
        all.extend(paths.map(|path| Box::new(Layered(subject.clone(), path)) as Box<dyn Case>));
    }
    for one in [subject(1000, 1000, 0.05), Subject { add: true, ..subject(500, 300, 1.0) }] {
        all.push(Box::new(Layered(one, None)));
    }
    all.push(Box::new(Layered(subject(300, 300, 0.05), Some(Path::Tiles64))));
    all
}

impl Case for Layered {
    fn name(&self) -> String {
        let path = self.1.map_or("chosen".into(), |path| path.name());
        format!("sddmm/{path}/{}", self.0.name())
    }

    fn elements(&self) -> usize {
        self.0.n as usize * self.0.m as usize
    }

    fn run(&self, _: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let subject = &self.0;
        let pattern = subject.pattern();
        let places = ParameterLayout { components: subject.n, nonzeros: pattern.nonzeros() };
        let numbers = subject.numbers(places);
        let cut = Cut::new(&pattern, subject.m, self.1);
        let (after, mut outcome) =
            subject.run((kernels, queue), &numbers, places, |passed, into| match self.1 {
                Some(_) => bind_cut(kernels, &pattern, passed, into, &cut),
                None => bind(kernels, &pattern, passed, into),
            })?;
        let layer = subject.layer(&numbers, places);
        let sums = reference::sums(&pattern, &layer, &numbers, subject.given);
        for ((at, sum), (i, j)) in places.values().zip(sums).zip(pattern.entries()) {
            let mut total = start(subject.add, &numbers, places, at);
            total.merge(sum);
            demand(&mut outcome, &format!("entry ({i}, {j})"), &total, cut.chain(), after[at]);
        }
        let length = places.length() as usize;
        for at in (0..places.values().start).chain(places.values().end..length) {
            unchanged(&mut outcome, at, after[at], numbers.gradient[length + at]);
        }
        Ok(outcome)
    }
}
