//! Multiplication by a sparse matrix or its transpose.
//!
//! **Formula.** `Y = F(op(Â) R)`, column by column of a batch: op(Â) is Â or Âᵀ, R the [`Prologue`], made of the batch as it is
//! loaded, and F the [`Epilogue`], applied as the result is stored. With q, b and xi of the layer:
//!
//! ```text
//! R = X,   (1 - 1/L) X,   X - (X - C)/L,   X - G/L,   or q xi'(q u) w̄          F(s) = s   or   xi(q s) - b
//! ```
//!
//! Rectangular patterns are multiplied by too, where q and b have no part.
//!
//! **Paths.** By rows, any format: the invocations of a workgroup share columns of the batch (neighbours take neighbouring
//! vectors, four each), rows, and the entries of a row. In tiles, for dense matrices and 33 rows and vectors or more: 64 x 64
//! outputs per workgroup; blocks of 64 x 16 places without entries are skipped. One dispatch each, none for no vectors.
//!
//! **Memory.** Per entry 8 bytes (csr), 4 and 1.25 bits per place (bitmap), or 4 per place (dense), read once per 256 vectors by
//! rows and per 64 in tiles; the batch once or more; the output once. No scratch memory.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the pattern, the format, the number of vectors and the orders
//! alone: the same adapter gives the same bits each run.
//!
//! **NaN and infinities.** A sum with one among its entries and operands is not finite. Dense matrices multiply by the zeros
//! between the entries too, so that one such prologue may make all sums of its vector NaN. xi and xi' of what is not finite, or
//! by slopes and knees that are not, are 0x7fc00000.
//!
//! **Accuracy.** A sum of D entries is within D + 3 roundings of its terms' magnitudes, and what the operands' errors come
//! to; xi passes errors on by its largest slope ([`SpmmReference`]). Where q u is within its error of a knee, either slope
//! is right.
//!
//! **Limits.** 256 invocations, 8.5 KiB of workgroup memory, 7 storage buffers. Each batch and the values of all layers lie
//! within one binding; fewer than 2^32 numbers in each.

mod bench;
mod cases;
mod choice;
mod dispatch;

mod host;
pub(crate) mod metric;
mod reference;
mod refresh;

pub use dispatch::{SpmmJob, bind};
pub use host::product;
#[doc(hidden)]
pub use metric::MetricReference;
pub use reference::SpmmReference;
pub use refresh::{refresh, refresh_packed};

use super::matrix::Format;
use super::program::{Host, Program, Struct, listed};
use super::{Bench, Kernel};
#[cfg(doc)]
use crate::regulariser::ParameterLayout;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel = Kernel {
    name: "spmm",
    variants: || listed(variants()),
    cases: || cases::all().into_iter().chain(metric::cases::all()).collect(),
    benches: || bench::all().into_iter().chain([Box::new(metric::bench::Metric) as Box<dyn Bench>]).collect(),
};

/// Invocations of a workgroup.
const WORKGROUP: u32 = 256;

/// What the matrix is multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Prologue {
    /// x, times 1 - 1/L of a layer where [`SpmmJob::scale_by`] names one.
    #[default]
    Plain,
    /// x - (x - c)/L: the gradient step of 1/2 ||x - c||^2.
    Near,
    /// x - g/L: the gradient step of any other.
    Given,
    /// q xi'(q u) w̄: the derivative by u, from that by xi(q u).
    Pulled,
}

impl Prologue {
    /// All of them.
    pub const ALL: [Prologue; 4] = [Prologue::Plain, Prologue::Near, Prologue::Given, Prologue::Pulled];

    fn name(self) -> &'static str {
        match self {
            Prologue::Plain => "plain",
            Prologue::Near => "near",
            Prologue::Given => "given",
            Prologue::Pulled => "pulled",
        }
    }
}

/// What becomes of each sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// It is stored.
    #[default]
    Plain,
    /// xi(q s) - b is.
    Activated,
    /// xi(q s + h) - b, with h the second batch; where the learned numbers say so ([`ParameterLayout::FROZEN`]), what was zero in
    /// the result stays zero. With a plain prologue alone.
    Held,
}

impl Epilogue {
    /// Those that go with every prologue.
    pub const ALL: [Epilogue; 2] = [Epilogue::Plain, Epilogue::Activated];

    fn name(self) -> &'static str {
        match self {
            Epilogue::Plain => "plain",
            Epilogue::Activated => "activated",
            Epilogue::Held => "held",
        }
    }
}

/// How the work is shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    /// Row by row, with one vector per invocation or four.
    Rows { format: Format, single: bool },
    /// In tiles.
    Tiles,
}

/// One kernel: what changes the code.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Product { path: Path, prologue: Prologue, epilogue: Epilogue },
    Refresh,
}

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        match *self {
            Variant::Refresh => "refresh".into(),
            Variant::Product { path, prologue, epilogue } => {
                let path = match path {
                    Path::Tiles => "tiles".into(),
                    Path::Rows { format, single } => {
                        format!("rows/{format}/{}", if single { "scalar" } else { "vec4" })
                    }
                };
                format!("{path}/{}/{}", prologue.name(), epilogue.name())
            }
        }
    }

    fn source(&self) -> String {
        let Variant::Product { path, prologue, epilogue } = *self else { return compose(&["spmm/refresh"]) };
        let prologue = format!("spmm/prologue/{}", prologue.name());
        let epilogue = format!("spmm/epilogue/{}", epilogue.name());
        match path {
            Path::Tiles => compose(&["spmm/word/vec4", &prologue, &epilogue, "spmm/tiles"]),
            Path::Rows { format, single } => {
                let word = if single { "spmm/word/scalar" } else { "spmm/word/vec4" };
                compose(&[word, &prologue, &epilogue, format.file(), "spmm"])
            }
        }
    }

    fn structs(&self) -> Vec<Struct> {
        match self {
            Variant::Refresh => vec![refresh::Words::layout("Refresh")],
            Variant::Product { .. } => dispatch::structs(),
        }
    }

    fn reads(&self) -> &'static [u32] {
        &[0, 1, 2]
    }

    fn work(&self) -> &'static str {
        match self {
            Variant::Refresh => "A workgroup copies 256 values: ceil(count / 256) workgroups.",
            Variant::Product { path: Path::Tiles, .. } => {
                "A workgroup takes 64 rows of 64 vectors: `blocks` = ceil(vectors / 64) times ceil(rows / \
                 64) = `groups` workgroups."
            }
            Variant::Product { path: Path::Rows { .. }, .. } => {
                "A workgroup takes `rows_at_once` rows of `beside` words of vectors, with `lanes` \
                 invocations to each: the three multiply to 256. `blocks` = ceil(words / beside) times \
                 ceil(rows / rows_at_once) = `groups` workgroups. A word has four vectors, one in the \
                 variants scalar."
            }
        }
    }
}

/// Every kernel.
fn variants() -> Vec<Variant> {
    let rows = Format::ALL
        .into_iter()
        .flat_map(|format| [true, false].map(|single| Path::Rows { format, single }))
        .chain([Path::Tiles]);
    let mut all = vec![Variant::Refresh];
    for path in rows {
        for prologue in Prologue::ALL {
            all.extend(Epilogue::ALL.map(|epilogue| Variant::Product { path, prologue, epilogue }));
        }
        all.push(Variant::Product { path, prologue: Prologue::Plain, epilogue: Epilogue::Held });
    }
    all
}
