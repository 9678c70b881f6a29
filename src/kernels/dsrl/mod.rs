//! Layers of DSRL, fused: Â = I, q = 1, b = 0, so that each element is computed alone.
//!
//! **Formula.** With v = x - (x - c) / L, the step of 1/2 ||x - c||^2, a layer is x <- xi(v) ([`Activation`]). [`Forward`] takes
//! all of N layers, which share their numbers or have their own. [`Backward`] takes the derivative of a loss by x_N to that by
//! x_0 and by the numbers (DSRL appendix, eq. (12) to (14), from the right at every knee):
//!
//! ```text
//! r̄ = xi'(v) x̄_(l+1),   x̄_l = (1 - 1/L) r̄,   L̄ = sum r̄ (x - c) / L²,   η̄, δ̄ = sum x̄_(l+1) dxi(v)
//! ```
//!
//! **Memory.** One pass: 12 bytes per element forward, 16 backward (12 without the derivative by x_0), and 8 more for every four
//! layers beyond the first four: backward goes forward first, keeps every fourth layer's input in scratch (64 MiB at most), and makes
//! those between anew, 2 1/2 layers more for each layer.
//!
//! **Dispatches.** One forward; backward one for the elements, by at most 2048 workgroups, and one that folds their sums.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the number of elements alone.
//!
//! **NaN and infinities.** Found by their bits: an element whose v is not finite in some layer is 0x7fc00000 from there on, and so
//! are its derivative by x_0 and the sums that it belongs to. A layer whose L, slopes or knees are not finite makes all of its
//! elements NaN. So do results beyond the range of f32. -0.0 never comes out of a layer.
//!
//! **Accuracy.** By running errors ([`DsrlReference`]). Where v is within its error of a knee, either side's derivative is right.
//!
//! **Limits.** 256 invocations, 6 KiB of workgroup memory, 7 storage buffers. Each view must lie within one binding.

mod bench;
mod cases;
mod dispatch;
mod reference;

pub use dispatch::{Backward, Forward, backward, forward};
pub use reference::DsrlReference;

use super::Kernel;
use super::program::{Host, Program, Struct, listed};
use super::rule::{self, Rule};
#[cfg(doc)]
use crate::penalty::Activation;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "dsrl", variants: || listed(Stage::ALL), cases: cases::all, benches: bench::all };

/// One kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Forward,
    /// Whether layers share their numbers.
    Backward {
        shared: bool,
    },
    Fold,
}

impl Stage {
    const ALL: [Stage; 4] =
        [Stage::Forward, Stage::Backward { shared: true }, Stage::Backward { shared: false }, Stage::Fold];
}

impl Program for Stage {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        match self {
            Stage::Forward => "forward",
            Stage::Backward { shared: true } => "backward/shared",
            Stage::Backward { shared: false } => "backward/own",
            Stage::Fold => "fold",
        }
        .into()
    }

    fn source(&self) -> String {
        let chosen = match self {
            Stage::Backward { shared } => format!("const SHARED = {shared};\n"),
            Stage::Forward | Stage::Fold => String::new(),
        };
        let name = self.name();
        let file = name.split('/').next().unwrap_or_default();
        chosen + &compose(&[&format!("{}/{file}", KERNEL.name)])
    }

    fn structs(&self) -> Vec<Struct> {
        vec![dispatch::Work::layout("Job")]
    }

    fn work(&self) -> &'static str {
        match self {
            Stage::Forward => "A workgroup takes 1024 numbers: ceil(elements / 1024) workgroups.",
            Stage::Backward { .. } => {
                "Workgroups (x, 1), x = `groups` of at most 2048, take `tiles` = ceil(elements / 2048) runs \
                 of 2048 numbers between them, and leave 5 sums per layer of the gradient and workgroup at binding 6, \
                 where 2048 words per workgroup for every fourth layer but the first follow from `kept` on."
            }
            Stage::Fold => {
                "Workgroups (x, 1) put layers together, x at a time, round by round: any x will do, and the \
                 number of layers of the gradient needs one round."
            }
        }
    }

    fn rules(&self) -> &'static [Rule] {
        if *self == Stage::Forward { rule::JOB } else { rule::JOB_UNFOLDED }
    }
}
