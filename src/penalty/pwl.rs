//! Piecewise linear prox: the penalty g whose prox (t = 1) is the learned activation with slopes eta1, eta2
//! and knees delta1, delta2.
//!
//! ```text
//! c = eta1 (delta2 - delta1),  A = 1/eta2 - 1,  B = delta2 - c/eta2,
//! D = eta1 (eta1 - eta2) (delta2 - delta1)^2 / (2 eta2)
//! g(y) = (1/eta1 - 1) y^2/2 + delta1 y     y < c
//!        A y^2/2 + B y + D                 y >= c
//! ```
//!
//! With t = step * lambda and kappa_i = t/eta_i + 1 - t (kappa2 >= 1 since eta2 <= 1), for every step size:
//!
//! - kappa1 > 0: 0 up to t delta1, (|x| - t delta1) / kappa1 up to t delta1 + kappa1 c, (|x| - t B) / kappa2
//!   beyond. Continuous; the activation with other parameters.
//! - kappa1 <= 0 (eta1 > 1 and a large step): the first piece is concave and the prox jumps over it. With
//!   y* = sqrt(2 t D / kappa2): 0 up to kappa2 y* + t B, where it jumps to y* >= c, (|x| - t B) / kappa2
//!   beyond. The tie goes to 0.
//!
//! Domain: 1e-6 <= eta1 <= 1e6, 1e-6 <= eta2 <= 1, 0 <= delta1 <= delta2 <= 1e6, and g >= 0, which is weaker
//! than the paper's sufficient condition (26): where (26) fails g is not monotone, and the prox may enlarge a
//! weight.
//!
//! Source: MAF-SRL, eq. (23) to (26); DSRL appendix, eq. (1). For t != 1 the rescaling of those.

use std::ops::Bound::Included;

use super::domain::{Domain, SHAPE};
use super::register::{Described, penalty};
use super::roots::bisect;
use super::{Constants, Elementwise, Penalty, Threshold, named, search};
use crate::accuracy::{FLUSH, RELATIVE};
use crate::error::{Result, require};

penalty! {
    /// The penalty of the learned piecewise linear activation.
    pub struct Pwl: Penalty {
        /// The slope of the prox between the knees.
        pub eta1: f64 = 1.0 in SHAPE,
        /// The slope beyond the second knee.
        pub eta2: f64 = 1.0 in SLOPE,
        /// The first knee: the threshold.
        pub delta1: f64 = 1.0 in KNEE,
        /// The second knee.
        pub delta2: f64 = 2.0 in KNEE,
    }
    name: "pwl",
    formula: "(1/eta1 - 1) y^2/2 + delta1 y up to c = eta1 (delta2 - delta1), slope y (1/eta2 - 1) + B beyond",
    source: "MAF-SRL, eq. (23) to (26); DSRL appendix, eq. (1)",
    check: check_knees,
    examples: [
        [1.0, 1.0, 1.0, 2.0],
        [0.94, 0.085, 0.4, 0.82], // as learned for denoising
        [0.4, 0.02, 0.1, 2.0],
        [2.0, 0.5, 0.45, 1.0], // eta1 > 1: at large steps the prox jumps
        [3.0, 0.9, 0.8, 1.0],
        [1.5, 1.0, 0.0, 0.0],
    ],
}

/// eta2.
const SLOPE: Domain = Domain(Included(1e-6), Included(1.0));

/// delta1 and delta2; that delta1 <= delta2 is checked apart.
const KNEE: Domain = Domain(Included(0.0), Included(1e6));

/// What follows from the parameters. Beyond c, g is at_c + rise (y - c) + bend (y - c)^2 / 2, which unlike
/// powers of y does not cancel.
struct Pieces {
    c: f64,
    at_c: f64,
    /// g' just beyond c.
    rise: f64,
    bend: f64,
}

impl Pwl {
    fn pieces(&self) -> Pieces {
        let Pwl { eta1, eta2, delta1, delta2 } = *self;
        let c = eta1 * (delta2 - delta1);
        Pieces {
            c,
            at_c: c * (0.5 * (1.0 / eta1 - 1.0) * c + delta1),
            rise: delta2 - c,
            bend: 1.0 / eta2 - 1.0,
        }
    }

    /// B of the module's formula: the slope at 0 of the second piece, continued to there.
    fn slope_at_zero(&self) -> f64 {
        self.delta2 - self.eta1 * (self.delta2 - self.delta1) / self.eta2
    }

    /// D of the module's formula: the value at 0 of the second piece, continued to there.
    fn value_at_zero(&self) -> f64 {
        let width = self.delta2 - self.delta1;
        0.5 * self.eta1 * (self.eta1 - self.eta2) / self.eta2 * width * width
    }

