//! The float64 reference of the step with groups.

use super::Grouped;
use crate::accuracy::{FLUSH, QUIET_NAN, ulp};
use crate::kernels::step::{self, Element, Optimizer, StepParameters};
use crate::kernels::{Judgement, Reference};
use crate::penalty::group::{Lasso, Weight};
use crate::penalty::{Group, GroupPenalty, Groups, Shrink, interval};

/// Half the relative width of the band round a threshold in which either branch is right.
const BAND: f64 = 1.0 / 1048576.0;

/// The step in float64 on whole groups: [`StepReference`](step::StepReference) and the group's operator, from the user's numbers;
/// lambda and shape parameters are rounded to f32 first.
#[derive(Clone, Debug)]
pub struct GroupReference {
    step: step::StepReference,
    group: Group,
    /// rate * lambda of the group penalty.
    t: f64,
}

impl GroupReference {
    /// The reference for one tensor and one row of hyper-parameters. Allocates nothing.
    #[must_use]
    pub fn of(operator: &Grouped, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Self {
        let step = step::StepReference::of(&operator.first, base, lr_scale, hyper);
        let group = operator.group.clone();
        let t = step.prox().step * f64::from((group.lambda * hyper.lambda_scale()) as f32);
        GroupReference { step, group, t }
    }

    /// t of group `g`, which has so many members.
    fn t_of(&self, g: u64, members: usize) -> f64 {
        self.t * weight(&self.group, g, members)
    }

    /// Whether the objective at what the kernel returned is the least one, to within 1e-6 |x|^2 / 2: for steps without a
    /// base step and an elementwise penalty, where x is known exactly. The test for ill-conditioned directions.
    #[must_use]
    pub fn optimal(&self, g: u64, before: &[Element], after: &[Element]) -> bool {
        let rule = self.group.penalty.rule();
        let t = self.t_of(g, before.len());
        let x: Vec<f64> = before.iter().map(|e| f64::from(e.w)).collect();
        let got: Vec<f64> = after.iter().map(|e| f64::from(e.w)).collect();
        let shrink = self.group.penalty.shrink(t, &x);
        let best: Vec<f64> = x.iter().enumerate().map(|(k, &x)| shrink.apply(k, x)).collect();
        let objective = |y: &[f64]| {
            let distance: f64 = y.iter().zip(&x).map(|(y, x)| (y - x) * (y - x)).sum();
            t * rule.value(y) + 0.5 * distance
        };
        let scale: f64 = 0.5 * x.iter().map(|x| x * x).sum::<f64>();
        !rule.is_prox() || objective(&got) <= objective(&best) + 1e-6 * scale
    }
}

impl Reference for GroupReference {
    fn groups(&self) -> Option<&Groups> {
        Some(&self.group.groups)
    }

    /// The step on the CPU of group `g`, whose members it is given in order. Returns how many of them are not finite
    /// afterwards: all or none.
    ///
    /// A member that is not finite makes the group NaN.
    fn step(&self, g: u64, members: &mut [Element]) -> u32 {
        let mut points = Vec::with_capacity(members.len());
        let mut finite = true;
        for e in members.iter_mut() {
            let (after, sound) = self.step.step(*e);
            finite &= sound;
            points.push(f64::from(after.w));
            *e = after;
        }
        if !finite {
            members.iter_mut().for_each(|e| e.w = f32::from_bits(QUIET_NAN));
            return members.len() as u32;
        }
        let shrink = self.group.penalty.shrink(self.t_of(g, points.len()), &points);
        for (k, e) in members.iter_mut().enumerate() {
            let w = shrink.apply(k, points[k]) as f32;
            e.w = if w == 0.0 { 0.0 } else { w };
        }
        0
    }

