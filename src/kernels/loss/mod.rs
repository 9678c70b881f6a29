//! The loss of a batch, 1/2 ||x - target||² with or without the l1 norm of x, and its derivative.
//!
//! **Formula.**
//!
//! ```text
//! loss = scale/2 ||x - target||² + scale lambda ||x||_1
//! x̄ = scale (x - target + lambda sign(x)), with sign(0) = 0
//! ```
//!
//! **Memory.** Two numbers per element are read and one is written; scratch: one number per workgroup.
//!
//! **Dispatches.** Two: the second puts the workgroups' parts together, by `sums/fold`.
//!
//! **Determinism.** The sum follows a fixed tree that depends on the shape alone: the same bits each run.
//!
//! **NaN and infinities.** An output that is not finite makes its derivative and the loss not finite, with lambda or
//! without.
//!
//! **Accuracy.** A sum of D terms, D being the longest chain of additions, is within D + 6 roundings of the sum of
//! magnitudes; a derivative within one rounding of itself and those of its terms.
//!
//! **Limits.** 256 invocations, 1 KiB of workgroup memory, 5 storage buffers. Each view lies within a binding.

mod bench;
mod cases;
mod reference;

use super::backward::window;
use super::program::{Host, Program, Struct, host_struct, listed};
use super::sums::{Fold, PLENTY, fold};
use super::tables::scratch;
use super::window::{Strided, Window, refuse_overlap};
use super::word::WORKGROUP;
use super::{Batch, Dispatch, Dispatches, Kernel, PipelineCache};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, same};
use crate::gpu::View;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "loss", variants: || listed([Loss]), cases: cases::all, benches: bench::all };

/// The one kernel.
#[derive(Clone, Copy, Debug)]
struct Loss;

impl Program for Loss {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        "squares".into()
    }

    fn source(&self) -> String {
        compose(&[KERNEL.name])
    }

    fn structs(&self) -> Vec<Struct> {
        vec![Job::layout("Job"), Strided::layout("Strided")]
    }

    fn work(&self) -> &'static str {
        "A workgroup takes `span` numbers, ceil(rows * columns / span) workgroups, and leaves its part of \
         the loss in `scratch`; sums/fold puts the parts together, as one total."
    }
}

host_struct! {
    /// WGSL's `Job` of `shaders/loss.wgsl`, where each field is explained.
    struct Job {
        output: Strided,
        aim: Strided,
        grad_output: Strided,
        samples: u32,
        rows: u32,
        columns: u32,
        span: u32,
        scale: f32,
        lambda: f32,
    }
}

/// The loss and its derivative: `grad_output` becomes (output - target + lambda sign(output)) * scale, with sign(0) = 0, and `loss`,
/// one element, scale/2 ||output - target||² + scale lambda ||output||_1.
///
/// # Errors
/// [`Error::Shape`], [`Error::Overlap`] where `grad_output` or `loss` shares memory with another view, and those of the
/// device.
pub fn bind(
    kernels: &PipelineCache,
    output: &Batch,
    target: &Batch,
    (scale, lambda): (f32, f32),
    grad_output: &Batch,
    loss: &View,
) -> Result<Dispatches> {
    same(KERNEL.name, "length", loss.len(), 1)?;
    let limits = kernels.device().limits();
    let (rows, columns) = (output.components, output.vectors);
    let read = [("the output", &output.view), ("the target", &target.view)];
    refuse_overlap(&read, &[("the loss", loss), ("the loss's derivative", &grad_output.view)])?;
    let batch = |name: &str, batch| window(name, batch, (rows, columns), &limits);
    let (from, output_at) = batch("loss: the output", output)?;
    let (aim, aim_at) = batch("loss: the target", target)?;
    let (to, grad_output_at) = batch("loss: its derivative", grad_output)?;
    let result = Window::new("loss", loss, &limits)?;
    let span = span_of(output.view.len());
    let groups = output.view.len().div_ceil(span);
    let parts = scratch(kernels.device(), "partial losses", (4 * groups).next_multiple_of(16))?;
    let job = Job {
        output: output_at,
        aim: aim_at,
        grad_output: grad_output_at,
        samples: u32::from(grad_output_at.down == 1),
        rows,
        columns,
        span: span as u32,
        scale,
        lambda,
    };
    let bound = [from.binding(), aim.binding(), to.binding(), parts.as_entire_buffer_binding()];
    let buffers: Vec<_> = (1..).zip(bound).collect();
    let fold_job = Fold { totals: 1, parts: groups as u32, ..Fold::default() };
    let own = Dispatch::of_groups(kernels, &Loss, bytemuck::bytes_of(&job), &buffers, groups)?;
    Ok([own, fold(kernels, fold_job, &parts, &result)?].into_iter().collect())
}

/// Elements of a workgroup of the loss.
fn span_of(elements: u64) -> u64 {
    elements.div_ceil(PLENTY).next_multiple_of(u64::from(WORKGROUP)).max(4 * u64::from(WORKGROUP))
}
