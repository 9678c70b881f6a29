//! Geman: p(y) = |y| / (|y| + gamma), the transformed l1 in another scale.
//!
//! With t = step * lambda: for t <= gamma^2 / 2 the prox is continuous and leaves zero at t / gamma; beyond,
//! it jumps at sqrt(2t) - gamma/2 to sqrt(2t) - gamma. Above the threshold y is the largest root of
//! (|x| - y)(gamma + y)^2 = t gamma.
//!
//! Domain: 1e-6 <= gamma <= 1e6.
//!
//! Source: MAF-SRL, table 1.

use super::domain::{Parameter, SHAPE};
use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = |y| / (|y| + gamma).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geman {
    /// The shape: small is close to l0.
    pub gamma: f64,
}

impl Default for Geman {
    fn default() -> Self {
        Geman { gamma: 1.0 }
    }
}

impl Elementwise for Geman {
    fn name(&self) -> &'static str {
        "geman"
    }
    fn formula(&self) -> &'static str {
        "|y| / (|y| + gamma)"
    }
    fn source(&self) -> &'static str {
        "MAF-SRL, table 1"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "gamma", value: self.gamma, domain: SHAPE }]
    }
    fn with(&self, values: &[f64]) -> Penalty {
        Geman { gamma: values[0] }.into()
    }
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
    fn examples(&self) -> Vec<Penalty> {
        [1.0, 0.01, 100.0].map(|gamma| Geman { gamma }.into()).to_vec()
    }
    fn backward_ulps(&self) -> f64 {
        16.0 // as tl1: worst WGSL arithmetic 13; nearest rounding 4.4
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["threshold", "gamma", "c", "t", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> [f64; CONSTANTS] {
        let t = step * lambda;
        [threshold.at, self.gamma, t * self.gamma, t, 0.0, 0.0, 0.0, 0.0]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
