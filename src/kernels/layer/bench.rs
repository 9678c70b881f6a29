//! What is timed of the layers: forward, several in one dispatch, and backward; and beside them the same by dense products and
//! elementwise passes, one dispatch each.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Layer, Numbers, exact, judge};
use super::{Backward, Forward, Variant, Way, backward, cases, forward};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::step::WORKGROUP;
use crate::kernels::{
    Batch, Bench, Data, Dispatch, Dispatches, Format, Kernels, Learned, Loaded, Order, Outcome, compare,
};
use crate::matrix::Pattern;
use crate::regulariser::Places;
use crate::wgsl::compose;

/// Components of every vector.
const COMPONENTS: u32 = 64;

/// Columns in each of the windows that are compared.
const WINDOW: usize = 64;

/// Layers of one kind.
#[derive(Clone, Copy, Debug)]
struct Subject {
    way: Way,
    format: Format,
    layers: u32,
    /// By dense products and elementwise passes.
    separate: bool,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let forward = |format, layers| Subject { way: Way::Forward, format, layers, separate: false };
    let backward = |format| Subject { way: Way::Backward, ..forward(format, 1) };
    [
        forward(Format::Csr, 1),
        forward(Format::Bitmap, 1),
        forward(Format::Dense, 1),
        forward(Format::Csr, 4),
        forward(Format::Dense, 4),
        backward(Format::Csr),
        backward(Format::Dense),
    ]
    .map(|subject| Box::new(subject) as Box<dyn Bench>)
    .into()
}

/// Â with 40 % of its entries, numbers as training leaves them.
fn parameters() -> Result<(Arc<Pattern>, Vec<f32>)> {
    let pattern = Arc::new(Pattern::random(COMPONENTS, 0.4, 1)?);
    let places = places(&pattern);
    let mut p = vec![0.0; places.length() as usize];
    p[Places::L] = 1.3;
    (p[Places::ETA1], p[Places::ETA2]) = (0.85, 0.7);
    (p[Places::DELTA1], p[Places::DELTA2]) = (0.15, 0.9);
    let mut rng = ChaCha8Rng::seed_from_u64(0xbe9c);
    for ((i, j), value) in pattern.entries().zip(&mut p[places.values()]) {
        *value = 0.5 * f64::from(u8::from(i == j)) + rng.random_range(-0.2..0.2);
    }
    p[places.q()].iter_mut().for_each(|q| *q = rng.random_range(0.5..1.5));
    p[places.b()].iter_mut().for_each(|b| *b = rng.random_range(-0.1..0.1));
    Ok((pattern, p.into_iter().map(|x| x as f32).collect()))
}

fn places(pattern: &Pattern) -> Places {
    Places { components: COMPONENTS, nonzeros: pattern.nonzeros() }
}

/// How many vectors there are among `elements` numbers.
fn columns(elements: u64) -> u32 {
    u32::try_from(elements / u64::from(COMPONENTS)).unwrap_or(u32::MAX).max(1)
}

/// Numbers of ordinary size, of either sign, no zeros: x, c and ȳ.
fn random(count: u64) -> [Vec<f32>; 3] {
    let mut rng = ChaCha8Rng::seed_from_u64(0xbe9c);
    [(); 3].map(|()| {
        let block: Vec<f32> = (0..count.min(999_983)).map(|_| rng.random_range(-2.0..2.0)).collect();
        block.iter().copied().cycle().take(count as usize).collect()
    })
}

impl Bench for Subject {
    fn variant(&self) -> String {
        // that of large batches
        Variant { way: self.way, format: self.format, wide: true, given: false }.name()
    }

    fn label(&self) -> String {
        let way = if self.way == Way::Forward { "forward" } else { "backward" };
        let how = if self.separate { "dense products and passes".into() } else { self.format.to_string() };
        format!("{way}/{how} of {COMPONENTS} components, {} layers", self.layers)
    }

