//! The cases of the sums.

use super::bind;
use super::reference::judge;
use crate::error::Result;
use crate::kernels::backward::cases::{Subject, subject, subjects};
use crate::kernels::{Case, Outcome, PipelineCache};
use crate::regulariser::ParameterLayout;

/// The sums of one layer.
#[derive(Clone, Debug)]
struct Layered(Subject);

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let wide = [subject(1, 100_000, 1.0), Subject { given: true, ..subject(1000, 1000, 0.05) }];
    subjects().into_iter().chain(wide).map(|s| Box::new(Layered(s)) as Box<dyn Case>).collect()
}

impl Case for Layered {
    fn name(&self) -> String {
        format!("sums/layer/{}", self.0.name())
    }

    fn elements(&self) -> usize {
        self.0.n as usize * self.0.m as usize
    }

    fn run(&self, _: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let subject = &self.0;
        let places = ParameterLayout { components: subject.n, nonzeros: 5 };
        let numbers = subject.numbers(places);
        let (after, mut outcome) =
            subject.run((kernels, queue), &numbers, places, |passed, into| bind(kernels, passed, into))?;
        judge(subject, &numbers, places, &after, &mut outcome);
        Ok(outcome)
    }
}
