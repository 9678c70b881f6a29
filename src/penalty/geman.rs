//! Geman: p(y) = |y| / (|y| + gamma), the transformed l1 in another scale.
//!
//! With t = step * lambda: for t <= gamma^2 / 2 the prox is continuous and leaves zero at t / gamma; beyond,
//! it jumps at sqrt(2t) - gamma/2 to sqrt(2t) - gamma. Above the threshold y is the largest root of
//! (|x| - y)(gamma + y)^2 = t gamma.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = |y| / (|y| + gamma).
    pub struct Geman: Penalty {
        /// The shape: small is close to l0.
        pub gamma: f64 = 1.0 in SHAPE,
    }
    name: "geman",
    formula: "|y| / (|y| + gamma)",
    source: "MAF-SRL, table 1",
    examples: [[1.0], [0.01], [100.0]],
}

impl Elementwise for Geman {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * (y / (y + self.gamma))
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        let z = self.gamma + y;
        lambda * (self.gamma / z) / z
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        -2.0 * self.slope(lambda, y) / (self.gamma + y)
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let (gamma, t) = (self.gamma, step * lambda);
        if t <= 0.5 * gamma * gamma {
            Threshold { at: t / gamma, jump: 0.0 }
        } else {
            let m = (2.0 * t).sqrt();
            Threshold { at: m - 0.5 * gamma, jump: m - gamma }
        }
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![0.5 * self.gamma * self.gamma / lambda]
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // as tl1: worst WGSL arithmetic 13; nearest rounding 4.4
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let t = step * lambda;
        named([("threshold", threshold.at), ("gamma", self.gamma), ("c", t * self.gamma), ("t", t)])
    }
}
