//! Which format to keep a matrix in.

use std::sync::Arc;

use super::dispatch::TILED;
use super::{SpmmJob, bind};
use crate::error::{Error, Result};
use crate::gpu::{self, Context, Timer, View};
use crate::kernels::{Batch, Format, Matrix, Order, PipelineCache};
use crate::matrix::Pattern;

/// Of this density on, a wide batch is multiplied faster in tiles: by rows an invocation loads one number per
/// multiplication, through a cache, and the column's index; in tiles half a number, from workgroup memory. That is a factor
/// of about three for about as many places more. An estimate, not a measurement.
const DENSE: f64 = 0.3;

/// Products per timing, and timings of which the shortest counts.
const REPEATS: (u32, u32) = (4, 5);

impl Format {
    /// The format that should be fastest for a matrix of this density and so many vectors at a time.
    ///
    /// For few vectors the one of the fewest bytes: csr has 8 per entry, bitmap 4 per entry and 1.25 bits per place,
    /// dense 4 per place. For 33 and more, which dense matrices are multiplied by in tiles, csr below a density of
    /// 0.3, else dense. That constant is an estimate from loads per multiplication; on a given machine
    /// [`Format::measured`] decides.
    ///
    /// ```
    /// use maf_srl::kernels::Format;
    /// assert_eq!(Format::guess(0.02, 1), Format::Csr);
    /// assert_eq!(Format::guess(0.4, 1), Format::Bitmap);
    /// assert_eq!(Format::guess(0.4, 256), Format::Dense);
    /// ```
    #[must_use]
    pub fn guess(density: f64, vectors: u32) -> Format {
        if vectors >= TILED {
            return if density < DENSE { Format::Csr } else { Format::Dense };
        }
        let bytes = |format: &Format| match format {
            Format::Csr => 8.0 * density,
            Format::Bitmap => 4.0 * density + 20.0 / 128.0,
            Format::Dense => 4.0,
        };
        Format::ALL.into_iter().min_by(|a, b| bytes(a).total_cmp(&bytes(b))).unwrap_or(Format::Csr)
    }

    /// The format whose plain product with so many vectors, laid out by components, is fastest on this device: each
    /// is timed a few times, which takes some multiples of one product's time. Formats that do not fit into the
    /// device are left out.
    ///
    /// # Errors
    /// [`Error::Limit`] or [`Error::OutOfMemory`] where no format fits, or the batch does not; those of the device.
    pub fn measured(context: &Context, pattern: &Arc<Pattern>, vectors: u32) -> Result<Format> {
        let device = &context.device;
        let kernels = PipelineCache::new(device);
        let timer = Timer::new(device, &context.queue)?;
        let batch = |name: &str, components: u32| {
            let length = u64::from(components) * u64::from(vectors);
            let bytes = (4 * length).next_multiple_of(16).max(16);
            let buffer = gpu::buffer(device, name, bytes, wgpu::BufferUsages::STORAGE, false)?;
            Batch::new(name, View::new(name, &buffer, 0, length)?, components, vectors, Order::FeatureMajor)
        };
        let (first, output) = (batch("x", pattern.columns())?, batch("the product", pattern.rows())?);
        let mut best: Option<(f64, Format)> = None;
        let mut refused = None;
        for format in Format::ALL {
            let dispatches = Matrix::new(&kernels, pattern.clone(), format, 1).and_then(|matrix| {
                let job = SpmmJob::plain(matrix, false, first.clone(), output.clone());
                bind(&kernels, &job)
            });
            let dispatches = match dispatches {
                Err(error @ (Error::Limit { .. } | Error::OutOfMemory { .. })) => {
                    refused.get_or_insert(error);
                    continue;
                }
                other => other?,
            };
            let mut least = f64::INFINITY;
            // the first one warms up
            for repeat in 0..=REPEATS.1 {
                let ns = timer.time(|_| {}, |pass| (0..REPEATS.0).for_each(|_| dispatches.record(pass)))?;
                if repeat > 0 {
                    least = least.min(ns);
                }
            }
            if best.is_none_or(|(ns, _)| least < ns) {
                best = Some((least, format));
            }
        }
        context.check()?;
        match (best, refused) {
            (Some((_, format)), _) => Ok(format),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(Format::Csr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_for_few_vectors_and_the_density_for_many() {
        let formats = |vectors| [0.01, 0.05, 0.4, 0.95, 1.0].map(|density| Format::guess(density, vectors));
        use Format::{Bitmap, Csr, Dense};
        assert_eq!(formats(1), [Csr, Bitmap, Bitmap, Bitmap, Dense]);
        assert_eq!(formats(8), formats(1));
        assert_eq!(formats(33), [Csr, Csr, Dense, Dense, Dense]);
    }
}
