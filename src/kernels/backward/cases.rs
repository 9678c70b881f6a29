//! The layers and batches that the kernels of derivatives have cases of.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Layer, Sum};
use super::{GradientTarget, SavedActivations};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::PipelineCache;
use crate::kernels::fixture::Fixture;
use crate::kernels::{Batch, Data, Dispatches, Judgement, LearnedParameters, Order, Outcome};
use crate::matrix::Pattern;
use crate::regulariser::{HEAD, ParameterLayout};

/// What the output holds before, so that a word that is not written is seen.
pub const UNWRITTEN: u32 = 0x7fba_0001;

/// Layers of the learned numbers and of the gradient; which is worked on, and which scales ȳ.
const LAYERS: [u32; 2] = [3, 2];
pub const LAYER: u32 = 1;
const BEHIND: u32 = 2;

/// What the numbers are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Of ordinary size.
    Ordinary,
    /// q = 1, so that v is u, on every knee, of either sign, and next to it; with these knees.
    Knees(f32, f32),
    /// Zeros of either sign.
    Zeros,
    /// Times this.
    Size(f32),
    /// NaN and infinities here and there.
    Broken,
    /// A learned number that is not finite: which one, from the layer's first.
    Learned(usize, f32),
    /// L of the layer behind is not finite.
    Behind(f32),
    /// Of ordinary size; of the pattern every block of 64 x 64 has its last entry alone.
    Corners,
}

/// The last entry of every block of 64 x 64.
fn corners(n: u32) -> Pattern {
    let last = |start: u32| (start + 63).min(n - 1);
    let blocks = || (0..n).step_by(64).map(last);
    let entries = blocks().flat_map(|i| blocks().map(move |j| (i, j)));
    Pattern::new(n, n, entries).expect("entries within it")
}

/// A layer and a batch that have gone through a backward pass.
#[derive(Clone, Debug)]
pub struct Subject {
    pub n: u32,
    pub m: u32,
    pub density: f64,
    /// Of x, the data, ȳ.
    pub orders: [Order; 3],
    pub lead: u64,
    pub one_buffer: bool,
    pub given: bool,
    pub scaled: bool,
    pub add: bool,
    pub kind: Kind,
}

/// An ordinary one.
pub fn subject(n: u32, m: u32, density: f64) -> Subject {
    Subject {
        n,
        m,
        density,
        orders: [Order::FeatureMajor; 3],
        lead: 0,
        one_buffer: false,
        given: false,
        scaled: false,
        add: false,
        kind: Kind::Ordinary,
    }
}

/// Every form that the cases of both kernels have.
pub fn subjects() -> Vec<Subject> {
    let mut all = Vec::new();
    for n in [1, 2, 3, 16, 63, 64, 65, 256] {
        for m in [1, 3, 64, 1000] {
            if n == 256 && m == 1000 {
                continue;
            }
            // each shape in another form
            let k = (n + m) as usize + all.len();
            let order = |bit: usize| if k >> bit & 1 == 1 { Order::BatchMajor } else { Order::FeatureMajor };
            all.push(Subject {
                orders: [order(0), order(1), order(2)],
                lead: (k % 4) as u64,
                one_buffer: k % 3 == 1,
                given: k % 5 < 2,
                scaled: k.is_multiple_of(2),
                add: k % 7 < 3,
                ..subject(n, m, [0.05, 0.4, 1.0][k % 3])
            });
        }
    }
    // what is left of tiles in every length that an edge may forget
    for (k, (n, m)) in [(49, 50), (61, 62), (113, 65), (120, 61), (127, 126)].into_iter().enumerate() {
        all.push(Subject { add: k % 2 == 0, scaled: k % 3 == 0, ..subject(n, m, [0.4, 1.0][k % 2]) });
    }
    all.push(Subject { kind: Kind::Corners, ..subject(190, 70, 1.0) });
    all.push(Subject { scaled: true, ..subject(64, 128, 0.4) });
    all.push(subject(3, 20_000, 0.7));
    all.push(Subject { add: true, ..subject(1000, 3, 0.05) });
    let kinds = [Kind::Zeros, Kind::Size(1e18), Kind::Size(1e-25), Kind::Size(1e-40), Kind::Broken];
    let knees = [(0.5, 1.25), (0.0, 1.0), (0.75, 0.75), (0.0, 0.0)].map(|(a, b)| Kind::Knees(a, b));
    let places = ParameterLayout { components: 17, nonzeros: 0 };
    let learned = (0..5).chain([places.q().start, places.b().start]);
    let learned = learned.flat_map(|at| [f32::NAN, f32::INFINITY].map(|x| Kind::Learned(at, x)));
    let behind = [f32::NAN, f32::INFINITY].map(Kind::Behind);
    for kind in kinds.into_iter().chain(knees).chain(learned).chain(behind) {
        let scaled = matches!(kind, Kind::Behind(_));
        all.push(Subject { kind, scaled, ..subject(17, 70, 0.6) });
    }
    all
}

