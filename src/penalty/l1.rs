//! l1: p(y) = |y|, the soft threshold. prox(x) = sign(x) max(|x| - t, 0), t = step * lambda.

use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = |y|. Convex, continuous; every kept weight shrinks by t.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct L1;

impl Elementwise for L1 {
    fn name(&self) -> &'static str {
        "l1"
    }
    fn formula(&self) -> &'static str {
        "|y|"
    }
    fn source(&self) -> &'static str {
        "Tibshirani 1996 (lasso)"
    }
    fn with(&self, _: &[f64]) -> Penalty {
        L1.into()
    }
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
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["t", "unused1", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, _: f64, _: f64, threshold: Threshold) -> [f64; CONSTANTS] {
        [threshold.at, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
