//! What is timed of the product.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Finish, Job, Operand, Path, Reference, Variant, bind, refresh_packed};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::{Batch, Bench, Dispatches, Format, Kernels, Loaded, Matrix, Order, Outcome};
use crate::matrix::Pattern;
use crate::regulariser::Places;

/// Random numbers are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 20;

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
    subjects.map(|(format, shape)| Box::new(Subject { format, shape }) as Box<dyn Bench>).into()
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
}

/// Numbers of ordinary size, of either sign; no zeros.
fn random(length: u64, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let one = |_| {
        let magnitude = rng.random_range(1e-3..1.0);
        if rng.random::<bool>() { magnitude } else { -magnitude }
    };
    let block: Vec<f32> = (0..length.min(BLOCK)).map(one).collect();
    block.iter().copied().cycle().take(length as usize).collect()
}

/// The plain product of numbers in host memory.
fn reference<'a>(
    pattern: &'a Pattern,
    format: Format,
    values: &'a [f32],
    x: &'a [f32],
    m: u32,
) -> Reference<'a> {
    Reference {
        pattern,
        values,
        transposed: false,
        format,
        operand: Operand::Plain,
        finish: Finish::Plain,
        learned: (&[], Places { components: 0, nonzeros: 0 }),
        scale: None,
        first: (x, Order::Components),
        second: (&[], Order::Components),
        vectors: m,
    }
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let path = match (self.format, self.shape) {
            (Format::Dense, _) => Path::Tiles,
            (format, shape) => Path::Rows { format, single: matches!(shape, Shape::Image(1)) },
        };
        Variant::Product { path, operand: Operand::Plain, finish: Finish::Plain }.name()
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

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let name = format!("product/{} at {elements} elements", self.label());
        let (n, m) = self.size(elements);
        let pattern = Arc::new(self.pattern(elements)?);
        let values = random(u64::from(pattern.nonzeros()), 2);
        let x = random(n * m, 3);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let view = |numbers: &[f32]| {
            let buffer = gpu::buffer_with(device, &name, bytemuck::cast_slice(numbers), usage)?;
            View::new(&name, &buffer, 0, numbers.len() as u64)
        };
        let packed = view(&values)?;
        let mut loaded = Vec::new();
        for _ in 0..sets.max(1) {
            let matrix = Matrix::new(kernels, pattern.clone(), self.format, 1)?;
            let refresh = refresh_packed(kernels, &matrix, &packed)?;
            let output = gpu::buffer(device, &name, (4 * n * m).max(16), usage, false)?;
            let output = View::new(&name, &output, 0, n * m)?;
            let batch = |view| Batch::new(&name, view, n as u32, m as u32, Order::Components);
            let job = Job::plain(matrix, false, batch(view(&x)?)?, batch(output)?);
            gpu::guarded(device, &name, 0, || {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                refresh.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                queue.submit([encoder.finish()]);
            })?;
            loaded.push((job.output.view.clone(), bind(kernels, &job)?));
        }
        let (device, queue) = (device.clone(), queue.clone());
        Ok(Box::new(OnDevice { name, device, queue, pattern, format: self.format, values, x, sets: loaded }))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let (n, m) = self.size(elements);
        // of one matrix one twin is enough
        if self.format != Format::Csr {
            return None;
        }
        let pattern = self.pattern(elements).ok()?;
        let (values, x, format) = (random(u64::from(pattern.nonzeros()), 2), random(n * m, 3), self.format);
        Some(Box::new(move || {
            std::hint::black_box(reference(&pattern, format, &values, &x, m as u32).products());
        }))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        match (self.format, self.shape) {
            // the dense product
            (Format::Csr, Shape::Random(..)) => Some(Box::new(Subject { format: Format::Dense, ..*self })),
            _ => None,
        }
    }
}

/// A subject's buffers.
struct OnDevice {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    pattern: Arc<Pattern>,
    format: Format,
    values: Vec<f32>,
    x: Vec<f32>,
    sets: Vec<(View, Dispatches)>,
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let output = &self.sets[0].0;
        let read = gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0);
            let read = Readback::record(&self.device, &mut encoder, output.buffer(), 0, 4 * output.length());
            self.queue.submit([encoder.finish()]);
            read
        })?;
        let words: Vec<f32> = read?.wait(&self.device)?;
        let m = self.x.len() / self.pattern.columns() as usize;
        // of many vectors the first and the last
        let seen: Vec<usize> = (0..m).filter(|c| c.min(&(m - 1 - c)) < &SEEN).collect();
        let x: Vec<f32> = self.x.chunks(m).flat_map(|row| seen.iter().map(|&c| row[c])).collect();
        let reference = reference(&self.pattern, self.format, &self.values, &x, seen.len() as u32);
        let mut outcome = reference.compare(|i, c| words[i as usize * m + seen[c as usize]]);
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, _: &mut wgpu::CommandEncoder) {}

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        self.sets[set % self.sets.len()].1.record(pass);
    }
}
