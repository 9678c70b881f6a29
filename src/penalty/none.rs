//! No penalty: the step without a prox, for biases and dense baselines.

use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = 0; the prox is the identity.
    pub struct NoPenalty: Penalty;
    name: "none",
    formula: "0",
    source: "the identity",
}

impl Elementwise for NoPenalty {
    fn value(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn slope(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn curvature(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn threshold(&self, _: f64, _: f64) -> Threshold {
        Threshold { at: 0.0, jump: 0.0 }
    }
    fn magnitude(&self, _: f64, _: f64, _: Threshold, ax: f64) -> f64 {
        ax
    }
    fn backward_ulps(&self) -> f64 {
        0.0
    }
    fn constants(&self, _: f64, _: f64, _: Threshold) -> Constants {
        named([])
    }
}
