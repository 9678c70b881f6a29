//! Logarithmic penalty: p(y) = log(1 + gamma |y|) / log(1 + gamma).
//!
//! With e = 1/gamma, t = step * lambda / log(1 + gamma) and tau = t / e^2, for every step size:
//!
//! - tau <= 1: continuous; the threshold is t / e.
//! - tau > 1: a jump. With y* = e v, v the positive root of tau (log(1+v) - v/(1+v)) = v^2/2, the prox jumps
//!   to y* at y* + t / (e + y*). There is no closed form; the host solves it in float64.
//!
//! Above the threshold y is the larger root of y^2 - (|x| - e) y + t - e |x| = 0, taken as
//! |x| - 2t / (s + sqrt(s^2 - 4t)), s = |x| + e. The usual form of that root loses every digit where e is
//! large.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, jump, named};

penalty! {
    /// p(y) = log(1 + gamma |y|) / log(1 + gamma).
    pub struct Log: Penalty {
        /// The shape: small is close to l1, large close to l0.
        pub gamma: f64 = 1.0 in SHAPE,
    }
    name: "log",
    formula: "log(1 + gamma |y|) / log(1 + gamma)",
    source: "Ma et al., transformed l1, eq. (3); MAF-SRL, table 1",
    examples: [[1.0], [1e-3], [30.0], [1e4]],
}

impl Elementwise for Log {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * ((self.gamma * y).ln_1p() / self.gamma.ln_1p())
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda / self.gamma.ln_1p() / (1.0 / self.gamma + y)
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        -self.slope(lambda, y) / (1.0 / self.gamma + y)
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let tau = step * lambda / self.gamma.ln_1p() * self.gamma * self.gamma;
        let unit = jump::logarithmic(tau);
        Threshold { at: unit.at / self.gamma, jump: unit.jump / self.gamma }
    }
    fn magnitude(&self, step: f64, lambda: f64, threshold: Threshold, ax: f64) -> f64 {
        let t = step * lambda / self.gamma.ln_1p();
        let s = ax + 1.0 / self.gamma;
        let root = s * (1.0 - 4.0 * t / s / s).max(0.0).sqrt();
        (ax - 2.0 * t / (s + root)).max(threshold.jump)
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![self.gamma.ln_1p() / (self.gamma * self.gamma) / lambda]
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // worst WGSL arithmetic 8.1; nearest rounding 2.2
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let t = step * lambda / self.gamma.ln_1p();
        named([("threshold", threshold.at), ("epsilon", 1.0 / self.gamma), ("t", t)])
    }
}
