//! The cases of the other solvers: each with every base step and every elementwise penalty, with groups and without; every
//! layout; sizes round every tier; the first step and later ones; weights that are tiny, huge, zero or not finite.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Solved, Solver, SolverReference, bind};
use crate::accuracy::QUIET_NAN;
use crate::error::Result;
use crate::gpu;
use crate::kernels::fixture::Fixture;
use crate::kernels::operator::Tabled;
use crate::kernels::step::{Element, Elementwise, Optimizer, StepParameters};
use crate::kernels::{Case, Outcome, PipelineCache, Reference, TensorJob};
use crate::penalty::group::Lasso;
use crate::penalty::{Group, Groups, L1, Layout, Penalty};

/// One tensor, stepped once.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    solver: Solver,
    base: Optimizer,
    penalty: Penalty,
    lambda: f64,
    length: u64,
    group: Option<Group>,
    hyper: StepParameters,
    leads: [u64; 5],
    one_buffer: bool,
}

/// The solvers of this kernel.
const SOLVERS: [Solver; 3] =
    [Solver::Subgradient, Solver::ProximalSubgradient, Solver::Splitting { beta: 1.5, published: false }];

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all = pairs();
    all.extend(layouts());
    let frozen: Vec<Step> = all.iter().step_by(5).map(Step::frozen).collect();
    all.extend(frozen);
    all.into_iter().map(|case| Box::new(case) as Box<dyn Case>).collect()
}

/// A case, where its parts fit together.
fn case(
    what: &str,
    (solver, base): (Solver, Optimizer),
    (penalty, lambda): (Penalty, f64),
    (layout, weight): (Option<Layout>, f64),
    shape: &[u64],
    (rate, step): (f64, u64),
    leads: [u64; 5],
) -> Option<Step> {
    let groups = match &layout {
        Some(layout) => Some(Groups::new(layout.clone(), shape).ok()?),
        None => None,
    };
    let hyper = StepParameters::new(rate, step).ok()?.with_beta_scale(2.0).ok()?;
    let join = |numbers: &[u64], by| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(by);
    let layout = layout.map_or("none".into(), |layout| layout.to_string());
    let name = format!(
        "solver/{what}/{solver}/{}/{penalty}/{layout}/shape={}/rate={rate}/step={step}/lambda={lambda}+{weight}/offsets={}",
        base.name(),
        join(shape, "x"),
        join(&leads, "-"),
    );
    let group = groups.map(|groups| Group::new(Lasso::SQRT_SIZE.into(), weight, groups));
    let length = shape.iter().product();
    Some(Step { name, solver, base, penalty, lambda, length, group, hyper, leads, one_buffer: false })
}

/// Every solver with every base step, and with every penalty.
fn pairs() -> Vec<Step> {
    let mut all = Vec::new();
    let l1: Penalty = L1.into();
    let bases =
        Optimizer::all().into_iter().filter(|b| !matches!(b, Optimizer::Prox | Optimizer::AdamMetric(_)));
    for base in bases {
        for solver in SOLVERS {
            for (layout, shape) in [
                (Some(Layout::Rows), vec![50, 12]),
                (Some(Layout::Columns), vec![9, 70]),
                (None, vec![10_000]),
                (None, vec![1003]),
                (None, vec![0]),
            ] {
                for hyper in [(0.1, 1), (0.05, 7)] {
                    let groups = (layout.clone(), 0.2);
                    all.extend(case("bases", (solver, base), (l1, 0.3), groups, &shape, hyper, [0; 5]));
                }
            }
        }
    }
    let published = Solver::Splitting { beta: 1.5, published: true };
    for penalty in Penalty::all().iter().flat_map(|p| p.rule().examples()) {
        for solver in SOLVERS.into_iter().chain([published]) {
            let refused = matches!((solver, penalty), (Solver::Subgradient, Penalty::L0(_)));
            let lambda_matters = matches!(penalty, Penalty::Scad(_) | Penalty::Mcp(_));
            if refused || (solver == published && !lambda_matters) {
                continue;
            }
            for (lambda, weight, rate) in [(0.3, 0.2, 0.1), (2.0, 0.0, 1.0), (1e-3, 1e-2, 1e-2)] {
                let groups = (Some(Layout::Rows), weight);
                let step = (solver, Optimizer::Gradient);
                all.extend(case("penalties", step, (penalty, lambda), groups, &[50, 12], (rate, 4), [0; 5]));
            }
        }
    }
    all
}

