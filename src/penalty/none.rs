//! No penalty: the step without a prox, for biases and dense baselines.

use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = 0; the prox is the identity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoPenalty;

impl Elementwise for NoPenalty {
    fn name(&self) -> &'static str {
        "none"
    }
    fn formula(&self) -> &'static str {
        "0"
    }
    fn source(&self) -> &'static str {
        "the identity"
    }
    fn with(&self, _: &[f64]) -> Penalty {
        NoPenalty.into()
    }
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
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["unused0", "unused1", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, _: f64, _: f64, _: Threshold) -> [f64; CONSTANTS] {
        [0.0; CONSTANTS]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
