//! Where the formats of a sparse matrix cross over: the time of a product against density and number of vectors.

use std::sync::Arc;

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::measure::{Effort, Measured, Stopwatch};
use crate::error::{Error, Result};
use crate::gpu::{self, Context, Readback, View};
use crate::kernels::product::{Job, bind, refresh_packed};
use crate::kernels::{Batch, Dispatches, Format, Kernels, Matrix, Order};
use crate::matrix::Pattern;
use crate::network::reference::{times, transposed_times};

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
    let (device, n) = (&context.device, pattern.rows());
    let mut rng = ChaCha8Rng::seed_from_u64(0xf1);
    let mut random = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let values = random(pattern.nonzeros() as usize);
    let x = random(n as usize * vectors as usize);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let view = |numbers: &[f32]| {
        let buffer = gpu::buffer_with(device, "timed numbers", bytemuck::cast_slice(numbers), usage)?;
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
    let read = context.submit("timed product", |encoder| {
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            refresh.record(&mut pass);
            products.iter().for_each(|(product, _)| product.record(&mut pass));
        }
        let read = |(_, output): &(Dispatches, Batch)| {
            Readback::record(device, encoder, output.view.buffer(), 0, 4 * output.view.length())
        };
        products.iter().map(read).collect::<Result<Vec<_>>>()
    })?;
    for (transposed, read) in read.into_iter().enumerate() {
        check((pattern, format), &values, &x, transposed == 1, &read.wait(device)?)?;
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

/// Holds a product against float64: each sum within one rounding per term, and as much again, of the terms' magnitudes; a
/// dense row has a term per column.
fn check(
    (pattern, format): (&Pattern, Format),
    values: &[f32],
    x: &[f32],
    transposed: bool,
    got: &[f32],
) -> Result<()> {
    let n = pattern.rows() as usize;
    let multiply = if transposed { transposed_times } else { times };
    let of = |read: fn(f32) -> f64| {
        let x = Array2::from_shape_fn((n, x.len() / n), |(i, c)| read(x[i * (x.len() / n) + c]));
        multiply(pattern, &values.iter().map(|&a| read(a)).collect::<Vec<_>>(), &x)
    };
    let (exact, magnitude) = (of(f64::from), of(|x| f64::from(x.abs())));
    let terms = if format == Format::Dense {
        pattern.columns()
    } else {
        pattern.longest_row().max(pattern.transposed().0.longest_row())
    };
    let roundings = 2.0 * f64::from(terms + 8) * crate::accuracy::RELATIVE;
    for (k, ((&got, &exact), &magnitude)) in got.iter().zip(&exact).zip(&magnitude).enumerate() {
        let bound = roundings * magnitude;
        // false for NaN, which is no result either
        let within = (f64::from(got) - exact).abs() <= bound;
        if !within {
            return Err(Error::Mismatch(format!(
                "product, number {k}: GPU {got}, float64 {exact}, bound {bound:e}"
            )));
        }
    }
    Ok(())
}
