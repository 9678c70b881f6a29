//! l0: p(y) = 1 for y != 0, the hard threshold. prox(x) = x for |x| > sqrt(2t), else 0; t = step * lambda.
//!
//! One regime: the prox jumps from 0 to sqrt(2t) at sqrt(2t), and the tie goes to 0. What is kept is not
//! moved, so the kernel's result is exact.
//!
//! Source: Bui et al., nonconvex sparse group lasso, table 1 (with |x| where x is printed).

use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = 1 for y != 0. Counts the weights; those kept do not shrink.
    pub struct L0: Penalty;
    name: "l0",
    formula: "1 if y != 0 else 0",
    source: "Bui et al., nonconvex sparse group lasso, table 1",
}

impl Elementwise for L0 {
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
    fn constants(&self, _: f64, _: f64, threshold: Threshold) -> Constants {
        named([("threshold", threshold.at)])
    }
}
