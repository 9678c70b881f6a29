//! Exclusive sparsity as published: soft(x, t |x|_1), the threshold taken from the *input*.
//!
//! The update of Yoon and Hwang's programs. It is no prox of |y|_1^2 / 2 (that is [`Exclusive`](super::Exclusive)) and
//! shrinks more: ten equal members at t = 0.1 all become zero, where the prox halves them.

use super::{CONSTANTS, Exclusive, GroupPenalty, Groupwise, Shrink, ends};

/// The published linearisation of P(y) = |y|_1^2 / 2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExclusiveLinear;

impl Groupwise for ExclusiveLinear {
    fn name(&self) -> &'static str {
        "exclusive-linear"
    }
    fn formula(&self) -> &'static str {
        "|y|_1^2 / 2, its published linearisation"
    }
    fn source(&self) -> &'static str {
        "the programs of Yoon and Hwang 2017"
    }
    fn with(&self, _: &[f64]) -> GroupPenalty {
        (*self).into()
    }
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
    fn convex(&self) -> bool {
        true
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // the threshold increases with every magnitude
        let (low, high) = ends(x, error);
        let (least, most) = (self.shrink(t, &low).threshold, self.shrink(t, &high).threshold);
        low.iter().zip(&high).map(|(low, high)| ((low - most).max(0.0), (high - least).max(0.0))).collect()
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["t", "first", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, t: f64) -> [f64; CONSTANTS] {
        [t, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    }
}
