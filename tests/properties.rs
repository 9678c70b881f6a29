//! Plans of tensors as they come: kinds, shapes, layouts, offsets, settings and neighbours drawn at random, bound once and stepped
//! several times with other data, on devices with default limits and with lowered ones.
//!
//! Every element is judged by a reference made here of what the tensor was asked for, and every status word by what its tensor has:
//! nothing of the plan's own books is believed. A failure is printed and kept in `properties.proptest-regressions`.

mod support;

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use maf_srl::kernels::group::{GroupReference, Grouped};
use maf_srl::kernels::solver::{Solved, Solver, SolverReference};
use maf_srl::kernels::spmm::MetricReference;
use maf_srl::kernels::step::{
    Adam, Element, Elementwise, Optimizer, StepParameters, StepReference, Variant, Width,
};
use maf_srl::kernels::{Judgement, KERNELS, PipelineCache, Reference};
use maf_srl::matrix::Pattern;
use maf_srl::penalty::{Activation, Group, GroupPenalty, Groups, Layout, Penalty};
use maf_srl::regulariser::{Parameters, Regulariser};
use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestRunner};
use support::work::{download, submit, upload, view};

/// What no tensor's words are: between them.
const GUARD: u32 = 0x7fba_dbad;

/// Learned regularisers: in tiles and in rows, full and sparse.
static LEARNED: LazyLock<[Arc<Regulariser>; 3]> = LazyLock::new(|| {
    [(3, 1.0), (7, 0.6), (66, 0.1)].map(|(n, density)| {
        let pattern = Arc::new(Pattern::random(n, density, u64::from(n)).expect("a pattern"));
        let bent = Activation { eta1: 0.4, eta2: 0.9, delta1: 0.3, delta2: 0.8 };
        let mut p = Parameters::identity(pattern, bent, 1.0).expect("they fit");
        let off = 0.5 / (f64::from(n) * density).sqrt();
        let some = |k: usize| ((k as f64 * 0.754_877_666).fract() - 0.5) * 2.0;
        p.values.iter_mut().enumerate().for_each(|(k, a)| *a = 0.9 * *a + off * some(k));
        p.q.iter_mut().enumerate().for_each(|(k, q)| *q = 1.0 + 0.4 * some(k));
        Arc::new(Regulariser::new(p).expect("invertible"))
    })
});

/// A tensor as it is asked for.
#[derive(Clone, Debug)]
struct Asked {
    shape: Vec<u64>,
    penalty: Penalty,
    lambda: f64,
    scale: f64,
    solver: Solver,
    group: Option<(GroupPenalty, f64, Layout, bool)>,
    /// A learned regulariser in place of the penalties, with the layout of its groups.
    learned: Option<(usize, Layout)>,
    /// What is set before each step.
    turns: [Turn; 3],
    /// Words before it on each page.
    gap: u64,
    /// Which page has its weights, and which its gradient.
    pages: [usize; 2],
}

/// What one tensor is set to before a step.
#[derive(Clone, Copy, Debug)]
struct Turn {
    rests: bool,
    freeze: bool,
    /// Factors of what it was bound with.
    scale: f64,
    lambda: f64,
    /// Whether it counts its steps by itself, from the first on.
    own_step: bool,
}

#[derive(Clone, Debug)]
struct Scene {
    base: Optimizer,
    tensors: Vec<Asked>,
    seed: u32,
    freeze: bool,
    /// How often a word is not finite: once in so many.
    broken: u32,
}

fn bases() -> impl Strategy<Value = Optimizer> {
    let of = |text: &str| text.parse::<Optimizer>().expect("a base step");
    prop::sample::select(vec![
        Optimizer::Gradient,
        of("heavy-ball(momentum=0.8)"),
        of("nesterov(momentum=0.7)"),
        Optimizer::Adam(Adam::default()),
        of("adamw(decay=0.2)"),
        Optimizer::AdamMetric(Adam::default()),
        Optimizer::Prox,
    ])
}

/// A layout that fits the shape.
fn layout(shape: Vec<u64>) -> impl Strategy<Value = Layout> {
    let length: u64 = shape.iter().product();
    let axes = 0..shape.len();
    prop_oneof![
        3 => axes.prop_map(Layout::Axis),
        1 => (1..=length.max(1)).prop_map(Layout::Blocks),
        1 => Just(Layout::Whole),
        1 => prop::collection::vec(0..=length, 0..5).prop_map(move |mut inner| {
            inner.extend([0, length]);
            inner.sort_unstable();
            Layout::Ragged(inner.into())
        }),
    ]
}

