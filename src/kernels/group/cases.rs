//! The cases of the step with groups: every group penalty at small, ordinary and large steps and on both sides of each
//! regime switch, after every base step and every elementwise penalty; every layout; and sizes round every tier.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{GroupReference, Grouped, bind};
use crate::accuracy::QUIET_NAN;
use crate::error::Result;
use crate::gpu;
use crate::kernels::fixture::Fixture;
use crate::kernels::operator::Tabled;
use crate::kernels::step::{Element, Elementwise, Optimizer, StepParameters};
use crate::kernels::{Case, Outcome, PipelineCache, Reference, TensorJob};
use crate::penalty::group::Groupwise;
use crate::penalty::group::Lasso;
use crate::penalty::{Group, GroupPenalty, Groups, L1, Layout, NoPenalty, Penalty};

/// One tensor, stepped once.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    base: Optimizer,
    penalty: Penalty,
    lambda: f64,
    group: Group,
    hyper: StepParameters,
    leads: [u64; 4],
    one_buffer: bool,
    content: Content,
}

/// What the groups hold.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    /// Every kind in turn, from another one on in each case of few groups; ordinary members where there are fewer than three.
    Kinds,
    /// Finite kinds alone.
    Finite,
    /// One kind in every other group, ordinary members in the rest.
    Only(u64),
}

/// How many kinds of groups there are; see [`Step::elements`].
const KINDS: u64 = 23;

/// The kinds that are not finite, or close to that, or concern large groups alone, and their names.
const EXTREMES: [(u64, &str); 9] = [
    (13, "broken-weight"),
    (16, "broken-gradient"),
    (17, "broken-momentum"),
    (18, "broken-moment"),
    (19, "update-overflows"),
    (20, "sum-beyond-f32"),
    (21, "sum-within-f32"),
    (22, "sum-far-beyond-f32"),
    (23, "peaks-far-in"),
];

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all = values();
    let (pairs, layouts) = (pairs(), layouts());
    all.extend(pairs.iter().step_by(3).chain(layouts.iter().step_by(17)).map(Step::frozen));
    all.extend(pairs);
    all.extend(layouts);
    all.extend(extremes());
    all.extend(millions());
    all.extend(combinations());
    all.into_iter().map(|case| Box::new(case) as Box<dyn Case>).collect()
}

/// A case, where its parts fit together.
#[expect(clippy::too_many_arguments, reason = "a case has that many parts")]
fn case(
    what: &str,
    base: Optimizer,
    (penalty, lambda): (Penalty, f64),
    (group, weight): (GroupPenalty, f64),
    rate: f64,
    layout: Layout,
    shape: &[u64],
    leads: [u64; 4],
) -> Option<Step> {
    let groups = Groups::new(layout.clone(), shape).ok()?;
    let hyper = StepParameters::new(rate, 7).ok()?;
    let shape: Vec<_> = shape.iter().map(u64::to_string).collect();
    let offsets: Vec<_> = leads.iter().map(u64::to_string).collect();
    let name = format!(
        "group/{what}/{}/{penalty}/{group}/{layout}/shape={}/rate={rate}/lambda={lambda}+{}/offsets={}",
        base.name(),
        shape.join("x"),
        crate::error::short(weight),
        offsets.join("-")
    );
    let group = Group::new(group, weight, groups);
    Some(Step {
        name,
        base,
        penalty,
        lambda,
        group,
        hyper,
        leads,
        one_buffer: false,
        content: Content::Kinds,
    })
}

/// The group penalties by themselves over the range of t.
fn values() -> Vec<Step> {
    let mut all = Vec::new();
    let none: (Penalty, f64) = (NoPenalty.into(), 0.0);
    for shape in GroupPenalty::all().iter().flat_map(|p| p.rule().examples()) {
        let mut settings = vec![
            (1.0, 1e-6),
            (1.0, 1e-30),
            (1.0, 3e-15),
            (1e6, 1e6),
            (1.0, 0.0),
            (0.5, 0.02),
            (1.0, 0.3),
            (1.0, 1.0),
            (3.0, 4.0),
            (2e3, 0.5),
        ];
        for t in shape.rule().regime_switches() {
            settings.extend([1.0, 1.0 - 1e-6, 1.0 + 1e-6, 0.5, 1.5, 20.0].map(|factor| (1.0, t * factor)));
        }
        for (rate, lambda) in settings {
            for (layout, size) in
                [(Layout::Rows, [60, 7]), (Layout::Rows, [40, 64]), (Layout::Columns, [33, 50])]
            {
                all.extend(case(
                    "values",
                    Optimizer::Prox,
                    none,
                    (shape, lambda),
                    rate,
                    layout,
                    &size,
                    [0; 4],
                ));
            }
        }
    }
    all
}

