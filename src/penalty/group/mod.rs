//! Penalties of whole groups of weights: lasso, exclusive, CGES, log, l1 - alpha l2.
//!
//! The operator of each of them has one form. With |x| the magnitudes of a group,
//!
//! ```text
//! y = sign(x) max(before |x| - threshold, 0) after
//! ```
//!
//! or that for one member alone and zero for the others. So a kernel measures a group (norm, sum, largest magnitude), finds
//! the three numbers ([`Shrink`]), and applies them.
//!
//! In the table t is step size * lambda * the group's weight, soft(x, c) = sign(x) max(|x| - c, 0), and shrink(x, c) = x
//! (r - c) / r with r = |x|_2, 0 for r <= c.
//!
//! | name | P(y) | operator | source |
//! |---|---|---|---|
//! | `lasso` | w \|y\|_2, w = 1 or sqrt(size) | shrink(x, t w) | Ma et al. (18); Bui et al. (2) |
//! | `exclusive` | \|y\|_1^2 / 2 | soft(x, c), c = t \|y\|_1: c = t sum max(\|x\| - c, 0) | Bui et al. (3) |
//! | `exclusive-linear` | the same | soft(x, t \|x\|_1); no prox | programs of Yoon and Hwang |
//! | `cges` | (1 - mu) \|y\|_2 + (mu / 2) \|y\|_1^2 | shrink(soft(x, c), t (1 - mu)), c = t mu \|y\|_1 | Bui et al. (4), corrected |
//! | `cges-linear` | the same | z = shrink(x, t (1 - mu)), then soft(z, t mu \|z\|_1); no prox | programs of Yoon and Hwang |
//! | `log` | log(1 + \|y\|_2^2 / scale) | x v / r, v^3 - r v^2 + (scale + 2 t) v - r scale = 0 | MAF-SRL, 3.2.1 |
//! | `l1-l2` | \|y\|_1 - alpha \|y\|_2 | z (1 + alpha t / \|z\|_2), z = soft(x, t); one member where z = 0 | Bui et al. (9); Lou and Yan |
//!
//! What holds of all seven: no member grows or changes its sign; the operator is odd in every member; t = 0 is the
//! identity; a zero group stays zero, and zeros are +0.0; a member that is not finite makes its whole group NaN, in the
//! kernels too. The order of the members matters for ties of `l1-l2` alone. As the proxes of convex functions `lasso`,
//! `exclusive` and `cges` (and `l1-l2` with alpha = 0) are firmly nonexpansive. Those of `log` (t > 4 scale) and `l1-l2`
//! jump. `exclusive` and `log` leave something of every group, as do `cges` with mu = 1 and `l1-l2` with alpha = 1.
//!
//! Each penalty has one file here, one WGSL file (`shaders/penalty/group/<name>.wgsl`) and one line in the register
//! below. Some of the published operators are no prox of their penalty; they have names of their own
//! ([`Groupwise::is_prox`]).

mod exact;
#[cfg(test)]
mod tests;

use super::register::register;
use super::{CONSTANTS, Constants, Described, named};

pub use super::groups::{Groups, Layout};
pub use exact::exact;

/// What an operator does to the magnitudes of a group: `max(before |x| - threshold, 0) after`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shrink {
    /// A factor of the magnitudes.
    pub before: f64,
    /// What is taken off.
    pub threshold: f64,
    /// A factor of what is left; 0 makes the group zero.
    pub after: f64,
    /// The one member that is left, where all others become zero.
    pub only: Option<usize>,
}

impl Shrink {
    /// Everything becomes zero.
    pub const ZERO: Shrink = Shrink { before: 1.0, threshold: 0.0, after: 0.0, only: None };
    /// Nothing changes.
    pub const IDENTITY: Shrink = Shrink { before: 1.0, threshold: 0.0, after: 1.0, only: None };

    /// The member `k`, of value `x`. Zeros are +0.0.
    #[must_use]
    pub fn apply(&self, k: usize, x: f64) -> f64 {
        let m = (self.before * x.abs() - self.threshold).max(0.0) * self.after;
        if m == 0.0 || self.only.is_some_and(|only| only != k) { 0.0 } else { m.copysign(x) }
    }
}

/// What a group penalty's file says about it, beside its declaration. `x` and `y` are one group, `t` = step size * lambda *
/// the group's weight.
pub trait Groupwise: Described<GroupPenalty> + std::fmt::Debug + Send + Sync {
    /// P(y).
    fn value(&self, y: &[f64]) -> f64;

    /// What the operator does to the group x, in float64. x is finite, t > 0.
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink;

    /// Whether the operator is the prox of t P, that is, minimises `t P(y) + 1/2 |y - x|^2`.
    fn is_prox(&self) -> bool {
        true
    }

    /// Whether P is convex, so that its prox is firmly nonexpansive.
    fn convex(&self) -> bool;

    /// Whether exactly one member is left for every x' with |x' - x| <= `error`, whichever it is where several tie.
    fn single(&self, _t: f64, _x: &[f64], _error: &[f64]) -> bool {
        false
    }