fn shape() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        6 => prop::collection::vec(1u64..24, 1..4),
        2 => (1u64..6, 60u64..200).prop_map(|(a, b)| vec![a, b]),
        2 => (60u64..200, 1u64..6).prop_map(|(a, b)| vec![a, b]),
        // groups that no workgroup holds
        1 => (1u64..4, 4090u64..9000).prop_map(|(a, b)| vec![a, b]),
        1 => (4090u64..6000, 1u64..4).prop_map(|(a, b)| vec![a, b]),
        // tiles and what is left of them
        1 => (1000u64..1090).prop_map(|a| vec![a]),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let solvers = prop_oneof![
        5 => Just(Solver::Proximal),
        1 => Just(Solver::ProximalSubgradient),
        1 => Just(Solver::Splitting { beta: 0.5, published: false }),
    ];
    let penalties = prop::sample::select(Penalty::all());
    let groups = prop::sample::select(
        GroupPenalty::all()
            .into_iter()
            .chain(["lasso(weight=sqrt-size)".parse().expect("a penalty")])
            .collect::<Vec<_>>(),
    );
    // few values: rows that are alike, and rows that are not
    let lambdas = || prop::sample::select(vec![0.0, 0.03, 0.3]);
    let scales = prop::sample::select(vec![1.0, 0.5]);
    let plain = shape()
        .prop_flat_map(|shape| (Just(shape.clone()), layout(shape)))
        .prop_map(|(shape, layout)| (shape, layout, None));
    let kinds = prop_oneof![
        5 => plain,
        1 => learned().prop_map(|(shape, learned)| (shape, Layout::Whole, Some(learned))),
    ];
    (kinds, prop::array::uniform3(turn()))
        .prop_flat_map(move |((shape, layout, learned), turns)| {
            let group = prop::option::of((groups.clone(), lambdas(), Just(layout), any::<bool>()));
            let places = (0u64..9, [0usize..2, 0usize..2]);
            let own = (penalties.clone(), lambdas(), scales.clone(), solvers.clone());
            (Just((shape, learned, turns)), own, group, places)
        })
        .prop_map(|((shape, learned, turns), (penalty, lambda, scale, solver), group, (gap, pages))| Asked {
            shape,
            penalty,
            lambda,
            scale,
            solver,
            group,
            learned,
            turns,
            gap,
            pages,
        })
}

/// Settings: mostly those of before.
fn turn() -> impl Strategy<Value = Turn> {
    let factors = || prop::sample::select(vec![1.0, 1.0, 1.0, 0.0, 2.0]);
    let seldom = || prop::sample::select(vec![false, false, false, true]);
    (seldom(), seldom(), factors(), factors(), seldom())
        .prop_map(|(rests, freeze, scale, lambda, own_step)| Turn { rests, freeze, scale, lambda, own_step })
}

/// A tensor with a learned regulariser: rows, or columns, of its size.
fn learned() -> impl Strategy<Value = (Vec<u64>, (usize, Layout))> {
    (0..LEARNED.len(), 1u64..40, any::<bool>()).prop_map(|(of, count, columns)| {
        let n = LEARNED[of].parameters().q.len() as u64;
        match columns {
            true => (vec![n, count], (of, Layout::Columns)),
            false => (vec![count, n], (of, Layout::Rows)),
        }
    })
}

fn scenes() -> impl Strategy<Value = Scene> {
    let broken = prop::sample::select(vec![u32::MAX, 97, 1000]);
    (bases(), prop::collection::vec(asked(), 1..14), any::<u32>(), any::<bool>(), broken)
        .prop_map(|(base, tensors, seed, freeze, broken)| Scene { base, tensors, seed, freeze, broken })
}

impl Asked {
    fn length(&self) -> usize {
        self.shape.iter().product::<u64>() as usize
    }

