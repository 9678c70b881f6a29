//! The values of a matrix in the order of its format.

use super::{Variant, WORKGROUP};
use crate::error::{Result, same};
use crate::gpu::View;
use crate::kernels::program::host_struct;
use crate::kernels::window::Window;
use crate::kernels::{Dispatch, Dispatches, LearnedParameters, Matrix, PipelineCache};

host_struct! {
    /// `struct Refresh` of `shaders/spmm/refresh.wgsl`.
    pub(super) struct Words {
        apart: u32,
        count: u32,
        at: u32,
        stride: u32,
    }
}

/// From the learned numbers.
///
/// # Errors
/// [`crate::Error::Shape`] where `learned` has other layers or entries than the matrix; [`crate::Error::Limit`],
/// [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
pub fn refresh(kernels: &PipelineCache, matrix: &Matrix, learned: &LearnedParameters) -> Result<Dispatches> {
    let places = learned.places;
    same("refresh", "entries of the learned numbers", places.nonzeros, matrix.pattern().nonzeros())?;
    same("refresh", "layers of the learned numbers", learned.layers, matrix.layers())?;
    refresh_from(kernels, matrix, &learned.view, places.values().start as u32, places.length())
}

/// From the values alone: those of the first layer in the pattern's order, then the next one's.
///
/// # Errors
/// As [`refresh()`].
pub fn refresh_packed(kernels: &PipelineCache, matrix: &Matrix, values: &View) -> Result<Dispatches> {
    let stride = matrix.pattern().nonzeros();
    let expected = u64::from(stride) * u64::from(matrix.layers());
    same("refresh", "number of values", values.len(), expected)?;
    refresh_from(kernels, matrix, values, 0, stride)
}

fn refresh_from(
    kernels: &PipelineCache,
    matrix: &Matrix,
    from: &View,
    at: u32,
    stride: u32,
) -> Result<Dispatches> {
    let count = matrix.apart() * matrix.layers();
    if count == 0 {
        return Ok(Dispatches::default());
    }
    let limits = kernels.device().limits();
    let from = Window::new("refresh", from, &limits)?;
    let words = Words { apart: matrix.apart(), count, at: from.first + at, stride };
    let buffers = [
        (1, matrix.index.as_entire_buffer_binding()),
        (2, from.binding()),
        (3, matrix.values.as_entire_buffer_binding()),
    ];
    let groups = u64::from(count.div_ceil(WORKGROUP));
    let words = bytemuck::bytes_of(&words);
    Ok(Dispatch::of_groups(kernels, &Variant::Refresh, words, &buffers, groups)?.into())
}
