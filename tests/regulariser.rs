//! Learned regularisers in schedules: right on every adapter and on the CPU, beside other tensors, in every layout.

mod support;

use std::sync::Arc;

use maf_srl::Error;
use maf_srl::gpu::Context;
use maf_srl::kernels::PipelineCache;
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Adam, Optimizer, StepParameters};
use maf_srl::matrix::Pattern;
use maf_srl::penalty::{Activation, Group, Groups, Layout};
use maf_srl::regulariser::{Parameters, Regulariser};
use maf_srl::schedule::{Backend, HostSchedule, Plan, Schedule, Spec, Tensor, Update, Verify};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::work::{blank, download, submit, upload_f32, view};

const BENT: Activation = Activation { eta1: 0.4, eta2: 0.9, delta1: 0.3, delta2: 0.8 };

fn parameters(n: u32, density: f64, seed: u64) -> Parameters {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pattern = Arc::new(Pattern::random(n, density, seed).unwrap());
    let off = 0.5 / (f64::from(n) * density).sqrt().max(1.0);
    let mut p = Parameters::identity(pattern, BENT, 1.0).unwrap();
    p.values.iter_mut().for_each(|a| *a = 0.9 * *a + rng.random_range(-off..off));
    p.q.iter_mut().for_each(|q| *q = rng.random_range(0.5..2.0));
    p
}

fn regulariser(n: u32, density: f64, seed: u64) -> Arc<Regulariser> {
    Arc::new(Regulariser::new(parameters(n, density, seed)).unwrap())
}

fn groups(layout: Layout, shape: &[u64]) -> Groups {
    Groups::new(layout, shape).unwrap()
}

fn spec(name: &str, lambda: f64, regulariser: &Arc<Regulariser>, groups: Groups) -> Spec {
    Spec::new(name, "none".parse().unwrap(), lambda).with_regulariser(regulariser.clone(), groups)
}

/// Every layout, tiles and rows, dense and sparse, among tensors with other penalties.
fn specs() -> Vec<(Spec, usize)> {
    let (small, large, one) = (regulariser(7, 0.6, 1), regulariser(66, 0.1, 2), regulariser(1, 1.0, 3));
    let l1 = Spec::new("l1", "l1".parse().unwrap(), 0.05);
    let lasso = Group::new("lasso".parse().unwrap(), 0.1, groups(Layout::Rows, &[5, 9]));
    vec![
        (spec("rows", 0.3, &small, groups(Layout::Rows, &[12, 7])), 84),
        (l1.clone(), 33),
        (spec("columns", 0.3, &small, groups(Layout::Columns, &[7, 13])), 91),
        (spec("large rows", 0.7, &large, groups(Layout::Rows, &[40, 66])), 2640),
        (spec("large columns", 0.2, &large, groups(Layout::Columns, &[66, 35])).with_lr_scale(0.5), 2310),
        (l1.with_group(lasso), 45),
        (spec("blocks", 0.3, &small, groups(Layout::Blocks(7), &[3, 14])), 42),
        (spec("whole", 0.3, &large, groups(Layout::Whole, &[6, 11])), 66),
        (spec("filters", 0.3, &large, groups(Layout::Filters, &[3, 11, 6])), 198),
        (spec("single", 0.3, &one, groups(Layout::Rows, &[5, 1])), 5),
        (spec("none", 0.3, &small, groups(Layout::Rows, &[0, 7])), 0),
        (spec("weight 0", 0.0, &small, groups(Layout::Rows, &[4, 7])), 28),
    ]
}

