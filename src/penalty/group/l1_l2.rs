//! l1 - alpha l2: P(y) = |y|_1 - alpha |y|_2, 0 <= alpha <= 1, of one group or of the whole tensor.
//!
//! With M = max |x| and z = soft(x, t): for M > t the prox is z (|z| + alpha t) / |z|; for (1 - alpha) t < M <= t only
//! the largest member is left (the first of them at ties), less (1 - alpha) t; below, nothing is.

use super::{CONSTANTS, GroupPenalty, Groupwise, Parameter, Shrink, norm};
use crate::penalty::Domain;
use std::ops::Bound::Included;

/// P(y) = |y|_1 - alpha |y|_2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L1L2 {
    /// The weight of the norm that is taken off.
    pub alpha: f64,
}

impl Default for L1L2 {
    fn default() -> Self {
        L1L2 { alpha: 1.0 }
    }
}

/// The largest magnitude and its first index.
fn peak(x: &[f64]) -> (f64, usize) {
    x.iter().enumerate().fold((0.0, 0), |(m, k), (i, x)| if x.abs() > m { (x.abs(), i) } else { (m, k) })
}

impl Groupwise for L1L2 {
    fn name(&self) -> &'static str {
        "l1-l2"
    }
    fn formula(&self) -> &'static str {
        "|y|_1 - alpha |y|_2"
    }
    fn source(&self) -> &'static str {
        "Bui et al., eq. (9); Lou and Yan 2018"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "alpha", value: self.alpha, domain: Domain(Included(0.0), Included(1.0)) }]
    }
    fn with(&self, values: &[f64]) -> GroupPenalty {
        L1L2 { alpha: values[0] }.into()
    }
    fn value(&self, y: &[f64]) -> f64 {
        y.iter().map(|y| y.abs()).sum::<f64>() - self.alpha * norm(y.iter().copied())
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        let (m, k) = peak(x);
        if m > t {
            let r = norm(x.iter().map(|x| (x.abs() - t).max(0.0)));
            return Shrink { threshold: t, after: (r + self.alpha * t) / r, ..Shrink::IDENTITY };
        }
        let keep = (1.0 - self.alpha) * t;
        if m > keep && m > 0.0 {
            return Shrink { threshold: keep, only: Some(k), ..Shrink::IDENTITY };
        }
        Shrink::ZERO
    }
    fn convex(&self) -> bool {
        self.alpha == 0.0
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        let (m, k) = peak(x);
        let (keep, push) = ((1.0 - self.alpha) * t, self.alpha * t);
        // thresholds are rounded constants
        let band = |e: f64| e + 4.0 * f64::from(f32::EPSILON) * t;
        let above = |d: f64| (d - t).max(0.0);
        let low_norm = norm(x.iter().zip(error).map(|(x, &e)| above(x.abs() - band(e))));
        let high_norm = norm(x.iter().zip(error).map(|(x, &e)| above(x.abs() + band(e))));
        let bounds = |i: usize| {
            let (ax, e) = (x[i].abs(), band(error[i]));
            let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
            let mut join = |from: f64, to: f64| (low, high) = (low.min(from), high.max(to));
            let reach = band(error[k]).max(e);
            if m + reach > t {
                let most = above(ax + e);
                let grown = if low_norm > 0.0 { (most / low_norm).min(1.0) } else { f64::from(u8::from(most > 0.0)) };
                let least = above(ax - e);
                let kept = if high_norm > 0.0 { least / high_norm } else { 0.0 };
                join(least + push * kept, most + push * grown);
            }
            if m - reach <= t && m + reach > keep {
                // which member is the largest may depend on the error
                let certain = (0..x.len()).all(|j| j == i || x[j].abs() + band(error[j]) < ax - e);
                let tied = error.iter().all(|e| *e == 0.0);
                let may = if tied { i == k } else { ax + e >= m - reach };
                if may {
                    join(if certain || tied { (ax - e - keep).max(0.0) } else { 0.0 }, (ax + e - keep).max(0.0));
                } else {
                    join(0.0, 0.0);
                }
            }
            if m - reach <= keep {
                join(0.0, 0.0);
            }
            (if low.is_finite() { low } else { 0.0 }, high)
        };
        (0..x.len()).map(bounds).collect()
    }
    fn wgsl(&self) -> &'static str {
        include_str!("../../../shaders/penalty/group/l1_l2.wgsl")
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["t", "first", "keep", "push", "unused4", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, t: f64) -> [f64; CONSTANTS] {
        [t, t, (1.0 - self.alpha) * t, self.alpha * t, 0.0, 0.0, 0.0, 0.0]
    }
    fn examples(&self) -> Vec<GroupPenalty> {
        [1.0, 0.0, 0.3, 0.6].map(|alpha| L1L2 { alpha }.into()).to_vec()
    }
}
