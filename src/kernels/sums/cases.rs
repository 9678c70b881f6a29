//! The cases of the sums, and the layers that the room `sampled` has cases of too.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::reference::{Layer, Near, Sum};
use super::{Into, Passed, bind, chain, dispatch, scaled, sparse_loss};
use crate::accuracy::{FLUSH, RELATIVE};
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::fixture::Fixture;
use crate::kernels::timed::Recorder;
use crate::kernels::{Batch, Case, Data, Kernels, Learned, Order, Outcome};
use crate::matrix::Pattern;
use crate::regulariser::{HEAD, Places};

/// What the output holds before, so that a word that is not written is seen.
const UNWRITTEN: u32 = 0x7fba_0001;

/// Layers of the learned numbers and of the gradient; which is worked on, and which scales ȳ.
const LAYERS: [u32; 2] = [3, 2];
const LAYER: u32 = 1;
const BEHIND: u32 = 2;

/// What the numbers are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::kernels) enum Kind {
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
}

/// A layer and a batch that have gone through a backward pass.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct Subject {
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
pub(in crate::kernels) fn subject(n: u32, m: u32, density: f64) -> Subject {
    Subject {
        n,
        m,
        density,
        orders: [Order::Components; 3],
        lead: 0,
        one_buffer: false,
        given: false,
        scaled: false,
        add: false,
        kind: Kind::Ordinary,
    }
}

