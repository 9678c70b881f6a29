//! The cases of the layers: every way, format and word, sizes round every border, every kind of number.

use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Layer, Numbers, exact, judge};
use super::{Forward, Way, backward, forward};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::backward::SavedActivations;
use crate::kernels::fixture::Fixture;
use crate::kernels::matrix::Laid;
use crate::kernels::{
    Batch, Case, Data, Format, LearnedParameters, Matrix, Order, Outcome, PipelineCache, compare,
};
use crate::matrix::Pattern;
use crate::regulariser::ParameterLayout;

/// What outputs hold before, so that a word that is not written is seen.
const UNWRITTEN: u32 = 0x7fba_0001;

/// Kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Ordinary,
    /// Zeros of both signs.
    Zeros,
    /// Beyond the range of f32 on the way.
    Huge,
    /// Subnormal ones among tiny ones.
    Tiny,
    /// NaN and infinities in some columns of x, of the data term and of ȳ.
    Nonfinite,
    /// A number of the layer, by its place, is NaN or infinite.
    Theta(usize, f32),
    /// q u at the knees of the activation, and next to them; for Â = I.
    Knees,
}

/// One case.
#[derive(Clone, Debug)]
struct Subject {
    way: Way,
    format: Format,
    pattern: Arc<Pattern>,
    columns: u32,
    layers: u32,
    shared: bool,
    given: bool,
    /// Of x, of the data term, and of y or ȳ.
    orders: [Order; 3],
    lead: u64,
    one_buffer: bool,
    kind: Kind,
}

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all: Vec<Subject> = Vec::new();
    let density =
        |n, density| Arc::new(Pattern::random(n, density, u64::from(n)).expect("a density in (0, 1]"));
    let orders = |k: usize| {
        [0, 1, 2].map(|bit| if k >> bit & 1 == 0 { Order::FeatureMajor } else { Order::BatchMajor })
    };
    let basic = Subject {
        way: Way::Forward,
        format: Format::Csr,
        pattern: density(16, 0.3),
        columns: 64,
        layers: 1,
        shared: true,
        given: false,
        orders: orders(0),
        lead: 0,
        one_buffer: false,
        kind: Kind::Ordinary,
    };
    let sizes = [
        (1, 1.0, &[1, 3, 64, 1000, 100_000][..]),
        (2, 0.6, &[1, 2, 255, 256, 1000]),
        (3, 1.0, &[3, 64, 257, 1000]),
        (16, 0.3, &[1, 3, 64, 129, 1000, 4099]),
        (63, 0.4, &[1, 64, 1000]),
        (64, 0.4, &[3, 64, 128, 192, 256, 1000, 2048]),
        (65, 0.05, &[1, 64, 1000]),
        (100, 0.2, &[64, 300]),
        (128, 1.0, &[3, 64, 300]),
        (129, 0.05, &[3, 1000]),
        (200, 0.1, &[2, 128, 256]),
        (256, 0.2, &[1, 64, 300]),
        (257, 0.05, &[3, 300]),
        (511, 0.05, &[1, 64]),
        (512, 0.1, &[3, 64, 256]),
    ];
    let mut turn = 0;
    for (n, share, columns) in sizes {
        let pattern = density(n, share);
        for &columns in columns {
            for way in [Way::Forward, Way::Backward] {
                for format in Format::ALL {
                    turn += 1;
                    let large = u64::from(n) * u64::from(columns) > 50_000;
                    all.push(Subject {
                        way,
                        format,
                        pattern: pattern.clone(),
                        columns,
                        layers: if large { 1 + (turn as u32 / 3) % 2 } else { [1, 2, 5][turn % 3] },
                        shared: turn / 2 % 2 == 0,
                        orders: orders(turn),
                        lead: turn as u64 % 4,
                        one_buffer: turn % 3 == 0,
                        ..basic.clone()
                    });
                }
            }
        }
    }
    for way in [Way::Forward, Way::Backward] {
        for format in Format::ALL {
            // several layers in every format
            for (n, share, columns) in [(16, 0.3, 64), (64, 0.4, 256), (129, 0.05, 3)] {
                for (layers, shared) in [(3, false), (3, true), (4, false), (4, true)] {
                    let pattern = density(n, share);
                    let (orders, lead) = (orders(columns as usize + layers as usize), u64::from(layers));
                    let several = Subject { way, format, pattern, columns, layers, shared, ..basic.clone() };
                    all.push(Subject { orders, lead, one_buffer: !shared, ..several });
                }
            }
            let of = Subject { way, format, ..basic.clone() };
            for columns in [1, 20, 300] {
                // the gradient given
                for (n, share) in [(3, 1.0), (64, 0.4), (130, 0.2)] {
                    turn += 1;
                    let pattern = density(n, share);
                    let (orders, one_buffer) = (orders(turn), turn % 2 == 0);
                    all.push(Subject {
                        pattern,
                        columns,
                        given: true,
                        orders,
                        one_buffer,
                        lead: 3,
                        ..of.clone()
                    });
                }
                for kind in [Kind::Zeros, Kind::Huge, Kind::Tiny, Kind::Nonfinite] {
                    for given in [false, true] {
                        all.push(Subject { columns, kind, given, ..of.clone() });
                    }
                    all.push(Subject {
                        columns,
                        kind,
                        layers: 2,
                        shared: false,
                        pattern: density(64, 0.1),
                        ..of.clone()
                    });
                }
                all.push(Subject {
                    columns,
                    pattern: Arc::new(Pattern::diagonal(48).expect("a size")),
                    kind: Kind::Knees,
                    ..of.clone()
                });
            }
            let places = ParameterLayout { components: 16, nonzeros: of.pattern.nonzeros() };
            let heads = [
                ParameterLayout::L,
                ParameterLayout::ETA1,
                ParameterLayout::ETA2,
                ParameterLayout::DELTA1,
                ParameterLayout::DELTA2,
            ];
            let others = [places.q().start + 1, places.b().start + 2, places.values().start + 5];
            for (k, at) in heads.into_iter().chain(others).enumerate() {
                for number in [f32::NAN, f32::INFINITY] {
                    let columns = [3, 300][k % 2];
                    all.push(Subject { columns, kind: Kind::Theta(at, number), ..of.clone() });
                    all.push(Subject {
                        columns,
                        kind: Kind::Theta(at, number),
                        layers: 2,
                        shared: false,
                        ..of.clone()
                    });
                }
            }
        }
    }
    all.into_iter().map(|subject| Box::new(subject) as Box<dyn Case>).collect()
}

