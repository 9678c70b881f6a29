//! The derivative by a layer's input.
//!
//! **Formula.** x̄ = r̄ - h / L, with h phi's Hessian times r̄; that is r̄ itself for 1/2 ||x - c||².
//!
//! **Memory.** Two numbers per element are read and one is written.
//!
//! **Determinism.** Elements are independent: the same bits each run.
//!
//! **NaN and infinities.** Where L is not finite, so is no derivative. Everything else is carried on by arithmetic.
//!
//! **Accuracy.** One division of 2.5 ULP and one subtraction.
//!
//! **Limits.** 256 invocations, 5 storage buffers. Each view lies within a binding.

mod bench;
mod cases;
mod reference;

use super::backward::window;
use super::program::{Host, Program, Struct, host_struct, listed};
use super::window::{Strided, Window, refuse_overlap};
use super::word::WORKGROUP;
use super::{Batch, Dispatch, Dispatches, Kernel, LearnedParameters, PipelineCache};
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "chain", variants: || listed([Chain]), cases: cases::all, benches: bench::all };

/// The one kernel.
#[derive(Clone, Copy, Debug)]
struct Chain;

impl Program for Chain {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        "input".into()
    }

    fn source(&self) -> String {
        compose(&[KERNEL.name])
    }

    fn structs(&self) -> Vec<Struct> {
        vec![Job::layout("Job"), Strided::layout("Strided")]
    }

    fn work(&self) -> &'static str {
        "A workgroup takes 256 numbers of the result: ceil(rows * columns / 256) workgroups."
    }
}

host_struct! {
    /// WGSL's `Job` of `shaders/chain.wgsl`, where each field is explained.
    struct Job {
        grad_r: Strided,
        h: Strided,
        out: Strided,
        samples: u32,
        rows: u32,
        columns: u32,
        theta: u32,
    }
}

/// The derivative by a layer's input, for any phi: `out` becomes r̄ - h / L, with h phi's Hessian times r̄: r̄ itself for
/// 1/2 ||x - c||².
///
/// # Errors
/// [`Error::Shape`], [`Error::Overlap`] where `out` shares memory with another view, and those of the device.
pub fn bind(
    kernels: &PipelineCache,
    learned: &LearnedParameters,
    layer: u32,
    grad_r: &Batch,
    h: &Batch,
    out: &Batch,
) -> Result<Dispatches> {
    let limits = kernels.device().limits();
    learned.has(KERNEL.name, "layer", layer)?;
    let read = [("r̄", &grad_r.view), ("h", &h.view), ("the learned numbers", &learned.view)];
    refuse_overlap(&read, &[("the derivative by the input", &out.view)])?;
    let shape = (learned.places.components, out.vectors);
    let batch = |name: &str, batch| window(name, batch, shape, &limits);
    let (back, grad_r_at) = batch("chain: r̄", grad_r)?;
    let (curved, h_at) = batch("chain: h", h)?;
    let (to, out_at) = batch("chain: the derivative by the input", out)?;
    let theta = Window::new("chain: the learned numbers", &learned.view, &limits)?;
    let job = Job {
        grad_r: grad_r_at,
        h: h_at,
        out: out_at,
        samples: u32::from(out_at.down == 1),
        rows: shape.0,
        columns: shape.1,
        theta: learned.first(&theta, layer),
    };
    let buffers: Vec<_> = (1..).zip([&back, &curved, &to, &theta].map(Window::binding)).collect();
    let groups = out.view.len().div_ceil(u64::from(WORKGROUP));
    Ok(Dispatch::of_groups(kernels, &Chain, bytemuck::bytes_of(&job), &buffers, groups)?.into())
}
