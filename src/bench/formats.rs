//! Where the formats of a sparse matrix cross over: the time of a product against density and number of vectors.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::measure::{Effort, Measured, Stopwatch};
use crate::error::{Error, Result};
use crate::gpu::{self, Context, View};
use crate::kernels::product::{Job, Reference, bind, refresh_packed};
use crate::kernels::{Batch, Format, Kernels, Matrix, Order};
use crate::matrix::Pattern;

/// Densities from one entry in a hundred to all of them.
pub const DENSITIES: [f64; 8] = [0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0];

/// Numbers of vectors: one, a thin batch, wide ones.
pub const VECTORS: [u32; 4] = [1, 8, 64, 512];

/// One format at one density and number of vectors: the product with the matrix, then that with its transpose.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FormatTime {
    /// Rows and columns.
    pub components: u32,
    /// Vectors multiplied at once.
    pub vectors: u32,
    /// Share of entries that may be nonzero.
    pub density: f64,
    /// The format's name.
    pub format: &'static str,
    /// The time of both products, its spread and its clock.
    #[serde(flatten)]
    pub time: Measured,
}

/// Times every format at every density and width. Each product is compared with float64 before it is timed. What the
/// device cannot hold is left out.
///
/// # Errors
/// [`Error::Mismatch`] where a product is wrong; those of the device.
pub fn formats(
    context: &Context,
    components: u32,
    effort: &Effort,
    mut progress: impl FnMut(&str),
) -> Result<Vec<FormatTime>> {
    let kernels = Kernels::new(&context.device);
    let stopwatch = Stopwatch::new(context)?;
    let mut all = Vec::new();
    for vectors in VECTORS {
        for density in DENSITIES {
            let pattern = Arc::new(Pattern::random(components, density, 0xf0)?);
            for format in Format::ALL {
                progress(&format!("{format}, density {density}, {vectors} vectors"));
                match one(context, &kernels, &stopwatch, effort, &pattern, format, vectors) {
                    Ok(Some(time)) => {
                        let density = pattern.density();
                        all.push(FormatTime { components, vectors, density, format: format.name(), time });
                    }
                    Ok(None) | Err(Error::Limit { .. } | Error::OutOfMemory { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(all)
}

/// Both products of one format, checked and timed.
fn one(
    context: &Context,
    kernels: &Kernels,
    stopwatch: &Stopwatch,
    effort: &Effort,
    pattern: &Arc<Pattern>,
    format: Format,
    vectors: u32,
) -> Result<Option<Measured>> {
    let n = pattern.rows();
    let mut rng = ChaCha8Rng::seed_from_u64(0xf1);
    let mut random = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let values = random(pattern.nonzeros() as usize);
    let x = random(n as usize * vectors as usize);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let view = |numbers: &[f32]| {
        let buffer =
            gpu::buffer_with(&context.device, "timed numbers", bytemuck::cast_slice(numbers), usage)?;
        View::new("timed numbers", &buffer, 0, numbers.len() as u64)
    };
    let batch = |numbers: &[f32]| Batch::new("timed batch", view(numbers)?, n, vectors, Order::Components);
    let matrix = Matrix::new(kernels, pattern.clone(), format, 1)?;
    let refresh = refresh_packed(kernels, &matrix, &view(&values)?)?;
    let (first, zeros) = (batch(&x)?, vec![0.0; x.len()]);
    let mut products = Vec::new();
    for transposed in [false, true] {
        let job = Job::plain(matrix.clone(), transposed, first.clone(), batch(&zeros)?);
        products.push((bind(kernels, &job)?, job.output));
    }
    let outputs: Vec<View> = products.iter().map(|(_, output)| output.view.clone()).collect();
    let read =
        gpu::read_after::<f32>((&context.device, &context.queue), "timed product", &outputs, |encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            refresh.record(&mut pass);
            products.iter().for_each(|(product, _)| product.record(&mut pass));
        })?;
    context.check()?;
    for (transposed, got) in [false, true].into_iter().zip(read) {
        let reference = Reference::plain(pattern, format, &values, &x, vectors);
        let outcome = Reference { transposed, ..reference }.compare(|i, c| got[(i * vectors + c) as usize]);
        if let Some(what) = outcome.first_mismatch {
            return Err(Error::Mismatch(format!("product: {what}")));
        }
    }
    let bytes = 8 * x.len() as u64;
    stopwatch.measure(effort, bytes, 64, |timer, turns| {
        timer.time(
            |_| {},
            |pass| {
                (0..turns).for_each(|_| products.iter().for_each(|(product, _)| product.record(pass)));
            },
        )
    })
}
