//! What is timed of the layers: forward, several in one dispatch, and backward; and beside them the same by dense products and
//! elementwise passes, one dispatch each.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Layer, Numbers, exact, judge};
use super::{Forward, Variant, Way, backward, cases, forward};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::backward::SavedActivations;
use crate::kernels::program::{Program, Struct};
use crate::kernels::step::WORKGROUP;
use crate::kernels::timed::{self, COMPONENTS, Set};
use crate::kernels::{
    Bench, Data, Dispatch, Dispatches, Format, LearnedParameters, Loaded, Outcome, Setup, compare,
};
use crate::matrix::Pattern;
use crate::penalty::Activation;
use crate::regulariser::Parameters;
use crate::wgsl::compose;

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
    timed::boxed([
        forward(Format::Csr, 1),
        forward(Format::Bitmap, 1),
        forward(Format::Dense, 1),
        forward(Format::Csr, 4),
        forward(Format::Dense, 4),
        backward(Format::Csr),
        backward(Format::Dense),
    ])
}

/// Â with 40 % of its entries, numbers as training leaves them.
fn parameters() -> Result<Parameters> {
    let pattern = Arc::new(Pattern::random(COMPONENTS, 0.4, 1)?);
    let activation = Activation { eta1: 0.85, eta2: 0.7, delta1: 0.15, delta2: 0.9 };
    let mut p = Parameters::identity(pattern, activation, 1.3)?;
    let mut rng = ChaCha8Rng::seed_from_u64(0xbe9c);
    p.values.iter_mut().for_each(|a| *a = 0.5 * *a + rng.random_range(-0.2..0.2));
    p.q.fill_with(|| rng.random_range(0.5..1.5));
    p.b.fill_with(|| rng.random_range(-0.1..0.1));
    Ok(p)
}

impl Subject {
    /// Judges what was made of so many columns: the first, some in the middle, and the last.
    fn judge(&self, layer: &Layer, numbers: &[Vec<f32>; 3], m: usize, made: &[f32]) -> Outcome {
        let seen: Vec<usize> = if m <= 3 * WINDOW {
            (0..m).collect()
        } else {
            let middle = m / 2 - 13;
            (0..WINDOW).chain(middle..middle + WINDOW).chain(m - WINDOW..m).collect()
        };
        let chosen = |all: &[f32]| -> Vec<f32> {
            all.chunks(m).flat_map(|row| seen.iter().map(|&c| row[c])).collect()
        };
        let parts: Vec<Vec<f32>> = made.chunks(made.len() / 3).map(chosen).collect();
        let [x, c, grad_output] = numbers.each_ref().map(|all| exact(chosen(all)));
        let judged = |expected: &Numbers, got: &[f32]| {
            compare(got.len(), |k| judge(expected[k], got[k]), |k| got[k], |_| String::new())
        };
        match self.way {
            Way::Forward => {
                let y = (0..self.layers).fold(x, |x, _| layer.forward(&x, &c, false));
                judged(&y, &parts[0])
            }
            Way::Backward => {
                let mut outcome = judged(&layer.u(&x, &c, false), &parts[0]);
                outcome.merge(judged(&layer.w(&grad_output, None), &parts[1]));
                let [u, w] = [&parts[0], &parts[1]].map(|all| exact(all.iter().copied()));
                outcome.merge(judged(&layer.grad_r(&u, &w).0, &parts[2]));
                outcome
            }
        }
    }
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
        4 * arrays * timed::whole(elements)
    }

    fn footprint(&self, elements: u64) -> u64 {
        4 * 6 * timed::whole(elements)
    }

    fn load(&self, on: &Setup<'_>) -> Result<Loaded> {
        let parameters = parameters()?;
        let (pattern, places, p) = (&parameters.pattern, parameters.places(), parameters.packed());
        let (m, count) = (timed::vectors(on.elements), timed::whole(on.elements));
        let numbers = timed::batches(on.elements);
        let theta = on.filled(&p)?;
        let dense = on.filled(&dense(pattern, &p[places.values()]))?;
        let learned = LearnedParameters::new(on.name, theta.clone(), places, 1)?;
        let matrix = cases::matrix(on.queue, on.kernels, self.format, pattern, std::slice::from_ref(&p))?;
        let passes = Passes { on, sizes: [COMPONENTS, m], theta, dense };
        let set = || {
            let [x, c, grad_output] =
                [on.filled(&numbers[0])?, on.filled(&numbers[1])?, on.filled(&numbers[2])?];
            let made = on.empty(0, 3 * count)?;
            let part = |k: u64| made.part(4 * k * count, count);
            let dispatches: Dispatches = match (self.way, self.separate) {
                (Way::Forward, true) => passes.forward([x, c, part(0)], self.layers)?,
                (Way::Backward, true) => passes.backward([x, c, grad_output], [part(0), part(1), part(2)])?,
                (way, false) => {
                    let batch = |view| on.batch(view);
                    let (matrix, learned) = (matrix.clone(), learned.clone());
                    let (x, data) = (batch(x)?, Data::Near(batch(c)?));
                    if way == Way::Forward {
                        let (layers, output) = (self.layers, batch(part(0))?);
                        let job = Forward { matrix, learned, layers, x, data, inputs: None, output };
                        forward(on.kernels, &job)?
                    } else {
                        let (u, w, grad_r) = (batch(part(0))?, batch(part(1))?, batch(part(2))?);
                        let (layer, scale_by, grad_output) = (0, None, batch(grad_output)?);
                        let passed =
                            SavedActivations { learned, layer, x, data, grad_output, scale_by, u, w, grad_r };
                        backward(on.kernels, &matrix, &passed)?
                    }
                }
            };
            Ok(Set::new(move |pass| dispatches.record(pass), [made]))
        };
        let layer = Layer::new(pattern, &p, if self.separate { Format::Dense } else { self.format });
        on.load(set, |seen, outcome| outcome.merge(self.judge(&layer, &numbers, m as usize, &seen[0])))
    }

    fn host(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if self.format != Format::Csr || self.separate {
            return None;
        }
        let p = parameters().ok()?;
        let (layer, way, layers) = (Layer::new(&p.pattern, &p.packed(), self.format), self.way, self.layers);
        let [x, c, grad_output] = timed::batches(elements).map(exact);
        timed::host(move || match way {
            Way::Forward => {
                let first = layer.forward(&x, &c, false);
                (1..layers).fold(first, |x, _| layer.forward(&x, &c, false))
            }
            Way::Backward => {
                let (u, w) = (layer.u(&x, &c, false), layer.w(&grad_output, None));
                layer.grad_r(&u, &w).0
            }
        })
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

/// A kernel of the other way, no room's: a product or an elementwise pass.
struct Pass<const PRODUCT: bool>;

impl<const PRODUCT: bool> Program for Pass<PRODUCT> {
    const KERNEL: &'static str = if PRODUCT { "spmm" } else { "elementwise" };

    fn name(&self) -> String {
        "bench".into()
    }

    fn source(&self) -> String {
        compose(&[&format!("bench/{}", Self::KERNEL)])
    }

    /// An array of sizes.
    fn structs(&self) -> Vec<Struct> {
        Vec::new()
    }

    fn work(&self) -> &'static str {
        "No variant of a kernel."
    }

    /// All but the last, where the results go.
    fn reads(&self) -> &'static [u32] {
        if PRODUCT { &[0, 1, 2] } else { &[0, 1, 2, 3] }
    }
}

