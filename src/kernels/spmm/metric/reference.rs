//! The float64 reference of a step in the metric of a learned regulariser.

use super::Regularised;
use crate::accuracy::{Approx, FLUSH, RELATIVE, ulp};
use crate::kernels::step::{self, Element, Optimizer, StepParameters};
use crate::kernels::{Judgement, Reference};
use crate::penalty::{Activation, Groups, NoPenalty};

/// The float64 reference.
#[derive(Debug)]
pub struct MetricReference {
    base: Optimizer,
    step: step::StepReference,
    of: Regularised,
    bend: Bend,
    /// Â^-T - diag(q) Â, row by row.
    rest: Vec<f64>,
    /// Whether zeros of the coefficients stay.
    freeze: bool,
}

/// prox_tg, g being the penalty of an activation: y + t g'(y) = v, g' as in MAF-SRL, eq. (23) to (26).
#[derive(Clone, Copy, Debug)]
struct Bend {
    t: f64,
    activation: Activation,
}

impl Bend {
    /// The slopes of the two pieces of the prox: 1 / (1 + t g'').
    fn slopes(&self) -> [f64; 2] {
        [self.activation.eta1, self.activation.eta2].map(|eta| 1.0 / (1.0 + self.t * ((1.0 - eta) / eta)))
    }

    fn value(&self, v: f64) -> f64 {
        let Activation { eta1, delta1, delta2, .. } = self.activation;
        let ([first, second], c) = (self.slopes(), eta1 * (delta2 - delta1));
        let y = ((v.abs() - self.t * delta1) * first).max(0.0);
        let y = if y <= c { y } else { c + ((v.abs() - c) - self.t * (delta2 - c)) * second };
        y.copysign(v)
    }

    /// How far the knees may lie from where they are as f32, at most.
    fn blur(&self) -> f64 {
        let Activation { eta1, delta1, delta2, .. } = self.activation;
        let c = eta1 * (delta2 - delta1);
        0.5 * (ulp(self.t * delta1) + ulp(c + self.t * (delta2 - c)))
    }
}

/// A number of which f32 arithmetic makes another.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    value: f64,
    /// What the operator's own arithmetic may miss it by.
    own: f64,
    /// What the errors of the points come to.
    carried: f64,
}

impl Known {
    fn reach(self) -> f64 {
        self.value.abs() + self.own + self.carried
    }

    /// h + q s, and whether f32 may overflow on the way.
    fn joined(h: Known, q: f64, s: Known) -> (Known, bool) {
        let magnitude = h.reach() + q * s.reach();
        let rounding = if magnitude == 0.0 { 0.0 } else { 3.0 * RELATIVE * magnitude + 2.0 * FLUSH };
        let joined = Known {
            value: h.value + q * s.value,
            own: 1.01 * (h.own + q * s.own + rounding),
            carried: h.carried + q * s.carried,
        };
        (joined, 1.01 * magnitude > f64::from(f32::MAX))
    }
}

/// A sum of products as it is made.
#[derive(Clone, Copy, Default)]
struct Sum {
    known: Known,
    /// Of the terms.
    magnitude: f64,
}

impl Sum {
    fn add(&mut self, a: f64, x: Known) {
        let (size, reach) = (a.abs(), x.reach());
        if reach == 0.0 {
            return;
        }
        self.known.value += a * x.value;
        self.known.carried += size * x.carried;
        // an entry below 2^-126 may count as zero; so may the product, and the sum so far
        let tiny = if size < FLUSH { size } else { 0.0 };
        self.known.own += size * x.own + tiny * reach + 2.0 * FLUSH;
        self.magnitude += size * reach;
    }

    /// The sum of products with n numbers, and whether f32 may overflow on the way.
    fn total(self, n: usize) -> (Known, bool) {
        let Known { value, own, carried } = self.known;
        // 1 %: errors of errors
        let own = 1.01 * (own + (n as f64 + 8.0) * RELATIVE * self.magnitude);
        (Known { value, own, carried }, 1.01 * self.magnitude + own > f64::from(f32::MAX))
    }
}

