//! Proximal training steps as WGSL compute kernels.
pub mod accuracy;
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod data;
mod error;
pub mod gpu;
pub mod kernels;
pub mod penalty;
pub mod schedule;

pub use error::{Error, Result};
pub use penalty::Penalty;