    fn bytes(&self, elements: u64) -> u64 {
        let arrays = match (self.way, self.separate) {
            // x, c; y; and c again for every further layer
            (Way::Forward, false) => 2 + u64::from(self.layers),
            // x, c, ȳ; u, w̄, r̄
            (Way::Backward, false) => 6,
            // per layer: x, c, r; r, u; u, e; e, y
            (Way::Forward, true) => 9 * u64::from(self.layers),
            // x, c, r; r, u; ȳ, w̄; u, w̄, ū; ū, r̄
            (Way::Backward, true) => 12,
        };
        4 * arrays * u64::from(COMPONENTS) * u64::from(columns(elements))
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * 6 * u64::from(COMPONENTS) * u64::from(columns(elements))
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let (pattern, p) = parameters()?;
        let m = columns(elements);
        let count = u64::from(COMPONENTS) * u64::from(m);
        let numbers = random(count);
        let name = format!("layer/{} at {elements} elements", self.label());
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let upload = |values: &[f32]| gpu::buffer_with(device, &name, bytemuck::cast_slice(values), usage);
        let places = places(&pattern);
        let theta = upload(&p)?;
        let dense = upload(&dense(&pattern, &p[places.values()]))?;
        let learned = View::new(&name, &theta, 0, u64::from(places.length()))?;
        let learned = Learned::new(&name, learned, places, 1)?;
        let matrix = cases::matrix(queue, kernels, self.format, &pattern, std::slice::from_ref(&p))?;
        let mut loaded = Vec::new();
        for _ in 0..sets.max(1) {
            let inputs = [upload(&numbers[0])?, upload(&numbers[1])?, upload(&numbers[2])?];
            let made = gpu::buffer(device, &name, 12 * count, usage, false)?;
            let batch = |buffer: &wgpu::Buffer, k: u64| {
                let view = View::new(&name, buffer, 4 * k * count, count)?;
                Batch::new(&name, view, COMPONENTS, m, Order::Components)
            };
            let (x, c, bar) = (batch(&inputs[0], 0)?, batch(&inputs[1], 0)?, batch(&inputs[2], 0)?);
            let way = if self.separate {
                let passes = Passes { device, sizes: [COMPONENTS, m], theta: &theta, dense: &dense };
                match self.way {
                    Way::Forward => passes.forward(&inputs, &made, count, self.layers)?,
                    Way::Backward => passes.backward(&inputs, &made, count)?,
                }
                .into_iter()
                .collect()
            } else {
                let (matrix, learned, data) = (matrix.clone(), learned.clone(), Data::Near(c));
                match self.way {
                    Way::Forward => {
                        let (layers, output) = (self.layers, batch(&made, 0)?);
                        let job = Forward { matrix, learned, layers, x, data, inputs: None, output };
                        forward(kernels, &job)?
                    }
                    Way::Backward => {
                        let (u, w, r_bar) = (batch(&made, 0)?, batch(&made, 1)?, batch(&made, 2)?);
                        let (layer, scale_by) = (0, None);
                        let job = Backward { matrix, learned, layer, x, data, bar, scale_by, u, w, r_bar };
                        backward(kernels, &job)?
                    }
                }
            };
            loaded.push((made, way));
        }
        Ok(Box::new(OnDevice {
            name,
            device: device.clone(),
            queue: queue.clone(),
            subject: *self,
            layer: Layer::new(&pattern, &p, if self.separate { Format::Dense } else { self.format }),
            numbers,
            columns: m as usize,
            sets: loaded,
        }))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.format != Format::Csr || self.separate {
            return None;
        }
        let (pattern, p) = parameters().ok()?;
        let (layer, way, layers) = (Layer::new(&pattern, &p, self.format), self.way, self.layers);
        let count = u64::from(COMPONENTS) * u64::from(columns(elements));
        let [x, c, bar] = random(count).map(exact);
        Some(Box::new(move || match way {
            Way::Forward => {
                let first = layer.forward(&x, &c, false);
                drop(std::hint::black_box((1..layers).fold(first, |x, _| layer.forward(&x, &c, false))));
            }
            Way::Backward => {
                let (u, w) = (layer.u(&x, &c, false), layer.w(&bar, None));
                drop(std::hint::black_box(layer.r_bar(&u, &w)));
            }
        }))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        (!self.separate).then(|| Box::new(Subject { separate: true, ..*self }) as Box<dyn Bench>)
    }
}

/// Â with its zeros, row by row.
fn dense(pattern: &Pattern, values: &[f32]) -> Vec<f32> {
    let mut all = vec![0.0; (COMPONENTS * COMPONENTS) as usize];
    for ((i, j), value) in pattern.entries().zip(values) {
        all[(i * COMPONENTS + j) as usize] = *value;
    }
    all
}

/// What makes the dispatches of the other way.
struct Passes<'a> {
    device: &'a wgpu::Device,
    /// n and m.
    sizes: [u32; 2],
    theta: &'a wgpu::Buffer,
    dense: &'a wgpu::Buffer,
}