/// Every base step before every group penalty, and every elementwise penalty before the two kinds of group penalties:
/// in closed form and searched for. The kernel is put together from independent files.
fn pairs() -> Vec<Step> {
    let mut all = Vec::new();
    let bases = Optimizer::all().into_iter().filter(|b| !matches!(b, Optimizer::AdamMetric(_)));
    let l1: Penalty = L1.into();
    let pairs = bases
        .map(|base| (base, l1))
        .chain(Penalty::all().into_iter().filter(|p| *p != l1).map(|penalty| (Optimizer::Gradient, penalty)));
    for (base, penalty) in pairs {
        let elementwise_alone = penalty != l1;
        let searched = |g: &GroupPenalty| matches!(g, GroupPenalty::Lasso(_) | GroupPenalty::Exclusive(_));
        for group in GroupPenalty::all().into_iter().filter(|g| !elementwise_alone || searched(g)) {
            for (rate, lambda, weight) in [(0.1, 0.3, 0.5), (1.0, 2.0, 0.1), (1e-3, 1e-2, 1e-2)] {
                let elementwise = (penalty, lambda);
                for (layout, size) in [(Layout::Rows, [50, 12]), (Layout::Columns, [9, 70])] {
                    all.extend(case(
                        "pairs",
                        base,
                        elementwise,
                        (group, weight),
                        rate,
                        layout,
                        &size,
                        [0; 4],
                    ));
                }
            }
        }
    }
    all
}

/// What of the kernels no other case takes: each elementwise penalty before each group penalty, once, and before groups
/// that no workgroup holds.
fn combinations() -> Vec<Step> {
    let lasso: GroupPenalty = Lasso::default().into();
    let held = [(Layout::Rows, [50, 12]), (Layout::Columns, [9, 70])];
    let large = [(Layout::Rows, [3, 4100]), (Layout::Columns, [4100, 3])];
    let mut all = Vec::new();
    let mut add = |base, penalty, group, (layout, shape): &(Layout, [u64; 2])| {
        let step = (penalty, 0.3);
        all.extend(case("combinations", base, step, (group, 0.5), 0.1, layout.clone(), shape, [0; 4]));
    };
    let before_every = |g: &GroupPenalty| !matches!(g, GroupPenalty::Lasso(_) | GroupPenalty::Exclusive(_));
    for penalty in Penalty::all().into_iter().filter(|p| *p != L1.into()) {
        for group in GroupPenalty::all().into_iter().filter(before_every) {
            held.iter().for_each(|groups| add(Optimizer::Gradient, penalty, group, groups));
        }
        large.iter().for_each(|groups| add(Optimizer::Gradient, penalty, lasso, groups));
    }
    large.iter().for_each(|groups| add(Optimizer::Prox, NoPenalty.into(), lasso, groups));
    all
}