fn numbers(rng: &mut ChaCha8Rng, length: usize) -> Vec<f32> {
    (0..length).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// The tensors one after another with odd gaps, in one buffer each for weights and gradients.
struct Page {
    specs: Vec<Spec>,
    places: Vec<std::ops::Range<usize>>,
    w: Vec<f32>,
    g: Vec<f32>,
}

impl Page {
    fn new(specs: Vec<(Spec, usize)>, seed: u64) -> Self {
        let (mut at, mut places) = (1, Vec::new());
        for (_, length) in &specs {
            places.push(at..at + length);
            at += length + 1;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let [w, g] = [numbers(&mut rng, at), numbers(&mut rng, at)];
        Page { specs: specs.into_iter().map(|(spec, _)| spec).collect(), places, w, g }
    }

    fn bind(&self, schedule: &Schedule, device: &wgpu::Device, base: Optimizer) -> (Plan, wgpu::Buffer) {
        let (w, g) = (upload_f32(device, &self.w), upload_f32(device, &self.g));
        let tensor = |(spec, place): (&Spec, &std::ops::Range<usize>)| {
            let at = 4 * place.start as u64;
            let tensor = Tensor::new(spec.clone(), view(&w, at, place.len()));
            if base.has_gradient() { tensor.with_gradient(view(&g, at, place.len())) } else { tensor }
        };
        let tensors: Vec<_> = self.specs.iter().zip(&self.places).map(tensor).collect();
        (schedule.bind(base, &tensors, Verify::Full).expect("they bind"), w)
    }

    /// The same steps by the float64 references.
    fn on_cpu(&self, base: Optimizer, hypers: &[StepParameters]) -> Vec<Vec<f32>> {
        let slices =
            |from: &'_ [f32]| self.places.iter().map(|p| from[p.clone()].to_vec()).collect::<Vec<_>>();
        let (mut w, g) = (slices(&self.w), slices(&self.g));
        let before: Vec<&[f32]> = w.iter().map(Vec::as_slice).collect();
        let mut reference =
            HostSchedule::new(&Backend::Cpu, &self.specs, &before, base, Verify::Full).unwrap();
        let gradients: Vec<&[f32]> = g.iter().filter(|_| base.has_gradient()).map(Vec::as_slice).collect();
        for hyper in hypers {
            let mut out: Vec<&mut [f32]> = w.iter_mut().map(Vec::as_mut_slice).collect();
            reference.step(*hyper, &gradients, &mut out).unwrap();
        }
        w
    }
}

/// Steps of these rates.
fn hypers(rates: &[f64]) -> Vec<StepParameters> {
    rates.iter().zip(1..).map(|(&rate, step)| StepParameters::new(rate, step).unwrap()).collect()
}

fn floats(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

#[test]
fn every_layout_holds_its_bound_and_agrees_with_the_cpu() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let schedule = Schedule::new(&device);
        for base in [
            Optimizer::Prox,
            Optimizer::Gradient,
            Optimizer::HeavyBall { momentum: 0.9 },
            Optimizer::Adam(Adam::default()),
        ] {
            let page = Page::new(specs(), 11);
            let (mut plan, w) = page.bind(&schedule, &device, base);
            let hypers = hypers(&[0.3, 0.05, 0.2, 0.01]);
            // all in one encoder: each must see its own rate
            submit(&device, &queue, |encoder| hypers.iter().for_each(|h| plan.record(encoder, h)));
            let found = plan.finish().expect("the bound holds");
            let total: usize = page.places.iter().map(ExactSizeIterator::len).sum();
            assert_eq!((found.steps, found.checked, found.mismatches), (4, 4 * total as u64, 0));
            for report in &found.tensors {
                println!(
                    "{} {base} {}: {:.2} of {:.0} ULP",
                    one.label, report.name, report.max_ulps, report.allowed_ulps
                );
                assert!(report.max_ulps <= report.allowed_ulps, "{report:?}");
            }
            let words = download(&device, &queue, &w);
            let expected = page.on_cpu(base, &hypers);
            for ((place, expected), spec) in page.places.iter().zip(&expected).zip(&page.specs) {
                assert!(words[place.clone()].iter().all(|w| *w != 0x8000_0000), "{}: -0.0", one.label);
                let got = &floats(&words)[place.clone()];
                let far = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(far <= 2e-4, "{} {base} {}: {far}", one.label, spec.name);
            }
            for k in (0..page.w.len()).filter(|k| !page.places.iter().any(|p| p.contains(k))) {
                assert_eq!(words[k], page.w[k].to_bits(), "{}: a gap was written to", one.label);
            }
        }
    }
}

/// 1/2 ||y - x||_M^2 + t R(y).
fn objective(p: &Parameters, inverse: &[f64], t: f64, x: &[f64], y: &[f64]) -> f64 {
    let n = x.len();
    let v = |z: &[f64], i: usize| -> f64 { (0..n).map(|j| inverse[i * n + j] * z[j]).sum() };
    let term = |i: usize| {
        let v_y = v(y, i);
        ((v_y - v(x, i)).powi(2) / 2.0 + t * p.activation.penalty_value(v_y)) / p.q[i]
    };
    (0..n).map(term).sum()
}

#[test]
fn no_other_point_is_better() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let of = regulariser(7, 0.6, 1);
    for t in [0.1, 0.5, 1.0, 3.0] {
        let one = spec("w", 1.0, &of, groups(Layout::Whole, &[7]));
        let x: Vec<f32> = (0..7).map(|_| rng.random_range(-2.0..2.0)).collect();
        let mut y = x.clone();
        let mut reference =
            HostSchedule::new(&Backend::Cpu, &[one], &[&x], Optimizer::Prox, Verify::Off).unwrap();
        reference.step(StepParameters::new(t, 1).unwrap(), &[], &mut [&mut y]).unwrap();
        let double = |z: &[f32]| z.iter().map(|z| f64::from(*z)).collect::<Vec<_>>();
        let (x, y) = (double(&x), double(&y));
        let value = |y: &[f64]| objective(of.parameters(), of.inverse_transposed().unwrap(), t, &x, y);
        let best = value(&y);
        for size in [1e-3, 1e-2, 0.1, 1.0] {
            for _ in 0..200 {
                let other: Vec<f64> = y.iter().map(|y| y + size * rng.random_range(-1.0..1.0)).collect();
                assert!(value(&other) >= best - 1e-7, "{t} {size}");
            }
        }
    }
}