    /// kappa1 and kappa2, the second derivatives of the objective on the two pieces.
    fn stiffness(&self, t: f64) -> (f64, f64) {
        // t/eta + 1 - t, where the large terms cancel before t multiplies them
        let kappa = |eta: f64| 1.0 + t * ((1.0 - eta) / eta);
        (kappa(self.eta1), kappa(self.eta2))
    }

    /// Whether g >= 0 everywhere: at the end of the first piece, which is concave or increases, and in the
    /// valley of the second, if it has one.
    fn is_nonnegative(&self) -> bool {
        let Pieces { at_c, rise, bend, .. } = self.pieces();
        at_c >= 0.0 && (rise >= 0.0 || (bend > 0.0 && at_c - rise * rise / (2.0 * bend) >= 0.0))
    }

    /// That delta1 <= delta2 and g >= 0.
    fn check_knees(&self) -> Result<()> {
        let ordered = self.delta1 <= self.delta2;
        require(ordered, self.name(), "delta1", self.delta1, format_args!("[0, delta2 = {}]", self.delta2))?;
        if self.is_nonnegative() {
            return Ok(());
        }
        // g grows with delta1 and is nonnegative at delta1 = delta2: the smallest delta1 that serves
        let negative = |delta1| !(Pwl { delta1, ..*self }).is_nonnegative();
        let (_, least) = bisect(self.delta1, self.delta2, negative);
        let range = format!("[{least}, {}], where the penalty is nonnegative", self.delta2);
        require(false, self.name(), "delta1", self.delta1, &range)
    }
}

impl Elementwise for Pwl {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        let Pieces { c, at_c, rise, bend } = self.pieces();
        lambda
            * if y < c {
                y * (0.5 * (1.0 / self.eta1 - 1.0) * y + self.delta1)
            } else {
                at_c + (y - c) * (rise + 0.5 * bend * (y - c))
            }
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        let Pieces { c, rise, bend, .. } = self.pieces();
        lambda * if y < c { (1.0 / self.eta1 - 1.0) * y + self.delta1 } else { rise + bend * (y - c) }
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        let p = self.pieces();
        lambda * if y < p.c { 1.0 / self.eta1 - 1.0 } else { p.bend }
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        let (t, p) = (step * lambda, self.pieces());
        let (steep, flat) = self.stiffness(t);
        if steep > 0.0 || p.c == 0.0 {
            Threshold { at: t * self.delta1, jump: 0.0 }
        } else {
            let jump = (2.0 * t * self.value_at_zero() / flat).sqrt();
            Threshold { at: (flat * jump + t * self.slope_at_zero()).max(0.0), jump }
        }
    }
    fn magnitude(&self, step: f64, lambda: f64, _: Threshold, ax: f64) -> f64 {
        let (t, Pieces { c, rise, .. }) = (step * lambda, self.pieces());
        // y + t g'(y) = ax on each piece, from its beginning on; the first is concave where it has no minimum
        let [first, second] = [self.eta1, self.eta2].map(|eta| 1.0 + t * ((1.0 - eta) / eta));
        let pieces = [
            ((ax - t * self.delta1) / first, 0.0, if first > 0.0 { c } else { -1.0 }),
            (c + ((ax - c) - t * rise) / second, c, f64::INFINITY),
        ];
        search::best(&pieces, |y| step * self.value(lambda, y) + y * (0.5 * y - ax))
    }
    fn regime_switches(&self, lambda: f64) -> Vec<f64> {
        if self.eta1 > 1.0 { vec![self.eta1 / (self.eta1 - 1.0) / lambda] } else { Vec::new() }
    }
    fn backward_ulps(&self) -> f64 {
        8.0 // flat piece: product 3, offset 1, subtraction 1; steep piece: subtraction 1.5, product 3
    }
    fn slope_error(&self, lambda: f64, y: f64) -> f64 {
        // rounded constants, a quotient, products and sums of terms that may cancel
        let p = self.pieces();
        let inner = if y < 1.000001 * p.c { (1.0 / self.eta1 - 1.0).abs() * p.c } else { 0.0 };
        8.0 * RELATIVE * lambda * (self.slope_at_zero().abs() + p.bend * y.max(p.c) + inner) + 4.0 * FLUSH
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let (t, c) = (step * lambda, self.eta1 * (self.delta2 - self.delta1));
        let (steep, flat) = self.stiffness(t);
        // where the first piece of the prox ends: at the threshold where it is jumped over
        let knee = if steep > 0.0 { threshold.at + steep * c } else { threshold.at };
        let steep = if steep > 0.0 { 1.0 / steep } else { 0.0 };
        let [inner, outer] = [self.eta1, self.eta2].map(|eta| lambda * (1.0 / eta - 1.0));
        named([
            ("threshold", threshold.at),
            ("knee", knee),
            ("c", c),
            ("steep", steep),
            ("flat", 1.0 / flat),
            ("offset", t * self.slope_at_zero() / flat),
            ("inner", inner),
            ("outer", outer),
        ])
    }
}