/// Every layout, sizes round every tier, offsets and weights.
fn layouts() -> Vec<Step> {
    let mut all = Vec::new();
    let mut add = |group: GroupPenalty, layout: Layout, shape: &[u64], leads: [u64; 4]| {
        let elementwise: (Penalty, f64) = (L1.into(), 0.2);
        let made = case("layout", Optimizer::Gradient, elementwise, (group, 0.4), 0.5, layout, shape, leads);
        all.extend(made.clone().map(|one| Step {
            name: format!("{}/one-buffer", one.name),
            one_buffer: true,
            ..one
        }));
        all.extend(made);
    };
    let lasso: GroupPenalty = Lasso::SQRT_SIZE.into();
    let every = GroupPenalty::all();
    let sizes = [
        1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1020,
        1023, 1024, 1025, 2047, 2048, 2049, 4092, 4095, 4096, 4097, 4100, 8192, 16383, 16384, 16385, 40000,
    ];
    for size in sizes {
        let count = (9000 / size).clamp(3, 70);
        for (layout, shape) in [(Layout::Rows, [count, size]), (Layout::Columns, [size, count])] {
            add(lasso, layout.clone(), &shape, [0; 4]);
            add(lasso, layout, &shape, [1, 2, 3, 0]);
        }
        add(lasso, Layout::Whole, &[size], [4, 0, 0, 0]);
    }
    for group in every {
        let axes = [Layout::Rows, Layout::Columns, Layout::Filters, Layout::Channels, Layout::Axis(2)];
        for layout in axes.into_iter().chain([Layout::Whole]) {
            for shape in [[6, 5, 3, 3], [4, 8, 2, 2], [700, 12, 4, 3], [3, 3, 41, 40]] {
                add(group, layout.clone(), &shape, [0; 4]);
            }
        }
        for layout in [Layout::Blocks(16), Layout::Blocks(7), Layout::Blocks(1), Layout::Blocks(5000)] {
            for length in [1, 15, 112, 1003, 10_000] {
                add(group, layout.clone(), &[length], [0; 4]);
            }
        }
        let ragged = |sizes: &[u64]| {
            let ends = sizes.iter().scan(0, |at, n| {
                *at += n;
                Some(*at)
            });
            Layout::Ragged(std::iter::once(0).chain(ends).collect())
        };
        for sizes in [
            vec![1],
            vec![0, 3, 0, 0, 1, 17, 256, 1000, 0],
            vec![4, 8, 0, 1024, 4096, 12, 4],
            vec![5000, 3, 20_000, 1, 4097],
            (0..300).map(|k| k % 23).collect(),
        ] {
            add(group, ragged(&sizes), &[sizes.iter().sum()], [0; 4]);
        }
        for shape in [[0, 7], [7, 0]] {
            add(group, Layout::Rows, &shape, [0; 4]);
        }
    }
    // so many that a workgroup takes several rounds of them, several invocations to each
    for size in [17, 20] {
        add(lasso, Layout::Rows, &[2100, size], [0; 4]);
        add(crate::penalty::group::Exclusive.into(), Layout::Rows, &[2100, size], [0; 4]);
    }
    // weights of single groups, a weight of zero among them
    let weigh = |one: &Step| {
        if !one.group.penalty.rule().weighable() {
            return None;
        }
        let weights: Vec<f32> = (0..one.group.groups.count()).map(|g| (g % 5) as f32 * 0.4).collect();
        let groups = one.group.groups.clone().with_weights(&weights).ok()?;
        let group = Group { groups, ..one.group.clone() };
        Some(Step { name: format!("{}/weights", one.name), group, ..one.clone() })
    };
    let weighted: Vec<Step> = all.iter().step_by(3).filter_map(weigh).collect();
    all.extend(weighted);
    all
}

/// Members that are not finite, and sums beyond f32, in the last part of groups that no workgroup holds, beside groups
/// that are sound; for every stage: measured once and searched for, with every state and without.
fn extremes() -> Vec<Step> {
    let adam = Optimizer::all().into_iter().find(|b| b.states() == 2).unwrap_or(Optimizer::Gradient);
    let steps: [(Optimizer, GroupPenalty); 4] = [
        (adam, Lasso::default().into()),
        (Optimizer::Gradient, crate::penalty::group::Exclusive.into()),
        (Optimizer::HeavyBall { momentum: 0.9 }, crate::penalty::group::Cges::default().into()),
        (Optimizer::Prox, crate::penalty::group::L1L2 { alpha: 0.6 }.into()),
    ];
    let shapes = [
        (Layout::Rows, vec![3, 4097]),
        (Layout::Rows, vec![4, 40_000]),
        (Layout::Columns, vec![4100, 3]),
        (Layout::Columns, vec![9000, 33]),
        (Layout::Channels, vec![41, 3, 11, 11]),
        (Layout::Whole, vec![40_000]),
    ];
    let mut all = Vec::new();
    for (base, group) in steps {
        for (layout, shape) in &shapes {
            for (kind, name) in EXTREMES {
                let l1: (Penalty, f64) = (L1.into(), 0.2);
                let made = case("extremes", base, l1, (group, 0.4), 0.5, layout.clone(), shape, [0; 4]);
                all.extend(made.map(|one| Step {
                    name: format!("{}/{name}", one.name),
                    content: Content::Only(kind),
                    ..one
                }));
            }
        }
    }
    all
}

/// Millions of groups of one element, and one group of millions.
fn millions() -> Vec<Step> {
    const MANY: u64 = 3_000_001;
    let mut all = Vec::new();
    let none: (Penalty, f64) = (NoPenalty.into(), 0.0);
    let lasso: GroupPenalty = Lasso::default().into();
    for (layout, shape, weight) in [(Layout::Blocks(1), [MANY], 0.8), (Layout::Whole, [MANY], 900.0)] {
        let one = case("millions", Optimizer::Prox, none, (lasso, weight), 1.0, layout, &shape, [0; 4]);
        all.extend(one.map(|one| Step { content: Content::Finite, ..one }));
    }
    let exclusive: GroupPenalty = crate::penalty::group::Exclusive.into();
    let one = case("millions", Optimizer::Prox, none, (exclusive, 1e-6), 1.0, Layout::Whole, &[MANY], [0; 4]);
    all.extend(one.map(|one| Step { content: Content::Finite, ..one }));
    all
}

