//! The easy layer: a matrix and vectors in host memory in, their products out.

use std::sync::Arc;

use super::{SpmmJob, bind, refresh_packed};
use crate::error::{Result, same};
use crate::gpu::{self, Context, Readback, View};
use crate::kernels::{Batch, Format, Matrix, Order, PipelineCache};
use crate::matrix::Pattern;

/// A X or Aᵀ X, computed on a GPU. A has the `values` on the `pattern`, in its order; X has `vectors` columns and is laid
/// out row by row, and so is the result.
///
/// ```no_run
/// use std::sync::Arc;
/// use maf_srl::gpu::Context;
/// use maf_srl::kernels::{Format, spmm::product};
/// use maf_srl::matrix::Pattern;
///
/// // (2 0 0; 0 3 5) times one vector
/// let pattern = Arc::new(Pattern::new(2, 3, [(0, 0), (1, 1), (1, 2)])?);
/// let context = Context::new(None)?;
/// let y = product(&context, &pattern, &[2.0, 3.0, 5.0], false, &[1.0, 10.0, 100.0], 1, Format::Csr)?;
/// assert_eq!(y, [2.0, 530.0]);
/// # Ok::<(), maf_srl::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Shape`] where lengths do not fit together; those of [`bind`] and of the device.
pub fn product(
    context: &Context,
    pattern: &Arc<Pattern>,
    values: &[f32],
    transposed: bool,
    x: &[f32],
    vectors: u32,
    format: Format,
) -> Result<Vec<f32>> {
    let (inner, outer) = match transposed {
        false => (pattern.columns(), pattern.rows()),
        true => (pattern.rows(), pattern.columns()),
    };
    let place = "spmm";
    same(place, "number of values", values.len() as u64, u64::from(pattern.nonzeros()))?;
    same(place, "length of x", x.len() as u64, u64::from(inner) * u64::from(vectors))?;
    let device = &context.device;
    let kernels = PipelineCache::new(device);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let view = |name: &str, numbers: &[f32]| {
        let buffer = gpu::buffer_with(device, name, bytemuck::cast_slice(numbers), usage)?;
        View::new(name, &buffer, 0, numbers.len() as u64)
    };
    let matrix = Matrix::new(&kernels, pattern.clone(), format, 1)?;
    let refresh = refresh_packed(&kernels, &matrix, &view("values", values)?)?;
    let length = u64::from(outer) * u64::from(vectors);
    let y = gpu::buffer(device, "the product", (4 * length).max(16), usage, false)?;
    let y = View::new("the product", &y, 0, length)?;
    let job = SpmmJob::plain(
        matrix,
        transposed,
        Batch::new("x", view("x", x)?, inner, vectors, Order::FeatureMajor)?,
        Batch::new("the product", y.clone(), outer, vectors, Order::FeatureMajor)?,
    );
    let dispatches = bind(&kernels, &job)?;
    let read = context.submit(place, |encoder| {
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            refresh.record(&mut pass);
            dispatches.record(&mut pass);
        }
        Readback::record(device, encoder, y.buffer(), 0, 4 * length)
    })?;
    let read = read.wait(device);
    context.check()?;
    read
}
