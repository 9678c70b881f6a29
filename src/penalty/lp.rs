//! lp: p(y) = |y|^p with 0 < p < 1. Between l0 (p -> 0) and l1 (p -> 1).
//!
//! With t = step * lambda, one regime for every step size: the prox jumps to y* = (2 t (1-p))^(1/(2-p)) at
//! y* (2-p) / (2 (1-p)). Above, y is the largest root of y - |x| + t p y^(p-1) = 0, by Newton from |x|; there
//! the objective's second derivative is at least 1 - p/2, so that the root is simple.
//!
//! The kernel measures y in units of y*: (y/y*)^(p-1) <= 1 can neither overflow nor turn 0 * inf into NaN,
//! and the errors of exp2 and log2 stay small where the term counts.
//!
//! Domain: 0.001 <= p <= 0.999 (l0 and l1 are the limits).
//!
//! Source: MAF-SRL, table 1 (the separable sum of |y_i|^p).

use std::ops::Bound::Included;

use super::domain::Domain;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};
use crate::accuracy::{FLUSH, RELATIVE};

penalty! {
    /// p(y) = |y|^p, 0 < p < 1.
    pub struct Lp: Penalty {
        /// The exponent.
        pub p: f64 = 0.5 in Domain(Included(1e-3), Included(0.999)),
    }
    name: "lp",
    formula: "|y|^p",
    source: "MAF-SRL, table 1; Ma et al., transformed l1, eq. (5)",
    examples: [[0.5], [1e-3], [0.1], [2.0 / 3.0], [0.95], [0.999]],
}

impl Elementwise for Lp {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * y.powf(self.p)
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda * self.p * y.powf(self.p - 1.0)
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        (self.p - 1.0) * self.slope(lambda, y) / y
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let p = self.p;
        let jump = (2.0 * step * lambda * (1.0 - p)).powf(1.0 / (2.0 - p));
        Threshold { at: jump * (2.0 - p) / (2.0 * (1.0 - p)), jump }
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // worst WGSL arithmetic 5; nearest rounding 1.5
    }
    fn slope_error(&self, lambda: f64, y: f64) -> f64 {
        // e = (p - 1) log2(y): the logarithm within 3 ULP, or 2^-21 between 0.5 and 2, p - 1 and the product 1.5; then exp2
        // within 3 + 2 |e| ULP, and lambda p and its product 1.5
        let e = (self.p - 1.0).abs() * y.log2().abs();
        let exponent = std::f64::consts::LN_2 * (4.5 * e + 4.0);
        (5.0 + 2.0 * e + exponent) * RELATIVE * self.slope(lambda, y) + FLUSH
    }
    fn constants(&self, _: f64, lambda: f64, threshold: Threshold) -> Constants {
        let (p, jump) = (self.p, threshold.jump);
        // t p y^(p-1) = c (y/jump)^(p-1), from t = jump^(2-p) / (2(1-p))
        let c = jump * p / (2.0 * (1.0 - p));
        let [jump, inverse, limit, c] = match jump < FLUSH {
            true => [0.0, 0.0, f64::MAX, 0.0], // t = 0, or as good as: the identity
            false => [jump, 1.0 / jump, 1e20 * jump, c],
        };
        named([
            ("threshold", threshold.at),
            ("jump", jump),
            ("inverse", inverse),
            ("limit", limit),
            ("c", c),
            ("power", p - 1.0),
            ("at_one", lambda * p),
        ])
    }
}