/// The numbers, component by component.
#[derive(Clone, Debug)]
pub struct Numbers {
    pub x: Vec<f32>,
    pub data: Vec<f32>,
    pub grad_output: Vec<f32>,
    pub u: Vec<f32>,
    pub w: Vec<f32>,
    pub grad_r: Vec<f32>,
    /// Of all layers.
    pub theta: Vec<f32>,
    /// Before.
    pub gradient: Vec<f32>,
}

/// A batch in the order of its memory.
pub fn laid(values: &[f32], n: u32, order: Order) -> Vec<f32> {
    let (n, m) = (n as usize, values.len() / n as usize);
    match order {
        Order::FeatureMajor => values.to_vec(),
        Order::BatchMajor => (0..n * m).map(|k| values[k % n * m + k / n]).collect(),
    }
}

impl Subject {
    /// What its name says of it.
    pub fn name(&self) -> String {
        let order = |order: &Order| match order {
            Order::FeatureMajor => 'c',
            Order::BatchMajor => 's',
        };
        let mut name = format!("n={}/m={}/density={}/", self.n, self.m, self.density);
        name.extend(self.orders.iter().map(order));
        name += &format!("/offset={}", self.lead);
        for (is, what) in [
            (self.one_buffer, "/one-buffer"),
            (self.given, "/given"),
            (self.scaled, "/scaled"),
            (self.add, "/add"),
        ] {
            if is {
                name += what;
            }
        }
        match self.kind {
            Kind::Ordinary => name,
            Kind::Knees(a, b) => format!("{name}/knees={a}-{b}"),
            Kind::Zeros => name + "/zeros",
            Kind::Size(size) => format!("{name}/size={size:e}"),
            Kind::Broken => name + "/broken",
            Kind::Corners => name + "/corners",
            Kind::Learned(at, x) => format!("{name}/learned[{at}]={x}"),
            Kind::Behind(x) => format!("{name}/behind={x}"),
        }
    }

    /// The pattern.
    pub fn pattern(&self) -> Arc<Pattern> {
        if self.kind == Kind::Corners {
            return Arc::new(corners(self.n));
        }
        Arc::new(Pattern::random(self.n, self.density, 5).expect("a density in (0, 1]"))
    }

