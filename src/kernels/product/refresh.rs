//! The values of a matrix in the order of its format.

use bytemuck::{Pod, Zeroable};

use super::dispatch::shape;
use super::{Variant, WORKGROUP};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::dispatch::folded;
use crate::kernels::window::Window;
use crate::kernels::{Dispatch, Dispatches};
use crate::kernels::{Kernels, Learned, Matrix};

/// `struct Refresh` of `shaders/product/refresh.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Words {
    apart: u32,
    count: u32,
    at: u32,
    stride: u32,
}

/// From the learned numbers.
///
/// # Errors
/// [`crate::Error::Shape`] where `learned` has other layers or entries than the matrix; [`crate::Error::Limit`],
/// [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
pub fn refresh(kernels: &Kernels, matrix: &Matrix, learned: &Learned) -> Result<Dispatches> {
    let places = learned.places;
    shape("refresh", "entries of the learned numbers", places.nonzeros, matrix.pattern().nonzeros())?;
    shape("refresh", "layers of the learned numbers", learned.layers, matrix.layers())?;
    refresh_from(kernels, matrix, &learned.view, places.values().start as u32, places.length())
}

/// From the values alone: those of the first layer in the pattern's order, then the next one's.
///
/// # Errors
/// As [`refresh()`].
pub fn refresh_packed(kernels: &Kernels, matrix: &Matrix, values: &View) -> Result<Dispatches> {
    let stride = matrix.pattern().nonzeros();
    let expected = u64::from(stride) * u64::from(matrix.layers());
    shape("refresh", "number of values", values.length(), expected)?;
    refresh_from(kernels, matrix, values, 0, stride)
}

fn refresh_from(kernels: &Kernels, matrix: &Matrix, from: &View, at: u32, stride: u32) -> Result<Dispatches> {
    let count = matrix.apart() * matrix.layers();
    if count == 0 {
        return Ok(Dispatches::default());
    }
    let device = kernels.device();
    let limits = device.limits();
    let from = Window::new("refresh", from, &limits)?;
    let words = Words { apart: matrix.apart(), count, at: from.first + at, stride };
    let buffers = [
        (1, matrix.index.as_entire_buffer_binding()),
        (2, from.binding()),
        (3, matrix.values.as_entire_buffer_binding()),
    ];
    let workgroups = folded("refresh", u64::from(count.div_ceil(WORKGROUP)), &limits)?;
    let pipeline = Variant::Refresh.pipeline(kernels)?;
    Dispatch::of_job(device, "refresh", pipeline, bytemuck::bytes_of(&words), &buffers, workgroups)
        .map(Dispatches::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::wgsl;

    #[test]
    fn host_and_shader_agree_about_the_job() {
        let module = wgsl::module("refresh", &Variant::Refresh.source(), "product");
        let members = wgsl::members(&module, "Refresh").unwrap();
        let names = ["apart", "count", "at", "stride"];
        assert_eq!(members, (wgsl::spaced(&names, 4), size_of::<Words>() as u32));
    }
}
