//! l1: p(y) = |y|, the soft threshold. prox(x) = sign(x) max(|x| - t, 0), t = step * lambda.

use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = |y|. Convex, continuous; every kept weight shrinks by t.
    pub struct L1: Penalty;
    name: "l1",
    formula: "|y|",
    source: "Tibshirani 1996 (lasso)",
}

impl Elementwise for L1 {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * y
    }
    fn slope(&self, lambda: f64, _: f64) -> f64 {
        lambda
    }
    fn curvature(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        Threshold { at: step * lambda, jump: 0.0 }
    }
    fn magnitude(&self, _: f64, _: f64, threshold: Threshold, ax: f64) -> f64 {
        ax - threshold.at
    }
    fn backward_ulps(&self) -> f64 {
        2.0 // one rounding of t, one subtraction
    }
    fn constants(&self, _: f64, _: f64, threshold: Threshold) -> Constants {
        named([("t", threshold.at)])
    }
}