impl MetricReference {
    /// The reference of one tensor's step.
    pub fn new(
        base: Optimizer,
        of: &Regularised,
        lambda: f64,
        lr_scale: f64,
        hyper: &StepParameters,
    ) -> Self {
        // the zeros that stay are those of the coefficients
        let own = hyper.with_frozen_zeros(false);
        let step = step::StepReference::new(base, NoPenalty.into(), lambda, lr_scale, &own);
        let as_f32 = |x: f64| f64::from(x as f32);
        let t = as_f32(hyper.lr() * lr_scale) * as_f32(lambda * hyper.lambda_scale());
        let p = of.regulariser.parameters();
        // checked before: there is an inverse
        let mut rest = of.regulariser.inverse_transposed().unwrap_or_default().to_vec();
        for (i, row) in rest.chunks_exact_mut(p.q.len()).enumerate() {
            for k in p.pattern.row(i as u32) {
                row[p.pattern.indices()[k] as usize] -= p.q[i] * p.values[k];
            }
        }
        let bend = Bend { t, activation: p.activation };
        MetricReference { base, step, of: of.clone(), bend, rest, freeze: hyper.frozen_zeros() }
    }

    fn activated(&self, v: Known) -> Known {
        let (reach, blur, [first, second]) = (v.reach(), self.bend.blur(), self.bend.slopes());
        let most = self.bend.value(reach + blur);
        // flushed, a threshold is 0
        if reach == 0.0 || (most == 0.0 && self.bend.t * self.bend.activation.delta1 >= FLUSH) {
            return Known::default();
        }
        let slope = first.max(second);
        Known {
            value: self.bend.value(v.value),
            // the slopes are rounded as well
            own: slope * (v.own + blur) + 5.0 * RELATIVE * most + 8.0 * FLUSH,
            carried: slope * v.carried,
        }
    }

    /// Whether an element's coefficient is a zero that stays.
    fn holds(&self, before: &Element) -> bool {
        // not -0.0, which stands for a coefficient that is not there yet
        self.freeze && before.copy.to_bits() == 0
    }

    /// The operator on the members of a group.
    fn operator(&self, x: &[Known], before: &[Element]) -> Made {
        let (p, n) = (self.of.regulariser.parameters(), x.len());
        let (mut overflows, mut overflowing) = (false, false);
        let mut sums = vec![Sum::default(); n];
        let mut coefficients = Vec::with_capacity(n);
        let mut total = |sum: Sum| {
            let (known, over) = sum.total(n);
            overflows |= over;
            known
        };
        for (i, row) in self.rest.chunks_exact(n).enumerate() {
            let (mut h, mut s) = (Sum::default(), Sum::default());
            for (a, e) in row.iter().zip(before) {
                h.add(*a, Known { value: f64::from(e.w), ..Known::default() });
            }
            for k in p.pattern.row(i as u32) {
                s.add(p.values[k], x[p.pattern.indices()[k] as usize]);
            }
            let (v, over) = Known::joined(total(h), p.q[i], total(s));
            overflowing |= over;
            let w = self.activated(v);
            let w = if self.holds(&before[i]) { Known::default() } else { w };
            coefficients.push(w);
            for k in p.pattern.row(i as u32) {
                sums[p.pattern.indices()[k] as usize].add(p.values[k], w);
            }
        }
        let weights = sums.into_iter().map(&mut total).collect();
        Made { coefficients, weights, overflows: overflows || overflowing }
    }
}

/// What the operator makes of a group.
struct Made {
    coefficients: Vec<Known>,
    weights: Vec<Known>,
    /// Whether f32 may overflow on the way.
    overflows: bool,
}

impl Reference for MetricReference {
    fn groups(&self) -> Option<&Groups> {
        Some(&self.of.groups)
    }