    /// What goes with the base step: other parts are left out.
    fn fitted(&self, base: Optimizer) -> Self {
        let mut asked = self.clone();
        let metric = matches!(base, Optimizer::AdamMetric(_));
        if metric {
            asked.learned = None;
        }
        if asked.learned.is_some() {
            asked.penalty = "none".parse().expect("a penalty");
            asked.solver = Solver::Proximal;
            asked.group = None;
        }
        if metric || !base.has_gradient() {
            asked.solver = Solver::Proximal;
        }
        if metric {
            asked.group = None;
        }
        if Variant::new(base, asked.penalty, Width::Scalar).is_err() {
            asked.penalty = "l1".parse().expect("a penalty");
        }
        if let (true, Some((penalty, ..))) = (asked.solver != Solver::Proximal, &mut asked.group)
            && !matches!(penalty, GroupPenalty::Lasso(_))
        {
            *penalty = "lasso".parse().expect("a penalty of groups");
        }
        if let Some((penalty, _, _, weighted)) = &mut asked.group {
            *weighted &= penalty.rule().weighable();
        }
        asked
    }

    fn own(&self) -> Elementwise {
        Elementwise::new(self.penalty, self.lambda)
    }

    fn groups(&self) -> Option<Group> {
        let (penalty, lambda, layout, weighted) = self.group.clone()?;
        let groups = Groups::new(layout, &self.shape).expect("the layout fits");
        let weights: Vec<f32> = (0..groups.count()).map(|g| 0.5 + (g % 5) as f32 / 4.0).collect();
        let groups = if weighted { groups.with_weights(&weights).expect("weights") } else { groups };
        Some(Group::new(penalty, lambda, groups))
    }

    fn spec(&self, k: usize) -> Spec {
        let spec = Spec::new(format!("tensor {k}"), self.penalty, self.lambda)
            .with_lr_scale(self.scale)
            .with_solver(self.solver);
        if let Some((of, layout)) = &self.learned {
            let groups = Groups::new(layout.clone(), &self.shape).expect("the layout fits");
            return spec.with_regulariser(LEARNED[*of].clone(), groups);
        }
        self.groups().map_or(spec.clone(), |group| spec.with_group(group))
    }

    /// The same with what is set before step `turn`.
    fn at(&self, turn: usize) -> Self {
        let mut asked = self.clone();
        let Turn { scale, lambda, .. } = self.turns[turn];
        asked.scale *= scale;
        asked.lambda *= lambda;
        if let Some((_, group_lambda, ..)) = &mut asked.group {
            *group_lambda *= lambda;
        }
        asked
    }

    /// The reference of one step, from what was asked for.
    fn reference(&self, base: Optimizer, hyper: &StepParameters) -> Box<dyn Reference> {
        if let Some(of) = self.spec(0).regulariser {
            return Box::new(MetricReference::new(base, &of, self.lambda, self.scale, hyper));
        }
        match (self.solver, self.groups()) {
            (Solver::Proximal, None) => {
                Box::new(StepReference::new(base, self.penalty, self.lambda, self.scale, hyper))
            }
            (Solver::Proximal, Some(group)) => {
                Box::new(GroupReference::of(&Grouped::new(self.own(), group), base, self.scale, hyper))
            }
            (solver, lasso) => {
                let solved = Solved::new("tensor", solver, self.own(), lasso).expect("they go together");
                Box::new(SolverReference::of(&solved, base, self.scale, hyper))
            }
        }
    }

    /// The members of each group by the definition: the index along the axis of every element.
    fn members(&self) -> Vec<Vec<usize>> {
        let length = self.length();
        let learned = self.learned.as_ref().map(|(_, layout)| layout);
        let grouped = self.group.as_ref().map(|(_, _, layout, _)| layout);
        let Some(layout) = learned.or(grouped) else { return vec![(0..length).collect()] };
        let mut all: Vec<Vec<usize>> = Vec::new();
        for i in 0..length {
            let group = match layout {
                Layout::Axis(k) => {
                    let after: u64 = self.shape[k + 1..].iter().product();
                    (i as u64 / after % self.shape[*k]) as usize
                }
                Layout::Rows => (i as u64 / self.shape[1]) as usize,
                Layout::Columns => (i as u64 % self.shape[1]) as usize,
                Layout::Blocks(size) => (i as u64 / size) as usize,
                Layout::Ragged(ends) => ends.iter().filter(|end| **end <= i as u64).count() - 1,
                _ => 0,
            };
            all.resize_with(all.len().max(group + 1), Vec::new);
            all[group].push(i);
        }
        all
    }
}

