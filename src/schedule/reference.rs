//! The float64 reference of one tensor's step: chunk by chunk, or group by group.

use rayon::prelude::*;

use super::report::{FirstMismatch, TensorReport};
use crate::kernels::step::Element;
use crate::kernels::{Judgement, Reference};
use crate::penalty::Groups;

/// Elements, or members of groups, that one worker takes at a time.
const CHUNK: u64 = 4096;

/// Takes the step of a whole tensor in place and returns how many elements are not finite afterwards.
pub(super) fn step(reference: &dyn Reference, tensor: &mut [Element]) -> u32 {
    let Some(groups) = reference.groups() else {
        return tensor.par_chunks_mut(CHUNK as usize).map(|elements| reference.step(0, elements)).sum();
    };
    let after: Vec<(u64, Vec<Element>, u32)> = chunks(groups)
        .into_par_iter()
        .flat_map_iter(|range| {
            range.map(|g| {
                let mut members: Vec<Element> = groups.members(g).map(|k| tensor[k]).collect();
                let bad = reference.step(g, &mut members);
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

/// Compares elements `first..first + count` of a tensor; all of it where there are groups.
pub(super) fn compare(
    reference: &dyn Reference,
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
            let found = FirstMismatch { step, index: first + k, got, expected: v.expected, bound: v.bound };
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
        let verdicts = reference.judge(g, &before, &after);
        let got = after.iter().map(|e| e.w);
        let mut judged =
            places.iter().zip(got).zip(verdicts).map(|((&k, got), verdict)| (k as u64, got, verdict));
        report(&mut judged)
    };
    let mut found = match reference.groups() {
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
    };
    if found.checked != count {
        // groups that leave out an element, or have one twice
        found.mismatches += 1;
        let index = first + found.checked;
        found.keep_first(FirstMismatch { step, index, got: f32::NAN, expected: f64::NAN, bound: 0.0 });
    }
    found
}

/// Demands that no element of a tensor that sat out has changed.
pub(super) fn untouched(
    step: u64,
    first: u64,
    count: usize,
    element: impl Fn(usize) -> (Element, Element),
) -> TensorReport {
    let mut report = TensorReport { checked: count as u64, ..TensorReport::default() };
    for (k, (before, after)) in (0..count).map(element).enumerate() {
        let bits = |e: Element| [e.w, e.m, e.v, e.copy].map(f32::to_bits);
        if bits(before) != bits(after) {
            report.mismatches += 1;
            let (got, expected) = (after.w, f64::from(before.w));
            report.keep_first(FirstMismatch { step, index: first + k as u64, got, expected, bound: 0.0 });
        }
    }
    report
}

/// Runs of groups with about [`CHUNK`] elements each.
fn chunks(groups: &Groups) -> Vec<std::ops::Range<u64>> {
    let count = groups.count();
    let per_group = (groups.len() / count.max(1)).max(1);
    let step = (CHUNK / per_group).max(1);
    (0..count.div_ceil(step)).map(|k| k * step..count.min((k + 1) * step)).collect()
}
