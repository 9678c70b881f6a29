//! Exclusive sparsity as published: soft(x, t |x|_1), the threshold taken from the *input*.
//!
//! The update of Yoon and Hwang's programs. It is no prox of |y|_1^2 / 2 (that is [`Exclusive`](super::Exclusive)) and
//! shrinks more: ten equal members at t = 0.1 all become zero, where the prox halves them.

use super::{Exclusive, GroupPenalty, Groupwise, Shrink, ends};
use crate::penalty::register::penalty;

penalty! {
    /// The published linearisation of P(y) = |y|_1^2 / 2.
    pub struct ExclusiveLinear: GroupPenalty;
    name: "exclusive-linear",
    formula: "|y|_1^2 / 2, its published linearisation",
    source: "the programs of Yoon and Hwang 2017",
}

impl Groupwise for ExclusiveLinear {
    fn value(&self, y: &[f64]) -> f64 {
        Exclusive.value(y)
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        let sum: f64 = x.iter().map(|x| x.abs()).sum();
        Shrink { threshold: t * sum, ..Shrink::IDENTITY }
    }
    fn is_prox(&self) -> bool {
        false
    }
    fn measure(&self) -> &'static str {
        "measure/sum"
    }
    fn convex(&self) -> bool {
        true
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // the threshold increases with every magnitude
        let (low, high) = ends(x, error);
        let (least, most) = (self.shrink(t, &low).threshold, self.shrink(t, &high).threshold);
        low.iter().zip(&high).map(|(low, high)| ((low - most).max(0.0), (high - least).max(0.0))).collect()
    }
}
