//! Laplace: p(y) = 1 - exp(-|y| / gamma).
//!
//! With t = step * lambda and tau = t / gamma^2, for every step size:
//!
//! - tau <= 1: continuous; the threshold is t / gamma.
//! - tau > 1: a jump. With y* = gamma v, v the positive root of tau (1 - (1+v) exp(-v)) = v^2/2, the prox
//!   jumps to y* at y* + (t/gamma) exp(-v). There is no closed form; the host solves it in float64.
//!
//! Above the threshold y is the largest root of y - |x| + (t/gamma) exp(-y/gamma) = 0, by Newton from |x|.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, jump, named};
use crate::accuracy::{FLUSH, RELATIVE};

penalty! {
    /// p(y) = 1 - exp(-|y| / gamma).
    pub struct Laplace: Penalty {
        /// The scale on which the penalty saturates.
        pub gamma: f64 = 1.0 in SHAPE,
    }
    name: "laplace",
    formula: "1 - exp(-|y| / gamma)",
    source: "MAF-SRL, table 1",
    examples: [[1.0], [0.01], [50.0]],
}

impl Elementwise for Laplace {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        -lambda * (-y / self.gamma).exp_m1()
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda / self.gamma * (-y / self.gamma).exp()
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        -self.slope(lambda, y) / self.gamma
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        jump::exponential(step * lambda / self.gamma, 1.0 / self.gamma)
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![self.gamma * self.gamma / lambda]
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // worst WGSL arithmetic 6.6; nearest rounding 1.4
    }
    fn slope_error(&self, lambda: f64, y: f64) -> f64 {
        // exp within 3 + 2 x ULP of x = y / self.gamma, which has 1.5 roundings itself; c, the product, and half an ULP for
        // each; below 1e-37 of c the kernel stops
        let x = (y / self.gamma).min(87.0);
        (6.0 + 3.5 * x) * RELATIVE * self.slope(lambda, y) + 2e-37 * self.slope(lambda, 0.0) + FLUSH
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let c = step * lambda / self.gamma;
        named([("threshold", threshold.at), ("jump", threshold.jump), ("c", c), ("rate", 1.0 / self.gamma)])
    }
}