    /// Returns how many of the members the base step met or made not finite.
    fn step(&self, _: u64, members: &mut [Element]) -> u32 {
        let mut bad = 0;
        let before = members.to_vec();
        let mut points = Vec::with_capacity(members.len());
        for e in members.iter_mut() {
            let (after, finite) = self.step.step(*e);
            *e = after;
            bad += u32::from(!finite);
            points.push(Known { value: f64::from(e.w), ..Known::default() });
        }
        let made = self.operator(&points, &before);
        let lost = bad > 0 || made.overflows;
        // as in f32, where an overflow on the way is an overflow; the sum takes -0.0 away
        let rounded = |known: Known| if lost { f32::NAN } else { known.value as f32 + 0.0 };
        for (e, (w, y)) in members.iter_mut().zip(made.coefficients.into_iter().zip(made.weights)) {
            (e.w, e.copy) = (rounded(y), rounded(w));
        }
        bad
    }

    fn judge(&self, _: u64, before: &[Element], after: &[Element]) -> Vec<Judgement> {
        let moved: Vec<_> = before.iter().map(|e| self.step.advance(*e)).collect();
        let mut fits = moved.iter().flat_map(|m| self.step.fits(m));
        let lost = before.iter().any(|e| !self.step.readable(*e)) || fits.clone().any(|f| f == Some(false));
        let known = |p: &Approx| Known { value: p.value, own: 0.0, carried: p.error };
        let points: Vec<Known> = moved.iter().map(|m| known(&m.point())).collect();
        let sizes = before.iter().map(|e| f64::from(e.w.abs())).chain(points.iter().map(|x| x.reach()));
        let largest = sizes.fold(0.0, f64::max);
        let made = self.operator(&points, before);
        let open = made.overflows || fits.any(|fit| fit.is_none());
        let verdict = |k: usize| {
            let (got, y) = (after[k].w, made.weights[k]);
            let (distance, bound) = ((f64::from(got) - y.value).abs(), y.own + y.carried);
            let right = match got.is_finite() {
                // a bound that overflows with the points is none
                true => !lost && (distance <= bound || (open && !bound.is_finite())),
                false => lost || open,
            };
            let (kept, w) = (after[k].copy, made.coefficients[k]);
            let coefficient = match self.holds(&before[k]) {
                _ if lost || open => true,
                true => kept.to_bits() == 0,
                false => kept.is_finite() && (f64::from(kept) - w.value).abs() <= w.own + w.carried,
            };
            let states = self.base.states() == 0 || self.step.states_hold(before[k], &moved[k], after[k]);
            Judgement {
                ok: right && coefficient && states,
                in_band: false,
                ulps: if lost || open { 0.0 } else { (distance - y.carried).max(0.0) / ulp(largest) },
                expected: if lost { f64::NAN } else { y.value },
                bound,
            }
        };
        (0..after.len()).map(verdict).collect()
    }
}

/// The largest error that [`MetricReference::judge`] allows the operator itself, in ULP of the group's largest member before or
/// after the base step.
pub(super) fn allowed_ulps(of: &Regularised) -> f64 {
    let p = of.regulariser.parameters();
    let Ok(rest) = super::rest(&of.regulariser) else { return f64::NAN };
    let mut sums = vec![0.0_f64; p.q.len()];
    for (i, row) in rest.chunks_exact(p.q.len()).enumerate() {
        let atom: f64 = p.pattern.row(i as u32).map(|k| p.values[k].abs()).sum();
        let reach = row.iter().map(|a| a.abs()).sum::<f64>() + p.q[i] * atom;
        for k in p.pattern.row(i as u32) {
            sums[p.pattern.indices()[k] as usize] += p.values[k].abs() * reach;
        }
    }
    // two products one after the other, their join and prox_tg, with 1 % for errors of errors; an ULP is half a rounding or more
    2.0 * (2.1 * (p.q.len() as f64 + 8.0) + 9.0) * sums.into_iter().fold(0.0, f64::max)
}
