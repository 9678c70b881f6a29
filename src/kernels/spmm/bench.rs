//! What is timed of the product.

use std::sync::Arc;

use super::{Epilogue, Path, Prologue, SpmmJob, SpmmReference, Variant, bind, refresh_packed};
use crate::error::Result;
use crate::kernels::program::Program;
use crate::kernels::timed::{self, Set, numbers};
use crate::kernels::{Batch, Bench, Format, Loaded, Matrix, Order, Setup};
use crate::matrix::Pattern;

/// The most pixels of an image: larger batches have more vectors.
const PIXELS: u64 = 1 << 18;

/// Vectors at either end of a batch that are compared.
const SEEN: usize = 128;

/// The matrix: `elements` is the number of numbers in the batch, n components times m vectors.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// Few vectors: m of them. The pattern is that of an image of n pixels, each with the 5 x 5 around it.
    Image(u64),
    /// Many vectors of n components, m = elements / n, and a random pattern of this density.
    Random(u64, f64),
}

/// One format and shape.
#[derive(Clone, Copy, Debug)]
struct Subject {
    format: Format,
    shape: Shape,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let subjects = [
        (Format::Csr, Shape::Image(1)),
        (Format::Csr, Shape::Image(8)),
        (Format::Csr, Shape::Random(256, 0.05)),
        (Format::Csr, Shape::Random(256, 0.4)),
        (Format::Bitmap, Shape::Random(256, 0.05)),
        (Format::Bitmap, Shape::Random(256, 0.4)),
        (Format::Dense, Shape::Random(256, 0.4)),
        (Format::Dense, Shape::Random(1024, 0.4)),
    ];
    timed::boxed(subjects.map(|(format, shape)| Subject { format, shape }))
}

impl Subject {
    /// n and m.
    fn size(&self, elements: u64) -> (u64, u64) {
        match self.shape {
            Shape::Image(m) => {
                let width = (elements / m).clamp(1, PIXELS).isqrt();
                (width * width, (elements / (width * width)).max(1))
            }
            Shape::Random(n, _) => {
                let n = n.min(elements.max(1));
                (n, (elements / n).max(1))
            }
        }
    }

    fn pattern(&self, elements: u64) -> Result<Pattern> {
        let (n, _) = self.size(elements);
        match self.shape {
            Shape::Image(_) => Pattern::neighbourhood(n.isqrt() as u32, n.isqrt() as u32, 2),
            Shape::Random(_, density) => Pattern::random(n as u32, density, 1),
        }
    }

    /// The values of the matrix, and the batch.
    fn numbers(pattern: &Pattern, length: u64) -> (Vec<f32>, Vec<f32>) {
        (numbers(u64::from(pattern.nonzeros()), 2, 1.0), numbers(length, 3, 1.0))
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let path = match (self.format, self.shape) {
            (Format::Dense, _) => Path::Tiles,
            (format, shape) => Path::Rows { format, single: matches!(shape, Shape::Image(1)) },
        };
        Variant::Product { path, prologue: Prologue::Plain, epilogue: Epilogue::Plain }.name()
    }

    fn label(&self) -> String {
        match self.shape {
            Shape::Image(m) => format!("{} of an image, {m} vectors", self.variant()),
            Shape::Random(n, density) => format!("{} of {n}, density {density}", self.variant()),
        }
    }

    fn bytes(&self, elements: u64) -> u64 {
        let (n, m) = self.size(elements);
        let places = (n * n) as f64;
        let entries = match self.shape {
            Shape::Image(_) => {
                let side = n.isqrt() as f64;
                (5.0 * side - 6.0).max(side).powi(2).min(places)
            }
            Shape::Random(_, density) => (density * places).max(n as f64),
        };
        let matrix = match self.format {
            Format::Csr => 8.0 * entries,
            Format::Bitmap => 4.0 * entries + places * 20.0 / 128.0,
            Format::Dense => 4.0 * places,
        };
        matrix as u64 + 8 * n * m
    }

    fn footprint(&self, elements: u64) -> u64 {
        2 * self.bytes(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let (n, m) = self.size(on.elements);
        let pattern = Arc::new(self.pattern(on.elements)?);
        let (values, x) = Self::numbers(&pattern, n * m);
        let packed = on.filled(&values)?;
        let set = || {
            let matrix = Matrix::new(on.kernels, pattern.clone(), self.format, 1)?;
            let refresh = refresh_packed(on.kernels, &matrix, &packed)?;
            on.submit(|encoder| {
                refresh.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                Ok(())
            })?;
            let batch = |view| Batch::new(on.name, view, n as u32, m as u32, Order::FeatureMajor);
            let job = SpmmJob::plain(matrix, false, batch(on.filled(&x)?)?, batch(on.empty(0, n * m)?)?);
            let dispatches = bind(on.kernels, &job)?;
            Ok(Set::new(move |pass| dispatches.record(pass), [job.output.view]))
        };
        on.load(set, |read, outcome| {
            let m = m as usize;
            // of many vectors the first and the last
            let seen: Vec<usize> = (0..m).filter(|c| c.min(&(m - 1 - c)) < &SEEN).collect();
            let x: Vec<f32> = x.chunks(m).flat_map(|row| seen.iter().map(|&c| row[c])).collect();
            let reference = SpmmReference::plain(&pattern, self.format, &values, &x, seen.len() as u32);
            outcome.merge(reference.compare(|i, c| read[0][i as usize * m + seen[c as usize]]));
        })
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let (n, m) = self.size(elements);
        // of one matrix one reference is enough
        if self.format != Format::Csr {
            return None;
        }
        let pattern = self.pattern(elements).ok()?;
        let ((values, x), format) = (Self::numbers(&pattern, n * m), self.format);
        timed::host(move || SpmmReference::plain(&pattern, format, &values, &x, m as u32).products())
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        // the dense product
        let timed = self.format == Format::Csr && matches!(self.shape, Shape::Random(..));
        timed.then(|| Box::new(Subject { format: Format::Dense, ..*self }) as Box<dyn Bench>)
    }
}
