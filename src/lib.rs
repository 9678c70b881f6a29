//! Proximal training steps as WGSL compute kernels.
pub mod accuracy;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod data;
mod error;
pub mod gpu;
pub mod kernels;
pub mod penalty;
pub mod schedule;
#[cfg(feature = "cli")]
pub mod train;
pub mod validate;

pub use error::{Error, Result};
pub use penalty::Penalty;
