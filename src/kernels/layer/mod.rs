//! Whole layers of MAF-SRL on chip: the unfolded network forward in one dispatch, and a layer backward in one.
//!
//! **Formula.** Of every layer, with n components and m columns (`network`):
//!
//! ```text
//! r = x - g / L,   u = Â r,   e = xi(q∘u) - b,   y = Âᵀ e                              forward
//! u = Â r,   w̄ = Â ȳ,   ū = q∘xi'(q∘u)∘w̄,   r̄ = Âᵀ ū                                  backward
//! ```
//!
//! with g = x - c ([`Data::Near`](crate::kernels::Data::Near)), or a gradient computed elsewhere
//! ([`Data::Given`](crate::kernels::Data::Given), one layer). Backward, ȳ may be scaled by 1 - 1/L of the next
//! layer: then the r̄ of that layer is taken as it is.
//!
//! **Memory.** Forward, x and c are read and y is written once, c again per further layer, whose inputs are written where they
//! are wanted; backward, x, c and ȳ are read, and u, w̄ and r̄ written. Each workgroup reads Â twice per layer, forward, and three
//! times backward, through the caches.
//!
//! **Cutting.** A workgroup has all n components of k or 4k columns, at most 512 words of a column or of four. From 256 columns
//! on a word has four: that depends on m alone. k is the largest with which there are 64 workgroups (4 on devices that are CPUs, where
//! workgroups cost more than they gain), down to 1. Where there
//! are fewer words than half of the invocations, up to 16 of these share a row. The numbers of a column depend neither on the other
//! columns nor on their number but through that choice.
//!
//! **Determinism.** Every sum has a fixed order, which n, m, the pattern, the format and the kind of device decide: the same bits
//! each run.
//!
//! **NaN and infinities.** q∘u, w̄ and the numbers of the layer are tested by their bits: what is not finite gives e and ū the
//! NaN 0x7fc00000, and Âᵀ carries it on to the components that its pattern connects (the dense format: to all of the
//! column). No other column is touched.
//!
//! **Accuracy.** Every product is within D + 2 roundings of the sum of its terms' magnitudes, D being the longest chain of
//! additions, and xi is Lipschitz; see `reference`. ū is judged with either side where q∘u is within its error of a knee.
//!
//! **Limits.** n <= [`LARGEST`]. 256 invocations, 16 KiB of workgroup memory, 8 storage buffers, for which backward u, w̄ and r̄ are to
//! lie in one buffer. A batch must lie within one binding, u, w̄ and r̄ together.

mod bench;
mod cases;
mod dispatch;
pub(crate) mod reference;

pub use dispatch::{Forward, backward, forward};

use super::matrix::Side;
use super::program::{Host, Program, Struct, listed};
use super::window::Strided;
use super::{Format, Kernel};
use crate::wgsl::compose;

/// The most components that fit on chip.
pub const LARGEST: u32 = 512;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "layer", variants: || listed(variants()), cases: cases::all, benches: bench::all };

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Forward,
    Backward,
}

/// One kernel: what changes the code.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Variant {
    way: Way,
    format: Format,
    /// Whether a word has four columns, not one.
    wide: bool,
    /// Whether the gradient of phi is given.
    given: bool,
}

impl Variant {
    /// Which way, how wide a word is and where phi's gradient comes from, as names and files have it.
    fn parts(&self) -> [&'static str; 3] {
        let way = if self.way == Way::Forward { "forward" } else { "backward" };
        [way, if self.wide { "vec4" } else { "scalar" }, if self.given { "given" } else { "near" }]
    }
}

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        let [way, word, data] = self.parts();
        format!("{way}/{}/{word}/{data}", self.format)
    }

    fn source(&self) -> String {
        let [way, word, data] = self.parts().map(|part| format!("{}/{part}", KERNEL.name));
        compose(&[&word, &data, self.format.file(), &way])
    }

    fn structs(&self) -> Vec<Struct> {
        vec![dispatch::Job::layout("Job"), Side::layout("Side"), Strided::layout("Strided")]
    }

    /// The matrix is ours.
    fn reads(&self) -> &'static [u32] {
        &[0, 2, 3]
    }

    fn work(&self) -> &'static str {
        "A workgroup takes all components of `across` words of columns, `words` = across * components of at \
         most 512, in `rounds` = ceil(words * lanes / 256) rounds: ceil(columns / (across * columns of a \
         word)) workgroups. A word has four columns in the variants vec4, one in scalar."
    }
}

/// Every kernel.
fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for way in [Way::Forward, Way::Backward] {
        for format in Format::ALL {
            for wide in [true, false] {
                all.extend([false, true].map(|given| Variant { way, format, wide, given }));
            }
        }
    }
    all
}
