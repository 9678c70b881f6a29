//! MAF-SRL: a learned, nonseparable sparse regulariser as a layer, unfolded into a network and trained.
//!
//! A layer takes a gradient step on a data term phi and then the proximal operator of a learned regulariser:
//!
//! ```text
//! y = Âᵀ [ xi(diag(q) Â (x - grad phi(x) / L)) - b ]
//! ```
//!
//! Â is square with a fixed sparsity pattern, xi the piecewise linear [`Activation`](crate::penalty::Activation).
//! Source: MAF-SRL, eq. (17) and (27), as corrected in this documentation.

mod family;
mod head;
mod on_cpu;
mod on_gpu;
mod options;
mod plateau;
pub mod reference;
#[cfg(test)]
mod tests;
mod training;
mod unfolded;

pub use family::Family;
pub use options::{Options, Projection, Start};
pub use plateau::Plateau;
pub use training::Trainer;
pub use unfolded::{DataTerm, Gradient, NetworkJob, Unfolded, Workspace, backward, forward};
