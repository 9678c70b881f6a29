//! The float64 twin of one tensor's step: element by element, or group by group.

use rayon::prelude::*;

use super::Spec;
use super::regularised;
use super::report::{FirstMismatch, TensorReport};
use crate::kernels::solver::Solver;
use crate::kernels::step::{Base, Element, Hyper};
use crate::kernels::{Judgement, group, solver, step};
use crate::penalty::Groups;

/// Elements, or members of groups, that one worker takes at a time.
const CHUNK: u64 = 4096;

/// The twin that a tensor's spec asks for.
#[derive(Debug)]
pub(super) enum Twin {
    /// Every element by itself.
    Step(step::Reference),
    /// Groups, by their operator.
    Group(group::Reference),
    /// Groups, by a learned regulariser.
    Regularised(regularised::Reference),
    /// By one of the other solvers, with groups or without.
    Solver(solver::Reference),
}

impl Twin {
    /// The twin of one step.
    pub fn new(base: Base, spec: &Spec, hyper: &Hyper) -> Self {
        let Spec { penalty, lambda, rate_scale, .. } = *spec;
        if let Some(of) = &spec.regulariser {
            return Twin::Regularised(regularised::Reference::new(base, of, lambda, rate_scale, hyper));
        }
        match (&spec.group, spec.solver) {
            (None, Solver::Proximal) => {
                Twin::Step(step::Reference::new(base, penalty, lambda, rate_scale, hyper))
            }
            (Some(group), Solver::Proximal) => {
                Twin::Group(group::Reference::new(base, penalty, lambda, group, rate_scale, hyper))
            }
            (group, solver) => {
                let group = group.as_ref();
                Twin::Solver(solver::Reference::new(solver, base, penalty, lambda, group, rate_scale, hyper))
            }
        }
    }

    /// The tensor's groups, where it has to be taken group by group.
    fn groups(&self) -> Option<&Groups> {
        match self {
            Twin::Step(_) => None,
            Twin::Group(twin) => Some(&twin.group().groups),
            Twin::Regularised(twin) => Some(twin.groups()),
            Twin::Solver(twin) => twin.group().map(|group| &group.groups),
        }
    }

    /// Takes the step in place and returns how many elements are not finite afterwards.
    pub fn step(&self, tensor: &mut [Element]) -> u32 {
        match (self, self.groups()) {
            (Twin::Step(twin), _) => tensor
                .par_iter_mut()
                .with_min_len(1024)
                .map(|e| {
                    let (after, finite) = twin.step(*e);
                    *e = after;
                    u32::from(!finite)
                })
                .sum(),
            (Twin::Solver(twin), None) => {
                tensor.par_chunks_mut(CHUNK as usize).map(|members| twin.step(0, members)).sum()
            }
            (_, None) => 0,
            (_, Some(groups)) => {
                let after: Vec<(u64, Vec<Element>, u32)> = chunks(groups)
                    .into_par_iter()
                    .flat_map_iter(|range| {
                        range.map(|g| {
                            let mut members: Vec<Element> = groups.members(g).map(|k| tensor[k]).collect();
                            let bad = match self {
                                Twin::Group(twin) => twin.step(g, &mut members),
                                Twin::Regularised(twin) => twin.step(&mut members),
                                Twin::Solver(twin) => twin.step(g, &mut members),
                                Twin::Step(_) => 0,
                            };
                            (g, members, bad)
                        })
                    })
                    .collect();
                let mut bad = 0;
                for (g, members, count) in after {
                    bad += count;
                    groups.members(g).zip(members).for_each(|(k, e)| tensor[k] = e);
                }
                bad
            }
        }
    }

    /// Compares elements `first..first + count` of a tensor; all of it where there are groups.
    pub fn compare(
        &self,
        step: u64,
        first: u64,
        count: usize,
        element: impl Fn(usize) -> (Element, Element) + Sync,
    ) -> TensorReport {
        let count = count as u64;
        let report = |judged: &mut dyn Iterator<Item = (u64, f32, Judgement)>| {
            let mut report = TensorReport::default();
            for (k, got, v) in judged {
                report.checked += 1;
                report.in_band += u64::from(v.in_band);
                if v.ok {
                    report.max_ulps = report.max_ulps.max(v.ulps);
                    continue;
                }
                report.mismatches += 1;
                let found =
                    FirstMismatch { step, index: first + k, got, expected: v.expected, bound: v.bound };
                report.keep_first(found);
            }
            report
        };
        let merge = |mut a: TensorReport, b: TensorReport| {
            a.merge(&b);
            a
        };
        let judge = |g: u64, places: &[usize]| {
            let (before, after): (Vec<_>, Vec<_>) = places.iter().map(|&k| element(k)).unzip();
            let verdicts = match self {
                Twin::Group(twin) => twin.judge(g, &before, &after),
                Twin::Regularised(twin) => twin.judge(&before, &after),
                Twin::Solver(twin) => twin.judge(g, &before, &after),
                Twin::Step(twin) => before.iter().zip(&after).map(|(b, a)| twin.judge(*b, *a)).collect(),
            };
            let got = after.iter().map(|e| e.w);
            let mut judged =
                places.iter().zip(got).zip(verdicts).map(|((&k, got), verdict)| (k as u64, got, verdict));
            report(&mut judged)
        };
        match self.groups() {
            None => (0..count.div_ceil(CHUNK))
                .into_par_iter()
                .map(|chunk| {
                    let range = chunk * CHUNK..count.min((chunk + 1) * CHUNK);
                    judge(0, &range.map(|k| k as usize).collect::<Vec<_>>())
                })
                .reduce(TensorReport::default, merge),
            Some(groups) => chunks(groups)
                .into_par_iter()
                .map(|range| {
                    let of = |g: u64| judge(g, &groups.members(g).collect::<Vec<_>>());
                    range.map(of).fold(TensorReport::default(), merge)
                })
                .reduce(TensorReport::default, merge),
        }
    }
}

/// Runs of groups with about [`CHUNK`] elements each.
fn chunks(groups: &Groups) -> Vec<std::ops::Range<u64>> {
    let count = groups.count();
    let per_group = (groups.length() / count.max(1)).max(1);
    let step = (CHUNK / per_group).max(1);
    (0..count.div_ceil(step)).map(|k| k * step..count.min((k + 1) * step)).collect()
}