/// Every layout, sizes round every tier, offsets and weights.
fn layouts() -> Vec<Step> {
    let mut all = Vec::new();
    let adam = Optimizer::all().into_iter().find(|b| b.states() == 2).unwrap_or(Optimizer::Gradient);
    let steps = [(SOLVERS[0], Optimizer::Gradient), (SOLVERS[1], Optimizer::Gradient), (SOLVERS[2], adam)];
    let mut add = |layout: Option<Layout>, shape: &[u64], leads: [u64; 5]| {
        for (k, step) in steps.into_iter().enumerate() {
            let elementwise: (Penalty, f64) = (L1.into(), 0.2);
            let made = case("layout", step, elementwise, (layout.clone(), 0.4), shape, (0.1, 5), leads);
            let one_buffer = (shape.iter().sum::<u64>() + k as u64).is_multiple_of(3);
            all.extend(made.map(|one| Step { one_buffer, ..one }));
        }
    };
    let sizes = [
        1, 3, 4, 5, 16, 17, 63, 64, 65, 256, 1023, 1024, 1025, 4092, 4095, 4096, 4097, 4100, 16_384, 16_385,
        40_000,
    ];
    for size in sizes {
        let count = (9000 / size).clamp(3, 70);
        for (layout, shape) in [(Layout::Rows, [count, size]), (Layout::Columns, [size, count])] {
            add(Some(layout.clone()), &shape, [0; 5]);
            if size > 1000 {
                add(Some(layout), &shape, [1, 2, 3, 0, 1]);
            }
        }
        add(Some(Layout::Whole), &[size], [4, 0, 0, 0, 8]);
        add(None, &[size], [0, 1, 0, 2, 3]);
        add(None, &[size], [4, 0, 8, 0, 0]);
    }
    for shape in [[6, 5, 3, 3], [4, 8, 2, 2], [700, 12, 4, 3], [3, 3, 41, 40]] {
        for layout in [Layout::Filters, Layout::Channels, Layout::Whole] {
            add(Some(layout), &shape, [0; 5]);
        }
    }
    for layout in [Layout::Blocks(16), Layout::Blocks(7), Layout::Blocks(1), Layout::Blocks(5000)] {
        for length in [1, 1003, 10_000] {
            add(Some(layout.clone()), &[length], [0; 5]);
        }
    }
    for sizes in [
        vec![0, 3, 0, 0, 1, 17, 256, 1000, 0],
        vec![4, 8, 0, 1024, 4096, 12, 4],
        vec![5000, 3, 20_000, 1, 4097],
        (0..300).map(|k| k % 23).collect(),
    ] {
        let ends = sizes.iter().scan(0, |at, n| {
            *at += n;
            Some(*at)
        });
        let borders = std::iter::once(0).chain(ends).collect();
        add(Some(Layout::Ragged(borders)), &[sizes.iter().sum()], [0; 5]);
    }
    add(Some(Layout::Rows), &[7, 0], [0; 5]);
    // so many groups that a workgroup takes several rounds of them, several invocations to each
    for size in [17, 20] {
        add(Some(Layout::Rows), &[2100, size], [0; 5]);
    }
    // weights of single groups, a weight of zero among them
    let weigh = |one: &Step| {
        let group = one.group.as_ref()?;
        let weights: Vec<f32> = (0..group.groups.count()).map(|g| (g % 5) as f32 * 0.4).collect();
        let groups = group.groups.clone().with_weights(&weights).ok()?;
        let group = Some(Group { groups, ..group.clone() });
        Some(Step { name: format!("{}/weights", one.name), group, ..one.clone() })
    };
    let weighted: Vec<Step> = all.iter().step_by(4).filter_map(weigh).collect();
    all.extend(weighted);
    all
}

/// A magnitude of ordinary size, of either sign.
fn ordinary(rng: &mut impl Rng) -> f32 {
    let magnitude = rng.random_range(0.0..2.0);
    if rng.random::<bool>() { magnitude } else { -magnitude }
}

/// What is not finite.
fn broken(k: u64) -> f32 {
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(k % 3) as usize]
}

impl Step {
    /// Members of every group, or of runs of seven elements where there are no groups.
    fn groups(&self) -> Vec<Vec<usize>> {
        match &self.group {
            Some(group) => (0..group.groups.count()).map(|g| group.groups.members(g).collect()).collect(),
            None => (0..self.length as usize).collect::<Vec<_>>().chunks(7).map(<[usize]>::to_vec).collect(),
        }
    }

