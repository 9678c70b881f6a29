//! The vocabulary of penalties: formulas, domains, text form, float64 proximal operators. No GPU in here.
//!
//! A penalty is an even function p with p(0) = 0. Its proximal operator with step size t is
//!
//! ```text
//! prox_tp(x) = argmin_y  t p(y) + 1/2 (y - x)^2
//! ```
//!
//! and ties go to the smaller magnitude. Here `step` is the step size of the method (the learning rate) and
//! `lambda` the weight of the penalty. For all penalties but two only the product t = step * lambda matters;
//! SCAD and MCP are not homogeneous in lambda, so both numbers are kept apart everywhere.
//!
//! Each penalty has one file here (`<name>.rs`: formula, domain, thresholds, constants), one WGSL file
//! (`shaders/penalty/<name>.wgsl`: the kernel's `prox`) and one line in the register below.

mod accept;
mod activation;
mod domain;
pub mod group;
mod groups;
mod jump;
mod prox;
mod register;
mod roots;
mod search;

pub(crate) use accept::interval;
pub use accept::{Verdict, accept};
pub use activation::{Activation, Partials};
pub(crate) use activation::{in_f32, raised};
pub use domain::{Domain, Parameter, WEIGHT};
pub use group::{Group, GroupPenalty, Shrink, exact};
pub use groups::{Groups, Layout};
pub use prox::{Derivative, Prox};
pub use register::Described;

use crate::accuracy::{FLUSH, RELATIVE};
use crate::error::{Result, require};
use crate::wgsl;

/// How many f32 constants the host hands to a penalty's WGSL function.
pub const CONSTANTS: usize = 8;

