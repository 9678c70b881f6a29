//! Capped l1: p(y) = min(|y|, a).
//!
//! With t = step * lambda, for every step size:
//!
//! - t < 2a: 0 up to t, |x| - t up to a + t/2, where the prox jumps from a - t/2 to a + t/2; |x| beyond. The
//!   tie goes to the soft side.
//! - t >= 2a: the hard threshold at sqrt(2 t a); the tie goes to 0.
//!
//! Domain: 1e-6 <= a <= 1e6.
//!
//! Source: Ma et al., transformed l1, eq. (4).

use super::domain::{Parameter, SHAPE};
use super::{CONSTANTS, Elementwise, Penalty, Threshold};

/// p(y) = min(|y|, a). l1 for small weights; those beyond a do not shrink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CappedL1 {
    /// Where the penalty stops growing.
    pub a: f64,
}

impl Default for CappedL1 {
    fn default() -> Self {
        CappedL1 { a: 1.0 }
    }
}

impl CappedL1 {
    /// Where the soft piece ends: at its beginning where there is none.
    fn soft_end(&self, t: f64, threshold: Threshold) -> f64 {
        if t < 2.0 * self.a { self.a + 0.5 * t } else { threshold.at }
    }
}

impl Elementwise for CappedL1 {
    fn name(&self) -> &'static str {
        "capped-l1"
    }
    fn formula(&self) -> &'static str {
        "min(|y|, a)"
    }
    fn source(&self) -> &'static str {
        "Ma et al., transformed l1, eq. (4)"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "a", value: self.a, domain: SHAPE }]
    }
    fn with(&self, values: &[f64]) -> Penalty {
        CappedL1 { a: values[0] }.into()
    }
    fn value(&self, lambda: f64, y: f64) -> f64 {
        lambda * y.min(self.a)
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        if y < self.a { lambda } else { 0.0 }
    }
    fn curvature(&self, _: f64, _: f64) -> f64 {
        0.0
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let t = step * lambda;
        if t < 2.0 * self.a {
            Threshold { at: t, jump: 0.0 }
        } else {
            let at = (2.0 * t * self.a).sqrt();
            Threshold { at, jump: at }
        }
    }
    fn magnitude(&self, step: f64, lambda: f64, threshold: Threshold, ax: f64) -> f64 {
        if ax <= self.soft_end(step * lambda, threshold) { ax - step * lambda } else { ax }
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![2.0 * self.a / lambda]
    }
    fn examples(&self) -> Vec<Penalty> {
        [1.0, 0.01, 20.0].map(|a| CappedL1 { a }.into()).to_vec()
    }
    fn backward_ulps(&self) -> f64 {
        2.0 // one rounding of t, one subtraction
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["threshold", "end", "t", "a", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> [f64; CONSTANTS] {
        let t = step * lambda;
        [threshold.at, self.soft_end(t, threshold), t, self.a, 0.0, 0.0, 0.0, 0.0]
    }
    fn per_element_step(&self) -> bool {
        true
    }
}