/// A quadratic f = (W - c)ᵀ H (W - c) / 2 of two weights, and a regulariser of two components.
struct Toy {
    atoms: [[f64; 2]; 2],
    q: [f64; 2],
    hessian: [[f64; 2]; 2],
    centre: [f64; 2],
    lambda: f64,
}

impl Toy {
    fn slope(&self, w: [f64; 2]) -> [f64; 2] {
        let d = [w[0] - self.centre[0], w[1] - self.centre[1]];
        self.hessian.map(|row| row[0] * d[0] + row[1] * d[1])
    }

    /// f + lambda R, with g from its own formula and Â^-T by Cramer's rule.
    fn objective(&self, w: [f64; 2]) -> f64 {
        let g = self.slope(w);
        let smooth = 0.5 * ((w[0] - self.centre[0]) * g[0] + (w[1] - self.centre[1]) * g[1]);
        let [[a, b], [c, d]] = self.atoms;
        let determinant = a * d - b * c;
        // Âᵀ v = w
        let v = [(d * w[0] - c * w[1]) / determinant, (a * w[1] - b * w[0]) / determinant];
        let bend = |v: f64| {
            let (v, knee) = (v.abs(), BENT.eta1 * (BENT.delta2 - BENT.delta1));
            let (inner, outer) = (v.min(knee), (v - knee).max(0.0));
            BENT.delta1 * inner
                + 0.5 * (1.0 / BENT.eta1 - 1.0) * inner * inner
                + (BENT.delta2 - knee) * outer
                + 0.5 * (1.0 / BENT.eta2 - 1.0) * outer * outer
        };
        smooth + self.lambda * (bend(v[0]) / self.q[0] + bend(v[1]) / self.q[1])
    }

    /// The minimum, by grids that get finer: no gradient, no prox.
    fn minimum(&self) -> [f64; 2] {
        let (mut best, mut size) = ([0.0, 0.0], 4.0);
        while size > 1e-9 {
            let centre = best;
            for i in -20..=20 {
                for j in -20..=20 {
                    let w = [centre[0] + size * f64::from(i) / 20.0, centre[1] + size * f64::from(j) / 20.0];
                    if self.objective(w) < self.objective(best) {
                        best = w;
                    }
                }
            }
            size *= 0.6;
        }
        best
    }
}

