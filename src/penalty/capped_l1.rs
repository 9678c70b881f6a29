//! Capped l1: p(y) = min(|y|, a).
//!
//! With t = step * lambda, for every step size:
//!
//! - t < 2a: 0 up to t, |x| - t up to a + t/2, where the prox jumps from a - t/2 to a + t/2; |x| beyond. The
//!   tie goes to the soft side.
//! - t >= 2a: the hard threshold at sqrt(2 t a); the tie goes to 0.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named, search};

penalty! {
    /// p(y) = min(|y|, a). l1 for small weights; those beyond a do not shrink.
    pub struct CappedL1: Penalty {
        /// Where the penalty stops growing.
        pub a: f64 = 1.0 in SHAPE,
    }
    name: "capped-l1",
    formula: "min(|y|, a)",
    source: "Ma et al., transformed l1, eq. (4)",
    examples: [[1.0], [0.01], [20.0]],
}

impl Elementwise for CappedL1 {
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
    fn magnitude(&self, step: f64, lambda: f64, _: Threshold, ax: f64) -> f64 {
        let pieces = [(ax - step * lambda, 0.0, self.a), (ax, self.a, ax)];
        search::best(&pieces, |y| step * self.value(lambda, y) + y * (0.5 * y - ax))
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        vec![2.0 * self.a / lambda]
    }
    fn backward_ulps(&self) -> f64 {
        2.0 // one rounding of t, one subtraction
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let t = step * lambda;
        // where the soft piece ends: at its beginning where there is none
        let end = if t < 2.0 * self.a { self.a + 0.5 * t } else { threshold.at };
        named([("threshold", threshold.at), ("end", end), ("t", t), ("a", self.a)])
    }
}
