//! Exponential-type penalty: p(y) = (1 - exp(-gamma |y|)) / (1 - exp(-gamma)).
//!
//! It is Laplace's penalty with 1/gamma in place of gamma and the weight divided by 1 - exp(-gamma); regimes,
//! thresholds and kernel are those of [`Laplace`](super::Laplace).
//!
//! Domain: 1e-6 <= gamma <= 1e6, the same range as Laplace's 1/gamma. The division by 1 - exp(-gamma) is done
//! on the host (expm1: no cancellation at small gamma, 1 at large), and the kernel bounds the exponent from
//! below, so no narrower range is needed in f32.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, jump, named};
use crate::accuracy::{FLUSH, RELATIVE};

penalty! {
    /// p(y) = (1 - exp(-gamma |y|)) / (1 - exp(-gamma)).
    pub struct Etp: Penalty {
        /// The shape: small is close to l1, large close to l0.
        pub gamma: f64 = 1.0 in SHAPE,
    }
    name: "etp",
    formula: "(1 - exp(-gamma |y|)) / (1 - exp(-gamma))",
    source: "MAF-SRL, table 1",
    examples: [[1.0], [0.01], [60.0]],
}

impl Etp {
    /// The slope of p at 0, gamma / (1 - exp(-gamma)).
    fn height(&self) -> f64 {
        self.gamma / -(-self.gamma).exp_m1()
    }
}

impl Elementwise for Etp {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * ((-self.gamma * y).exp_m1() / (-self.gamma).exp_m1())
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        lambda * self.height() * (-self.gamma * y).exp()
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        -self.gamma * self.slope(lambda, y)
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        jump::exponential(step * lambda * self.height(), self.gamma)
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![1.0 / (self.gamma * self.height()) / lambda]
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // as laplace: worst WGSL arithmetic 6.6; nearest rounding 1.4
    }
    fn slope_error(&self, lambda: f64, y: f64) -> f64 {
        // exp within 3 + 2 x ULP of x = self.gamma * y, which has 1.5 roundings itself; c, the product, and half an ULP for
        // each; below 1e-37 of c the kernel stops
        let x = (self.gamma * y).min(87.0);
        (6.0 + 3.5 * x) * RELATIVE * self.slope(lambda, y) + 2e-37 * self.slope(lambda, 0.0) + FLUSH
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let c = step * lambda * self.height();
        named([("threshold", threshold.at), ("jump", threshold.jump), ("c", c), ("rate", self.gamma)])
    }
}