/// What makes the dispatches of the other way.
struct Passes<'a> {
    on: &'a Setup<'a>,
    /// n and m.
    sizes: [u32; 2],
    theta: View,
    dense: View,
}

impl Passes<'_> {
    fn pass<const PRODUCT: bool>(
        &self,
        sizes: &[u32],
        views: &[&View],
        workgroups: (u32, u32),
    ) -> Result<Dispatch> {
        let size = |view: &View| wgpu::BufferSize::new(4 * view.len());
        let buffers: Vec<_> = (1..)
            .zip(views)
            .map(|(k, v)| (k, wgpu::BufferBinding { buffer: v.buffer(), offset: v.offset(), size: size(v) }))
            .collect();
        let pass = Pass::<PRODUCT>;
        Dispatch::of_job(self.on.kernels, &pass, bytemuck::cast_slice(sizes), &buffers, workgroups)
    }

    fn product(&self, transposed: bool, x: &View, y: &View) -> Result<Dispatch> {
        let [n, m] = self.sizes;
        let (down, next) = if transposed { (1, n) } else { (n, 1) };
        let workgroups = (m.div_ceil(16), n.div_ceil(16));
        self.pass::<true>(&[n, m, n, down, next], &[&self.dense, x, y], workgroups)
    }

    fn elementwise(&self, which: u32, a: &View, b: &View, to: &View) -> Result<Dispatch> {
        let [n, m] = self.sizes;
        let count = (n * m).div_ceil(WORKGROUP);
        let across = count.min(1 << 15);
        let workgroups = (across, count.div_ceil(across));
        self.pass::<false>(&[n, m, which, across], &[&self.theta, a, b, to], workgroups)
    }

    fn forward(&self, [x, c, y]: [View; 3], layers: u32) -> Result<Dispatches> {
        let (one, two) = (self.on.empty(0, y.len())?, self.on.empty(0, y.len())?);
        let mut all = Vec::new();
        for k in 0..layers {
            all.push(self.elementwise(0, if k == 0 { &x } else { &y }, &c, &one)?);
            all.push(self.product(false, &one, &two)?);
            all.push(self.elementwise(1, &two, &c, &one)?);
            all.push(self.product(true, &one, &y)?);
        }
        Ok(all.into_iter().collect())
    }

    fn backward(&self, [x, c, grad_output]: [View; 3], [u, w, grad_r]: [View; 3]) -> Result<Dispatches> {
        let one = self.on.empty(0, u.len())?;
        let all = [
            self.elementwise(0, &x, &c, &one)?,
            self.product(false, &one, &u)?,
            self.product(false, &grad_output, &w)?,
            self.elementwise(2, &u, &w, &one)?,
            self.product(true, &one, &grad_r)?,
        ];
        Ok(all.into_iter().collect())
    }
}
