//! The derivatives of a loss by the entries of Â, on its pattern only: a sampled product of dense matrices.
//!
//! **Formula.** For each entry (i, j) of the pattern the sum over the columns c of
//!
//! ```text
//! e_ic ȳ_jc + ū_ic r_jc,   v = q_i u_ic,   e = xi(v) - b_i,   ū = q_i xi'(v) w̄_ic,   r = x - g / L,   g = x - c or given
//! ```
//!
//! from u and w̄ that the backward pass has left; ȳ is what is stored there, or that times 1 - 1/L of the next layer.
//!
//! **Paths.** `entries`: a workgroup has some entries of a row; e and ū of the row are computed once. `tiles`: a workgroup has
//! a square of 32 x 32 or 64 x 64 places, entries or not, and stages e, ū, ȳ and r of a few columns at a time; empty squares
//! are left out. Entries where the squares are filled to less than a fifth, and where the work is so little that one
//! dispatch is best.
//!
//! **Memory.** Per workgroup and column, `entries` reads two numbers of the row and three per entry, `tiles` two per row and three
//! per column of Â. Few workgroups with many columns split these, up to 64 times: 4 bytes of scratch per entry and split.
//!
//! **Dispatches.** One, and one more that puts the splits' sums together.
//!
//! **Determinism.** Sums follow a fixed order that depends on the pattern and the batch's shape alone: the same bits each run.
//!
//! **NaN and infinities.** Where v, a slope or a knee is not finite, e and ū are NaN; where w̄ is not, ū is, dead zone or not; where
//! L is not, r is. Everything else is carried on by arithmetic.
//!
//! **Accuracy.** A sum is within D + 4 roundings of the sum of magnitudes, D being the longest chain of additions, next to what
//! the roundings of e, ū, ȳ and r make of the terms; a v within its rounding of a knee may count on either side of it.
//!
//! **Limits.** 256 invocations, 10 KiB of workgroup memory, 8 storage buffers. Each view lies within a binding.

mod bench;
mod cases;
mod dispatch;
mod reference;

pub use dispatch::bind;

use super::Room;
use crate::wgsl::compose;

/// The register's line.
pub(super) const ROOM: Room = Room {
    name: "sampled",
    variants: || Path::ALL.iter().map(|path| (path.name().to_owned(), path.source())).collect(),
    cases: cases::all,
    benches: bench::all,
};

/// How the pattern is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// Runs of entries of a row.
    Entries,
    /// Squares of 32 x 32 places, each invocation having 4 x 4.
    Tiles32,
    /// Squares of 64 x 64 places.
    Tiles64,
}

impl Path {
    const ALL: [Path; 3] = [Path::Entries, Path::Tiles32, Path::Tiles64];

    fn name(self) -> &'static str {
        match self {
            Path::Entries => "entries",
            Path::Tiles32 => "tiles32",
            Path::Tiles64 => "tiles64",
        }
    }

    /// Invocations of a workgroup.
    fn invocations(self) -> u32 {
        match self {
            Path::Entries | Path::Tiles64 => 256,
            Path::Tiles32 => 64,
        }
    }

    fn source(self) -> String {
        // columns staged at a time: what 16 KiB of workgroup memory hold of squares that size
        match self {
            Path::Entries => compose(&["sampled/entries"]),
            Path::Tiles32 => format!("const QUADS = 8u;\nconst DEEP = 16u;\n{}", compose(&["sampled/tiles"])),
            Path::Tiles64 => format!("const QUADS = 16u;\nconst DEEP = 8u;\n{}", compose(&["sampled/tiles"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::dispatch::SampledJob;
    use super::*;
    use crate::kernels::wgsl;

    #[test]
    fn every_variant_is_valid_and_its_job_is_the_hosts() {
        for path in Path::ALL {
            let module = wgsl::module(path.name(), &path.source(), ROOM.name);
            let (members, _) = wgsl::members(&module, "Job").unwrap();
            let strided = ["x", "data", "bar", "u", "w"];
            let words = [
                "theta",
                "scale_at",
                "given",
                "rows",
                "columns",
                "pieces",
                "splits",
                "span",
                "lanes",
                "out",
                "apart",
                "add",
                "structure",
            ];
            let mut expected = wgsl::spaced(&strided, 12);
            expected.extend(wgsl::spaced(&words, 4).into_iter().map(|(name, at)| (name, 60 + at)));
            assert_eq!(members, expected);
            assert_eq!(members.last().unwrap().1 as usize, size_of::<SampledJob>());
        }
    }
}