    /// Its numbers.
    pub fn numbers(&self, places: ParameterLayout) -> Numbers {
        let mut rng = ChaCha8Rng::seed_from_u64(0x5a3d);
        let count = self.n as usize * self.m as usize;
        let size = match self.kind {
            Kind::Size(size) => size,
            _ => 1.0,
        };
        let mut batch = |k: usize| -> Vec<f32> {
            let one = |at: usize| {
                let x: f32 = rng.random_range(-2.0..2.0);
                match self.kind {
                    Kind::Zeros => [0.0, -0.0][(at + k) % 2],
                    _ => size * x,
                }
            };
            (0..count).map(one).collect()
        };
        let mut all: [Vec<f32>; 6] = std::array::from_fn(&mut batch);
        let length = places.length() as usize;
        let mut theta: Vec<f32> =
            (0..length * LAYERS[0] as usize).map(|_| rng.random_range(-0.5..0.5)).collect();
        for layer in 0..LAYERS[0] as usize {
            let own = &mut theta[layer * length..][..length];
            let head = [1.7 + 0.6 * layer as f32, 1.3, 0.8, 0.4, 1.1, 0.0, 0.0, 0.0];
            own[..HEAD as usize].copy_from_slice(&head);
            own[places.q()].iter_mut().for_each(|q| *q += 1.1);
        }
        let own = &mut theta[LAYER as usize * length..][..length];
        match self.kind {
            Kind::Knees(delta1, delta2) => {
                own[ParameterLayout::DELTA1] = delta1;
                own[ParameterLayout::DELTA2] = delta2;
                own[places.q()].fill(1.0);
                let near = |x: f32| [x, x.next_up(), x.next_down()];
                let places: Vec<f32> =
                    [delta1, -delta1, delta2, -delta2].into_iter().flat_map(near).collect();
                // next to 0 there is nothing but subnormal numbers, which may be flushed
                let places: Vec<f32> = places.into_iter().filter(|x| *x == 0.0 || x.is_normal()).collect();
                all[3].iter_mut().enumerate().for_each(|(k, u)| *u = places[k % places.len()]);
            }
            Kind::Learned(at, x) => own[at] = x,
            Kind::Behind(x) => theta[BEHIND as usize * length] = x,
            Kind::Broken => {
                let broken = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
                let m = self.m as usize;
                for (k, array) in all.iter_mut().enumerate() {
                    for (j, x) in broken.into_iter().enumerate() {
                        // a row each for the first five arrays, which have three in two columns
                        array[(2 + 2 * k) * m + 20 * (j % 2) + 7 * k] = x;
                    }
                }
                // in the dead zone the derivative is 0 times this
                let at = 14 * m + 9;
                all[3][at] = 0.0;
                all[4][at] = f32::INFINITY;
            }
            _ => {}
        }
        let before = |k: usize| if self.add { (k as f32 * 0.37).sin() } else { f32::from_bits(UNWRITTEN) };
        let gradient = (0..length * LAYERS[1] as usize).map(before).collect();
        let [x, data, grad_output, u, w, grad_r] = all;
        Numbers { x, data, grad_output, u, w, grad_r, theta, gradient }
    }

    /// The float64 reference of the layer.
    pub fn layer(&self, numbers: &Numbers, places: ParameterLayout) -> Layer {
        let length = places.length() as usize;
        let behind = self.scaled.then(|| numbers.theta[BEHIND as usize * length]);
        Layer::new(&numbers.theta[LAYER as usize * length..][..length], places, behind)
    }

    /// In memory: x, the data, ȳ, u, w̄, r̄, the learned numbers, the gradient.
    pub fn arrays(&self, numbers: &Numbers) -> Vec<Vec<f32>> {
        let batches =
            [&numbers.x, &numbers.data, &numbers.grad_output, &numbers.u, &numbers.w, &numbers.grad_r];
        let order = |k: usize| self.orders.get(k).copied().unwrap_or_default();
        let batches = (0..).zip(batches).map(|(k, batch)| laid(batch, self.n, order(k)));
        batches.chain([numbers.theta.clone(), numbers.gradient.clone()]).collect()
    }

