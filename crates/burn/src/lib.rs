//! maf-srl inside [Burn](https://burn.dev): an optimiser whose steps make weights exactly zero.
//!
//! [`SparseOptimizer`] takes the place of Burn's `ModuleOptimizer`: one line changes, and what was trained has zeros. All parameters
//! of a module are stepped by a few dispatches, in the memory that Burn has them in: nothing goes through the host and nothing
//! waits. [`Rule`]s say which parameters have which penalties, in a framework's words: neurons, filters, heads.
//!
//! Burn 0.22 on its wgpu backend, with its feature `fusion` or without.

#![deny(missing_docs)]

mod backing;
mod bridge;
mod control;
mod density;
mod device;
mod engine;
#[cfg(feature = "fusion")]
mod fused;
mod optimizer;
mod record;
mod rule;
mod tensors;

pub use control::DensityStatus;
pub use density::{Density, density};
pub use device::Gpu;
pub use engine::{Counts, HostTimes};
pub use optimizer::{Failed, SparseOptimizer};
pub use record::SparseRecord;
pub use rule::{Rule, Unit};
pub use tensors::{ProxOptimizer, ProxState};

/// The examples of docs/BURN.md.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/BURN.md")]
struct Guide;
