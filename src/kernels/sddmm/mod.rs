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

use super::Kernel;
use super::program::{Host, Program, Struct, listed};
use super::window::Strided;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "sddmm", variants: || listed(Path::ALL), cases: cases::all, benches: bench::all };

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
}

impl Program for Path {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        match self {
            Path::Entries => "entries",
            Path::Tiles32 => "tiles32",
            Path::Tiles64 => "tiles64",
        }
        .into()
    }

    fn invocations(&self) -> u32 {
        match self {
            Path::Entries | Path::Tiles64 => 256,
            Path::Tiles32 => 64,
        }
    }

    fn source(&self) -> String {
        // columns staged at a time: what 16 KiB of workgroup memory hold of squares that size
        match self {
            Path::Entries => compose(&["sddmm/entries"]),
            Path::Tiles32 => format!("const QUADS = 8u;\nconst DEEP = 16u;\n{}", compose(&["sddmm/tiles"])),
            Path::Tiles64 => format!("const QUADS = 16u;\nconst DEEP = 8u;\n{}", compose(&["sddmm/tiles"])),
        }
    }

    /// The pieces lie behind the job's members, in one array that has no size.
    fn structs(&self) -> Vec<Struct> {
        vec![dispatch::SampledJob::layout("Job").and("structure"), Strided::layout("Strided")]
    }

    fn work(&self) -> &'static str {
        match self {
            Path::Entries => {
                "A workgroup takes one piece, a run of up to 256 / `lanes` entries of a row, and one split \
                 of `span` columns: pieces * splits workgroups. `structure` has row, first entry and length \
                 of each piece, then the entries' columns. With several splits the sums go to `out` one \
                 split after another, for sums/fold."
            }
            Path::Tiles32 | Path::Tiles64 => {
                "A workgroup takes one square of 32 x 32 or 64 x 64 places and one split of `span` columns: \
                 pieces * splits workgroups. `structure` has, of each square, its first row and column, and \
                 per row the number of its first entry and one bit per place. With several splits the sums \
                 go to `out` one split after another, for sums/fold."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gpu::{self, View};
    use crate::kernels::backward::{GradientTarget, SavedActivations};
    use crate::kernels::{Batch, Data, LearnedParameters, Order, PipelineCache, sums};
    use crate::matrix::Pattern;
    use crate::regulariser::ParameterLayout;

    /// Requests that do not fit are refused before anything is recorded, by both kernels alike.
    #[test]
    fn bad_requests_name_what_does_not_fit() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let kernels = PipelineCache::new(&device);
        let usage = wgpu::BufferUsages::STORAGE;
        let buffer = gpu::buffer(&device, "page", 4096, usage, false).unwrap();
        let view = |at: u64, length: u64| View::new("view", &buffer, 4 * at, length).unwrap();
        let batch = |at: u64, m: u32| {
            Batch::new("batch", view(at, 3 * u64::from(m)), 3, m, Order::FeatureMajor).unwrap()
        };
        let places = ParameterLayout { components: 3, nonzeros: 9 };
        let passed = SavedActivations {
            learned: LearnedParameters::new("learned", view(100, 48), places, 2).unwrap(),
            layer: 1,
            x: batch(1, 4),
            data: Data::Near(batch(13, 4)),
            grad_output: batch(25, 4),
            scale_by: Some(1),
            u: batch(37, 4),
            w: batch(49, 4),
            grad_r: batch(61, 4),
        };
        let gradient = |at: u64| LearnedParameters::new("gradient", view(at, 24), places, 1).unwrap();
        let into = GradientTarget { gradient: gradient(200), layer: 0, add: false };
        let pattern = Arc::new(Pattern::full(3, 3).unwrap());
        assert_eq!(sums::bind(&kernels, &passed, &into).unwrap().len(), 2);
        assert_eq!(bind(&kernels, &pattern, &passed, &into).unwrap().len(), 1);
        let refused = |passed: &SavedActivations, into: &GradientTarget, expected: &str| {
            let one = sums::bind(&kernels, passed, into).unwrap_err().to_string();
            let other = bind(&kernels, &pattern, passed, into).unwrap_err().to_string();
            assert!(one.contains(expected) && other.contains(expected), "{one}; {other}");
        };
        refused(
            &passed,
            &GradientTarget { gradient: gradient(50), ..into.clone() },
            "the gradient and w̄ overlap",
        );
        refused(
            &passed,
            &GradientTarget { gradient: gradient(130), ..into.clone() },
            "the learned numbers overlap",
        );
        refused(&passed, &GradientTarget { layer: 1, ..into.clone() }, "layer is 1, expected one of 1");
        refused(&SavedActivations { layer: 2, ..passed.clone() }, &into, "layer is 2, expected one of 2");
        refused(
            &SavedActivations { scale_by: Some(2), ..passed.clone() },
            &into,
            "scale is 2, expected one of 2",
        );
        refused(
            &SavedActivations { u: batch(37, 3), ..passed.clone() },
            &into,
            "u: shape is 3 components of 3 vectors",
        );
        let other = ParameterLayout { components: 3, nonzeros: 8 };
        let other = LearnedParameters::new("gradient", view(200, 24), other, 1).unwrap();
        refused(&passed, &GradientTarget { gradient: other, ..into.clone() }, "gradient is ParameterLayout");
        let diagonal = Arc::new(Pattern::diagonal(3).unwrap());
        let said = bind(&kernels, &diagonal, &passed, &into).unwrap_err().to_string();
        assert!(said.contains("pattern is 3 x 3 with 3 entries, expected 3 x 3 with 9 entries"), "{said}");
    }
}