/// Words of ordinary numbers, zeros among them, and every so often one that is not finite.
fn words(range: Range<usize>, seed: u32, broken: u32) -> Vec<u32> {
    range
        .map(|k| {
            let mut x = (k as u32).wrapping_mul(0x9e37_79b9) ^ seed;
            x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
            x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
            x ^= x >> 16;
            match x {
                _ if x % broken == 1 => [0x7fc0_0000, 0x7f80_0000, 0xff80_0000][(x >> 8) as usize % 3],
                _ if x.is_multiple_of(11) => 0,
                _ => (x & 0x807f_ffff) | ((118 + (x >> 28)) << 23),
            }
        })
        .collect()
}

/// Where a tensor's arrays lie: page and first word of W and of G.
struct Place {
    weights: (usize, usize),
    gradient: (usize, usize),
}

fn places(tensors: &[Asked]) -> (Vec<Place>, [usize; 4]) {
    // weights and gradients on pages of their own, so that the same layout serves both
    let mut ends = [0usize; 4];
    let mut take = |page: usize, gap: u64, length: usize| {
        let first = ends[page] + gap as usize;
        ends[page] = first + length;
        (page, first)
    };
    let of = |asked: &Asked| Place {
        weights: take(asked.pages[0], asked.gap, asked.length()),
        gradient: take(2 + asked.pages[1], asked.gap / 2, asked.length()),
    };
    let all = tensors.iter().map(of).collect();
    (all, ends.map(|end| end + 3))
}

fn f32s(words: &[u32]) -> impl Fn(usize) -> f32 + '_ {
    |k| f32::from_bits(words[k])
}

