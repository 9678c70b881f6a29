//! Transformed l1: p(y) = (a+1)|y| / (a+|y|). Between l0 (a -> 0) and l1 (a -> infinity).
//!
//! With t = step * lambda: for t <= a^2 / (2(a+1)) the prox is continuous and leaves zero at t(a+1)/a;
//! beyond, it jumps at sqrt(2t(a+1)) - a/2 to sqrt(2t(a+1)) - a. Above the threshold y is the largest root of
//! (|x| - y)(a + y)^2 = t a (a+1).
//!
//! The closed form with arccos that is usually printed loses every digit in f32 (10^7 ULP at a = 100); the
//! kernel solves the cubic with a polynomial start and one Newton step, four divisions and one square root in
//! all.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};

penalty! {
    /// p(y) = (a+1)|y| / (a+|y|).
    pub struct Tl1: Penalty {
        /// The shape: small is close to l0, large close to l1.
        pub a: f64 = 1.0 in SHAPE,
    }
    name: "tl1",
    formula: "(a+1)|y| / (a+|y|)",
    source: "Ma et al., transformed l1, eq. (7); Bui et al., nonconvex sparse group lasso, eq. (8)",
    examples: [[1.0], [0.01], [100.0]],
}

impl Elementwise for Tl1 {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        // y / (a+y) first: no overflow at large y
        lambda * (self.a + 1.0) * (y / (self.a + y))
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        let z = self.a + y;
        lambda * (self.a + 1.0) * (self.a / z) / z
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        -2.0 * self.slope(lambda, y) / (self.a + y)
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let (a, t) = (self.a, step * lambda);
        if t <= a * a / (2.0 * (a + 1.0)) {
            Threshold { at: t * (a + 1.0) / a, jump: 0.0 }
        } else {
            let m = (2.0 * t * (a + 1.0)).sqrt();
            Threshold { at: m - a / 2.0, jump: m - a }
        }
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![self.a * self.a / (2.0 * (self.a + 1.0)) / lambda]
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // worst WGSL arithmetic 13; nearest rounding 4.4
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let t = step * lambda;
        named([("threshold", threshold.at), ("a", self.a), ("c", t * self.a * (self.a + 1.0)), ("t", t)])
    }
}
