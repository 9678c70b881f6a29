//! Many tensors, few dispatches: bound once, recorded each step, verified while it runs.
//!
//! [`Schedule::bind`] makes every check and every allocation and returns a [`Plan`]; [`Plan::record`] writes one step
//! into the caller's encoder. Tensors fall into buckets of equal kernel variant and buffers, and a bucket is one
//! dispatch, however many tensors it holds. [`HostSchedule`] is the easy layer above: weights and gradients in host
//! memory, on a GPU or on the CPU.

mod host;
mod plan;
mod staging;
mod verify;

pub use host::{Backend, HostSchedule, StepReport};
pub use plan::{Plan, Schedule, Tensor};
pub use verify::{FirstMismatch, TensorReport, Verification, Verify};

use crate::error::{Result, require};
use crate::penalty::{Penalty, WEIGHT};

/// One tensor of a schedule: its name in messages and what is done to it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spec {
    /// The name that errors and reports use.
    pub name: String,
    /// The penalty.
    pub penalty: Penalty,
    /// Its weight.
    pub lambda: f64,
    /// A factor of the learning rate, 1 for most tensors.
    pub rate_scale: f64,
}

impl Spec {
    /// A tensor with its penalty and lambda, at the full learning rate.
    #[must_use]
    pub fn new(name: impl Into<String>, penalty: Penalty, lambda: f64) -> Self {
        Spec { name: name.into(), penalty, lambda, rate_scale: 1.0 }
    }

    /// The same tensor at `scale` times the learning rate.
    #[must_use]
    pub fn with_rate_scale(self, scale: f64) -> Self {
        Spec { rate_scale: scale, ..self }
    }

    /// Checks the penalty's parameters, lambda and the rate's scale.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] naming tensor, parameter, value and range.
    pub fn check(&self) -> Result<()> {
        self.penalty.check()?;
        require(WEIGHT.contains(self.lambda), &self.name, "lambda", self.lambda, WEIGHT)?;
        require(WEIGHT.contains(self.rate_scale), &self.name, "rate scale", self.rate_scale, WEIGHT)
    }
}