    /// How far each member of the result may move, in magnitude, where each member of x may move by `error`: the
    /// lowest and the highest magnitude per member. The default, y -+ |error|_2, holds for nonexpansive operators; those
    /// here use that their thresholds and factors are monotone in the magnitudes, which is tighter in long groups.
    /// Where an operator jumps the range holds both branches, also a few roundings (f32) beside the jump.
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        let shrink = self.shrink(t, x);
        let moved = error.iter().map(|e| e * e).sum::<f64>().sqrt();
        x.iter()
            .enumerate()
            .map(|(k, &x)| shrink.apply(k, x).abs())
            .map(|y| ((y - moved).max(0.0), y + moved))
            .collect()
    }

    /// The factor of t that depends on the group's size: 1, or its root for `weight=sqrt-size`.
    fn size_weight(&self, _size: u64) -> f64 {
        1.0
    }

    /// Whether the groups of one tensor may have different weights.
    fn weighable(&self) -> bool {
        true
    }

    /// How often a group is measured at most: 1 where the operator is known in closed form after that.
    fn measurements(&self) -> u32 {
        1
    }

    /// What is measured of a group, and nothing else: a file in `shaders/measure`, defining `measured`.
    fn measure(&self) -> &'static str {
        "measure/norm"
    }

    /// The WGSL file, defining `struct GroupConstants`, `next` and `shrink`; see `shaders/group.wgsl`.
    /// It is named as the penalty, with `_` for `-`.
    fn file(&self) -> String {
        format!("penalty/group/{}", self.name().replace('-', "_"))
    }

    /// WGSL's `struct GroupConstants`: names in its order, and values for a weight of 1. The first is `t`, the second
    /// `first`, the threshold of the first measurement.
    fn constants(&self, t: f64) -> Constants {
        named([("t", t), ("first", 0.0)])
    }

    /// The names of [`Groupwise::constants`].
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        self.constants(0.0).map(|(name, _)| name)
    }

    /// Values of t at which the operator changes its form, for the cases to stand on both sides of them.
    fn regime_switches(&self) -> Vec<f64> {
        Vec::new()
    }
}

register! {
    /// A penalty of groups with its shape parameters.
    ///
    /// ```
    /// use maf_srl::penalty::GroupPenalty;
    /// let lasso: GroupPenalty = "lasso(weight=sqrt-size)".parse()?;
    /// assert_eq!(lasso.to_string(), "lasso(weight=sqrt-size)");
    /// assert_eq!(lasso.apply(1.0, &[1.0, -1.0]), [0.0, 0.0]);   // a norm of 1.4, a threshold of 1.4
    /// # Ok::<(), maf_srl::Error>(())
    /// ```
    pub enum GroupPenalty: dyn Groupwise, called "group penalty";
    lasso::Lasso,
    exclusive::Exclusive,
    exclusive_linear::ExclusiveLinear,
    cges::Cges,
    cges_linear::CgesLinear,
    log::GroupLog,
    l1_l2::L1L2,
}

pub use lasso::Weight;

impl GroupPenalty {
    /// The operator on one group, in float64; t = step size * lambda, multiplied by the weight that the group's size
    /// gives it. A group with a member that is not finite becomes NaN; t = 0 is the identity.
    #[must_use]
    pub fn apply(&self, t: f64, x: &[f64]) -> Vec<f64> {
        if x.iter().any(|v| !v.is_finite()) {
            return vec![f64::NAN; x.len()];
        }
        let shrink = self.shrink(t * self.rule().size_weight(x.len() as u64), x);
        x.iter().enumerate().map(|(k, &x)| shrink.apply(k, x)).collect()
    }

    /// As [`Groupwise::shrink`], and the identity for t = 0.
    pub(crate) fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        if t == 0.0 { Shrink::IDENTITY } else { self.rule().shrink(t, x) }
    }
}

/// A group penalty with its weight, on the groups of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The penalty.
    pub penalty: GroupPenalty,
    /// Its weight.
    pub lambda: f64,
    /// The groups.
    pub groups: Groups,
}

impl Group {
    /// A penalty on groups.
    #[must_use]
    pub fn new(penalty: GroupPenalty, lambda: f64, groups: Groups) -> Self {
        Group { penalty, lambda, groups }
    }

    /// The factor of t for group `g`, as the kernel has it: that of its size times the user's.
    #[must_use]
    pub fn weight(&self, g: u64) -> f32 {
        (self.penalty.rule().size_weight(self.groups.size(g)) * f64::from(self.groups.weight(g))) as f32
    }
}

/// The lowest and the highest magnitudes of members that may move by `error`.
fn ends(x: &[f64], error: &[f64]) -> (Vec<f64>, Vec<f64>) {
    x.iter().zip(error).map(|(x, e)| ((x.abs() - e).max(0.0), x.abs() + e)).unzip()
}

/// sqrt(sum x^2), safe against overflow.
pub(crate) fn norm(x: impl Iterator<Item = f64> + Clone) -> f64 {
    let peak = x.clone().fold(0.0, |m: f64, v| m.max(v.abs()));
    if peak == 0.0 { 0.0 } else { peak * x.map(|v| (v / peak) * (v / peak)).sum::<f64>().sqrt() }
}