/// Binds once, and steps three times, each with data of its own.
fn play(
    label: &str,
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    pipelines: PipelineCache,
    scene: &Scene,
) -> Result<(), TestCaseError> {
    let base = scene.base;
    let tensors: Vec<Asked> = scene.tensors.iter().map(|asked| asked.fitted(base)).collect();
    let (places, sizes) = places(&tensors);
    let filled = |seed: u32| {
        let mut pages = sizes.map(|size| vec![GUARD; size]);
        for (asked, place) in tensors.iter().zip(&places) {
            for (page, first) in [place.weights, place.gradient] {
                let range = first..first + asked.length();
                let fresh = words(range.clone(), seed ^ (page as u32) << 20, scene.broken);
                pages[page][range].copy_from_slice(&fresh);
            }
        }
        pages
    };
    let buffers = filled(scene.seed).map(|page| upload(device, &page));
    let bound: Vec<Tensor> = tensors
        .iter()
        .zip(&places)
        .enumerate()
        .map(|(k, (asked, place))| {
            let at = |(page, first): (usize, usize)| view(&buffers[page], 4 * first as u64, asked.length());
            let tensor = Tensor::new(asked.spec(k), at(place.weights));
            if base.has_gradient() { tensor.with_gradient(at(place.gradient)) } else { tensor }
        })
        .collect();
    let schedule = Schedule::with_pipelines(device, pipelines);
    let mut plan = match schedule.bind(base, &bound, Verify::Full) {
        Ok(plan) => plan,
        // what a device with low limits cannot hold is refused
        Err(maf_srl::Error::Limit { .. }) => return Ok(()),
        Err(error) => return Err(TestCaseError::fail(format!("{label}: {error}"))),
    };
    let state = |tensor: usize, k: usize| plan.states(tensor).get(k).cloned();
    let states: Vec<[Option<maf_srl::gpu::View>; 2]> =
        (0..tensors.len()).map(|k| [state(k, 0), state(k, 1)]).collect();
    let copies: Vec<Option<maf_srl::gpu::View>> =
        (0..tensors.len()).map(|k| plan.copy(k).or(plan.coefficients(k)).cloned()).collect();
    let read = |of: &Option<maf_srl::gpu::View>| -> Vec<u32> {
        of.as_ref().map_or_else(Vec::new, |of| {
            let all = download(device, queue, of.buffer());
            let first = (of.offset() / 4) as usize;
            all[first..first + of.len() as usize].to_vec()
        })
    };
    for step in 1..=3u64 {
        let fresh = filled(scene.seed.wrapping_add(step as u32 * 0x1357));
        // new gradients each time; new weights but once, when those of the step before are stepped on
        for (page, words) in fresh.iter().enumerate() {
            if page >= 2 || step != 2 {
                queue.write_buffer(&buffers[page], 0, bytemuck::cast_slice(words));
            }
        }
        let numbered = |number| StepParameters::new(0.3 / step as f64, number).expect("in the domain");
        let hyper = numbered(step).with_frozen_zeros(scene.freeze && step != 2);
        let turn = step as usize - 1;
        for (k, asked) in tensors.iter().enumerate() {
            let Turn { rests, freeze, own_step, .. } = asked.turns[turn];
            let now = asked.at(turn);
            let mut settings = *plan.settings(k).expect("a tensor");
            (settings.rests, settings.freeze) = (rests, freeze);
            (settings.lr_scale, settings.lambda) = (now.scale, now.lambda);
            settings.group_lambda = now.group.map_or(0.0, |(_, lambda, ..)| lambda);
            settings.step = own_step.then_some(1);
            plan.set(k, settings).expect("in the domain");
        }
        let look = || -> Vec<[Vec<u32>; 3]> {
            (0..tensors.len()).map(|k| [read(&states[k][0]), read(&states[k][1]), read(&copies[k])]).collect()
        };
        let before: Vec<Vec<u32>> = buffers.iter().map(|page| download(device, queue, page)).collect();
        let kept = look();
        let status = submit(device, queue, |encoder| {
            plan.record(encoder, &hyper);
            plan.status(encoder).expect("a readback")
        });
        let status: Vec<u32> = status.wait(device).expect("the device answers");
        let after: Vec<Vec<u32>> = buffers.iter().map(|page| download(device, queue, page)).collect();
        let now = look();
        for (page, (was, is)) in before.iter().zip(&after).enumerate() {
            let guards = was.iter().zip(is).all(|(was, is)| *was != GUARD || is == was);
            prop_assert!(guards, "{label}: page {page}: a word between tensors changed");
            prop_assert!(page < 2 || was == is, "{label}: page {page}: a gradient changed");
        }
        for (k, (asked, place)) in tensors.iter().zip(&places).enumerate() {
            let (w_page, w_first) = place.weights;
            let (g_page, g_first) = place.gradient;
            let element = |pages: &[Vec<u32>], kept: &[Vec<u32>; 3], i: usize| {
                let own = |words: &Vec<u32>| if words.is_empty() { 0.0 } else { f32s(words)(i) };
                let w = f32s(&pages[w_page])(w_first + i);
                let g = if base.has_gradient() { f32s(&pages[g_page])(g_first + i) } else { 0.0 };
                Element { w, g, m: own(&kept[0]), v: own(&kept[1]), copy: own(&kept[2]) }
            };
            let Turn { rests, freeze, own_step, .. } = asked.turns[turn];
            if rests {
                let same = (0..asked.length()).all(|i| {
                    let [was, is] = [element(&before, &kept[k], i), element(&after, &now[k], i)];
                    let bits = |e: Element| [e.w, e.g, e.m, e.v, e.copy].map(f32::to_bits);
                    bits(was) == bits(is)
                });
                prop_assert!(same, "{label}: step {step}, tensor {k} was touched, which rests");
                continue;
            }
            let own = numbered(if own_step { 1 } else { step });
            let own = own.with_frozen_zeros(hyper.frozen_zeros() || freeze);
            let reference = asked.at(turn).reference(base, &own);
            let mut lost = 0;
            for (g, members) in asked.members().iter().enumerate() {
                let was: Vec<Element> = members.iter().map(|&i| element(&before, &kept[k], i)).collect();
                let is: Vec<Element> = members.iter().map(|&i| element(&after, &now[k], i)).collect();
                // a regulariser's groups are counted by what the base step met or made
                lost += match asked.learned {
                    Some(_) => reference.step(g as u64, &mut was.clone()),
                    None => is.iter().filter(|e| !e.w.is_finite()).count() as u32,
                };
                let verdicts: Vec<Judgement> = reference.judge(g as u64, &was, &is);
                for (n, verdict) in verdicts.iter().enumerate() {
                    prop_assert!(
                        verdict.ok,
                        "{label}: step {step}, tensor {k}, group {g}, element {}: {:?} became {:?}, {verdict:?}",
                        members[n],
                        was[n],
                        is[n]
                    );
                }
            }
            prop_assert_eq!(status[k], lost, "{}: step {}, the status word of tensor {}", label, step, k);
        }
    }
    let found = plan.finish().map_err(|error| TestCaseError::fail(format!("{label}: {error}")))?;
    // a tensor that rests is checked too
    prop_assert_eq!((found.steps, found.not_run, found.skipped), (3, 0, 0), "{}", label);
    Ok(())
}

