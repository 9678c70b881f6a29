//! Multiplication by a sparse matrix or its transpose.
//!
//! **Formula.** `Y = F(op(Â) R)`, column by column of a batch: op(Â) is Â or Âᵀ, R the [`Operand`], made of the batch as it is
//! loaded, and F the [`Finish`], applied as the result is stored. With q, b and xi of the layer:
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
//! between the entries too, so that one such operand may make all sums of its vector NaN. xi and xi' of what is not finite, or
//! by slopes and knees that are not, are 0x7fc00000.
//!
//! **Accuracy.** A sum of D entries is within D + 3 roundings of its terms' magnitudes, and what the operands' errors come
//! to; xi passes errors on by its largest slope ([`Reference`]). Where q u is within its error of a knee, either slope
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

pub use dispatch::{Job, bind};
pub use host::product;
pub use reference::Reference;
pub use refresh::{refresh, refresh_packed};

use super::matrix::Format;
use super::program::{Host, Program, Struct, listed};
use super::{Bench, Room};
#[cfg(doc)]
use crate::regulariser::Places;
use crate::wgsl::compose;

/// The register's line.
pub(super) const ROOM: Room = Room {
    name: "product",
    variants: || listed(variants()),
    cases: || cases::all().into_iter().chain(metric::cases::all()).collect(),
    benches: || bench::all().into_iter().chain([Box::new(metric::bench::Metric) as Box<dyn Bench>]).collect(),
};

/// Invocations of a workgroup.
const WORKGROUP: u32 = 256;

/// What the matrix is multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operand {
    /// x, times 1 - 1/L of a layer where [`Job::scale_by`] names one.
    #[default]
    Plain,
    /// x - (x - c)/L: the gradient step of 1/2 ||x - c||^2.
    Near,
    /// x - g/L: the gradient step of any other.
    Given,
    /// q xi'(q u) w̄: the derivative by u, from that by xi(q u).
    Pulled,
}

impl Operand {
    /// All of them.
    pub const ALL: [Operand; 4] = [Operand::Plain, Operand::Near, Operand::Given, Operand::Pulled];

    fn name(self) -> &'static str {
        match self {
            Operand::Plain => "plain",
            Operand::Near => "near",
            Operand::Given => "given",
            Operand::Pulled => "pulled",
        }
    }
}

/// What becomes of each sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Finish {
    /// It is stored.
    #[default]
    Plain,
    /// xi(q s) - b is.
    Activated,
    /// The same; where the learned numbers say so ([`Places::FROZEN`]), what was zero in the result stays zero. With a plain
    /// operand alone.
    Held,
}

impl Finish {
    /// Those that go with every operand.
    pub const ALL: [Finish; 2] = [Finish::Plain, Finish::Activated];

    fn name(self) -> &'static str {
        match self {
            Finish::Plain => "plain",
            Finish::Activated => "activated",
            Finish::Held => "held",
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
    Product { path: Path, operand: Operand, finish: Finish },
    Refresh,
}

impl Program for Variant {
    const ROOM: &'static str = ROOM.name;

    fn name(&self) -> String {
        match *self {
            Variant::Refresh => "refresh".into(),
            Variant::Product { path, operand, finish } => {
                let path = match path {
                    Path::Tiles => "tiles".into(),
                    Path::Rows { format, single } => {
                        format!("rows/{format}/{}", if single { "scalar" } else { "vec4" })
                    }
                };
                format!("{path}/{}/{}", operand.name(), finish.name())
            }
        }
    }

    fn source(&self) -> String {
        let Variant::Product { path, operand, finish } = *self else { return compose(&["product/refresh"]) };
        let operand = format!("product/operand/{}", operand.name());
        let finish = format!("product/finish/{}", finish.name());
        match path {
            Path::Tiles => compose(&["product/word/vec4", &operand, &finish, "product/tiles"]),
            Path::Rows { format, single } => {
                let word = if single { "product/word/scalar" } else { "product/word/vec4" };
                compose(&[word, &operand, &finish, format.file(), "product"])
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
}

/// Every kernel.
fn variants() -> Vec<Variant> {
    let rows = Format::ALL
        .into_iter()
        .flat_map(|format| [true, false].map(|single| Path::Rows { format, single }))
        .chain([Path::Tiles]);
    let mut all = vec![Variant::Refresh];
    for path in rows {
        for operand in Operand::ALL {
            all.extend(Finish::ALL.map(|finish| Variant::Product { path, operand, finish }));
        }
        all.push(Variant::Product { path, operand: Operand::Plain, finish: Finish::Held });
    }
    all
}
