//! Combined group and exclusive sparsity, exact: P(y) = (1 - mu) |y|_2 + (mu / 2) |y|_1^2 on the same group.
//!
//! prox(x) = group(soft(x, tau), t (1 - mu)) with tau = t mu |y|_1, the root of an increasing function of tau; Newton's
//! method inside a bracket finds it. mu weighs the exclusive term, as in Bui et al. (4) with mu_l = l / L; the programs
//! of Yoon and Hwang use it the other way round.

use super::{Constants, Exclusive, GroupPenalty, Groupwise, Shrink, ends, named, norm};
use crate::penalty::domain::SHARE;
use crate::penalty::register::penalty;
use crate::penalty::roots::newton;

penalty! {
    /// P(y) = (1 - mu) |y|_2 + (mu / 2) |y|_1^2.
    pub struct Cges: GroupPenalty {
        /// The share of the exclusive term.
        pub mu: f64 = 0.5 in SHARE,
    }
    name: "cges",
    formula: "(1-mu) |y|_2 + (mu/2) |y|_1^2",
    source: "Bui et al., eq. (4), corrected; Yoon and Hwang 2017",
    examples: [[0.5], [0.0], [0.1], [0.9], [1.0]],
}

/// At tau: the factor of the group's threshold, the sum of (|x| - tau)+, and d/dtau of their product.
fn at(tau: f64, group: f64, x: &[f64]) -> (f64, f64, f64) {
    let rest = || x.iter().map(|x| (x.abs() - tau).max(0.0));
    let (sum, r) = (rest().sum::<f64>(), norm(rest()));
    if r <= group {
        return (0.0, sum, 0.0);
    }
    let after = (r - group) / r;
    let count = rest().filter(|d| *d > 0.0).count() as f64;
    (after, sum, -(count * after + group / r * (sum / r) * (sum / r)))
}

/// The root of tau = exclusive |y(tau)|_1.
fn threshold(group: f64, exclusive: f64, x: &[f64]) -> f64 {
    let residual = |tau: f64| {
        let (after, sum, slope) = at(tau, group, x);
        (tau - exclusive * sum * after, 1.0 - exclusive * slope)
    };
    newton(residual, 0.0, -residual(0.0).0, 0.0)
}

impl Groupwise for Cges {
    fn value(&self, y: &[f64]) -> f64 {
        (1.0 - self.mu) * norm(y.iter().copied()) + self.mu * Exclusive.value(y)
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        let (group, exclusive) = (t * (1.0 - self.mu), t * self.mu);
        let tau = threshold(group, exclusive, x);
        let r = norm(x.iter().map(|x| (x.abs() - tau).max(0.0)));
        if r <= group {
            return Shrink::ZERO;
        }
        Shrink { threshold: tau, after: (r - group) / r, ..Shrink::IDENTITY }
    }
    fn measure(&self) -> &'static str {
        "measure/norm_sum"
    }
    fn convex(&self) -> bool {
        true
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // tau increases with every magnitude, the group's factor with |x| and against tau
        let (low, high) = ends(x, error);
        let (group, exclusive) = (t * (1.0 - self.mu), t * self.mu);
        let (least, most) = (threshold(group, exclusive, &low), threshold(group, exclusive, &high));
        let (small, large) = (at(most, group, &low).0, at(least, group, &high).0);
        let range =
            |(low, high): (&f64, &f64)| ((low - most).max(0.0) * small, (high - least).max(0.0) * large);
        low.iter().zip(&high).map(range).collect()
    }
    fn measurements(&self) -> u32 {
        48 // bisection alone would take 24 for the digits of a float and 24 for its exponent's range
    }
    fn constants(&self, t: f64) -> Constants {
        named([("t", t), ("first", 0.0), ("group", t * (1.0 - self.mu)), ("exclusive", t * self.mu)])
    }
}
