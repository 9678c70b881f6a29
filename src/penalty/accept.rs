//! When an f32 result of a kernel is right.
//!
//! A prox can be ill conditioned: near a double root two neighbouring inputs have outputs thousands of ULP
//! apart. So the output is not compared with the reference's output. It is right when it is the exact answer
//! to a neighbouring question: with x(y) = y + step p'(y), the returned y must satisfy
//!
//! 1. |x(y) - x| <= B u + (error of x), with the penalty's own B
//!    ([`Elementwise::backward_ulps`](super::Elementwise::backward_ulps)) and u the larger of ulp(x) and
//!    x'(y) ulp(y). The second is what the rounding of y alone costs; it only counts where p'' > 0, for a
//!    concave penalty has x' <= 1 and y <= x. B = 0 on pieces where p' = 0, so that identity pieces and hard
//!    thresholds are exact. A kink of p' has a width of 4 ULP, as its place is a rounded constant;
//! 2. y = 0 for |x| <= X (1 - 2^-20) and y != 0 for |x| >= X (1 + 2^-20), X being the threshold; between the
//!    two either branch may be taken;
//! 3. h(y) - h(y*) <= d |y - y*| for the objective h and its minimiser y*, with d the tolerance of 1 plus
//!    2^-20 |x|: exactly the y that minimise the objective of some x' within d of x satisfy it. It rejects
//!    roots that are no minimisers and branches taken on the wrong side of a jump.
//!
//! Results below the normal range of f32 may be flushed to zero.

use super::Prox;
use crate::accuracy::{Approx, FLUSH, ulp};

/// Half the relative width of the band round a threshold in which either branch is right.
const BAND: f64 = 1.0 / 1048576.0;

/// How many ULP of y next to a kink of p' count to both of its pieces.
const KINK: f64 = 4.0;

/// The outcome of one comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether the result is right.
    pub ok: bool,
    /// Whether x lies in the band round the threshold, where either branch is right.
    pub in_band: bool,
    /// The reference's result.
    pub expected: f64,
    /// The backward error in units u (see the module), the error of x itself taken off; 0 where y = 0.
    pub ulps: f64,
    /// The largest distance |x(y) - x| that rule 1 allows.
    pub bound: f64,
}

/// Judges `got` as prox(x), where x is known to within its error and the step size to within `step_error`.
#[must_use]
pub fn accept(prox: &Prox, step_error: f64, x: Approx, got: f32) -> Verdict {
    let rule = prox.penalty.rule();
    let expected = prox.apply(x.value);
    let ax = x.value.abs();
    // a threshold moves no more, relatively, than its step size: inf of step p(y) / y + y / 2
    let at = prox.threshold.at;
    let moved = if at == 0.0 || step_error == 0.0 { 0.0 } else { step_error / prox.step };
    let zero_below = at * (1.0 - moved).max(0.0) * (1.0 - BAND) - x.error;
    let nonzero_above = at * (1.0 + moved) * (1.0 + BAND) + x.error;
    let in_band = ax > zero_below && ax < nonzero_above;
    let verdict = |ok, ulps, bound| Verdict { ok, in_band, expected, ulps, bound };

    if !got.is_finite() || (got == 0.0 && got.is_sign_negative()) {
        return verdict(false, f64::INFINITY, 0.0);
    }
    let y = f64::from(got.abs());
    if y == 0.0 {
        // the error of x and the flush of the result may come together
        let least = prox.apply((ax - x.error).max(0.0));
        return verdict(ax < nonzero_above || ax == 0.0 || least <= FLUSH, 0.0, x.error);
    }
    // From here on the result is not zero: its sign is that of x, up to the error of x.
    let ax = if got.is_sign_negative() { -x.value } else { x.value };
    let slope = rule.slope(prox.lambda, y);
    let kink = KINK * ulp(y);
    let round_y = [y, (y - kink).max(f64::MIN_POSITIVE), y + kink];
    let flat = round_y.iter().all(|&y| prox.step * rule.slope(prox.lambda, y) == 0.0);
    let ulps = if flat { 0.0 } else { rule.backward_ulps() };
    // a slope may be negative where the penalty is not monotone
    let slack = x.error + step_error * slope.abs();
    let steepest = round_y.map(|y| rule.curvature(prox.lambda, y)).into_iter().fold(f64::MIN, f64::max);
    let stretch = (1.0 + prox.step * steepest).max(0.0);
    let unit = ulp(ax).max(stretch * ulp(y));
    let bound = ulps * unit + slack;
    let distance = ((y - ax) + prox.step * slope).abs();
    let backward = ((distance - slack) / unit).max(0.0);
    let flushed = y <= FLUSH && expected.abs() <= FLUSH;

    let move_by = (y - expected.abs()).abs();
    let excess = prox.objective(ax, y) - prox.objective(ax, expected.abs());
    let noise = 1e-14 * (ax * ax + prox.objective(ax, y));
    let allowed = (bound + BAND * ax.abs()) * move_by
        + step_error * (rule.value(prox.lambda, y) - rule.value(prox.lambda, expected.abs())).abs()
        + noise;
    let ok = flushed || (ax >= zero_below && distance <= bound && excess <= allowed);
    verdict(ok, backward, bound)
}

/// The lowest and the highest result that [`accept`] may pass, for an x known to within its error: what a kernel that
/// goes on computing with the result may have in hand.
#[must_use]
pub(crate) fn interval(prox: &Prox, x: Approx) -> (f64, f64) {
    let rule = prox.penalty.rule();
    let identity = prox.step * prox.lambda == 0.0;
    let (ax, y) = (x.value.abs(), prox.apply(x.value).abs());
    let stretch = if identity || y == 0.0 { 1.0 } else { 1.0 + prox.step * rule.curvature(prox.lambda, y) };
    let unit = ulp(ax).max(stretch.max(0.0) * ulp(y));
    // hard thresholds and jumps are rounded constants as well
    let edge = if identity { 0.0 } else { 2.0 * BAND * prox.threshold.at };
    let near = (ax - prox.threshold.at).abs() <= x.error + edge;
    let reach = x.error
        + if identity { 0.0 } else { rule.backward_ulps().max(KINK) * unit }
        + if near { edge } else { 0.0 };
    let (low, high) = (prox.apply(x.value - reach), prox.apply(x.value + reach));
    let flushed = |y: f64, towards: f64| if y.abs() <= FLUSH { towards * FLUSH.min(reach) } else { y };
    if low == 0.0 && high == 0.0 { (0.0, 0.0) } else { (flushed(low, -1.0), flushed(high, 1.0)) }
}