/// Every form that the cases of both rooms have.
pub(in crate::kernels) fn subjects() -> Vec<Subject> {
    let mut all = Vec::new();
    for n in [1, 2, 3, 16, 63, 64, 65, 256] {
        for m in [1, 3, 64, 1000] {
            if n == 256 && m == 1000 {
                continue;
            }
            // each shape in another form
            let k = (n + m) as usize + all.len();
            let order = |bit: usize| if k >> bit & 1 == 1 { Order::Samples } else { Order::Components };
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
    all.push(Subject { scaled: true, ..subject(64, 128, 0.4) });
    all.push(subject(3, 20_000, 0.7));
    all.push(Subject { add: true, ..subject(1000, 3, 0.05) });
    let kinds = [Kind::Zeros, Kind::Size(1e18), Kind::Size(1e-25), Kind::Size(1e-40), Kind::Broken];
    let knees = [(0.5, 1.25), (0.0, 1.0), (0.75, 0.75), (0.0, 0.0)].map(|(a, b)| Kind::Knees(a, b));
    let places = Places { components: 17, nonzeros: 0 };
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
pub(in crate::kernels) struct Numbers {
    pub x: Vec<f32>,
    pub data: Vec<f32>,
    pub bar: Vec<f32>,
    pub u: Vec<f32>,
    pub w: Vec<f32>,
    pub r_bar: Vec<f32>,
    /// Of all layers.
    pub theta: Vec<f32>,
    /// Before.
    pub gradient: Vec<f32>,
}

/// A batch in the order of its memory.
fn laid(values: &[f32], n: u32, order: Order) -> Vec<f32> {
    let (n, m) = (n as usize, values.len() / n as usize);
    match order {
        Order::Components => values.to_vec(),
        Order::Samples => (0..n * m).map(|k| values[k % n * m + k / n]).collect(),
    }
}

impl Subject {
    /// What its name says of it.
    pub fn name(&self) -> String {
        let order = |order: &Order| match order {
            Order::Components => 'c',
            Order::Samples => 's',
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
            Kind::Learned(at, x) => format!("{name}/learned[{at}]={x}"),
            Kind::Behind(x) => format!("{name}/behind={x}"),
        }
    }

    /// The pattern.
    pub fn pattern(&self) -> Arc<Pattern> {
        Arc::new(Pattern::random(self.n, self.density, 5).expect("a density in (0, 1]"))
    }

    /// Its numbers.
    pub fn numbers(&self, places: Places) -> Numbers {
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
                own[Places::DELTA1] = delta1;
                own[Places::DELTA2] = delta2;
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
        let [x, data, bar, u, w, r_bar] = all;
        Numbers { x, data, bar, u, w, r_bar, theta, gradient }
    }

    /// The float64 twin of the layer.
    pub fn layer(&self, numbers: &Numbers, places: Places) -> Layer {
        let length = places.length() as usize;
        let behind = self.scaled.then(|| numbers.theta[BEHIND as usize * length]);
        Layer::new(&numbers.theta[LAYER as usize * length..][..length], places, behind)
    }

    /// In memory: x, the data, ȳ, u, w̄, r̄, the learned numbers, the gradient.
    pub fn arrays(&self, numbers: &Numbers) -> Vec<Vec<f32>> {
        let batches = [&numbers.x, &numbers.data, &numbers.bar, &numbers.u, &numbers.w, &numbers.r_bar];
        let order = |k: usize| self.orders.get(k).copied().unwrap_or_default();
        let batches = (0..).zip(batches).map(|(k, batch)| laid(batch, self.n, order(k)));
        batches.chain([numbers.theta.clone(), numbers.gradient.clone()]).collect()
    }

    /// What the kernels are bound to, in views of the arrays.
    pub fn passed(&self, name: &str, views: &[View], places: Places) -> Result<(Passed, Into)> {
        let order = |k: usize| self.orders.get(k).copied().unwrap_or_default();
        let batch = |k: usize| Batch::new(name, views[k].clone(), self.n, self.m, order(k));
        let passed = Passed {
            learned: Learned::new(name, views[6].clone(), places, LAYERS[0])?,
            layer: LAYER,
            x: batch(0)?,
            data: if self.given { Data::Given(batch(1)?) } else { Data::Near(batch(1)?) },
            bar: batch(2)?,
            scale_by: self.scaled.then_some(BEHIND),
            u: batch(3)?,
            w: batch(4)?,
            r_bar: batch(5)?,
        };
        let gradient = Learned::new(name, views[7].clone(), places, LAYERS[1])?;
        Ok((passed, Into { gradient, layer: LAYER, add: self.add }))
    }

    /// Runs what `bind` makes, and returns the layer's gradient; nothing else may have changed.
    pub fn run(
        &self,
        (device, queue, kernels): (&wgpu::Device, &wgpu::Queue, &Kernels),
        numbers: &Numbers,
        places: Places,
        bind: impl FnOnce(&Kernels, &Passed, &Into) -> Result<Recorder>,
    ) -> Result<(Vec<f32>, Outcome)> {
        let arrays = self.arrays(numbers);
        let leads: Vec<u64> = (0..8).map(|k| (self.lead + k) * u64::from(self.lead > 0) % 4).collect();
        let name = self.name();
        let mut fixture = Fixture::new(device, &name, &arrays, &leads, self.one_buffer)?;
        let (passed, into) = self.passed(&name, &fixture.views, places)?;
        let record = bind(kernels, &passed, &into)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| record(pass))?;
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
pub(in crate::kernels) fn start(add: bool, numbers: &Numbers, places: Places, at: usize) -> Sum {
    let mut sum = Sum::default();
    if add {
        sum.add(f64::from(numbers.gradient[(LAYER * places.length()) as usize + at]), 0.0);
    }
    sum
}

/// Demands that a sum came out right.
pub(in crate::kernels) fn demand(outcome: &mut Outcome, what: &str, sum: &Sum, chain: f64, got: f32) {
    let ok = sum.holds(chain, got);
    if ok {
        outcome.max_ulps = outcome.max_ulps.max(sum.ulps(got));
    }
    outcome.demand(ok, || {
        let bound = sum.bound(chain);
        format!(
            "{what}: GPU {got:e} ({:#010x}), reference {:e}, allowed distance {bound:e}",
            got.to_bits(),
            sum.value
        )
    });
}

/// Demands that a word is as it was.
pub(in crate::kernels) fn unchanged(outcome: &mut Outcome, at: usize, got: f32, before: f32) {
    let same = got.to_bits() == before.to_bits();
    outcome.demand(same, || format!("the gradient's number {at} changed"));
}

/// The sums of one layer.
#[derive(Clone, Debug)]
struct Layered(Subject);

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let wide = [subject(1, 100_000, 1.0), Subject { given: true, ..subject(1000, 1000, 0.05) }];
    let mut all: Vec<Box<dyn Case>> = Vec::new();
    all.extend(subjects().into_iter().chain(wide).map(|s| Box::new(Layered(s)) as Box<dyn Case>));
    for (k, (n, m)) in
        [(1, 1), (3, 1), (2, 3), (63, 65), (64, 128), (65, 1000), (1000, 300)].into_iter().enumerate()
    {
        let orders = [Order::Components, Order::Samples];
        let orders = std::array::from_fn(|j| orders[(k >> j) % 2]);
        for size in [1.0, 1e17, 1e-25, f32::NAN] {
            for work in [Work::Loss(0.25, 0.0), Work::Loss(0.25, 0.3), Work::Chain, Work::Scaled] {
                if size == 1.0 || k == 3 {
                    let one =
                        Elementwise { n, m, orders, lead: k as u64 % 4, one_buffer: k % 2 == 1, size, work };
                    all.push(Box::new(one));
                }
            }
        }
    }
    for l in [f32::NAN, f32::INFINITY] {
        let orders = [Order::Components; 3];
        all.push(Box::new(Elementwise {
            n: 5,
            m: 7,
            orders,
            lead: 0,
            one_buffer: false,
            size: 1.0,
            work: Work::ChainBy(l),
        }));
    }
    all
}

impl Case for Layered {
    fn name(&self) -> String {
        format!("sums/layer/{}", self.0.name())
    }

    fn elements(&self) -> usize {
        self.0.n as usize * self.0.m as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &Kernels) -> Result<Outcome> {
        let subject = &self.0;
        let places = Places { components: subject.n, nonzeros: 5 };
        let numbers = subject.numbers(places);
        let (after, mut outcome) =
            subject.run((device, queue, kernels), &numbers, places, |kernels, passed, into| {
                let dispatches = bind(kernels, passed, into)?;
                Ok(Box::new(move |pass| dispatches.record(pass)))
            })?;
        judge(subject, &numbers, places, &after, &mut outcome);
        Ok(outcome)
    }
}

/// Judges head, q and b of a gradient's layer.
pub(super) fn judge(
    subject: &Subject,
    numbers: &Numbers,
    places: Places,
    after: &[f32],
    outcome: &mut Outcome,
) {
    let layer = subject.layer(numbers, places);
    let (n, m) = (subject.n as usize, subject.m as usize);
    let mut scalars = [Sum::default(); 5];
    let (row_chain, chain) = dispatch::Cut::new(subject.n, subject.m).chains();
    for i in 0..n {
        let (q_at, b_at) = (places.q().start + i, places.b().start + i);
        let mut q = start(subject.add, numbers, places, q_at);
        let mut b = start(subject.add, numbers, places, b_at);
        for k in i * m..(i + 1) * m {
            let (u, w) = (f64::from(numbers.u[k]), f64::from(numbers.w[k]));
            let v = layer.v(i, numbers.u[k]);
            let slope = layer.slope(v);
            let broken = !w.is_finite() || v.value.is_nan();
            let or_nan = |x: f64| if broken { f64::NAN } else { x };
            let value = slope.value * w * u;
            let error = 2.1 * RELATIVE * value.abs() + slope.error * (w * u).abs() + FLUSH * (1.0 + u.abs());
            q.add(or_nan(value), error);
            b.add(-w, 0.0);
            for (sum, partial) in scalars[1..].iter_mut().zip(layer.partials(v)) {
                let w = Near { value: or_nan(w), error: 0.0 };
                sum.add_product(partial, w);
                sum.error += FLUSH * w.value.abs();
            }
            let g = layer.g(numbers.x[k], numbers.data[k], subject.given);
            scalars[0].add_product(Near { value: f64::from(numbers.r_bar[k]), error: 0.0 }, g);
        }
        demand(outcome, &format!("q̄ {i}"), &q, row_chain, after[q_at]);
        demand(outcome, &format!("b̄ {i}"), &b, row_chain, after[b_at]);
    }
    let l = layer.l();
    scalars[0] =
        if l.is_finite() { scalars[0].times(1.0 / (l * l)) } else { Sum { value: f64::NAN, ..scalars[0] } };
    for (at, sum) in scalars.into_iter().enumerate() {
        let mut total = start(subject.add, numbers, places, at);
        total.merge(sum);
        demand(outcome, ["L̄", "eta̅1", "eta̅2", "delta̅1", "delta̅2"][at], &total, chain + 5.0, after[at]);
    }
    let length = places.length() as usize;
    for at in (5..HEAD as usize).chain(places.values().start..length) {
        let own = LAYER as usize * length + at;
        let zero = !subject.add && !places.values().contains(&at);
        unchanged(outcome, at, after[at], if zero { 0.0 } else { numbers.gradient[own] });
    }
}

/// What is done with two batches.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// The loss, by this scale and with this lambda.
    Loss(f32, f32),
    Chain,
    /// With this L.
    ChainBy(f32),
    Scaled,
}

/// Two batches in, one out, and the loss.
#[derive(Clone, Debug)]
struct Elementwise {
    n: u32,
    m: u32,
    orders: [Order; 3],
    lead: u64,
    one_buffer: bool,
    /// NaN: with NaN and infinities here and there.
    size: f32,
    work: Work,
}

impl Case for Elementwise {
    fn name(&self) -> String {
        let work = match self.work {
            Work::Loss(_, 0.0) => "loss".into(),
            Work::Loss(_, lambda) => format!("loss/lambda={lambda}"),
            Work::Chain => "chain".into(),
            Work::ChainBy(l) => format!("chain/L={l}"),
            Work::Scaled => "scaled".to_string(),
        };
        format!("sums/{work}/n={}/m={}/offset={}/size={:e}", self.n, self.m, self.lead, self.size)
    }

    fn elements(&self) -> usize {
        self.n as usize * self.m as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &Kernels) -> Result<Outcome> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x1055);
        let (n, m) = (self.n as usize, self.m as usize);
        let size = if self.size.is_nan() { 1.0 } else { self.size };
        let mut batch =
            || -> Vec<f32> { (0..n * m).map(|_| size * rng.random_range(-2.0f32..2.0)).collect() };
        let mut pair = [batch(), batch()];
        if self.size.is_nan() {
            pair[0][n * m / 2] = f32::NAN;
            pair[1][n * m / 3] = f32::INFINITY;
        } else if matches!(self.work, Work::Loss(_, lambda) if lambda != 0.0) {
            // where the l1 norm has a kink
            pair[0].iter_mut().step_by(3).enumerate().for_each(|(k, x)| *x = [0.0, -0.0][k % 2]);
        }
        let l = if let Work::ChainBy(l) = self.work { l } else { 1.9 };
        let places = Places { components: self.n, nonzeros: 1 };
        let mut theta = vec![0.5; 2 * places.length() as usize];
        theta[places.length() as usize] = l;
        let unwritten = f32::from_bits(UNWRITTEN);
        let arrays = [
            laid(&pair[0], self.n, self.orders[0]),
            laid(&pair[1], self.n, self.orders[1]),
            vec![unwritten; n * m],
            vec![unwritten],
            theta,
        ];
        let leads: Vec<u64> = (0..5).map(|k| (self.lead + k) * u64::from(self.lead > 0) % 4).collect();
        let name = self.name();
        let mut fixture = Fixture::new(device, &name, &arrays, &leads, self.one_buffer)?;
        let batch = |k: usize| Batch::new(&name, fixture.views[k].clone(), self.n, self.m, self.orders[k]);
        let (a, b, out, loss) = (batch(0)?, batch(1)?, batch(2)?, fixture.views[3].clone());
        let learned = Learned::new(&name, fixture.views[4].clone(), places, 2)?;
        let record: Recorder = match self.work {
            Work::Loss(scale, lambda) => {
                let bound = sparse_loss(kernels, &a, &b, (scale, lambda), &out, &loss)?;
                Box::new(move |pass| bound.record(pass))
            }
            Work::Chain | Work::ChainBy(_) => {
                let bound = chain(kernels, &learned, 1, &a, &b, &out)?;
                Box::new(move |pass| bound.record(pass))
            }
            Work::Scaled => {
                let bound = scaled(kernels, &learned, 1, &a, &out)?;
                Box::new(move |pass| bound.record(pass))
            }
        };
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| record(pass))?;
        let mut outcome = Outcome::default();
        [0, 1, 4].into_iter().for_each(|k| fixture.judge_surroundings(Some(k), &mut outcome));
        let after = laid_back(&fixture, self.n, self.m, self.orders[2]);
        let mut sum = Sum::default();
        let l = f64::from(l);
        for k in 0..n * m {
            let [a, b] = [0, 1].map(|j| f64::from(pair[j][k]));
            let mut one = Sum::default();
            match self.work {
                Work::Loss(scale, lambda) => {
                    let d = Near { value: a - b, error: RELATIVE * (a - b).abs() + FLUSH };
                    sum.add_product(d, d);
                    let mut by_x = d;
                    if lambda != 0.0 {
                        let lambda = f64::from(lambda);
                        let norm = 2.0 * lambda * a.abs();
                        sum.add(norm, 2.0 * RELATIVE * norm + FLUSH);
                        // a subnormal number may be flushed to 0
                        let flushed = if a != 0.0 && a.abs() < FLUSH { lambda } else { 0.0 };
                        by_x.value += lambda * if a == 0.0 { 0.0 } else { a.signum() };
                        by_x.error += RELATIVE * by_x.value.abs() + flushed + FLUSH;
                    }
                    one.add_product(by_x, Near { value: f64::from(scale), error: 0.0 });
                }
                Work::Chain | Work::ChainBy(_) | Work::Scaled => {
                    let h = if matches!(self.work, Work::Scaled) { a } else { b };
                    let step = if l.is_finite() { h / l } else { f64::NAN };
                    one.add(a, 0.0);
                    one.add(-step, 2.5 * RELATIVE * step.abs());
                }
            }
            // one rounding, of which the bound of sums allows some more
            demand(&mut outcome, &format!("element {k}"), &one, -3.0, after[k]);
        }
        match self.work {
            Work::Loss(scale, _) => {
                let span = dispatch::loss_span(n as u64 * m as u64) as f64;
                let chain = span / 256.0 + (n * m) as f64 / span / 256.0 + 20.0;
                let total = sum.times(0.5 * f64::from(scale));
                demand(&mut outcome, "the loss", &total, chain, fixture.value(3, 0));
            }
            _ => unchanged(&mut outcome, 0, fixture.value(3, 0), unwritten),
        }
        Ok(outcome)
    }
}

/// The third array after the run, component by component.
fn laid_back(fixture: &Fixture, n: u32, m: u32, order: Order) -> Vec<f32> {
    let (n, m) = (n as usize, m as usize);
    let at = |i: usize, c: usize| match order {
        Order::Components => i * m + c,
        Order::Samples => c * n + i,
    };
    (0..n * m).map(|k| fixture.value(2, at(k / m, k % m))).collect()
}
