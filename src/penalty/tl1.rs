//! Transformed l1: p(y) = (a+1)|y| / (a+|y|). Between l0 (a -> 0) and l1 (a -> infinity).
//!
//! With t = step * lambda: for t <= a^2 / (2(a+1)) the prox is continuous and leaves zero at t(a+1)/a;
//! beyond, it jumps at sqrt(2t(a+1)) - a/2 to sqrt(2t(a+1)) - a. Above the threshold y is the largest root of
//! (|x| - y)(a + y)^2 = t a (a+1).
//!
//! The closed form with arccos that is usually printed loses every digit in f32 (10^7 ULP at a = 100); the
//! kernel solves the cubic with a polynomial start and one Newton step, four divisions and one square root in
//! all.

use super::domain::{Parameter, SHAPE};
use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = (a+1)|y| / (a+|y|).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tl1 {
    /// The shape: small is close to l0, large close to l1.
    pub a: f64,
}

impl Default for Tl1 {
    fn default() -> Self {
        Tl1 { a: 1.0 }
    }
}

impl Elementwise for Tl1 {
    fn name(&self) -> &'static str {
        "tl1"
    }
    fn formula(&self) -> &'static str {
        "(a+1)|y| / (a+|y|)"
    }
    fn source(&self) -> &'static str {
        "Ma et al., transformed l1, eq. (7)"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "a", value: self.a, domain: SHAPE }]
    }
    fn with(&self, values: &[f64]) -> Penalty {
        Tl1 { a: values[0] }.into()
    }
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
    fn examples(&self) -> Vec<Penalty> {
        [1.0, 0.01, 100.0].map(|a| Tl1 { a }.into()).to_vec()
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // worst WGSL arithmetic 13; nearest rounding 4.4
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["threshold", "a", "c", "t", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> [f64; CONSTANTS] {
        let t = step * lambda;
        [threshold.at, self.a, t * self.a * (self.a + 1.0), t, 0.0, 0.0, 0.0, 0.0]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
