//! l0: p(y) = 1 for y != 0, the hard threshold. prox(x) = x for |x| > sqrt(2t), else 0; t = step * lambda.
//!
//! One regime: the prox jumps from 0 to sqrt(2t) at sqrt(2t), and the tie goes to 0. What is kept is not
//! moved, so the kernel's result is exact.
//!
//! Source: Bui et al., nonconvex sparse group lasso, table 1 (with |x| where x is printed).

use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = 1 for y != 0. Counts the weights; those kept do not shrink.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct L0;

impl Elementwise for L0 {
    fn name(&self) -> &'static str {
        "l0"
    }
    fn formula(&self) -> &'static str {
        "1 if y != 0 else 0"
    }
    fn source(&self) -> &'static str {
        "Bui et al., nonconvex sparse group lasso, table 1"
    }
    fn with(&self, _: &[f64]) -> Penalty {
        L0.into()
    }
    fn value(&self, lambda: f64, y: f64) -> f64 {
        if y > 0.0 { lambda } else { 0.0 }
    }
    fn slope(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn curvature(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let at = (2.0 * step * lambda).sqrt();
        Threshold { at, jump: at }
    }
    fn magnitude(&self, _: f64, _: f64, _: Threshold, ax: f64) -> f64 {
        ax
    }
    fn backward_ulps(&self) -> f64 {
        0.0 // only comparisons
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["threshold", "unused1", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, _: f64, _: f64, threshold: Threshold) -> [f64; CONSTANTS] {
        [threshold.at, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
