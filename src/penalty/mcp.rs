//! MCP with its own lambda: p(y) = lambda y - y^2 / (2 gamma) up to gamma lambda, gamma lambda^2 / 2 beyond.
//!
//! It is not homogeneous: the prox with step size t is not that of step size 1 with t lambda, so step and
//! lambda are two numbers here. For every step size t:
//!
//! - gamma > t: 0 up to t lambda, gamma (|x| - t lambda) / (gamma - t) up to gamma lambda, |x| beyond.
//!   Continuous; this is the firm threshold.
//! - gamma <= t: the hard threshold at lambda sqrt(t gamma); the tie goes to 0.

use super::domain::SHAPE;
use super::register::penalty;
use super::{Constants, Elementwise, Penalty, Threshold, named};
use crate::accuracy::{FLUSH, RELATIVE};

penalty! {
    /// MCP: the slope falls linearly from lambda to 0 at gamma lambda. Large weights do not shrink.
    pub struct Mcp: Penalty {
        /// Where the penalty is flat: from gamma lambda on.
        pub gamma: f64 = 3.0 in SHAPE,
    }
    name: "mcp",
    formula: "lambda y - y^2 / (2 gamma) up to gamma lambda, then gamma lambda^2 / 2",
    source: "Zhang 2010; Ma et al., transformed l1, eq. (2)",
    examples: [[3.0], [0.3], [40.0]],
}

impl Elementwise for Mcp {
    fn value(&self, lambda: f64, y: f64) -> f64 {
        if y <= self.gamma * lambda {
            y * (lambda - y / (2.0 * self.gamma))
        } else {
            lambda * lambda * (0.5 * self.gamma)
        }
    }
    fn slope(&self, lambda: f64, y: f64) -> f64 {
        if y < self.gamma * lambda { lambda - y / self.gamma } else { 0.0 }
    }
    fn curvature(&self, lambda: f64, y: f64) -> f64 {
        if y < self.gamma * lambda { -1.0 / self.gamma } else { 0.0 }
    }
    fn threshold(&self, step: f64, lambda: f64) -> Threshold {
        if self.gamma > step {
            Threshold { at: step * lambda, jump: 0.0 }
        } else {
            let at = lambda * (step * self.gamma).sqrt();
            Threshold { at, jump: at }
        }
    }
    fn magnitude(&self, step: f64, lambda: f64, _: Threshold, ax: f64) -> f64 {
        let gamma = self.gamma;
        if gamma > step && ax <= gamma * lambda {
            // ax - step lambda with one rounding: the factor is unbounded where gamma comes close to the step
            let moved = gamma / (gamma - step) * (-step).mul_add(lambda, ax);
            moved.clamp(0.0, ax)
        } else {
            ax
        }
    }
    fn regime_switches(&self, _: f64) -> Vec<f64> {
        vec![self.gamma]
    }
    fn backward_ulps(&self) -> f64 {
        8.0 // worst WGSL arithmetic 3.2, with at_step, whose division is inexact, 4.2; nearest rounding 2
    }
    fn slope_error(&self, lambda: f64, _: f64) -> f64 {
        // the quotient and the difference, of numbers up to lambda where the slope is not 0
        4.0 * RELATIVE * lambda + 2.0 * FLUSH
    }
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants {
        let gamma = self.gamma;
        let (end, factor) = match gamma > step {
            true => (gamma * lambda, step / (gamma - step)),
            false => (threshold.at, 0.0),
        };
        named([
            ("threshold", threshold.at),
            ("end", end),
            ("factor", factor),
            ("lambda", lambda),
            ("gamma", gamma),
            ("t", step),
        ])
    }
}
