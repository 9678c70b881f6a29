//! Combined group and exclusive sparsity, exact: P(y) = (1 - mu) |y|_2 + (mu / 2) |y|_1^2 on the same group.
//!
//! prox(x) = group(soft(x, tau), t (1 - mu)) with tau = t mu |y|_1, the root of an increasing function of tau; Newton's
//! method inside a bracket finds it. mu weighs the exclusive term, as in Bui et al. (4) with mu_l = l / L; the programs
//! of Yoon and Hwang use it the other way round.

use super::{CONSTANTS, Exclusive, GroupPenalty, Groupwise, Parameter, Shrink, ends, norm};
use crate::penalty::Domain;
use std::ops::Bound::Included;

/// P(y) = (1 - mu) |y|_2 + (mu / 2) |y|_1^2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cges {
    /// The share of the exclusive term.
    pub mu: f64,
}

impl Default for Cges {
    fn default() -> Self {
        Cges { mu: 0.5 }
    }
}

/// Where mu may lie.
pub(super) const MU: Domain = Domain(Included(0.0), Included(1.0));

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
    let (after, sum, _) = at(0.0, group, x);
    let (mut low, mut high, mut tau) = (0.0, exclusive * sum * after, 0.0);
    for _ in 0..200 {
        let (after, sum, slope) = at(tau, group, x);
        let residual = tau - exclusive * sum * after;
        if residual > 0.0 { high = tau } else { low = tau }
        let mut next = tau - residual / (1.0 - exclusive * slope);
        if !(next > low && next < high) {
            next = 0.5 * (low + high);
        }
        if (next - tau).abs() <= f64::EPSILON * next || high - low <= f64::EPSILON * high {
            return next;
        }
        tau = next;
    }
    tau
}

impl Groupwise for Cges {
    fn name(&self) -> &'static str {
        "cges"
    }
    fn formula(&self) -> &'static str {
        "(1-mu) |y|_2 + (mu/2) |y|_1^2"
    }
    fn source(&self) -> &'static str {
        "Bui et al., eq. (4), corrected; Yoon and Hwang 2017"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "mu", value: self.mu, domain: MU }]
    }
    fn with(&self, values: &[f64]) -> GroupPenalty {
        Cges { mu: values[0] }.into()
    }
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
    fn convex(&self) -> bool {
        true
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // tau increases with every magnitude, the group's factor with |x| and against tau
        let (low, high) = ends(x, error);
        let (group, exclusive) = (t * (1.0 - self.mu), t * self.mu);
        let (least, most) = (threshold(group, exclusive, &low), threshold(group, exclusive, &high));
        let (small, large) = (at(most, group, &low).0, at(least, group, &high).0);
        let range = |(low, high): (&f64, &f64)| ((low - most).max(0.0) * small, (high - least).max(0.0) * large);
        low.iter().zip(&high).map(range).collect()
    }
    fn measurements(&self) -> u32 {
        48 // bisection alone would take 24 for the digits of a float and 24 for its exponent's range
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["t", "first", "group", "exclusive", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, t: f64) -> [f64; CONSTANTS] {
        [t, 0.0, t * (1.0 - self.mu), t * self.mu, 0.0, 0.0, 0.0, 0.0]
    }
    fn examples(&self) -> Vec<GroupPenalty> {
        [0.5, 0.0, 0.1, 0.9, 1.0].map(|mu| Cges { mu }.into()).to_vec()
    }
}
