//! Group log: P(y) = log(1 + |y|_2^2 / scale). Smooth at zero: it shrinks groups and never makes one zero.
//!
//! prox(x) = x rho / r, r = |x|_2. In units of sqrt(scale), with v = rho, R = r and T = t / scale, v is a root of
//! v - R + 2 T v / (1 + v^2) = 0. One root for T <= 4; beyond, two of them are minima, and at R = `jump` the better one
//! changes from the small to the large one (ties: the small one).

use super::{CONSTANTS, GroupPenalty, Groupwise, Parameter, Shrink, norm};
use crate::penalty::domain::SHAPE;

/// P(y) = log(1 + |y|_2^2 / scale).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupLog {
    /// The square of the norm at which shrinking fades.
    pub scale: f64,
}

impl Default for GroupLog {
    fn default() -> Self {
        GroupLog { scale: 1.0 }
    }
}

/// The root of v - R + 2 T v / (1 + v^2) that Newton's method reaches from `from`: monotonely, from 0 while the root is
/// below the inflection at sqrt(3), from R while it is beyond.
fn root(ratio: f64, r: f64, from: f64) -> f64 {
    let mut v: f64 = from;
    for _ in 0..200 {
        let pull = 2.0 * ratio / (1.0 + v * v);
        let slope = 1.0 + pull * (1.0 - v * v) / (1.0 + v * v);
        let next = (v - (v - r + pull * v) / slope).clamp(0.0, r);
        if (next - v).abs() <= 1e-16 * next || slope <= 0.0 {
            return next;
        }
        v = next;
    }
    v
}

/// The norm, in units of sqrt(scale), up to which the small root is the minimiser; where T <= 4 the norm whose root is
/// the inflection, which decides where Newton's method starts.
fn switch(ratio: f64) -> f64 {
    let inflection = 3_f64.sqrt();
    if ratio <= 4.0 {
        return inflection * (1.0 + ratio / 2.0);
    }
    // between the turning points v^2 = T - 1 -+ sqrt(T (T - 4)) of R(v) = v (1 + 2 T / (1 + v^2)) there are two minima
    let turn = |sign: f64| {
        let square = ratio - 1.0 + sign * (ratio * (ratio - 4.0)).sqrt();
        let v = square.max(0.0).sqrt();
        v * (1.0 + 2.0 * ratio / (1.0 + square))
    };
    let objective = |v: f64, r: f64| ratio * (v * v).ln_1p() + v * (0.5 * v - r);
    let (mut low, mut high) = (turn(1.0), turn(-1.0));
    for _ in 0..200 {
        let r = 0.5 * (low + high);
        let small = objective(root(ratio, r, 0.0), r);
        let large = objective(root(ratio, r, r), r);
        if small <= large { low = r } else { high = r }
    }
    low
}

impl GroupLog {
    /// rho / r.
    fn factor(&self, t: f64, norm: f64) -> f64 {
        if norm == 0.0 {
            return 1.0;
        }
        let (ratio, r) = (t / self.scale, norm / self.scale.sqrt());
        let from = if r <= switch(ratio) { 0.0 } else { r };
        root(ratio, r, from) / r
    }
}

impl Groupwise for GroupLog {
    fn name(&self) -> &'static str {
        "log"
    }
    fn formula(&self) -> &'static str {
        "log(1 + |y|_2^2 / scale)"
    }
    fn source(&self) -> &'static str {
        "MAF-SRL, section 3.2.1"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter { name: "scale", value: self.scale, domain: SHAPE }]
    }
    fn with(&self, values: &[f64]) -> GroupPenalty {
        GroupLog { scale: values[0] }.into()
    }
    fn value(&self, y: &[f64]) -> f64 {
        let r = norm(y.iter().copied()) / self.scale.sqrt();
        if r > 1e100 { 2.0 * r.ln() } else { (r * r).ln_1p() }
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        Shrink { after: self.factor(t, norm(x.iter().copied())), ..Shrink::IDENTITY }
    }
    fn convex(&self) -> bool {
        false
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // rho increases with r, jump included
        let r = norm(x.iter().copied());
        let moved = error.iter().map(|e| e * e).sum::<f64>().sqrt() + 16.0 * f64::from(f32::EPSILON) * r;
        let (low, high) = ((r - moved).max(0.0), r + moved);
        let (small, large) = (self.factor(t, low) * low / high, self.factor(t, high) * high / low.max(1e-300));
        x.iter()
            .zip(error)
            .map(|(x, e)| ((x.abs() - e).max(0.0) * small, ((x.abs() + e) * large).min(x.abs() + e + moved)))
            .collect()
    }
    fn weighable(&self) -> bool {
        false // the norm at which the minimiser jumps is the host's work, for one t
    }
    fn wgsl(&self) -> &'static str {
        include_str!("../../../shaders/penalty/group/log.wgsl")
    }
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        ["t", "first", "inverse_root", "ratio", "switch_at", "unused5", "unused6", "unused7"]
    }
    fn constants(&self, t: f64) -> [f64; CONSTANTS] {
        let ratio = t / self.scale;
        [t, 0.0, 1.0 / self.scale.sqrt(), ratio, switch(ratio), 0.0, 0.0, 0.0]
    }
    fn regime_switches(&self) -> Vec<f64> {
        vec![4.0 * self.scale]
    }
    fn examples(&self) -> Vec<GroupPenalty> {
        [1.0, 0.01, 100.0].map(|scale| GroupLog { scale }.into()).to_vec()
    }
}
