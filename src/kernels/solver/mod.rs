//! The other ways to minimise loss + penalty: by subgradients, and by variable splitting.

mod reference;

pub use reference::Reference;

use std::fmt;

use crate::error::{Result, require};
use crate::penalty::{CONSTANTS, Domain};
use std::ops::Bound::{Excluded, Included};

/// How the penalties of a tensor enter its step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Solver {
    /// By their operators: W <- group(prox(point)). The room [`step`](super::step), with groups
    /// [`group`](super::group).
    #[default]
    Proximal,
    /// By their subgradients, added to the gradient: no weight becomes exactly zero (Bui et al., direct gradient descent).
    Subgradient,
    /// The group lasso by its subgradient, the elementwise penalty by its prox (Bui et al., eq. (20)).
    ProximalSubgradient,
    /// Variable splitting (Bui et al., algorithm 1): W takes the gradient, the group lasso's subgradient and
    /// beta (W - V); the copy V <- prox of the elementwise penalty at W. **The result is V.**
    Splitting {
        /// The first weight of |W - V|^2 / 2, in (0, 1e6]; [`Hyper::with_beta_scale`](super::step::Hyper::with_beta_scale)
        /// makes it grow.
        beta: f64,
        /// SCAD's and MCP's V step as published: step size 1 and lambda / beta in place of step size 1 / beta and lambda,
        /// which is another map as these penalties are not homogeneous in lambda.
        published: bool,
    },
}

/// Where beta may lie.
const BETA: Domain = Domain(Excluded(0.0), Included(1e6));

impl Solver {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Domain`] naming parameter, value and allowed range.
    pub fn check(&self) -> Result<()> {
        match *self {
            Solver::Splitting { beta, .. } => require(BETA.contains(beta), "splitting", "beta", beta, BETA),
            _ => Ok(()),
        }
    }

    /// The first beta; 1 where there is none.
    #[must_use]
    pub fn beta(&self) -> f64 {
        match *self {
            Solver::Splitting { beta, .. } => beta,
            _ => 1.0,
        }
    }

    /// Whether a sparse copy is kept beside the weights, as a last state.
    #[must_use]
    pub fn has_copy(&self) -> bool {
        matches!(self, Solver::Splitting { .. })
    }

    /// Whether the elementwise prox is taken of the weights themselves.
    #[must_use]
    pub fn has_prox_of_point(&self) -> bool {
        matches!(self, Solver::Proximal | Solver::ProximalSubgradient)
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Solver::Proximal => f.write_str("proximal"),
            Solver::Subgradient => f.write_str("subgradient"),
            Solver::ProximalSubgradient => f.write_str("proximal-subgradient"),
            Solver::Splitting { published: false, .. } => f.write_str("splitting"),
            Solver::Splitting { published: true, .. } => f.write_str("splitting-as-published"),
        }
    }
}

/// The values that change from step to step. WGSL's `Row`: `Base`, `Constants` and `Pull`, eight f32 each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row {
    /// WGSL's `Base`.
    pub base: [f32; CONSTANTS],
    /// WGSL's `Constants`, the elementwise penalty's.
    pub prox: [f32; CONSTANTS],
    /// WGSL's `Pull`: the group penalty's lambda and beta.
    pub pull: [f32; CONSTANTS],
}