/// A number of ordinary size, of either sign.
fn ordinary(rng: &mut impl Rng) -> f32 {
    rng.random_range(-2.0..2.0)
}

impl Subject {
    fn n(&self) -> usize {
        self.pattern.rows() as usize
    }

    fn m(&self) -> usize {
        self.columns as usize
    }

    fn places(&self) -> ParameterLayout {
        ParameterLayout { components: self.pattern.rows(), nonzeros: self.pattern.nonzeros() }
    }

    /// The learned numbers of each layer: backward there is always one more, whose L scales ȳ.
    fn parameters(&self, rng: &mut impl Rng) -> Vec<Vec<f32>> {
        let layers = if self.shared { 1 } else { self.layers + u32::from(self.way == Way::Backward) };
        let places = self.places();
        let one = |layer: u32| {
            let mut p = vec![0.0; places.length() as usize];
            p[ParameterLayout::L] = 1.3 + 0.2 * f64::from(layer);
            (p[ParameterLayout::ETA1], p[ParameterLayout::ETA2]) = (0.85, 0.7 + 0.05 * f64::from(layer));
            (p[ParameterLayout::DELTA1], p[ParameterLayout::DELTA2]) = match self.kind {
                Kind::Knees => (0.5, 1.25),
                Kind::Tiny => (0.0, 1e-37),
                _ => (0.15, 0.9),
            };
            if self.kind == Kind::Knees {
                p[places.values()].fill(1.0);
                p[places.q()].iter_mut().enumerate().for_each(|(i, q)| *q = [0.5, 1.0, 2.0][i % 3]);
                return p.into_iter().map(|x| x as f32).collect();
            }
            for ((i, j), value) in self.pattern.entries().zip(&mut p[places.values()]) {
                let apart = f64::from(1.0 / (self.pattern.row(i).len() as f32).sqrt());
                *value = apart * rng.random_range(-1.0..1.0) + 0.5 * f64::from(u8::from(i == j));
            }
            for i in 0..self.n() {
                p[places.q().start + i] = rng.random_range(0.5..1.5);
                if self.kind != Kind::Zeros && self.kind != Kind::Tiny {
                    p[places.b().start + i] = rng.random_range(-0.1..0.1);
                }
            }
            p.into_iter().map(|x| x as f32).collect()
        };
        let mut all: Vec<Vec<f32>> = (0..layers).map(one).collect();
        if let (Kind::Theta(at, number), Some(last)) = (self.kind, all.last_mut()) {
            last[at] = number;
        }
        all
    }