#[test]
fn steps_end_at_the_minimum_of_f_plus_lambda_r() {
    let skew = [[1.0, 0.5], [0.0, 1.0]];
    let toys = [
        Toy {
            atoms: skew,
            q: [1.0, 1.0],
            hessian: [[1.0, 0.0], [0.0, 1.0]],
            centre: [1.5, -1.0],
            lambda: 0.5,
        },
        Toy {
            atoms: skew,
            q: [0.3, 2.0],
            hessian: [[2.0, 0.5], [0.5, 1.0]],
            centre: [1.5, -1.0],
            lambda: 0.3,
        },
        // one coefficient is zero there, and no weight is
        Toy {
            atoms: [[1.0, -0.7], [0.9, 1.2]],
            q: [1.0, 0.6],
            hessian: [[1.0, 0.3], [0.3, 1.0]],
            centre: [0.9, -0.5],
            lambda: 0.6,
        },
    ];
    let mut backends = vec![Backend::Cpu];
    for one in support::software_adapters() {
        backends.push(Backend::Gpu(Box::new(Context::on(one.adapter).expect("a device"))));
    }
    let (mut zeros, mut far) = (0, 0);
    for toy in &toys {
        let pattern = Arc::new(Pattern::full(2, 2).unwrap());
        let mut p = Parameters::identity(pattern, BENT, 1.0).unwrap();
        p.values = toy.atoms.concat();
        p.q = toy.q.to_vec();
        let of = Arc::new(Regulariser::new(p).unwrap());
        let best = toy.minimum();
        for backend in &backends {
            for (base, momentum) in [
                (Optimizer::Gradient, 0.0),
                (Optimizer::HeavyBall { momentum: 0.5 }, 0.5),
                (Optimizer::Nesterov { momentum: 0.5 }, 0.5),
            ] {
                // at rest the direction is the gradient over 1 - momentum, and the prox has the rate alone
                let lambda = toy.lambda / (1.0 - momentum);
                let scale = of.norm().powi(-2);
                let one = spec("w", lambda, &of, groups(Layout::Whole, &[2])).with_lr_scale(scale);
                let mut w = vec![0.0_f32; 2];
                let mut schedule =
                    HostSchedule::new(backend, &[one], &[&w.clone()], base, Verify::Full).unwrap();
                for step in 1..=300 {
                    let g = toy.slope([f64::from(w[0]), f64::from(w[1])]).map(|g| g as f32);
                    schedule.step(StepParameters::new(0.3, step).unwrap(), &[&g], &mut [&mut w]).unwrap();
                }
                schedule.finish().expect("the bound holds");
                let got = [f64::from(w[0]), f64::from(w[1])];
                let distance = (got[0] - best[0]).hypot(got[1] - best[1]);
                assert!(distance <= 2e-5, "{} {base}: {got:?}, the minimum is {best:?}", backend.name());
            }
        }
        // and what these toys tell apart: Â^-T best has a zero, and a Euclidean gradient step would end elsewhere
        let [[a, b], [c, d]] = toy.atoms;
        let v = [d * best[0] - c * best[1], a * best[1] - b * best[0]];
        zeros += usize::from(v.iter().any(|v| v.abs() < 1e-6) && best.iter().all(|w| w.abs() > 1e-2));
        let mut w = best;
        for _ in 0..4000 {
            let g = toy.slope(w);
            // half a step in the wrong metric
            let x = [w[0] - 0.1 * g[0], w[1] - 0.1 * g[1]];
            w = euclidean(&of, 0.1 * toy.lambda, x);
        }
        far += usize::from((w[0] - best[0]).hypot(w[1] - best[1]) > 1e-2);
    }
    assert_eq!((zeros > 0, far), (true, toys.len()));
}

/// The prox in M alone.
fn euclidean(of: &Arc<Regulariser>, t: f64, x: [f64; 2]) -> [f64; 2] {
    let one = spec("w", 1.0, of, groups(Layout::Whole, &[2]));
    let x = x.map(|x| x as f32);
    let mut y = x.to_vec();
    let mut prox = HostSchedule::new(&Backend::Cpu, &[one], &[&x], Optimizer::Prox, Verify::Off).unwrap();
    prox.step(StepParameters::new(t, 1).unwrap(), &[], &mut [&mut y]).unwrap();
    [f64::from(y[0]), f64::from(y[1])]
}

