//! What is timed: a small layer by entries and by tiles, and a large one.

use std::sync::Arc;

use super::dispatch::{Cut, bind_cut};
use super::{Path, reference};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::sums::{self, Judge, Subject, demand, subject};
use crate::kernels::timed::Recorder;
use crate::kernels::{Bench, Kernels, Loaded};
use crate::matrix::Pattern;
use crate::regulariser::Places;

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
    subjects.map(|subject| Box::new(subject) as Box<dyn Bench>).into()
}

impl Timed {
    fn layer(&self, elements: u64) -> (Subject, Arc<Pattern>, Places) {
        let of = subject(self.0, (elements / u64::from(self.0)).max(1) as u32, 0.4);
        let pattern = of.pattern();
        let places = Places { components: of.n, nonzeros: pattern.nonzeros() };
        (of, pattern, places)
    }
}

impl Bench for Timed {
    fn variant(&self) -> String {
        self.1.name().into()
    }

    fn label(&self) -> String {
        format!("{} of n={}", self.variant(), self.0)
    }

    fn bytes(&self, elements: u64) -> u64 {
        let (of, _, places) = self.layer(elements);
        4 * (5 * u64::from(of.n) * u64::from(of.m) + u64::from(places.length()))
    }

    fn footprint(&self, elements: u64) -> u64 {
        self.bytes(elements)
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let name = format!("sampled/{} at {elements} elements", self.label());
        let (of, pattern, places) = self.layer(elements);
        let cut = Cut::new(&pattern, of.m, Some(self.1));
        let bind =
            |kernels: &Kernels, passed: &sums::Passed, into: &sums::Into| -> Result<(Recorder, View)> {
                let dispatches = bind_cut(kernels, &pattern, passed, into, &cut)?;
                let written = sums::layer_of("timed", &into.gradient, into.layer)?;
                Ok((Box::new(move |pass| dispatches.record(pass)), written))
            };
        let chain = cut.chain();
        let (subject, entries) = (of.clone(), pattern.clone());
        let judge: Judge = Box::new(move |numbers, after, outcome| {
            let layer = subject.layer(numbers, places);
            let apart = (entries.nonzeros() as usize).div_ceil(COMPARED);
            for (at, entry) in places.values().zip(entries.entries()).step_by(apart) {
                let sum = reference::sum(&layer, numbers, subject.given, subject.n as usize, entry);
                demand(outcome, &format!("entry {entry:?}"), &sum, chain, after[at]);
            }
        });
        sums::load((device, queue, kernels), (name, sets), &of, places, bind, judge)
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.1 != Path::Entries {
            return None;
        }
        let (of, pattern, places) = self.layer(elements);
        let numbers = of.numbers(places);
        let layer = of.layer(&numbers, places);
        Some(Box::new(move || {
            std::hint::black_box(reference::sums(&pattern, &layer, &numbers, of.given));
        }))
    }
}