    /// x, the data term and ȳ: n x m, row by row.
    fn numbers(&self, p: &[f32], rng: &mut impl Rng) -> [Vec<f32>; 3] {
        let (n, m) = (self.n(), self.m());
        let mut all = [0, 1, 2].map(|which| {
            let one = |k: usize| {
                let (i, c) = (k / m, k % m);
                let x = ordinary(rng);
                match self.kind {
                    Kind::Zeros => [0.0, -0.0][(i + c) % 2],
                    Kind::Huge if c % 3 == 0 => 1e38 * x,
                    Kind::Huge if c % 3 == 1 => 1e36 * x,
                    Kind::Tiny if (i + c) % 3 == 0 => 1e-39 * x,
                    Kind::Tiny => 1e-37 * x,
                    Kind::Nonfinite if c % 6 == 2 * which && i == c % n => {
                        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(c / 6) % 3]
                    }
                    _ => x,
                }
            };
            (0..n * m).map(one).collect::<Vec<f32>>()
        });
        if self.kind == Kind::Knees {
            for k in 0..n * m {
                let q = p[self.places().q().start + k / m];
                let knee = [p[ParameterLayout::DELTA1], p[ParameterLayout::DELTA2]][k % 2] / q;
                let near = [knee, knee.next_up(), knee.next_down(), 0.0][k / m % 4];
                all[0][k] = if k % 3 == 0 { -near } else { near };
            }
            all[1] = all[0].clone();
        }
        all
    }

    /// The same in memory.
    fn laid(&self, numbers: &[f32], order: Order) -> Vec<f32> {
        let (n, m) = (self.n(), self.m());
        match order {
            Order::FeatureMajor => numbers.to_vec(),
            Order::BatchMajor => (0..n * m).map(|k| numbers[k % n * m + k / n]).collect(),
        }
    }

    fn batch(&self, view: &View, order: Order) -> Result<Batch> {
        Batch::new("case", view.clone(), self.pattern.rows(), self.columns, order)
    }

    /// Element `(i, c)` = i m + c of array `array`, after the run.
    fn got(&self, fixture: &Fixture, array: usize, order: Order, start: usize) -> Vec<f32> {
        let (n, m) = (self.n(), self.m());
        let at = |k: usize| match order {
            Order::FeatureMajor => k,
            Order::BatchMajor => k % m * n + k / m,
        };
        (0..n * m).map(|k| fixture.value(array, start + at(k))).collect()
    }

    fn forward(&self, run: &Run<'_>, p: &[Vec<f32>], numbers: &[Vec<f32>; 3]) -> Result<Outcome> {
        let (count, layers) = (self.n() * self.m(), self.layers as usize);
        let unwritten = |count| vec![f32::from_bits(UNWRITTEN); count];
        let theta = p.concat();
        let mut arrays = vec![
            self.laid(&numbers[0], self.orders[0]),
            self.laid(&numbers[1], self.orders[1]),
            theta,
            unwritten(count),
        ];
        if layers > 1 {
            arrays.extend([unwritten((layers - 1) * count), unwritten(count)]);
        }
        let (mut fixture, learned) = self.fixture(run, &arrays)?;
        let views = fixture.views.clone();
        let data = self.batch(&views[1], self.orders[1])?;
        let job = Forward {
            matrix: run.matrix.clone(),
            learned,
            layers: self.layers,
            x: self.batch(&views[0], self.orders[0])?,
            data: if self.given { Data::Given(data) } else { Data::Near(data) },
            inputs: None,
            output: self.batch(&views[3], self.orders[2])?,
        };
        let mut dispatches = vec![forward(run.kernels, &job)?];
        if layers > 1 {
            let (inputs, output) = (Some(views[4].clone()), self.batch(&views[5], self.orders[2])?);
            dispatches.push(forward(run.kernels, &Forward { inputs, output, ..job })?);
        }
        fixture
            .run(run.device, run.queue, &run.status, |pass| dispatches.iter().for_each(|d| d.record(pass)))?;

        let mut outcome = Outcome::default();
        let data = exact(numbers[1].iter().copied());
        let mut x = exact(numbers[0].iter().copied());
        let output = self.got(&fixture, 3, self.orders[2], 0);
        for k in 0..layers {
            let expected =
                Layer::new(&self.pattern, &p[k.min(p.len() - 1)], self.format).forward(&x, &data, self.given);
            let got = match k + 1 == layers {
                true => output.clone(),
                false => self.got(&fixture, 4, Order::FeatureMajor, k * count),
            };
            outcome.merge(judged(&expected, &got, &format!("layer {k}")));
            x = exact(got);
        }
        if layers > 1 {
            let again = self.got(&fixture, 5, self.orders[2], 0);
            for (k, (a, b)) in output.iter().zip(&again).enumerate() {
                let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                outcome.demand(same, || format!("element {k}: {a:e}, and {b:e} where inputs are kept"));
            }
        }
        (0..3).for_each(|k| fixture.judge_surroundings(Some(k), &mut outcome));
        Ok(outcome)
    }

    fn backward(&self, run: &Run<'_>, p: &[Vec<f32>], numbers: &[Vec<f32>; 3]) -> Result<Outcome> {
        let count = self.n() * self.m();
        // u, w̄ and r̄ with some words between them
        const GAP: usize = 3;
        let theta = p.concat();
        let arrays = [
            self.laid(&numbers[0], self.orders[0]),
            self.laid(&numbers[1], self.orders[1]),
            theta,
            self.laid(&numbers[2], self.orders[2]),
            vec![f32::from_bits(UNWRITTEN); 3 * (count + GAP)],
        ];
        let (mut fixture, learned) = self.fixture(run, &arrays)?;
        let views = fixture.views.clone();
        let data = self.batch(&views[1], self.orders[1])?;
        let part = |k: usize| {
            let offset = views[4].offset() + 4 * (k * (count + GAP)) as u64;
            let view = View::new("case", views[4].buffer(), offset, count as u64)?;
            self.batch(&view, Order::FeatureMajor)
        };
        // of several layers, the one before the last, scaled by the last
        let (layer, scale_by) = match p.len() {
            1 => (0, (self.layers > 1).then_some(0)),
            all => (all as u32 - 2, Some(all as u32 - 1)),
        };
        let passed = SavedActivations {
            learned,
            layer,
            x: self.batch(&views[0], self.orders[0])?,
            data: if self.given { Data::Given(data) } else { Data::Near(data) },
            grad_output: self.batch(&views[3], self.orders[2])?,
            scale_by,
            u: part(1)?,
            w: part(0)?,
            grad_r: part(2)?,
        };
        let dispatches = backward(run.kernels, &run.matrix, &passed)?;
        fixture.run(run.device, run.queue, &run.status, |pass| dispatches.record(pass))?;

        let reference = Layer::new(&self.pattern, &p[layer as usize], self.format);
        let [x, data, grad_output] = numbers.each_ref().map(|all| exact(all.iter().copied()));
        let got = |k: usize| self.got(&fixture, 4, Order::FeatureMajor, k * (count + GAP));
        let (w, u, grad_r) = (got(0), got(1), got(2));
        let mut outcome = judged(&reference.u(&x, &data, self.given), &u, "u");
        let scale_by = scale_by.map(|k| f64::from(p[k as usize][ParameterLayout::L]));
        outcome.merge(judged(&reference.w(&grad_output, scale_by), &w, "w"));
        let (expected, in_band) = reference.grad_r(&exact(u), &exact(w));
        outcome.in_band += in_band;
        outcome.merge(judged(&expected, &grad_r, "grad_r"));
        for k in 0..3 * GAP {
            let word = fixture.value(4, k / GAP * (count + GAP) + count + k % GAP).to_bits();
            outcome.demand(word == UNWRITTEN, || format!("word {k} between u, w and grad_r changed"));
        }
        (0..4).for_each(|k| fixture.judge_surroundings(Some(k), &mut outcome));
        Ok(outcome)
    }

    /// The arrays on the device, and the third as learned numbers.
    fn fixture(&self, run: &Run<'_>, arrays: &[Vec<f32>]) -> Result<(Fixture, LearnedParameters)> {
        let leads: Vec<u64> = (0..arrays.len() as u64).map(|k| (self.lead * (k + 1)) % 4).collect();
        let fixture = Fixture::new(run.kernels, &self.name(), arrays, &leads, self.one_buffer)?;
        let learned =
            LearnedParameters::new("case", fixture.views[2].clone(), self.places(), run.matrix.layers())?;
        Ok((fixture, learned))
    }
}