    /// What the kernels are bound to, in views of the arrays.
    pub fn passed(
        &self,
        name: &str,
        views: &[View],
        places: ParameterLayout,
    ) -> Result<(SavedActivations, GradientTarget)> {
        let order = |k: usize| self.orders.get(k).copied().unwrap_or_default();
        let batch = |k: usize| Batch::new(name, views[k].clone(), self.n, self.m, order(k));
        let passed = SavedActivations {
            learned: LearnedParameters::new(name, views[6].clone(), places, LAYERS[0])?,
            layer: LAYER,
            x: batch(0)?,
            data: if self.given { Data::Given(batch(1)?) } else { Data::Near(batch(1)?) },
            grad_output: batch(2)?,
            scale_by: self.scaled.then_some(BEHIND),
            u: batch(3)?,
            w: batch(4)?,
            grad_r: batch(5)?,
        };
        let gradient = LearnedParameters::new(name, views[7].clone(), places, LAYERS[1])?;
        Ok((passed, GradientTarget { gradient, layer: LAYER, add: self.add }))
    }

    /// Runs what `bind` makes, and returns the layer's gradient; nothing else may have changed.
    pub fn run(
        &self,
        (kernels, queue): (&PipelineCache, &wgpu::Queue),
        numbers: &Numbers,
        places: ParameterLayout,
        bind: impl FnOnce(&SavedActivations, &GradientTarget) -> Result<Dispatches>,
    ) -> Result<(Vec<f32>, Outcome)> {
        let device = kernels.device();
        let arrays = self.arrays(numbers);
        let leads: Vec<u64> = (0..8).map(|k| (self.lead + k) * u64::from(self.lead > 0) % 4).collect();
        let name = self.name();
        let mut fixture = Fixture::new(kernels, &name, &arrays, &leads, self.one_buffer)?;
        let (passed, into) = self.passed(&name, &fixture.views, places)?;
        let dispatches = bind(&passed, &into)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;
        let mut outcome = Outcome::default();
        (0..7).for_each(|k| fixture.judge_surroundings(Some(k), &mut outcome));
        let length = places.length() as usize;
        for i in 0..LAYER as usize * length {
            let same = fixture.value(7, i).to_bits() == numbers.gradient[i].to_bits();
            outcome.demand(same, || format!("the gradient's element {i}, of another layer, changed"));
        }
        let after = (0..length).map(|i| fixture.value(7, LAYER as usize * length + i)).collect();
        Ok((after, outcome))
    }
}

/// What the gradient's layer was before, where a sum is added to it.
pub fn start(add: bool, numbers: &Numbers, places: ParameterLayout, at: usize) -> Sum {
    let mut sum = Sum::default();
    if add {
        sum.add(f64::from(numbers.gradient[(LAYER * places.length()) as usize + at]), 0.0);
    }
    sum
}

/// Demands that a sum came out right.
pub fn demand(outcome: &mut Outcome, what: &str, sum: &Sum, chain: f64, got: f32) {
    let ok = sum.holds(chain, got);
    let (expected, bound) = (sum.value, sum.bound(chain));
    let j = Judgement { ok, in_band: false, ulps: sum.ulps(got), expected, bound };
    outcome.judge(&j, got, || format!("{what}: {}", j.told(got)));
}

/// Demands that a word is as it was.
pub fn unchanged(outcome: &mut Outcome, at: usize, got: f32, before: f32) {
    let same = got.to_bits() == before.to_bits();
    outcome.demand(same, || format!("the gradient's number {at} changed"));
}

/// Two batches in, one out, a number out, and two layers of learned numbers.
#[derive(Clone, Debug)]
pub struct Pair {
    pub n: u32,
    pub m: u32,
    pub orders: [Order; 3],
    pub lead: u64,
    pub one_buffer: bool,
    /// NaN: with NaN and infinities here and there.
    pub size: f32,
    /// L of the second layer.
    pub l: f32,
    /// Whether every third number of the first batch is a zero, of either sign.
    pub zeros: bool,
}

/// What a kernel is bound to.
pub struct Bound {
    pub a: Batch,
    pub b: Batch,
    pub out: Batch,
    pub number: View,
    pub learned: LearnedParameters,
}

/// What came of it, component by component.
pub struct Made {
    pub pair: [Vec<f32>; 2],
    pub out: Vec<f32>,
    pub number: f32,
}