#[test]
fn rate_0_leaves_weights_and_a_large_one_makes_zeros_of_whole_groups() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        for layout in [Layout::Rows, Layout::Columns] {
            let (n, m) = (66, 40);
            let of = regulariser(n, 0.1, 2);
            let rows = layout == Layout::Rows;
            let shape = if rows { [m, u64::from(n)] } else { [u64::from(n), m] };
            let groups = groups(layout, &shape);
            let mut page = Page::new(vec![(spec("w", 1.0, &of, groups.clone()), 66 * 40)], 5);
            // every third group is small beside the threshold
            for g in (0..m).step_by(3) {
                groups.members(g).for_each(|k| page.w[page.places[0].start + k] *= 1e-3);
            }
            let schedule = Schedule::new(&device);
            let (mut plan, w) = page.bind(&schedule, &device, Optimizer::Prox);
            submit(&device, &queue, |encoder| plan.record(encoder, &hypers(&[0.0])[0]));
            plan.finish().expect("the bound holds");
            let same = download(&device, &queue, &w);
            let far = floats(&same).iter().zip(&page.w).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far <= 1e-5, "{}: {far}", one.label);

            submit(&device, &queue, |encoder| plan.record(encoder, &hypers(&[0.2])[0]));
            plan.finish().expect("the bound holds");
            let after = download(&device, &queue, &w);
            for g in 0..m {
                let mut members = groups.members(g).map(|k| after[page.places[0].start + k]);
                match g % 3 {
                    0 => assert!(members.all(|bits| bits == 0), "{}: group {g}", one.label),
                    _ => assert!(members.any(|bits| bits != 0), "{}: group {g}", one.label),
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_makes_its_group_nan() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        for base in [Optimizer::Prox, Optimizer::Gradient] {
            let mut page = Page::new(specs(), 6);
            let (rows, large) = (page.places[0].start, page.places[4].start);
            page.w[rows + 9] = f32::NAN;
            page.w[large + 36] = f32::INFINITY;
            // the points are finite, their products are not
            page.w[page.places[7].clone()].fill(3e38);
            let schedule = Schedule::new(&device);
            let (mut plan, w) = page.bind(&schedule, &device, base);
            submit(&device, &queue, |encoder| plan.record(encoder, &hypers(&[0.1])[0]));
            let found = plan.finish().expect("the reference says so too");
            assert_eq!(found.mismatches, 0);
            let words = download(&device, &queue, &w);
            for (k, value) in floats(&words)[page.places[0].clone()].iter().enumerate() {
                assert_eq!(value.is_nan(), k / 7 == 1, "{} {base}: rows, {k}", one.label);
            }
            for (k, value) in floats(&words)[page.places[4].clone()].iter().enumerate() {
                assert_eq!(!value.is_finite(), k % 35 == 1, "{} {base}: columns, {k}", one.label);
            }
            let expected = page.on_cpu(base, &hypers(&[0.1]));
            assert!(expected[0][7..14].iter().all(|x| x.is_nan()) && expected[0][14].is_finite());
            assert!(expected[7].iter().all(|x| x.is_nan()));
        }
    }
}

#[test]
fn gradients_may_move_and_dispatches_are_counted() {
    let one = support::software_adapters().remove(0);
    let (device, queue) = one.device();
    let of = regulariser(7, 0.6, 1);
    let page = Page::new(vec![(spec("w", 0.3, &of, groups(Layout::Rows, &[12, 7])), 84)], 7);
    let (mut plan, w) = page.bind(&Schedule::new(&device), &device, Optimizer::Gradient);
    let (before, other) = (plan.dispatches(), blank(&device, 4 * 100));
    plan.update(&Update::new().with_gradients(&[view(&other, 4, 84)])).expect("it fits");
    assert_eq!(plan.dispatches(), before);
    submit(&device, &queue, |encoder| plan.record(encoder, &hypers(&[0.1])[0]));
    plan.finish().expect("the bound holds");
    // as without a gradient
    let expected = &page.on_cpu(Optimizer::Prox, &hypers(&[0.1]))[0];
    let words = download(&device, &queue, &w);
    let far = floats(&words)[1..85].iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far <= 1e-5, "{far}");
}

fn replace(source: String, what: &str, by: &str) -> String {
    source.replace(what, by)
}

