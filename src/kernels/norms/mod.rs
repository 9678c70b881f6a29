//! Norms of groups of weights: one number per group, one pass over memory.
//!
//! **Formula.** For each group of a tensor ([`Groups`]) the sum of magnitudes, the root of the sum of squares, the largest
//! magnitude, or the count of members that are not zero ([`Norm`]).
//!
//! **Memory.** 4 bytes read per element and 4 written per group; groups of more than 16,384 elements, or 512 in columns, take
//! 32 bytes more per part of that size.
//!
//! **Tiers and dispatches.** See `kernels/tiles.rs`: groups of one element are worked on like a vector; small groups share a
//! workgroup; larger ones have one, reading as they go; the largest are cut into parts, which a second stage puts
//! together. In columns, neighbouring invocations take neighbouring columns. Tensors of equal variant and buffers share a
//! dispatch.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the tensor's layout and alignment alone: the same adapter gives
//! the same bits each run, batched or not.
//!
//! **NaN and infinities.** Found by their bits. A group with a NaN has the norm 0x7fc00000, a group with an infinity and no
//! NaN the norm infinity; both count as not zero. Norms beyond the range of f32 are infinity.
//!
//! **Accuracy.** `linf` and `l0` are exact. `l1` is within D ULP, D being the longest chain of roundings, `l2` within D / 2 + 6
//! ([`NormsReference::judge`]). Neither overflows nor vanishes on the way; what is below 2^-126 may count as zero, as WGSL allows.
//!
//! **Limits.** 256 invocations and 4 KiB of workgroup memory; 3 storage buffers. Fewer than 2^32 groups in a tensor, and
//! elements in a group. A tile of groups must lie within one binding: with wgpu's default limits that is 128 MiB of a tensor
//! for columns, and any tensor for rows.

mod bench;
mod cases;
mod dispatch;
mod host;
mod reference;

pub use dispatch::{NormsJob, bind};
pub use host::norms;
pub use reference::NormsReference;

use super::Kernel;
use super::packer::Tiled;
use super::program::{Host, Program, Struct, listed};
use super::rule::{self, Rule};
use super::tiles::Tile;
use super::word::Reach;
use crate::accuracy::QUIET_NAN;
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::penalty::Groups;
use crate::text::there_are;
use crate::wgsl::compose;
use std::fmt;
use std::str::FromStr;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "norms", variants: || listed(variants()), cases: cases::all, benches: bench::all };

/// What is computed of each group.
///
/// ```
/// use maf_srl::kernels::norms::Norm;
/// assert_eq!("linf".parse::<Norm>()?, Norm::Linf);
/// assert_eq!(Norm::L2.to_string(), "l2");
/// # Ok::<(), maf_srl::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Norm {
    /// `l1`: the sum of magnitudes.
    L1,
    /// `l2`: the root of the sum of squares.
    L2,
    /// `linf`: the largest magnitude.
    Linf,
    /// `l0`: how many members are not zero, a u32. NaN and infinities are not.
    L0,
}

impl Norm {
    /// All of them.
    pub const ALL: [Norm; 4] = [Norm::L1, Norm::L2, Norm::Linf, Norm::L0];

    /// The name in text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Norm::L1 => "l1",
            Norm::L2 => "l2",
            Norm::Linf => "linf",
            Norm::L0 => "l0",
        }
    }

    /// The number that a word of the output stands for: f32, or u32 for [`Norm::L0`].
    #[must_use]
    pub fn value(self, word: u32) -> f64 {
        match self {
            Norm::L0 => f64::from(word),
            _ => f64::from(f32::from_bits(word)),
        }
    }

    /// The word for a value in float64, rounded.
    #[must_use]
    pub fn word(self, value: f64) -> u32 {
        match self {
            Norm::L0 => value as u32,
            _ if value.is_nan() => QUIET_NAN,
            _ => (value as f32).to_bits(),
        }
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Norm {
    type Err = Error;

    /// Reads `l1`, `l2`, `linf` or `l0`.
    ///
    /// # Errors
    /// [`Error::Text`] for anything else.
    fn from_str(text: &str) -> Result<Self> {
        Norm::ALL.into_iter().find(|norm| norm.name() == text.trim()).ok_or_else(|| Error::Text {
            place: "norm".into(),
            text: text.into(),
            reason: there_are(text, Norm::ALL.map(Norm::name)),
        })
    }
}

/// What a kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Groups of one element.
    Each,
    /// Groups in one piece.
    Whole,
    /// A part of each of some larger groups.
    Part,
    /// The parts put together.
    Combine,
}

