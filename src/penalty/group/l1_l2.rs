//! l1 - alpha l2: P(y) = |y|_1 - alpha |y|_2, 0 <= alpha <= 1, of one group or of the whole tensor.
//!
//! With M = max |x| and z = soft(x, t): for M > t the prox is z (|z| + alpha t) / |z|; for (1 - alpha) t < M <= t only
//! the largest member is left (the first of them at ties), less (1 - alpha) t; below, nothing is.

use super::{Constants, GroupPenalty, Groupwise, Shrink, ends, named, norm};
use crate::penalty::domain::SHARE;
use crate::penalty::register::penalty;

penalty! {
    /// P(y) = |y|_1 - alpha |y|_2.
    pub struct L1L2: GroupPenalty {
        /// The weight of the norm that is taken off.
        pub alpha: f64 = 1.0 in SHARE,
    }
    name: "l1-l2",
    formula: "|y|_1 - alpha |y|_2",
    source: "Bui et al., eq. (9); Lou and Yan 2018",
    examples: [[1.0], [0.0], [0.3], [0.6]],
}

/// Half the relative width of the band round a threshold in which a kernel may take either branch.
const BAND: f64 = 4.0 * f32::EPSILON as f64;

/// The largest magnitude and its first index.
fn peak(x: &[f64]) -> (f64, usize) {
    x.iter().enumerate().fold((0.0, 0), |(m, k), (i, x)| if x.abs() > m { (x.abs(), i) } else { (m, k) })
}

impl Groupwise for L1L2 {
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
    fn measure(&self) -> &'static str {
        "measure/norm_largest"
    }
    fn convex(&self) -> bool {
        self.alpha == 0.0
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // thresholds are rounded constants
        let round = |t: f64| (t * (1.0 - BAND), t * (1.0 + BAND));
        let ((t, t_high), (push, push_high)) = (round(t), round(self.alpha * t));
        let (keep, keep_high) = round((1.0 - self.alpha) * (t + t_high) / 2.0);
        let (low, high) = ends(x, error);
        let ((m, first), (m_high, _)) = (peak(&low), peak(&high));
        // what is left above t, and the sum of its squares, in units of a common power
        let unit = if m_high > t { m_high - t } else { 1.0 };
        let above = |x: &f64, t: f64| (x - t).max(0.0) / unit;
        let sum = |x: &[f64], t: f64| x.iter().map(|x| above(x, t) * above(x, t)).sum::<f64>();
        let (sum_low, sum_high) = (sum(&low, t_high), sum(&high, t));
        // a member's part of the norm, the others being at their other ends
        let part =
            |own: f64, others: f64| if own == 0.0 { 0.0 } else { own / (own * own + others.max(0.0)).sqrt() };
        let largest = peak(x).1;
        let alone = (0..x.len()).all(|j| {
            j == largest || if j < largest { high[j] < low[largest] } else { high[j] <= low[largest] }
        });
        let range = |i: usize| {
            let (mut from, mut to) = (f64::INFINITY, 0.0_f64);
            let mut join = |a: f64, b: f64| (from, to) = (from.min(a), to.max(b));
            if m_high > t {
                let (least, most) = (above(&low[i], t_high), above(&high[i], t));
                let (small, large) =
                    (part(least, sum_high - most * most), part(most, sum_low - least * least));
                join(least * unit + push * small, most * unit + push_high * large);
            }
            if m <= t_high && m_high > keep {
                let may = high[i] > m || (high[i] == m && i <= first);
                let least = if alone && i == largest { (low[i] - keep_high).max(0.0) } else { 0.0 };
                join(least, if may { (high[i].min(t_high) - keep).max(0.0) } else { 0.0 });
            }
            if m <= keep_high {
                join(0.0, 0.0);
            }
            (from, to)
        };
        (0..x.len()).map(range).collect()
    }
    fn single(&self, t: f64, x: &[f64], error: &[f64]) -> bool {
        let (low, high) = ends(x, error);
        let (largest, keep) = (peak(&low).0, (1.0 - self.alpha) * t);
        // well above its threshold and what may be flushed, as what is left has to be seen
        largest > keep + 64.0 * BAND * t + 1e-30 && peak(&high).0 <= t * (1.0 - BAND)
    }
    fn constants(&self, t: f64) -> Constants {
        named([("t", t), ("first", t), ("keep", (1.0 - self.alpha) * t), ("push", self.alpha * t)])
    }
}