/// Where a case runs.
struct Run<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    kernels: &'a PipelineCache,
    matrix: Matrix,
    status: wgpu::Buffer,
}

fn judged(expected: &Numbers, got: &[f32], stage: &str) -> Outcome {
    let judge = |k: usize| judge(expected[k], got[k]);
    compare(got.len(), judge, |k| got[k], |_| stage.into())
}

/// A matrix on the device with its values.
pub(super) fn matrix(
    queue: &wgpu::Queue,
    kernels: &PipelineCache,
    format: Format,
    pattern: &Arc<Pattern>,
    p: &[Vec<f32>],
) -> Result<Matrix> {
    let matrix = Matrix::new(kernels, pattern.clone(), format, p.len() as u32)?;
    let laid = Laid::new(pattern, format);
    let places = ParameterLayout { components: pattern.rows(), nonzeros: pattern.nonzeros() };
    let values: Vec<f32> = p.iter().flat_map(|p| laid.values(&p[places.values()])).collect();
    queue.write_buffer(&matrix.values, 0, bytemuck::cast_slice(&values));
    Ok(matrix)
}

impl Case for Subject {
    fn name(&self) -> String {
        let Subject { format, columns, layers, lead, kind, .. } = self;
        let way = if self.way == Way::Forward { "forward" } else { "backward" };
        let orders = self.orders.map(|order| if order == Order::FeatureMajor { 'c' } else { 's' });
        format!(
            "layer/{way}/{format}/{}x{columns}/entries={}/layers={layers}{}/orders={}/lead={lead}{}{}/{kind:?}",
            self.n(),
            self.pattern.nonzeros(),
            if self.shared { "-shared" } else { "" },
            orders.iter().collect::<String>(),
            if self.one_buffer { "/one-buffer" } else { "" },
            if self.given { "/given" } else { "" },
        )
    }

    fn elements(&self) -> usize {
        self.n() * self.m()
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x1a7e);
        let p = self.parameters(&mut rng);
        let numbers = self.numbers(&p[0], &mut rng);
        let matrix = matrix(queue, kernels, self.format, &self.pattern, &p)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        let run = Run { device, queue, kernels, matrix, status };
        match self.way {
            Way::Forward => self.forward(&run, &p, &numbers),
            Way::Backward => self.backward(&run, &p, &numbers),
        }
    }
}
