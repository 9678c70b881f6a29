//! Elastic net: p(y) = mix |y| + (1 - mix) y^2 / 2, between weight decay (mix = 0) and l1 (mix = 1).
//!
//! With t = step * lambda: prox(x) = sign(x) max(|x| - t mix, 0) / (1 + t (1 - mix)), the soft threshold
//! followed by the shrinkage. One regime, continuous; the threshold is t mix. Domain: 0 <= mix <= 1.

use super::domain::SHARE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = mix |y| + (1 - mix) y^2 / 2.
    pub struct ElasticNet: Penalty {
        /// The share of l1, in [0, 1].
        pub mix: f64 = 0.5 in SHARE,
    }
    name: "elastic-net",
    formula: "mix |y| + (1-mix) y^2 / 2",
    source: "Zou and Hastie 2005",
    examples: [[0.5], [0.0], [0.9], [1.0]],
}

impl Elementwise for ElasticNet {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * y * (self.mix + 0.5 * (1.0 - self.mix) * y)
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda * (self.mix + (1.0 - self.mix) * y)
    }
    fn curvature(&self, lambda: f64, _: f64) -> f64 {
        lambda * (1.0 - self.mix)
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        Threshold { at: step * lambda * self.mix, jump: 0.0 }
    }
    fn magnitude(&self, step: f64, lambda: f64, threshold: Threshold, ax: f64) -> f64 {
        (ax - threshold.at) / (1.0 + step * lambda * (1.0 - self.mix))
    }
    fn backward_ulps(&self) -> f64 {
        10.0 // 1.5 ULP of the subtraction and 4 * 2^-23 of the quotient (see l2sq)
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let decay = step * lambda * (1.0 - self.mix);
        named([("threshold", threshold.at), ("decay", decay)])
    }
}