/// What makes small tensors cross the boundaries that large ones cross elsewhere.
fn lowered() -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: 32 << 10,
        max_buffer_size: 1 << 20,
        max_compute_workgroups_per_dimension: 5,
        ..wgpu::Limits::default()
    }
}

fn on_every_adapter(limits: &wgpu::Limits, cases: u32) {
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
    for one in support::software_adapters() {
        let (device, queue) = one.device_with(&descriptor);
        let kept = FileFailurePersistence::Direct("tests/properties.proptest-regressions");
        // the same scenes each run, unless proptest's own variables ask for others
        let asked = ProptestConfig::default();
        let seed = match asked.rng_seed {
            RngSeed::Random => RngSeed::Fixed(20_261_130),
            fixed => fixed,
        };
        let cases = std::env::var("PROPTEST_CASES").map_or(cases, |_| asked.cases);
        println!("{}: {cases} scenes, seed {seed:?}", one.label);
        let config = ProptestConfig {
            cases,
            rng_seed: seed,
            failure_persistence: Some(Box::new(kept)),
            max_shrink_iters: 100,
            ..ProptestConfig::default()
        };
        let found = TestRunner::new(config)
            .run(&scenes(), |scene| play(&one.label, &device, &queue, PipelineCache::new(&device), &scene));
        if let Err(error) = found {
            panic!("{}: {error}", one.label);
        }
    }
}

#[test]
fn plans_of_any_tensors_are_right() {
    on_every_adapter(&wgpu::Limits::default(), 10);
}

#[test]
fn plans_of_any_tensors_are_right_on_devices_with_low_limits() {
    on_every_adapter(&lowered(), 6);
}

/// Faults that one tensor by itself, stepped once, may not show.
const FAULTS: [(&str, &str, &str); 10] = [
    ("elements that are not finite booked on the first tensor", "status[tile.tensor]", "status[0u]"),
    ("the row of the first tensor", "let row = rows[tile.row];", "let row = rows[0u];"),
    ("the row of the first tensor in a large group", "row_words[7u * tile.row + i]", "row_words[i]"),
    ("frozen as the first tensor is", "held(before, row.mode)", "held(before, rows[0u].mode)"),
    ("a tensor that does not rest", "row.mode.rests != 0u", "false"),
    ("a large group that does not rest", "rows[tile.row].mode.rests != 0u", "false"),
    ("one row of workgroups", "5u * (group.x + group.y * groups.x)", "5u * group.x"),
    ("the weight of the first group", "bitcast<f32>(entry.z)", "bitcast<f32>(table[tile.entry].z)"),
    ("groups of a tile beyond 48", "if group >= tile.groups {", "if group >= min(tile.groups, 48u) {"),
    (
        "the last part of a large group",
        "i < tile.length; i += invocations) {\n        p = merged",
        "i + 1u < tile.length; i += invocations) {\n        p = merged",
    ),
];

#[test]
fn every_fault_between_tensors_is_found() {
    let one = support::adapter("lavapipe");
    let devices = [wgpu::Limits::default(), lowered()].map(|required_limits| {
        one.device_with(&wgpu::DeviceDescriptor { required_limits, ..Default::default() })
    });
    let variants: Vec<_> = KERNELS.iter().flat_map(|kernel| (kernel.variants)()).collect();
    let mut missed = Vec::new();
    for (fault, what, by) in FAULTS {
        assert!(variants.iter().any(|v| v.wgsl.contains(what)), "the kernels have changed: {what}");
        let found = devices.iter().any(|(device, queue)| {
            let config = ProptestConfig {
                cases: 30,
                rng_seed: RngSeed::Fixed(7),
                failure_persistence: None,
                max_shrink_iters: 0,
                ..ProptestConfig::default()
            };
            let run = TestRunner::new(config).run(&scenes(), |scene| {
                let pipelines = PipelineCache::edited(device, move |source| source.replace(what, by));
                play("lavapipe", device, queue, pipelines, &scene)
            });
            // told by an element or a status word, and not by a shader that does not compile
            run.is_err_and(|error| (1..=3).any(|k| error.to_string().contains(&format!("step {k},"))))
        });
        if !found {
            missed.push(fault);
        }
    }
    assert_eq!(missed, [""; 0]);
}