    /// Weights, gradients, states and copies. Groups are of all kinds in turn: ordinary ones, zeros, one member that is not
    /// zero, huge and tiny members in several ranges, members near the kinks of the penalties, and such that are not finite.
    fn elements(&self) -> Vec<Element> {
        let mut rng = ChaCha8Rng::seed_from_u64(0x501e);
        let mut all = vec![Element::default(); self.length as usize];
        let groups = self.groups();
        for (g, members) in (0_u64..).zip(&groups) {
            let kind = if groups.len() < 3 { 0 } else { g % 17 };
            for (k, &i) in members.iter().enumerate() {
                let value = ordinary(&mut rng);
                let w = match kind {
                    1 => 0.0,
                    2 => [-0.0, 3.0][usize::from(k == 0)],
                    3 => 1e30 * value,
                    4 => 1e-30 * value,
                    5 => 1e-38 * value,
                    6 => 10f32.powf(rng.random_range(-30.0..30.0)),
                    7 => 10f32.powf(rng.random_range(-12.0..3.0)).copysign(value),
                    8 => self.lambda as f32 * [1.0, -1.0, 3.7, 2.0][k % 4],
                    9 => [2.8e14, -3.6e-15, 1.0, 3e38][k % 4],
                    10 => [3.6e-15, -3.5e-15, 1e-20, 0.0][k % 4],
                    _ => value,
                };
                let copy = match rng.random_range(0..3) {
                    0 => 0.0,
                    1 => w,
                    _ => w + 0.1 * ordinary(&mut rng),
                };
                let still = kind == 1 && g % 2 == 0;
                let [gradient, m] = [0, 0].map(|_| if still { 0.0 } else { 0.1 * ordinary(&mut rng) });
                let v = rng.random_range(1e-4f32..1.0);
                all[i] = Element { w, g: gradient, m, v, copy: if still { 0.0 } else { copy } };
            }
            let Some(&last) = members.last() else { continue };
            let e = &mut all[last];
            match kind {
                11 => e.w = broken(g),
                12 => e.g = broken(g),
                13 => e.copy = broken(g),
                14 => e.m = broken(g),
                15 => e.v = [f32::NAN, -1.0][(g % 2) as usize],
                16 => *e = Element { w: 3e38, g: -3e38, copy: -3e38, ..*e },
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
        format!("{}{}", self.name, if self.one_buffer { "/one-buffer" } else { "" })
    }

    fn elements(&self) -> usize {
        self.length as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let Step { solver, base, penalty, lambda, hyper, group, .. } = self;
        let own = Elementwise::new(*penalty, *lambda);
        let operator = Solved::new(&self.name, *solver, own, group.clone())?;
        let reference = SolverReference::of(&operator, *base, 1.0, hyper);
        let before = self.elements();
        let states = base.states();
        let all: [fn(&Element) -> f32; 4] = [|e| e.w, |e| e.g, |e| e.m, |e| e.v];
        let copy: fn(&Element) -> f32 = |e| e.copy;
        let read = all[..2 + states].iter().chain(solver.has_copy().then_some(&copy));
        let data: Vec<Vec<f32>> = read.map(|read| before.iter().map(read).collect()).collect();
        let mut fixture = Fixture::new(kernels, &self.name, &data, &self.leads, self.one_buffer)?;
        let usage = gpu::USAGE;
        let rows =
            gpu::buffer_with(device, "rows", bytemuck::bytes_of(&operator.row(*base, 1.0, hyper)), usage)?;
        let status = gpu::buffer_with(device, "status", &[0; 16], usage)?;
        let job = TensorJob { operator: &operator, views: &fixture.views, row: 0, tensor: 0 };
        let rows = rows.as_entire_buffer_binding();
        let dispatches = bind(kernels, *base, &[job], rows, &status)?;
        let counted = fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;

        let after = |i: usize| Element {
            w: fixture.value(0, i),
            m: if states > 0 { fixture.value(2, i) } else { 0.0 },
            v: if states > 1 { fixture.value(3, i) } else { 0.0 },
            copy: if solver.has_copy() { fixture.value(2 + states, i) } else { 0.0 },
            ..before[i]
        };
        let judge = |(g, places): (usize, &Vec<usize>)| {
            let (was, is): (Vec<_>, Vec<_>) = places.iter().map(|&i| (before[i], after(i))).unzip();
            let mut outcome = Outcome::default();
            let verdicts = reference.judge(g as u64, &was, &is);
            for (((j, got), e), i) in verdicts.iter().zip(&is).zip(&was).zip(places) {
                outcome.judge(j, got.w, || {
                    format!("index {i} of group {g}: {}; {e:?} became {got:?}", j.told(got.w))
                });
            }
            outcome
        };
        let merge = |mut a: Outcome, b: Outcome| {
            a.merge(b);
            a
        };
        let groups = self.groups();
        let mut outcome =
            groups.par_iter().enumerate().with_min_len(64).map(judge).reduce(Outcome::default, merge);
        fixture.judge_surroundings(Some(1), &mut outcome);
        let bad = (0..before.len()).filter(|&i| after(i).w.to_bits() == QUIET_NAN).count();
        outcome.demand(counted as usize == bad, || {
            format!("status word {counted} for {bad} elements that are not finite")
        });
        Ok(outcome)
    }
}
