//! l2sq: p(y) = y^2 / 2, weight decay. prox(x) = x / (1 + t), t = step * lambda.
//!
//! One regime, no threshold: nothing becomes exactly zero. For the penalty y^2 without the half, take 2
//! lambda.
//!
//! Source: Hoerl and Kennard 1970 (ridge regression).

use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = y^2 / 2. Convex and smooth; every weight shrinks by the same factor.
    pub struct L2Sq: Penalty;
    name: "l2sq",
    formula: "y^2 / 2",
    source: "Hoerl and Kennard 1970 (ridge)",
}

impl Elementwise for L2Sq {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        0.5 * lambda * y * y
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda * y
    }
    fn curvature(&self, lambda: f64, _: f64) -> f64 {
        lambda
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let _ = (step, lambda);
        Threshold { at: 0.0, jump: 0.0 }
    }
    fn magnitude(&self, step: f64, lambda: f64, _: Threshold, ax: f64) -> f64 {
        ax / (1.0 + step * lambda)
    }
    fn backward_ulps(&self) -> f64 {
        8.0 // t, 1 + t and the division: a relative error of (0.5 + 1 + 2.5) 2^-23
    }
    fn constants(&self, step: f64, lambda: f64, _: Threshold) -> Constants {
        named([("t", step * lambda)])
    }
}