/// What is not finite.
fn broken(k: u64) -> f32 {
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(k % 3) as usize]
}

/// A magnitude of ordinary size, of either sign.
fn ordinary(rng: &mut impl Rng) -> f64 {
    let magnitude = rng.random_range(0.0..2.0);
    if rng.random::<bool>() { magnitude } else { -magnitude }
}

impl Step {
    /// Weights, gradients and states. Groups are of all kinds in turn: ordinary ones, zeros, one member that is not zero,
    /// ties, norms and largest members round the thresholds, huge and tiny members, members, gradients and states that are
    /// not finite, updates that overflow, and members whose sum is beyond the range of f32 or nearly so.
    fn elements(&self) -> Vec<Element> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x9409);
        let groups = &self.group.groups;
        let mut all = vec![Element::default(); groups.len() as usize];
        let rate = self.hyper.lr();
        for g in 0..groups.count() {
            let n = groups.size(g) as f64;
            let t = rate * self.group.lambda * f64::from(self.group.weight(g));
            let soft = rate * self.lambda;
            let kind = match self.content {
                Content::Only(kind) if g.is_multiple_of(2) => kind,
                Content::Only(_) => 0,
                _ if groups.count() < 3 => 0,
                // a few groups see a few kinds: others in each case
                _ if groups.count() < KINDS => (g + groups.size(g)) % KINDS,
                _ => g % KINDS,
            };
            let turn = g / KINDS;
            let direction = |rng: &mut ChaCha8Rng| ordinary(rng);
            let spread = (n / 3.0).sqrt().max(0.5);
            let value = |rng: &mut ChaCha8Rng, k: usize| match kind {
                1 => 0.0,
                2 => {
                    if k == 0 {
                        3.0
                    } else {
                        -0.0
                    }
                }
                // ties, above the thresholds and between them
                3 => {
                    (if turn.is_multiple_of(2) { 1.5 } else { 0.9 * t })
                        * (if k.is_multiple_of(2) { 1.0 } else { -1.0 })
                }
                // norms about t
                4 => direction(rng) * t / spread,
                5 => direction(rng) * (t + soft) / spread * 1.1,
                // largest members about t, and a little above
                6 => t * (1.0 + 1e-3 * ordinary(rng)) * f64::from(u8::from(k.is_multiple_of(3))),
                7 => (t + soft) * ordinary(rng) * 0.7,
                8 => 1e30 * ordinary(rng) / n,
                10 => 1e-30 * ordinary(rng),
                // members on both sides of the borders between the ranges of squares
                14 => 2f64.powi(48) * ordinary(rng),
                15 => 2f64.powi(-48) * ordinary(rng),
                11 => 10f64.powf(rng.random_range(-12.0..3.0)),
                12 => soft + 1e-4 * ordinary(rng),
                // four of them are beyond f32, three are not
                20 if k < 4 => 1e38,
                21 if k < 3 => -1e38,
                22 => 1.5e38 * ordinary(rng),
                // between the thresholds of the largest member: ties, the first of which is far from the first part
                23 if k as f64 >= (0.7 * n).floor() && k as f64 % (0.1 * n).ceil() < 1.0 => soft + 0.9 * t,
                23 => soft + 0.1 * t * ordinary(rng),
                _ => ordinary(rng),
            };
            let tiny = matches!(kind, 1 | 2 | 3 | 10 | 15);
            for (k, i) in groups.members(g).enumerate() {
                let w = value(&mut rng, k) as f32;
                let g = if tiny { 0.0 } else { 0.1 * ordinary(&mut rng) as f32 };
                let m = if tiny { 0.0 } else { 0.1 * ordinary(&mut rng) as f32 };
                let v = rng.random_range(1e-4f32..1.0);
                all[i] = Element { w, g, m, v, ..Element::default() };
            }
            if let (5, GroupPenalty::GroupLog(log), 0.0) = (kind, self.group.penalty, soft)
                && t > 4.0 * log.scale
            {
                // norms on both sides of the one at which the better root changes
                let [.., (_, switch), _, _, _] = log.constants(t);
                let norm = crate::penalty::group::norm(groups.members(g).map(|i| f64::from(all[i].w)));
                let aim = switch * log.scale.sqrt() * (1.0 + [4e-4, -4e-4, 3e-5, -3e-5][(turn % 4) as usize]);
                for i in groups.members(g) {
                    all[i].w = (f64::from(all[i].w) * aim / norm) as f32;
                }
            }
            let last = groups.members(g).last().filter(|_| self.content != Content::Finite);
            let Some(e) = last.map(|i| &mut all[i]) else { continue };
            match kind {
                13 => e.w = broken(turn),
                16 => e.g = broken(turn),
                17 => e.m = broken(turn),
                18 => e.v = [-1.0, f32::NAN][(turn % 2) as usize],
                19 => *e = Element { w: 3e38, g: -3e38, ..*e },
                _ => {}
            }
        }
        if self.hyper.frozen_zeros() {
            let zeros = all.iter_mut().enumerate().filter(|(i, e)| i % 3 == 1 && e.w.is_finite());
            // with gradients so large that they would not stay by themselves
            zeros.for_each(|(i, e)| (e.w, e.g) = ([0.0, -0.0][i % 2], 40.0 * e.g));
        }
        all
    }
}