#[test]
fn planted_faults_are_found() {
    type Fault = (&'static str, fn(String) -> String);
    const FAULTS: [Fault; 5] = [
        ("the inner slope", |s| replace(s, "a.eta1 * inner", "1.001 * a.eta1 * inner")),
        ("the threshold", |s| replace(s, "- a.delta1, 0.0)", "- 1.01 * a.delta1, 0.0)")),
        ("a row too few", |s| {
            replace(s, "if wanted && lane == 0u {", "if wanted && lane == 0u && row > 0u {")
        }),
        ("a term too few, by rows", |s| replace(s, "column < side.columns;", "column + 1u < side.columns;")),
        ("a term too few, in tiles", |s| replace(s, "k < DEPTH; k", "k + 1u < DEPTH; k")),
    ];
    let one = support::software_adapters().remove(0);
    let (device, queue) = one.device();
    for (name, edit) in FAULTS {
        let page = Page::new(specs(), 8);
        let schedule = Schedule::with_pipelines(&device, PipelineCache::edited(&device, edit));
        let (mut plan, _) = page.bind(&schedule, &device, Optimizer::Gradient);
        submit(&device, &queue, |encoder| plan.record(encoder, &hypers(&[0.3])[0]));
        let error = plan.finish().expect_err(name);
        assert!(matches!(error, Error::Mismatch(_)), "{name}: {error}");
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let p = parameters(7, 0.6, 1);
    let of = Arc::new(Regulariser::new(p.clone()).unwrap());
    let rows = || groups(Layout::Rows, &[12, 7]);
    let with = |change: fn(&mut Parameters)| {
        let mut p = p.clone();
        change(&mut p);
        spec("w", 0.1, &Arc::new(Regulariser::new(p).unwrap()), rows())
    };
    let on = |groups: Groups| spec("w", 0.1, &of, groups);
    let good = on(rows());
    good.check().unwrap();
    // axes that are rows or columns under another name
    for (k, shape) in [(0, &[12, 7][..]), (0, &[12, 7, 1]), (1, &[7, 12]), (1, &[1, 12, 7]), (2, &[7, 1, 12])]
    {
        on(Groups::axis(k, shape).unwrap()).check().unwrap_or_else(|e| panic!("axis {k} of {shape:?}: {e}"));
    }
    on(groups(Layout::Channels, &[7, 3, 1])).check().unwrap();
    let lasso = Group::new("lasso".parse().unwrap(), 0.1, rows());
    let other = Spec::new("w", "l1".parse().unwrap(), 0.1).with_regulariser(of.clone(), rows());
    let weighted = rows().with_weights(&[1.0; 12]).unwrap();
    let large = Arc::new(
        Regulariser::new(
            Parameters::identity(Arc::new(Pattern::diagonal(1501).unwrap()), BENT, 1.0).unwrap(),
        )
        .unwrap(),
    );
    for (spec, needle) in [
        (with(|p| p.b[3] = 0.5), "w: regulariser: b[3] = 0.5"),
        (with(|p| p.activation.eta1 = 1.5), "w: regulariser: eta1 = 1.5"),
        (with(|p| p.activation.eta2 = 2.0), "w: regulariser: eta2 = 2"),
        (spec("w", 0.1, &large, groups(Layout::Rows, &[2, 1501])), "components = 1501"),
        // what is wrong is named, and nothing else
        (other.clone(), "w: a regulariser with the penalty l1; allowed: the penalty none"),
        (
            good.clone().with_group(lasso.clone()),
            "w: a regulariser with the group penalty lasso; allowed: no group penalty",
        ),
        (
            good.clone().with_solver(Solver::Subgradient),
            "w: a regulariser with the solver subgradient; allowed: the solver proximal",
        ),
        (
            other.with_group(lasso),
            "with the penalty l1 and the group penalty lasso; allowed: the penalty none and no group penalty",
        ),
        (on(groups(Layout::Rows, &[7, 12])), "elements of a group"),
        (on(groups(Layout::Blocks(7), &[15])), "elements of a group"),
        (on(groups(Layout::Channels, &[7, 3, 2])), "groups channels"),
        (on(groups(Layout::Axis(1), &[7, 3, 2])), "groups axis:1"),
        (on(groups(Layout::Columns, &[7, 2, 2])), "groups columns"),
        (on(groups(Layout::Ragged([0, 7, 14].into()), &[14])), "groups ragged"),
        (on(weighted), "weights of single groups"),
        (spec("w", -1.0, &of, rows()), "lambda"),
    ] {
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(needle), "{needle}: {error}");
        let named = |what: &str| needle.contains(what) || !error.contains(what);
        assert!(named("the solver") && named("group penalty") && named("the penalty"), "{error}");
    }
    let host = |spec: &Spec, length: usize, base: Optimizer| {
        let zeros = vec![0.0; length];
        HostSchedule::new(&Backend::Cpu, std::slice::from_ref(spec), &[&zeros], base, Verify::Off)
            .map(drop)
            .unwrap_err()
    };
    let metric = Optimizer::AdamMetric(Adam::default());
    assert!(matches!(host(&good, 84, metric), Error::Unsupported { .. }));
    assert!(matches!(host(&good, 85, Optimizer::Gradient), Error::Shape { .. }));
}