    /// Judges what a kernel made of group `g`: its members before and after the step, in order. One verdict per member.
    ///
    /// Each member's point and elementwise prox are known to within an interval; the group penalty says how far its
    /// operator may move the result then; and its own arithmetic may miss by (16 + D/2) ULP of the largest member, D
    /// being the longest chain of additions, and by what a device loses that flushes subnormal numbers. Where the operator
    /// is a factor alone, it is as many ULP of each member itself. States are those of the base step, whatever the group
    /// becomes.
    fn judge(&self, g: u64, before: &[Element], after: &[Element]) -> Vec<Judgement> {
        let verdict = |ok, expected| Judgement { ok, in_band: false, ulps: 0.0, expected, bound: 0.0 };
        let moved: Vec<_> = before.iter().map(|e| self.step.advance(*e)).collect();
        let poisoned = |e: &Element| e.w.to_bits() == QUIET_NAN;
        let all_poisoned = || {
            let of = |k: usize| {
                verdict(
                    poisoned(&after[k]) && self.step.states_hold(before[k], &moved[k], after[k]),
                    f64::NAN,
                )
            };
            (0..after.len()).map(of).collect::<Vec<_>>()
        };
        if before.iter().any(|e| !self.step.readable(*e)) {
            return all_poisoned();
        }
        let mut fits = moved.iter().flat_map(|m| self.step.fits(m));
        if fits.clone().any(|fit| fit == Some(false)) {
            return all_poisoned();
        }
        let undecided = fits.any(|fit| fit.is_none());
        let ranges: Vec<(f64, f64)> = moved.iter().map(|m| interval(self.step.prox(), m.point())).collect();
        if undecided && after.iter().all(poisoned) {
            return all_poisoned();
        }
        let z: Vec<f64> = ranges.iter().map(|r| 0.5 * (r.0 + r.1)).collect();
        let error: Vec<f64> = ranges.iter().map(|r| 0.5 * (r.1 - r.0)).collect();
        let t = self.t_of(g, z.len());
        let peak = z.iter().zip(&error).fold(0.0, |m: f64, (z, e)| m.max(z.abs() + e));
        let rule = self.group.penalty.rule();
        let shrink = self.group.penalty.shrink(t, &z);
        let identity = t == 0.0;
        let around = if identity || peak == 0.0 {
            z.iter().zip(&error).map(|(z, e)| ((z.abs() - e).max(0.0), z.abs() + e)).collect()
        } else {
            rule.range(t, &z, &error)
        };
        let pure =
            matches!(shrink, Shrink { before: 1.0, threshold: 0.0, only: None, .. }) && shrink.after != 0.0;
        // the scale of a member's rounding, and what flushing may change; a factor hands on its norm's flush in proportion
        let scale = |k: usize| if pure { z[k].abs() + error[k] } else { peak };
        let flush = |k: usize| match identity {
            true => 0.0,
            false if pure && peak > 0.0 => 2.0 * FLUSH + flushed(z.len()) * scale(k) / peak,
            false => flushed(z.len()),
        };
        let rounding = |k: usize| if identity { 0.0 } else { allowed_ulps(z.len()) * ulp(scale(k)) };
        let slack = |k: usize| rounding(k) + flush(k);
        let inflated: Vec<f64> = z.iter().zip(&error).map(|(z, e)| (z.abs() + e) * (1.0 + BAND)).collect();
        let gone = shrink.after == 0.0 && self.group.penalty.shrink(t, &inflated).after == 0.0;
        let certainly_zero = |k: usize| match shrink {
            Shrink { after: 0.0, .. } => gone,
            Shrink { only: Some(only), .. } => k != only && around[k].1 == 0.0,
            Shrink { before, threshold, .. } => {
                let most = before * (z[k].abs() + error[k]);
                around[k].1 == 0.0 && (most + 8.0 * slack(k) < threshold || most == 0.0)
            }
        };
        // of members that tie, any may be the one; but one has to be
        let short =
            !identity && rule.single(t, &z, &error) && after.iter().filter(|e| e.w != 0.0).count() != 1;
        (0..z.len())
            .map(|k| {
                let got = after[k].w;
                let (flush, slack) = (flush(k), slack(k));
                let expected = shrink.apply(k, z[k]);
                let (low, high) = around[k];
                let magnitude = f64::from(got.abs());
                let sign_ok = got == 0.0 || z[k].abs() <= error[k] || (got > 0.0) == (z[k] > 0.0);
                let zero_ok = got != 0.0 || (got.to_bits() == 0 && low <= slack + ulp(0.0));
                let small_ok = got == 0.0 || !certainly_zero(k);
                let excess = (low - magnitude).max(magnitude - high).max(0.0);
                let ok = got.is_finite()
                    && (!moved[k].is_held() || got.to_bits() == 0)
                    && !(short && shrink.only == Some(k))
                    && sign_ok
                    && zero_ok
                    && small_ok
                    && excess <= slack
                    && self.step.states_hold(before[k], &moved[k], after[k]);
                Judgement {
                    ok,
                    in_band: low <= slack && high > slack && (low == 0.0),
                    ulps: (excess - flush).max(0.0) / ulp(scale(k)),
                    expected,
                    bound: slack + 0.5 * (high - low),
                }
            })
            .collect()
    }
}

/// The factor of t for group `g`, from the formula: the user's weight, and with `sqrt-size` the root of the number of members.
pub(in crate::kernels) fn weight(group: &Group, g: u64, members: usize) -> f64 {
    let of_size = match group.penalty {
        GroupPenalty::Lasso(Lasso { weight: Weight::SqrtSize }) => (members as f64).sqrt(),
        _ => 1.0,
    };
    of_size * f64::from(group.groups.weight(g))
}

/// What flushed intermediate results may change: a threshold by two of them, a member by two more, and with the
/// threshold the norm of `size` members. Seen in groups below 1e-30 alone.
fn flushed(size: usize) -> f64 {
    (4.0 + 2.0 * (size as f64).sqrt()) * FLUSH
}

/// How many ULP of the largest member the kernel's own arithmetic on a group of `members` may miss by. Each addition of a sum may be
/// an ULP off, all of them to one side where a device truncates, and a root halves that.
pub(super) fn allowed_ulps(members: usize) -> f64 {
    16.0 + chain(members) / 2.0
}

/// The longest chain of additions in a sum over `members`.
fn chain(members: usize) -> f64 {
    // sixteen of an invocation and the tree of a workgroup; beyond, 64 of an invocation, the tree, and the same for the parts,
    // which have 512 members or a little less in columns and more elsewhere
    if members <= 4096 { 24.0 } else { 80.0 + (members as f64 / 500.0 / 256.0).ceil() }
}