/// Constants under the names that WGSL's struct has for them.
pub type Constants = [(&'static str, f64); CONSTANTS];

/// Those of a penalty that needs no more than these.
fn named<const N: usize>(first: [(&'static str, f64); N]) -> Constants {
    let mut all = ["unused0", "unused1", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"]
        .map(|name| (name, 0.0));
    all[..N].copy_from_slice(&first);
    all
}

/// Where a proximal operator leaves zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Threshold {
    /// prox(x) = 0 exactly for |x| <= `at`.
    pub at: f64,
    /// The magnitude of prox(x) just above: 0 where the operator is continuous.
    pub jump: f64,
}

/// What a penalty's file says about it, beside its declaration. y is a magnitude (y >= 0) everywhere.
///
/// [`Penalty`] is what users hold; this trait is what a new penalty implements (`docs/ADDING.md`).
pub trait Elementwise: Described<Penalty> + std::fmt::Debug + Send + Sync {
    /// lambda * p(y); for SCAD and MCP the penalty with its own lambda.
    fn value(&self, lambda: f64, y: f64) -> f64;

    /// The derivative of [`Elementwise::value`] in y, for y > 0.
    fn slope(&self, lambda: f64, y: f64) -> f64;

    /// The second derivative of [`Elementwise::value`] in y, for y > 0.
    fn curvature(&self, lambda: f64, y: f64) -> f64;

    /// Where the operator leaves zero, in float64, for every step size.
    fn threshold(&self, step: f64, lambda: f64) -> Threshold;

    /// prox(ax) for ax > `threshold.at`. The default solves y + step * slope(y) = ax for its largest root,
    /// which is right for concave penalties with decreasing |p''|; piecewise penalties state theirs.
    fn magnitude(&self, step: f64, lambda: f64, threshold: Threshold, ax: f64) -> f64 {
        let residual = |y| ((y - ax) + step * self.slope(lambda, y), 1.0 + step * self.curvature(lambda, y));
        // the jump may have been found by search
        roots::newton(residual, 0.999 * threshold.jump, ax, ax)
    }

    /// The bound that the kernel holds: backward error in ULP of |x|, that is |x(y) - x| for
    /// x(y) = y + step * slope(y) evaluated exactly at the returned y. [`accept`] says what counts as an ULP
    /// where x'(y) > 1.
    fn backward_ulps(&self) -> f64;

    /// How far a kernel's value of [`Elementwise::slope`] may lie from it, for a normal f32 number y and a lambda of 0 or
    /// at least 1e-24, so that no constant is flushed: few roundings for rational slopes without differences.
    fn slope_error(&self, lambda: f64, y: f64) -> f64 {
        16.0 * RELATIVE * self.slope(lambda, y).abs() + 2.0 * FLUSH
    }

    /// The WGSL file, defining `struct Constants`, `fn prox(ax: f32, k: Constants) -> f32`, and for the constants of step
    /// size 1 `fn slope(ay: f32, k: Constants) -> f32`, lambda p'(ay) for ay > 0.
    /// It is named as the penalty, with `_` for `-`.
    fn file(&self) -> String {
        format!("penalty/{}", self.name().replace('-', "_"))
    }

    /// WGSL's `struct Constants`: names in its order, and values, computed in float64 once per step and tensor, and
    /// rounded once.
    fn constants(&self, step: f64, lambda: f64, threshold: Threshold) -> Constants;

    /// The names of [`Elementwise::constants`].
    fn constant_names(&self) -> [&'static str; CONSTANTS] {
        self.constants(0.0, 0.0, Threshold::default()).map(|(name, _)| name)
    }

    /// Step sizes at which the operator changes its form (a continuous threshold becomes a jump, say), for the cases to
    /// stand on both sides of them.
    fn regime_switches(&self, _lambda: f64) -> Vec<f64> {
        Vec::new()
    }

    /// Whether the WGSL file also defines `fn at_step(k: Constants, scale: f32) -> Constants`, the constants
    /// for `scale` times the step size, so that the threshold can differ per element (Adam's metric).
    fn per_element_step(&self) -> bool {
        wgsl::defines(&self.file(), "at_step")
    }
}

#[cfg(test)]
mod tests;

register::register! {
    /// An elementwise penalty with its shape parameters.
    ///
    /// ```
    /// use maf_srl::Penalty;
    /// let penalty: Penalty = "tl1(a=0.5)".parse()?;
    /// assert_eq!(penalty.to_string(), "tl1(a=0.5)");
    /// let prox = penalty.prox(0.1, 1.0)?;         // step size 0.1, lambda 1
    /// assert_eq!(prox.apply(0.05), 0.0);          // small values become exactly zero
    /// assert!(prox.apply(2.0) > 1.9);             // large ones are hardly touched
    /// # Ok::<(), maf_srl::Error>(())
    /// ```
    pub enum Penalty: dyn Elementwise, called "penalty";
    none::NoPenalty,
    l1::L1,
    l0::L0,
    l2sq::L2Sq,
    elastic_net::ElasticNet,
    scad::Scad,
    mcp::Mcp,
    tl1::Tl1,
    capped_l1::CappedL1,
    log::Log,
    lp::Lp,
    geman::Geman,
    laplace::Laplace,
    etp::Etp,
    pwl::Pwl,
}

impl Penalty {
    /// lambda * p(|y|), the penalty's value at a weight y; NaN at NaN.
    #[must_use]
    pub fn value(&self, lambda: f64, y: f64) -> f64 {
        self.rule().value(lambda, y.abs())
    }

    /// The proximal operator for one step size and one lambda; thresholds are solved here, once.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] where a parameter, `step` or `lambda` is outside its domain ([`WEIGHT`] for
    /// the last two).
    pub fn prox(&self, step: f64, lambda: f64) -> Result<Prox> {
        self.check()?;
        require(WEIGHT.contains(step), self.name(), "step", step, WEIGHT)?;
        require(WEIGHT.contains(lambda), self.name(), "lambda", lambda, WEIGHT)?;
        Ok(Prox::new(*self, step, lambda))
    }
}
