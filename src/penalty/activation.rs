//! The learned activation: the prox, at step size 1, of the piecewise quadratic penalty [`Pwl`].
//!
//! ```text
//! xi(v) = sign(v) (eta1 max(min(|v|, delta2) - delta1, 0) + eta2 max(|v| - delta2, 0))
//! ```
//!
//! 0 up to delta1, slope eta1 up to delta2, slope eta2 beyond; odd and continuous. Domain: eta1, eta2 > 0 and
//! 0 <= delta1 <= delta2. Source: MAF-SRL, eq. (23); DSRL appendix, eq. (1).

use super::{Described, Elementwise, Penalty, Pwl};
use crate::error::{Result, require};

/// The parameters of the activation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Activation {
    /// The slope between the knees.
    pub eta1: f64,
    /// The slope beyond the second knee.
    pub eta2: f64,
    /// The first knee: the threshold.
    pub delta1: f64,
    /// The second knee.
    pub delta2: f64,
}

/// Whether x, rounded to f32, lies within the limits, rounded alike: a number at a limit stays there on a device.
pub(crate) fn in_f32(low: f64, x: f64, high: f64) -> bool {
    (low as f32..=high as f32).contains(&(x as f32))
}

/// x, but at least `floor`; NaN stays NaN.
pub(crate) fn raised(x: f64, floor: f64) -> f64 {
    if x < floor { floor } else { x }
}

/// The derivatives of the activation at one place: by v and by each parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Partials {
    /// By v.
    pub v: f64,
    /// By eta1.
    pub eta1: f64,
    /// By eta2.
    pub eta2: f64,
    /// By delta1.
    pub delta1: f64,
    /// By delta2.
    pub delta2: f64,
}

impl Activation {
    /// Checks the domain.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] for a slope outside [1e-6, 1e6], a knee outside [0, 1e6], or delta1 > delta2.
    pub fn check(&self, place: &str) -> Result<()> {
        for (name, slope) in [("eta1", self.eta1), ("eta2", self.eta2)] {
            require(in_f32(1e-6, slope, 1e6), place, name, slope, "[1e-6, 1e6]")?;
        }
        require(in_f32(0.0, self.delta2, 1e6), place, "delta2", self.delta2, "[0, 1e6]")?;
        let range = format!("[0, delta2 = {}]", self.delta2);
        require((0.0..=self.delta2).contains(&self.delta1), place, "delta1", self.delta1, range)
    }

    /// xi(v). NaN gives NaN.
    #[must_use]
    pub fn value(&self, v: f64) -> f64 {
        if v.is_nan() {
            return v;
        }
        let av = v.abs();
        let inner = (av.min(self.delta2) - self.delta1).max(0.0);
        let y = self.eta1 * inner + self.eta2 * (av - self.delta2).max(0.0);
        if y == 0.0 { 0.0 } else { y.copysign(v) }
    }

    /// The v > 0 of which y > 0 is the value: MAF-SRL, eq. (24), corrected.
    #[must_use]
    pub fn inverse(&self, y: f64) -> f64 {
        let c = self.eta1 * (self.delta2 - self.delta1);
        let ay = y.abs();
        let v = if ay < c { ay / self.eta1 + self.delta1 } else { (ay - c) / self.eta2 + self.delta2 };
        v.copysign(y)
    }

    /// The derivatives at v, from the right at every knee: DSRL appendix, eq. (12) to (14).
    #[must_use]
    pub fn partials(&self, v: f64) -> Partials {
        let Activation { eta1, eta2, delta1, delta2 } = *self;
        let beyond = |side: f64| Partials {
            v: eta2,
            eta1: side * (delta2 - delta1),
            eta2: v - side * delta2,
            delta1: -side * eta1,
            delta2: side * (eta1 - eta2),
        };
        let between = |side: f64| Partials {
            v: eta1,
            eta1: v - side * delta1,
            delta1: -side * eta1,
            ..Partials::default()
        };
        match v {
            _ if v >= delta2 => beyond(1.0),
            _ if v >= delta1 => between(1.0),
            _ if v >= -delta1 => Partials::default(),
            _ if v >= -delta2 => between(-1.0),
            _ => beyond(-1.0),
        }
    }

    /// The penalty of which this is the prox at step size 1; its domain is narrower, see [`Pwl`].
    #[must_use]
    pub fn penalty(&self) -> Penalty {
        self.pwl().into()
    }

    fn pwl(&self) -> Pwl {
        Pwl { eta1: self.eta1, eta2: self.eta2, delta1: self.delta1, delta2: self.delta2 }
    }

    /// g(y), the value of [`Activation::penalty`], also where that is outside its own domain: where g is negative
    /// somewhere, as it is for every eta2 > 1. NaN gives NaN.
    #[must_use]
    pub fn penalty_value(&self, y: f64) -> f64 {
        self.pwl().value(1.0, y.abs())
    }

    /// Whether g >= 0 everywhere, or would be with delta1 larger by 1e-6 delta2: the rounding of f32 does not count.
    #[must_use]
    pub fn penalty_is_nonnegative(&self) -> bool {
        let delta1 = (self.delta1 + 1e-6 * self.delta2).min(self.delta2);
        // beyond 1 the outer piece is concave, and falls without end
        self.eta2 <= 1.0 && Pwl { delta1, ..self.pwl() }.check().is_ok()
    }

    /// The largest slope: the Lipschitz constant.
    #[must_use]
    pub fn lipschitz(&self) -> f64 {
        self.eta1.max(self.eta2)
    }