impl Passes<'_> {
    fn scratch(&self, count: u64) -> Result<wgpu::Buffer> {
        gpu::buffer(self.device, "between passes", 4 * count, wgpu::BufferUsages::STORAGE, false)
    }

    fn pass(
        &self,
        entry: &str,
        sizes: &[u32],
        buffers: &[(&wgpu::Buffer, u64, u64)],
        workgroups: (u32, u32),
    ) -> Result<Dispatch> {
        let file = if entry == "product" { "bench/product" } else { "bench/elementwise" };
        let source = compose(&[file]);
        let last = buffers.len() as u32;
        let bindings: Vec<_> = (0..=last).map(|k| (k, k != last)).collect();
        let pipeline = gpu::compute_pipeline(self.device, entry, &source, entry, WORKGROUP, &bindings)?;
        let buffers: Vec<_> = (1..)
            .zip(buffers)
            .map(|(binding, &(buffer, offset, size))| {
                (binding, wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
            })
            .collect();
        let sizes = bytemuck::cast_slice(sizes);
        Dispatch::of_job(self.device, entry, Arc::new(pipeline), sizes, &buffers, workgroups)
    }

    fn product(
        &self,
        transposed: bool,
        x: (&wgpu::Buffer, u64, u64),
        y: (&wgpu::Buffer, u64, u64),
    ) -> Result<Dispatch> {
        let [n, m] = self.sizes;
        let (down, next) = if transposed { (1, n) } else { (n, 1) };
        let workgroups = (m.div_ceil(16), n.div_ceil(16));
        let a = (self.dense, 0, self.dense.size());
        self.pass("product", &[n, m, n, down, next], &[a, x, y], workgroups)
    }

    fn elementwise(&self, which: u32, buffers: [(&wgpu::Buffer, u64, u64); 3]) -> Result<Dispatch> {
        let [n, m] = self.sizes;
        let count = (n * m).div_ceil(WORKGROUP);
        let across = count.min(1 << 15);
        let theta = (self.theta, 0, self.theta.size());
        let [a, b, to] = buffers;
        self.pass("elementwise", &[n, m, which, across], &[theta, a, b, to], (across, count.div_ceil(across)))
    }

    fn forward(
        &self,
        [x, c, _]: &[wgpu::Buffer; 3],
        made: &wgpu::Buffer,
        count: u64,
        layers: u32,
    ) -> Result<Vec<Dispatch>> {
        let (one, two) = (self.scratch(count)?, self.scratch(count)?);
        let whole = |buffer| (buffer, 0, 4 * count);
        let mut all = Vec::new();
        for k in 0..layers {
            let from = if k == 0 { x } else { made };
            all.push(self.elementwise(0, [whole(from), whole(c), whole(&one)])?);
            all.push(self.product(false, whole(&one), whole(&two))?);
            all.push(self.elementwise(1, [whole(&two), whole(c), whole(&one)])?);
            all.push(self.product(true, whole(&one), whole(made))?);
        }
        Ok(all)
    }

    fn backward(
        &self,
        [x, c, bar]: &[wgpu::Buffer; 3],
        made: &wgpu::Buffer,
        count: u64,
    ) -> Result<Vec<Dispatch>> {
        let one = self.scratch(count)?;
        let whole = |buffer| (buffer, 0, 4 * count);
        let [u, w, r_bar] = [0, 1, 2].map(|k| (made, 4 * count * k, 4 * count));
        Ok(vec![
            self.elementwise(0, [whole(x), whole(c), whole(&one)])?,
            self.product(false, whole(&one), u)?,
            self.product(false, whole(bar), w)?,
            self.elementwise(2, [u, w, whole(&one)])?,
            self.product(true, whole(&one), r_bar)?,
        ])
    }
}

/// A subject's buffers.
struct OnDevice {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    subject: Subject,
    layer: Layer,
    numbers: [Vec<f32>; 3],
    columns: usize,
    sets: Vec<(wgpu::Buffer, Dispatches)>,
}

impl OnDevice {
    /// The columns that are compared: the first, some in the middle, and the last.
    fn window(&self) -> Vec<usize> {
        let m = self.columns;
        if m <= 3 * WINDOW {
            return (0..m).collect();
        }
        let middle = m / 2 - 13;
        (0..WINDOW).chain(middle..middle + WINDOW).chain(m - WINDOW..m).collect()
    }

    fn chosen(&self, all: &[f32]) -> Vec<f32> {
        let window = self.window();
        all.chunks(self.columns).flat_map(|row| window.iter().map(|&c| row[c])).collect()
    }
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let (made, _) = &self.sets[0];
        let read = gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0);
            let read = Readback::record(&self.device, &mut encoder, made, 0, made.size());
            self.queue.submit([encoder.finish()]);
            read
        })?;
        let made: Vec<f32> = read?.wait(&self.device)?;
        let parts: Vec<Vec<f32>> = made.chunks(made.len() / 3).map(|part| self.chosen(part)).collect();
        let [x, c, bar] = self.numbers.each_ref().map(|all| exact(self.chosen(all)));
        let judged =
            |expected: &Numbers, got: &[f32]| compare(got.len(), |k| judge(expected[k], got[k]), |k| got[k]);
        let layer = &self.layer;
        let mut outcome = Outcome::default();
        match self.subject.way {
            Way::Forward => {
                let y = (0..self.subject.layers).fold(x, |x, _| layer.forward(&x, &c, false));
                outcome.merge(judged(&y, &parts[0]));
            }
            Way::Backward => {
                outcome.merge(judged(&layer.u(&x, &c, false), &parts[0]));
                outcome.merge(judged(&layer.w(&bar, None), &parts[1]));
                let [u, w] = [&parts[0], &parts[1]].map(|all| exact(all.iter().copied()));
                outcome.merge(judged(&layer.r_bar(&u, &w).0, &parts[2]));
            }
        }
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, _: &mut wgpu::CommandEncoder) {}

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        self.sets[set % self.sets.len()].1.record(pass);
    }
}