/// One kernel: what changes the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Variant {
    stage: Stage,
    norm: Norm,
    reach: Reach,
}

impl Variant {
    /// The kernel of a stage; a reach that does not matter is left out of its name and its code.
    fn new(stage: Stage, norm: Norm, reach: Reach) -> Self {
        let reach = match stage {
            Stage::Each | Stage::Combine => Reach::Strided,
            Stage::Whole | Stage::Part => reach,
        };
        Variant { stage, norm, reach }
    }
}

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        let reach = self.reach.name();
        match self.stage {
            Stage::Each => format!("{}/each", self.norm),
            Stage::Whole => format!("{}/{reach}", self.norm),
            Stage::Part => format!("{}/part/{reach}", self.norm),
            Stage::Combine => format!("{}/combine", self.norm),
        }
    }

    fn source(&self) -> String {
        let [words, places] = self.reach.files();
        let norm = &format!("norms/{}", self.norm);
        match self.stage {
            Stage::Each => compose(&[words, places, norm, "norms/each"]),
            Stage::Whole => compose(&[words, places, norm, "norms/members", "norms/deliver", "norms"]),
            Stage::Part => compose(&[words, places, norm, "norms/members", "norms/keep", "norms"]),
            Stage::Combine => compose(&[words, places, norm, "norms/parts", "norms/deliver", "norms"]),
        }
    }

    fn structs(&self) -> Vec<Struct> {
        vec![Tile::layout("Tile")]
    }

    fn work(&self) -> &'static str {
        match self.stage {
            Stage::Each => "A workgroup takes one tile: groups of one member, side by side, a norm of each.",
            Stage::Whole => {
                "A workgroup takes one tile: whole groups, a norm of each, at `extra` of binding 7."
            }
            Stage::Part => {
                "A workgroup takes one tile: parts of large groups, which it adds up, at `state` of binding 1."
            }
            Stage::Combine => "A workgroup takes one tile: large groups, whose parts it puts together.",
        }
    }

    fn rules(&self) -> &'static [Rule] {
        rule::NORMS
    }
}

impl Tiled for Variant {
    /// What the name is made of.
    type Key = Self;
    type Tile = Tile;

    fn key(&self) -> Self::Key {
        *self
    }

    fn uses(&self, binding: u32) -> bool {
        // the scratch words; the results
        match self.stage {
            Stage::Each | Stage::Whole => binding == 7,
            Stage::Part => binding == 1,
            Stage::Combine => [1, 7].contains(&binding),
        }
    }
}

/// Every kernel.
fn variants() -> Vec<Variant> {
    let each = [Stage::Whole, Stage::Part].into_iter().flat_map(|s| Reach::ALL.map(|reach| (s, reach)));
    let stages: Vec<_> =
        each.chain([Stage::Each, Stage::Combine].map(|stage| (stage, Reach::Strided))).collect();
    let of = |norm| stages.iter().map(move |&(stage, reach)| Variant { stage, norm, reach });
    Norm::ALL.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_values_agree() {
        for norm in Norm::ALL {
            assert_eq!(norm.to_string().parse::<Norm>(), Ok(norm));
            assert_eq!(norm.value(norm.word(17.0)), 17.0);
        }
        assert_eq!(Norm::L1.word(1e39), 0x7f80_0000);
        assert_eq!(Norm::L2.word(f64::NAN), QUIET_NAN);
        assert!("l3".parse::<Norm>().is_err());
    }
}