    /// The nearest slopes in eta1 >= epsilon, epsilon <= eta2 <= 1, then, given eta1, the nearest knees in
    /// max(0, (eta1 - 1) / eta1) delta2 <= delta1 <= delta2: MAF-SRL, eq. (28), (30) and (31), corrected and as one
    /// formula. Together they make the penalty nondecreasing, (26); it is not the projection on (26). A NaN stays NaN, and
    /// makes the knees NaN if it is one of them or eta1.
    #[must_use]
    pub fn projected(&self, epsilon: f64) -> Self {
        // a NaN stays: no number may turn into a plausible one
        let eta2 = raised(self.eta2, epsilon);
        let (eta1, eta2) = (raised(self.eta1, epsilon), if eta2 > 1.0 { 1.0 } else { eta2 });
        let (d1, d2) = (self.delta1, self.delta2);
        let kappa = ((eta1 - 1.0) / eta1).max(0.0);
        if eta1.is_nan() || d1.is_nan() || d2.is_nan() {
            return Activation { eta1, eta2, delta1: f64::NAN, delta2: f64::NAN };
        }
        let (delta1, delta2) = if d1 > d2 {
            let middle = (0.5 * (d1 + d2)).max(0.0);
            (middle, middle)
        } else if d1 < kappa * d2 || d2 < 0.0 {
            // where kappa is rounded to 1, nothing but d2 < 0 tells that both are negative
            let along = ((kappa * d1 + d2) / (1.0 + kappa * kappa)).max(0.0);
            (kappa * along, along)
        } else {
            (d1, d2)
        };
        Activation { eta1, eta2, delta1, delta2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const SLOPES: [f64; 7] = [0.2, 1.0, 1.0 + 1e-6, 1.3, 2.0, 10.0, 1e4];

    /// The nearest point of the cone kappa delta2 <= delta1 <= delta2, delta1 >= 0, by a search over its directions.
    fn by_search(d1: f64, d2: f64, eta1: f64) -> (f64, f64) {
        let kappa = ((eta1 - 1.0) / eta1).max(0.0);
        if kappa * d2 <= d1 && d1 <= d2 && d2 >= 0.0 {
            return (d1, d2);
        }
        let (first, last) = (1f64.atan2(1.0), 1f64.atan2(kappa));
        let along = |angle: f64| (d1 * angle.cos() + d2 * angle.sin()).max(0.0);
        let steps = 1000;
        let angle = |k: usize| first + (last - first) * k as f64 / steps as f64;
        let best = (0..=steps).max_by(|&a, &b| along(angle(a)).total_cmp(&along(angle(b)))).unwrap_or(0);
        let (mut low, mut high) = (angle(best.saturating_sub(1)), angle((best + 1).min(steps)));
        for _ in 0..100 {
            let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if along(a) >= along(b) { high = b } else { low = a }
        }
        let candidates = [0.5 * (low + high), first, last, angle(best)];
        let angle = candidates.into_iter().max_by(|a, b| along(*a).total_cmp(&along(*b))).unwrap_or(first);
        (along(angle) * angle.cos(), along(angle) * angle.sin())
    }

    #[test]
    fn projected_knees_are_the_nearest_in_every_region() {
        let mut rng = ChaCha8Rng::seed_from_u64(28);
        let mut regions = std::collections::BTreeSet::new();
        for eta1 in SLOPES {
            for _ in 0..400 {
                let (d1, d2): (f64, f64) = (rng.random_range(-2.0..2.0), rng.random_range(-2.0..2.0));
                let free = Activation { eta1, eta2: 0.5, delta1: d1, delta2: d2 };
                let p = free.projected(1e-3);
                let (b1, b2) = by_search(d1, d2, eta1);
                let size = d1.hypot(d2);
                // a search finds a maximum's place to about the root of the rounding, its value to the rounding
                let excess = (p.delta1 - d1).hypot(p.delta2 - d2) - (b1 - d1).hypot(b2 - d2);
                assert!(excess <= 1e-13 * size, "{free:?} {p:?} {b1} {b2}");
                assert!((p.delta1 - b1).abs().max((p.delta2 - b2).abs()) <= 1e-6 * size, "{free:?} {p:?}");
                let kappa = ((eta1 - 1.0) / eta1).max(0.0);
                let slack = 4.0 * f64::EPSILON * p.delta2;
                assert!(0.0 <= p.delta1 && p.delta1 <= p.delta2, "{p:?}");
                assert!(kappa * p.delta2 <= p.delta1 + slack, "{p:?}");
                regions.insert((eta1 > 1.0, d1 > d2, d1 < kappa * d2, p.delta2 == 0.0));
                let again = p.projected(1e-3);
                assert!((again.delta1 - p.delta1).abs().max((again.delta2 - p.delta2).abs()) <= 4.0 * slack);
            }
        }
        // for either kind of slope: inside; above the diagonal or below the edge, with the apex or not; and the apex for both
        assert_eq!(regions.len(), 12, "{regions:?}");
    }

    #[test]
    fn slopes_are_clamped_and_huge_ones_leave_no_gap() {
        let free = Activation { eta1: -3.0, eta2: 7.0, delta1: 0.1, delta2: 0.2 };
        let p = free.projected(1e-3);
        assert_eq!((p.eta1, p.eta2, p.delta1, p.delta2), (1e-3, 1.0, 0.1, 0.2));
        let free = Activation { eta1: 1e20, eta2: 0.0, delta1: -1.0, delta2: -1.0 };
        let p = free.projected(1e-3);
        assert_eq!((p.eta2, p.delta1, p.delta2), (1e-3, 0.0, 0.0));
    }
}
