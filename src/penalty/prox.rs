//! The float64 proximal operator: the reference that every kernel is held against.

use super::{CONSTANTS, Penalty, Threshold, search};

/// A proximal operator with its step size and lambda fixed: prox(x) = argmin_y step*value(y) + 1/2 (y - x)^2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prox {
    /// The penalty.
    pub penalty: Penalty,
    /// The step size.
    pub step: f64,
    /// The weight of the penalty (SCAD, MCP: its own lambda).
    pub lambda: f64,
    /// Where the operator leaves zero.
    pub threshold: Threshold,
}

/// The derivatives of y = prox(x). At a threshold the derivative of the zero side (0) is returned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Derivative {
    /// dy/dx = 1 / (1 + step * p''(y)); 0 where y = 0.
    pub by_x: f64,
    /// dy/dstep = -p'(y) sign(x) dy/dx; 0 where y = 0.
    pub by_step: f64,
}

impl Prox {
    /// The operator for parameters that have been checked. A step or a lambda of 0 is the identity.
    pub(crate) fn new(penalty: Penalty, step: f64, lambda: f64) -> Self {
        let identity = step * lambda == 0.0;
        let threshold = if identity { Threshold::default() } else { penalty.rule().threshold(step, lambda) };
        Prox { penalty, step, lambda, threshold }
    }

    /// The same for references: its threshold comes from the values of the penalty alone, and from none of what the kernels'
    /// constants are made of.
    pub(crate) fn searched(penalty: Penalty, step: f64, lambda: f64) -> Self {
        let identity = step * lambda == 0.0;
        let threshold =
            if identity { Threshold::default() } else { search::threshold(penalty.rule(), step, lambda) };
        Prox { penalty, step, lambda, threshold }
    }

    /// prox(x). Zeros are +0.0; NaN gives NaN and an infinity itself.
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        let ax = x.abs();
        if !x.is_finite() || self.step * self.lambda == 0.0 {
            return if x == 0.0 { 0.0 } else { x };
        }
        if ax <= self.threshold.at {
            return 0.0;
        }
        let m = self.penalty.rule().magnitude(self.step, self.lambda, self.threshold, ax);
        if m == 0.0 { 0.0 } else { m.copysign(x) }
    }

    /// The derivatives of prox at x (NaN at NaN).
    #[must_use]
    pub fn derivative(&self, x: f64) -> Derivative {
        if x.is_nan() {
            return Derivative { by_x: x, by_step: x };
        }
        let y = self.apply(x);
        if y == 0.0 {
            return Derivative { by_x: 0.0, by_step: 0.0 };
        }
        let rule = self.penalty.rule();
        let by_x = 1.0 / (1.0 + self.step * rule.curvature(self.lambda, y.abs()));
        // the sign of y as a factor: the slope may be negative itself
        Derivative { by_x, by_step: -rule.slope(self.lambda, y.abs()) * by_x * y.signum() }
    }

    /// What prox minimises: step * value(y) + 1/2 (y - x)^2.
    #[must_use]
    pub fn objective(&self, x: f64, y: f64) -> f64 {
        self.step * self.penalty.value(self.lambda, y) + 0.5 * (y - x) * (y - x)
    }

    /// The constants of the WGSL function, rounded to f32 once; what leaves the range of f32 saturates.
    #[must_use]
    pub fn constants(&self) -> [f32; CONSTANTS] {
        let largest = f64::from(f32::MAX);
        self.penalty
            .rule()
            .constants(self.step, self.lambda, self.threshold)
            .map(|(_, c)| c.clamp(-largest, largest) as f32)
    }
}
