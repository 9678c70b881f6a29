//! The jumps that have no closed form: concave penalties of logarithmic and exponential type, in float64.
//!
//! In units of the penalty's own scale the objective at x is tau q(v) + (v - x)^2 / 2 with q(v) = log(1+v) or
//! 1 - exp(-v), so that q'(0) = -q''(0) = 1. For tau <= 1 the prox leaves zero continuously at tau. Otherwise
//! it jumps to the positive root v of tau (q(v) - v q'(v)) = v^2/2, at v + tau q'(v).
//!
//! Near tau = 1 both sides of that equation agree to the last digits. With r(v) = 2 (q(v) - v q'(v)) / v^2,
//! which falls from 1 to 0, it reads 1 - r(v) = (tau - 1) / tau, and 1 - r has a power series without
//! cancellation.

use super::Threshold;
use super::roots::bisect;

/// The threshold for q(v) = log(1 + v).
pub(super) fn logarithmic(tau: f64) -> Threshold {
    if tau <= 1.0 {
        return Threshold { at: tau, jump: 0.0 };
    }
    let jump = root(
        // the objective is convex at the jump: tau <= (1+v)^2
        (tau - 1.0) / (tau.sqrt() + 1.0),
        |v| {
            if v < 0.25 {
                // 1 - r = sum over k >= 1 of (-1)^(k+1) 2(k+1)/(k+2) v^k
                tau * series(v, |k| 2.0 * (k + 1.0) / (k + 2.0)) < tau - 1.0
            } else {
                tau * (2.0 * (v.ln_1p() - v / (1.0 + v)) / v / v) > 1.0
            }
        },
    );
    Threshold { at: jump + tau / (1.0 + jump), jump }
}

/// The threshold for the slope c exp(-rate y) of the penalty times the step size.
pub(super) fn exponential(c: f64, rate: f64) -> Threshold {
    let tau = c * rate;
    if tau <= 1.0 {
        return Threshold { at: c, jump: 0.0 };
    }
    let mut factorial = [2.0; 32]; // [k] = (k+2)!
    for k in 1..32 {
        factorial[k] = factorial[k - 1] * (k as f64 + 2.0);
    }
    let jump = root(
        // the objective is convex at the jump: tau exp(-v) <= 1
        tau.ln(),
        |v| {
            if v < 0.5 {
                // 1 - r = sum over k >= 1 of (-1)^(k+1) 2(k+1)/(k+2)! v^k
                tau * series(v, |k| 2.0 * (k + 1.0) / factorial[(k as usize).min(31)]) < tau - 1.0
            } else {
                tau * (2.0 * (1.0 - (1.0 + v) * (-v).exp()) / v / v) > 1.0
            }
        },
    );
    Threshold { at: (jump + tau * (-jump).exp()) / rate, jump: jump / rate }
}

/// The sum over k >= 1 of (-1)^(k+1) coefficient(k) v^k, for v <= 1/2 and bounded coefficients.
fn series(v: f64, coefficient: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut power) = (0.0, v);
    for k in 1..64 {
        let term = coefficient(f64::from(k)) * power;
        sum += term;
        if term.abs() <= f64::EPSILON * 0.01 * sum {
            break;
        }
        power *= -v;
    }
    sum
}

/// The point where `below` turns from true to false, above `low` > 0 and within a few powers of two of it.
fn root(low: f64, below: impl Fn(f64) -> bool) -> f64 {
    let mut low = low;
    let mut high = 2.0 * low;
    while high.is_finite() && below(high) {
        low = high;
        high *= 2.0;
    }
    bisect(low, high, below).1
}
