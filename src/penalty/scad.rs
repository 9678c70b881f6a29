//! SCAD with its own lambda: slope lambda up to lambda, falling linearly to 0 at a lambda, 0 beyond.
//!
//! ```text
//! p(y) = lambda y                                 y <= lambda
//!        lambda y - (y - lambda)^2 / (2 (a-1))    y <= a lambda
//!        lambda^2 (a+1) / 2                       beyond
//! ```
//!
//! It is not homogeneous: the prox with step size t is not that of step size 1 with t lambda, so step and
//! lambda are two numbers here. The usual table is t = 1 and a > 2; for every step size t, with d = a - 1 -
//! t:
//!
//! - a > 1 + t: 0 up to t lambda, |x| - t lambda up to (1+t) lambda, |x| - t (a lambda - |x|) / d up to a
//!   lambda, |x| beyond. Continuous.
//! - t - 1 <= a <= 1 + t: 0 up to t lambda, |x| - t lambda up to (a+1+t) lambda / 2, where it jumps to |x|.
//!   The tie goes to the soft side.
//! - a < t - 1: the hard threshold at lambda sqrt(t (a+1)).

use std::ops::Bound::{Excluded, Included};

use super::domain::Domain;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named, search};
use crate::accuracy::{FLUSH, RELATIVE};

penalty! {
    /// SCAD: l1 near zero, constant far out. Large weights do not shrink.
    pub struct Scad: Penalty {
        /// Where the penalty is flat: from a lambda on.
        pub a: f64 = 3.7 in Domain(Excluded(1.0), Included(1e6)),
    }
    name: "scad",
    formula: "lambda y, then lambda y - (y-lambda)^2 / (2(a-1)), then lambda^2 (a+1)/2",
    source: "Fan and Li 2001; Bui et al., nonconvex sparse group lasso, eq. (7)",
    examples: [[3.7], [1.01], [2.0], [50.0]],
}

/// Where the pieces of the prox end: 0 up to the threshold, soft up to `soft_end`, steep up to `end`.
struct Pieces {
    soft_end: f64,
    end: f64,
    /// t / d, the factor of (a lambda - |x|) on the steep piece.
    factor: f64,
}

impl Scad {
    /// d = a - 1 - step without the rounding of a - 1, which matters where d is small.
    fn gap(&self, step: f64) -> f64 {
        let less = self.a - 1.0;
        let back = less - self.a;
        let lost = (self.a - (less - back)) + (-1.0 - back);
        (less - step) + lost
    }

    fn pieces(&self, step: f64, lambda: f64, threshold: Threshold) -> Pieces {
        let d = self.gap(step);
        if d > 0.0 {
            Pieces { soft_end: (1.0 + step) * lambda, end: self.a * lambda, factor: step / d }
        } else {
            let end = if d >= -2.0 { 0.5 * (self.a + 1.0 + step) * lambda } else { threshold.at };
            Pieces { soft_end: end, end, factor: 0.0 }
        }
    }
}

impl Elementwise for Scad {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        if y <= lambda {
            lambda * y
        } else if y < self.a * lambda {
            lambda * y - (y - lambda) * ((y - lambda) / (2.0 * (self.a - 1.0)))
        } else {
            lambda * lambda * (0.5 * (self.a + 1.0))
        }
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        if y <= lambda {
            lambda
        } else if y < self.a * lambda {
            (self.a * lambda - y) / (self.a - 1.0)
        } else {
            0.0
        }
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        if y <= lambda || y >= self.a * lambda { 0.0 } else { -1.0 / (self.a - 1.0) }
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        if self.gap(step) >= -2.0 {
            Threshold { at: step * lambda, jump: 0.0 }
        } else {
            let at = lambda * (step * (self.a + 1.0)).sqrt();
            Threshold { at, jump: at }
        }
    }
    fn magnitude(&self, step: f64, lambda: f64, _: Threshold, ax: f64) -> f64 {
        let (soft, flat, d) = (ax - step * lambda, self.a * lambda, self.gap(step));
        // a lambda - ax with one rounding: the factor is unbounded where a comes close to 1 + t
        let steep = (ax - step / d * self.a.mul_add(lambda, -ax)).clamp(soft, ax);
        let pieces = [(soft, 0.0, lambda), (steep, lambda, if d > 0.0 { flat } else { 0.0 }), (ax, flat, ax)];
        search::best(&pieces, |y| step * self.value(lambda, y) + y * (0.5 * y - ax))
    }
    fn regime_switches(&self, _: f64) -> Vec<f64> {
        vec![self.a - 1.0, self.a + 1.0]
    }
    fn backward_ulps(&self) -> f64 {
        8.0 // worst WGSL arithmetic 1.7, with at_step, whose division is inexact, 2.4; nearest rounding 0.7
    }
    fn slope_error(&self, lambda: f64, y: f64) -> f64 {
        // the difference, a - 1, the quotient and the second difference, of numbers up to lambda where the slope is not 0
        if y <= lambda { 0.0 } else { 6.0 * RELATIVE * lambda + FLUSH * (2.0 + 1.0 / (self.a - 1.0)) }
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let Pieces { soft_end, end, factor } = self.pieces(step, lambda, threshold);
        named([
            ("threshold", threshold.at),
            ("shift", step * lambda),
            ("soft_end", soft_end),
            ("end", end),
            ("factor", factor),
            ("lambda", lambda),
            ("a_less_1", self.a - 1.0),
            ("t", step),
        ])
    }
}
