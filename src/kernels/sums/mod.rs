//! Derivatives that are sums over a whole batch: by q, b, the activation and L of a layer; and the parts of any sum put
//! together.
//!
//! **Formula.** With g = x - c or given, v = q_i u and the sums over columns, for the five scalars over rows too:
//!
//! ```text
//! q̄_i = sum xi'(v) w̄ u,   b̄_i = -sum w̄,   L̄ = sum r̄ g / L²
//! eta̅1, eta̅2, delta̅1, delta̅2 = sum w̄ * (the activation's partials at v, from the right at every knee)
//! ```
//!
//! **Memory.** Read once: five numbers per element. Scratch: two numbers per row and split of the columns, five per
//! workgroup.
//!
//! **Dispatches.** Two: a workgroup has some rows and a split of the columns; the parts are then put together, as those of
//! the kernels `loss` and `sampled` are.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the shapes alone: the same bits each run.
//!
//! **NaN and infinities.** Where w̄, v, a knee or a slope is not finite, so is none of the sums that it is in, dead
//! zone or not; the same for L. Everything else is carried on by arithmetic.
//!
//! **Accuracy.** Sums of D terms, D being the longest chain of additions, are within D + 6 roundings of the sum of
//! magnitudes, next to what v's rounding makes of the terms; a v within its rounding of a knee may count on either
//! side of it.
//!
//! **Limits.** 256 invocations, 8 KiB of workgroup memory, 8 storage buffers. Each view lies within a binding.

mod bench;
mod cases;
mod dispatch;
mod reference;

pub use dispatch::bind;
pub(super) use dispatch::{Fold, PLENTY, SPLITS, fold};

use super::Kernel;
use super::program::{Host, Program, Struct, listed};
use super::window::Strided;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel = Kernel {
    name: "sums",
    variants: || listed([Stage::Rows, Stage::Fold]),
    cases: cases::all,
    benches: bench::all,
};

/// What a kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The sums over some rows and columns.
    Rows,
    /// The parts put together.
    Fold,
}

impl Program for Stage {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        match self {
            Stage::Rows => "rows".into(),
            Stage::Fold => "fold".into(),
        }
    }

    fn source(&self) -> String {
        match self {
            Stage::Rows => compose(&["sums"]),
            Stage::Fold => compose(&["sums/fold"]),
        }
    }

    fn structs(&self) -> Vec<Struct> {
        match self {
            Stage::Rows => vec![dispatch::RowsJob::layout("Job"), Strided::layout("Strided")],
            Stage::Fold => vec![Fold::layout("Job")],
        }
    }

    fn work(&self) -> &'static str {
        match self {
            Stage::Rows => {
                "A workgroup takes 256 / `lanes` rows and one split of `span` columns: `blocks` = ceil(rows \
                 * lanes / 256) times ceil(columns / span) = `groups` workgroups. Its sums go to `scratch`, \
                 for sums/fold."
            }
            Stage::Fold => {
                "A workgroup puts 256 of the numbers and zeros together, or one total: ceil((numbers + \
                 zeros) / 256) + totals workgroups."
            }
        }
    }
}
