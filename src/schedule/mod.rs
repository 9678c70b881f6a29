//! Many tensors, few dispatches.
mod host;
mod verify;

pub use host::{Backend, HostSchedule, StepReport};
pub use verify::{TensorReport, Verification, Verify};

use crate::penalty::Penalty;

/// One tensor of a schedule: its name in messages and what is done to it.
#[derive(Clone, Debug, PartialEq)]
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
