//! Combined group and exclusive sparsity as published: the group threshold first, then
//! [`ExclusiveLinear`](super::ExclusiveLinear) of its result. No prox of the sum (that is [`Cges`](super::Cges)).

use super::{Cges, Constants, GroupPenalty, Groupwise, Lasso, Shrink, ends, named};
use crate::penalty::domain::SHARE;
use crate::penalty::register::penalty;

penalty! {
    /// The published steps for P(y) = (1 - mu) |y|_2 + (mu / 2) |y|_1^2.
    pub struct CgesLinear: GroupPenalty {
        /// The share of the exclusive term.
        pub mu: f64 = 0.5 in SHARE,
    }
    name: "cges-linear",
    formula: "(1-mu) |y|_2 + (mu/2) |y|_1^2, the published steps",
    source: "the programs of Yoon and Hwang 2017, with mu as in Bui et al., eq. (4)",
    examples: [[0.5], [0.0], [0.1], [0.9]],
}

impl CgesLinear {
    /// The group's factor and the result's sum.
    fn group(&self, t: f64, x: &[f64]) -> (f64, f64) {
        let after = Lasso::default().shrink(t * (1.0 - self.mu), x).after;
        (after, after * x.iter().map(|x| x.abs()).sum::<f64>())
    }
}

impl Groupwise for CgesLinear {
    fn value(&self, y: &[f64]) -> f64 {
        Cges { mu: self.mu }.value(y)
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        let (before, sum) = self.group(t, x);
        if before == 0.0 {
            return Shrink::ZERO;
        }
        Shrink { before, threshold: t * self.mu * sum, ..Shrink::IDENTITY }
    }
    fn is_prox(&self) -> bool {
        false
    }
    fn measure(&self) -> &'static str {
        "measure/norm_sum"
    }
    fn convex(&self) -> bool {
        true
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // the group's result increases with every magnitude, and with it the threshold taken from it
        let (low, high) = ends(x, error);
        let ((small, least), (large, most)) = (self.group(t, &low), self.group(t, &high));
        let (least, most) = (t * self.mu * least, t * self.mu * most);
        let range =
            |(low, high): (&f64, &f64)| ((low * small - most).max(0.0), (high * large - least).max(0.0));
        low.iter().zip(&high).map(range).collect()
    }
    fn constants(&self, t: f64) -> Constants {
        named([("t", t), ("first", 0.0), ("group", t * (1.0 - self.mu)), ("exclusive", t * self.mu)])
    }
}
