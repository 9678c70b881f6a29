//! Where the formats of a sparse matrix cross over: the time of a product against density and number of vectors.

use std::sync::Arc;

use super::measure::{ANY_MEMORY, Effort, Measured, Stopwatch};
use crate::error::{Error, Result, require};
use crate::gpu::Context;
use crate::kernels::spmm::{SpmmJob, SpmmReference, bind, refresh_packed};
use crate::kernels::{Batch, Format, Matrix, Order, PipelineCache, Set, Setup, numbers};
use crate::matrix::Pattern;

/// Densities from one entry in a hundred to all of them.
pub const DENSITIES: [f64; 8] = [0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0];

/// The most rows and columns: all entries of as many, in every format and in float64, take about a gibibyte.
pub const LARGEST: u32 = 4096;

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
/// [`Error::Domain`] for no components or more than [`LARGEST`]; [`Error::Mismatch`] where a product is wrong; those of
/// the device.
pub fn formats(
    context: &Context,
    components: u32,
    effort: &Effort,
    mut progress: impl FnMut(&str),
) -> Result<Vec<FormatTime>> {
    let range = format_args!("[1, {LARGEST}]");
    require((1..=LARGEST).contains(&components), "`formats`", "components", f64::from(components), range)?;
    let kernels = PipelineCache::new(&context.device);
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
    kernels: &PipelineCache,
    stopwatch: &Stopwatch,
    effort: &Effort,
    pattern: &Arc<Pattern>,
    format: Format,
    vectors: u32,
) -> Result<Option<Measured>> {
    let n = pattern.rows();
    let elements = u64::from(n) * u64::from(vectors);
    let (values, x) = (numbers(u64::from(pattern.nonzeros()), 1, 1.0), numbers(elements, 2, 1.0));
    let (device, queue) = (&context.device, &context.queue);
    let on = Setup { device, queue, kernels, name: "timed product", elements, sets: 1 };
    let batch = |view| Batch::new(on.name, view, n, vectors, Order::FeatureMajor);
    let set = || {
        let matrix = Matrix::new(kernels, pattern.clone(), format, 1)?;
        let refresh = refresh_packed(kernels, &matrix, &on.filled(&values)?)?;
        on.submit(|encoder| {
            refresh.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            Ok(())
        })?;
        let x = batch(on.filled(&x)?)?;
        let job = |transposed| {
            Ok(SpmmJob::plain(matrix.clone(), transposed, x.clone(), batch(on.empty(0, elements)?)?))
        };
        let jobs: [SpmmJob; 2] = [job(false)?, job(true)?];
        let products = [bind(kernels, &jobs[0])?, bind(kernels, &jobs[1])?];
        let record = move |pass: &mut wgpu::ComputePass<'_>| products.iter().for_each(|p| p.record(pass));
        Ok(Set::new(record, jobs.map(|job| job.output.view)))
    };
    let loaded = on.load(set, |seen, outcome| {
        for (transposed, got) in [false, true].into_iter().zip(seen) {
            let reference = SpmmReference::plain(pattern, format, &values, &x, vectors);
            let got = |i, c| got[(i * vectors + c) as usize];
            outcome.merge(SpmmReference { transposed, ..reference }.compare(got));
        }
    })?;
    context.check()?;
    let loaded = loaded.checked()?;
    stopwatch.measure(effort, (8 * elements, ANY_MEMORY), 64, |timer, turns| loaded.time(timer, turns))
}
