//! Group log: P(y) = log(1 + |y|_2^2 / scale). Smooth at zero: it shrinks groups and never makes one zero.
//!
//! prox(x) = x rho / r, r = |x|_2. In units of sqrt(scale), with v = rho, R = r and T = t / scale, v is a root of
//! v - R + 2 T v / (1 + v^2) = 0. One root for T <= 4; beyond, two of them are minima, and at one R (`switch_at` among the
//! constants) the better one changes from the small to the large one (ties: the small one).

use super::{Constants, GroupPenalty, Groupwise, Shrink, ends, named, norm};
use crate::penalty::domain::SHAPE;
use crate::penalty::register::penalty;
use crate::penalty::roots::bisect;

penalty! {
    /// P(y) = log(1 + |y|_2^2 / scale).
    pub struct GroupLog: GroupPenalty {
        /// The square of the norm at which shrinking fades.
        pub scale: f64 = 1.0 in SHAPE,
    }
    name: "log",
    formula: "log(1 + |y|_2^2 / scale)",
    source: "MAF-SRL, section 3.2.1",
    examples: [[1.0], [0.01], [100.0]],
}

/// How far off, relatively, a kernel's norm and constants may be: the jump lies elsewhere then, and close to the critical t, where the
/// roots are nearly double, so does the result.
const BAND: f64 = 32.0 * f32::EPSILON as f64;

/// The root of v - R + 2 T v / (1 + v^2) that Newton's method reaches from `from`: monotonely, from 0 while the root is
/// below the inflection at sqrt(3), from R while it is beyond.
fn root(ratio: f64, r: f64, from: f64) -> f64 {
    let mut v: f64 = from;
    for _ in 0..200 {
        let pull = 2.0 * ratio / (1.0 + v * v);
        let slope = 1.0 + pull * (1.0 - v * v) / (1.0 + v * v);
        if slope <= 0.0 {
            break; // a double root
        }
        let next = (v - (v - r + pull * v) / slope).clamp(0.0, r);
        if next == v {
            break;
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
    let large = ratio - 1.0 + (ratio * (ratio - 4.0)).sqrt();
    let small = (2.0 * ratio + 1.0) / large; // their product, without the difference of large numbers
    let turn = |square: f64| square.sqrt() * (1.0 + 2.0 * ratio / (1.0 + square));
    let objective = |v: f64, r: f64| ratio * (v * v).ln_1p() + v * (0.5 * v - r);
    let small_is_better = |r| objective(root(ratio, r, 0.0), r) <= objective(root(ratio, r, r), r);
    bisect(turn(large), turn(small), small_is_better).0
}

impl GroupLog {
    /// rho / r. Where two roots are minima, the better one at the norm `tilt` r; the small one at ties.
    fn factor(&self, t: f64, norm: f64, tilt: f64) -> f64 {
        let (ratio, r) = (t / self.scale, norm / self.scale.sqrt());
        if r == 0.0 {
            return 1.0 / (1.0 + 2.0 * ratio);
        }
        if r > 1e100 {
            return 1.0; // the square would overflow
        }
        let inflection = 3_f64.sqrt();
        let small = if ratio > 4.0 {
            let (small, large) = (root(ratio, r, 0.0), root(ratio, r, r));
            let objective = |v: f64| ratio * (v * v).ln_1p() + v * (0.5 * v - tilt * r);
            objective(small) <= objective(large)
        } else {
            // one root: on which side of the inflection
            inflection - r + 0.5 * ratio * inflection >= 0.0
        };
        root(ratio, r, if small { 0.0 } else { r }) / r
    }
}

impl Groupwise for GroupLog {
    fn value(&self, y: &[f64]) -> f64 {
        let r = norm(y.iter().copied()) / self.scale.sqrt();
        if r > 1e100 { 2.0 * r.ln() } else { (r * r).ln_1p() }
    }
    fn shrink(&self, t: f64, x: &[f64]) -> Shrink {
        Shrink { after: self.factor(t, norm(x.iter().copied()), 1.0), ..Shrink::IDENTITY }
    }
    fn convex(&self) -> bool {
        false
    }
    fn range(&self, t: f64, x: &[f64], error: &[f64]) -> Vec<(f64, f64)> {
        // rho / r increases with r, jump included; a kernel may take either branch close to the jump
        let (low, high) = ends(x, error);
        let [r_low, r_high] = [&low, &high].map(|x| norm(x.iter().copied()));
        let small = self.factor(t, r_low * (1.0 - BAND), 1.0 - BAND).min(self.factor(t, r_low, 1.0));
        let large = self.factor(t, r_high * (1.0 + BAND), 1.0 + BAND).max(self.factor(t, r_high, 1.0));
        low.iter().zip(&high).map(|(low, high)| (low * small, high * large)).collect()
    }
    fn weighable(&self) -> bool {
        false // the norm at which the minimiser jumps is the host's work, for one t
    }
    fn regime_switches(&self) -> Vec<f64> {
        vec![4.0 * self.scale]
    }
    fn constants(&self, t: f64) -> Constants {
        let ratio = t / self.scale;
        named([
            ("t", t),
            ("first", 0.0),
            ("inverse_root", 1.0 / self.scale.sqrt()),
            ("ratio", ratio),
            ("switch_at", switch(ratio)),
        ])
    }
}