impl Step {
    /// The same with zeros that stay.
    fn frozen(&self) -> Self {
        let hyper = self.hyper.with_frozen_zeros(true);
        Step { name: format!("{}/frozen", self.name), hyper, ..self.clone() }
    }
}

impl Case for Step {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn elements(&self) -> usize {
        self.group.groups.len() as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let operator = Grouped::new(Elementwise::new(self.penalty, self.lambda), self.group.clone());
        let reference = GroupReference::of(&operator, self.base, 1.0, &self.hyper);
        let before = self.elements();
        let gradient = usize::from(self.base.has_gradient());
        let states = self.base.states();
        let all: [fn(&Element) -> f32; 4] = [|e| e.w, |e| e.g, |e| e.m, |e| e.v];
        let data: Vec<Vec<f32>> =
            all[..1 + gradient + states].iter().map(|read| before.iter().map(read).collect()).collect();
        let mut fixture = Fixture::new(kernels, &self.name, &data, &self.leads, self.one_buffer)?;
        let usage = gpu::USAGE;
        let rows = gpu::buffer_with(
            device,
            "rows",
            bytemuck::bytes_of(&operator.row(self.base, 1.0, &self.hyper)),
            usage,
        )?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let job = TensorJob { operator: &operator, views: &fixture.views, row: 0, tensor: 0 };
        let rows = rows.as_entire_buffer_binding();
        let dispatches = bind(kernels, self.base, &[job], rows, &status)?;
        let counted = fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;

        let after = |i: usize| Element {
            w: fixture.value(0, i),
            m: if states > 0 { fixture.value(1 + gradient, i) } else { 0.0 },
            v: if states > 1 { fixture.value(2 + gradient, i) } else { 0.0 },
            ..before[i]
        };
        // directions may be ill conditioned where the penalty is not convex
        let convex = self.group.penalty.rule().convex();
        let alone = self.base == Optimizer::Prox && self.lambda == 0.0 && !convex;
        let judge = |g: u64| {
            let places: Vec<usize> = self.group.groups.members(g).collect();
            let (was, is): (Vec<_>, Vec<_>) = places.iter().map(|&i| (before[i], after(i))).unzip();
            let mut outcome = Outcome::default();
            for (((j, e), from), i) in reference.judge(g, &was, &is).iter().zip(&is).zip(&was).zip(&places) {
                outcome.judge(j, e.w, || {
                    format!("index {i} of group {g}: {}; {from:?} became {e:?}", j.told(e.w))
                });
            }
            if alone && was.iter().chain(&is).all(|e| e.w.is_finite()) {
                outcome.demand(reference.optimal(g, &was, &is), || {
                    format!("group {g}: the objective is above its minimum")
                });
            }
            outcome
        };
        let merge = |mut a: Outcome, b: Outcome| {
            a.merge(b);
            a
        };
        let groups = self.group.groups.count();
        let mut outcome = (0..groups.div_ceil(256))
            .into_par_iter()
            .map(|c| (c * 256..groups.min((c + 1) * 256)).map(judge).fold(Outcome::default(), merge))
            .reduce(Outcome::default, merge);
        fixture.judge_surroundings((gradient == 1).then_some(1), &mut outcome);
        let bad = (0..before.len()).filter(|&i| after(i).w.to_bits() == QUIET_NAN).count();
        outcome.demand(counted as usize == bad, || {
            format!("status word {counted} for {bad} elements that are not finite")
        });
        Ok(outcome)
    }
}