/// An ordinary one with L = 1.9.
pub fn pair(n: u32, m: u32) -> Pair {
    let orders = [Order::FeatureMajor; 3];
    Pair { n, m, orders, lead: 0, one_buffer: false, size: 1.0, l: 1.9, zeros: false }
}

/// Every form: shapes, orders and offsets, and for one shape every size.
pub fn pairs() -> Vec<Pair> {
    let mut all = Vec::new();
    let shapes = [(1, 1), (3, 1), (2, 3), (63, 65), (64, 128), (65, 1000), (1000, 300)];
    for (k, (n, m)) in shapes.into_iter().enumerate() {
        let orders = std::array::from_fn(|j| [Order::FeatureMajor, Order::BatchMajor][(k >> j) % 2]);
        for size in [1.0, 1e17, 1e-25, f32::NAN] {
            if size == 1.0 || k == 3 {
                all.push(Pair { orders, lead: k as u64 % 4, one_buffer: k % 2 == 1, size, ..pair(n, m) });
            }
        }
    }
    all
}

impl Pair {
    /// What its name says of it.
    pub fn name(&self) -> String {
        format!("n={}/m={}/offset={}/size={:e}", self.n, self.m, self.lead, self.size)
    }

    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.n as usize * self.m as usize
    }

    /// Runs what `bind` makes of `kernel`'s case; what is read may not have changed.
    pub fn run(
        &self,
        (kernels, queue): (&PipelineCache, &wgpu::Queue),
        name: &str,
        bind: impl FnOnce(&Bound) -> Result<Dispatches>,
    ) -> Result<(Made, Outcome)> {
        let device = kernels.device();
        let mut rng = ChaCha8Rng::seed_from_u64(0x1055);
        let (n, m) = (self.n as usize, self.m as usize);
        let size = if self.size.is_nan() { 1.0 } else { self.size };
        let mut batch =
            || -> Vec<f32> { (0..n * m).map(|_| size * rng.random_range(-2.0f32..2.0)).collect() };
        let mut pair = [batch(), batch()];
        if self.size.is_nan() {
            pair[0][n * m / 2] = f32::NAN;
            pair[1][n * m / 3] = f32::INFINITY;
        } else if self.zeros {
            pair[0].iter_mut().step_by(3).enumerate().for_each(|(k, x)| *x = [0.0, -0.0][k % 2]);
        }
        let places = ParameterLayout { components: self.n, nonzeros: 1 };
        let mut theta = vec![0.5; 2 * places.length() as usize];
        theta[places.length() as usize] = self.l;
        let unwritten = f32::from_bits(UNWRITTEN);
        let arrays = [
            laid(&pair[0], self.n, self.orders[0]),
            laid(&pair[1], self.n, self.orders[1]),
            vec![unwritten; n * m],
            vec![unwritten],
            theta,
        ];
        let leads: Vec<u64> = (0..5).map(|k| (self.lead + k) * u64::from(self.lead > 0) % 4).collect();
        let mut fixture = Fixture::new(kernels, name, &arrays, &leads, self.one_buffer)?;
        let batch = |k: usize| Batch::new(name, fixture.views[k].clone(), self.n, self.m, self.orders[k]);
        let dispatches = bind(&Bound {
            a: batch(0)?,
            b: batch(1)?,
            out: batch(2)?,
            number: fixture.views[3].clone(),
            learned: LearnedParameters::new(name, fixture.views[4].clone(), places, 2)?,
        })?;
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;
        let mut outcome = Outcome::default();
        [0, 1, 4].into_iter().for_each(|k| fixture.judge_surroundings(Some(k), &mut outcome));
        let at = |i: usize, c: usize| match self.orders[2] {
            Order::FeatureMajor => i * m + c,
            Order::BatchMajor => c * n + i,
        };
        let out = (0..n * m).map(|k| fixture.value(2, at(k / m, k % m))).collect();
        Ok((Made { pair, out, number: fixture.value(3, 0) }, outcome))
    }
}
