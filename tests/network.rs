//! The unfolded network on every adapter against its float64 reference: outputs, the gradient by every learned number, that by
//! the input, for the three kinds of data terms; the trainer against the trainer on the CPU.
//!
//! Each number may be off by a multiple of the standard deviation of its rounding errors, and, where an activation may lie
//! on either side of a knee, by what the jump of its derivative amounts to. The kernels' own cases are held to bounds that no
//! rounding can break; this test is about how they are put together.

mod support;

use std::sync::Arc;

use maf_srl::gpu::View;
use maf_srl::kernels::{Batch, Dispatches, Format, LearnedParameters, Matrix, Order, PipelineCache, spmm};
use maf_srl::matrix::Pattern;
use maf_srl::network::reference::{Phi, loss_gradient, times, transposed_times, unfolded};
use maf_srl::network::{self, DataTerm, Gradient, NetworkJob, Workspace};
use maf_srl::penalty::Activation;
use maf_srl::regulariser::Parameters;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::work::{blank, download, upload_f32};
use support::{TestAdapter, software_adapters};

const ACTIVATION: Activation = Activation { eta1: 0.75, eta2: 0.25, delta1: 0.125, delta2: 0.5 };

/// A network with data.
struct Problem {
    sets: Vec<Parameters>,
    layers: u32,
    x: Array2<f64>,
    target: Array2<f64>,
    data: Kind,
}

enum Kind {
    Near(Array2<f64>),
    Linear(Array2<f64>, Array2<f64>),
}

/// Numbers that f32 holds.
fn random(rng: &mut ChaCha8Rng, rows: usize, columns: usize, size: f64) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |_| f64::from(rng.random_range(-size..size) as f32))
}

impl Problem {
    fn new(n: u32, m: usize, density: f64, layers: u32, shared: bool, linear: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(n) * 7919 + m as u64 + u64::from(layers));
        let pattern = Arc::new(Pattern::random(n, density, 3).expect("a pattern"));
        let spread = 0.5 / (density * f64::from(n)).max(1.0).sqrt();
        let mut set = |k: u32| {
            let start = Parameters::identity(pattern.clone(), ACTIVATION, 1.5 + 0.25 * f64::from(k));
            let mut p = start.expect("parameters");
            p.values.iter_mut().for_each(|a| *a += rng.random_range(-spread..spread));
            p.q.iter_mut().for_each(|q| *q = rng.random_range(0.5..1.5));
            p.b.iter_mut().for_each(|b| *b = rng.random_range(-0.1..0.1));
            p.rounded()
        };
        let sets = (0..if shared { 1 } else { layers }).map(&mut set).collect();
        let rows = n as usize;
        let x = random(&mut rng, rows, m, 1.0);
        let target = random(&mut rng, rows, m, 1.0);
        let data = if linear {
            let k = (rows / 2).max(1);
            let d = random(&mut rng, k, rows, 1.0 / (rows as f64).sqrt());
            Kind::Linear(d, random(&mut rng, k, m, 1.0))
        } else {
            Kind::Near(random(&mut rng, rows, m, 1.0))
        };
        Problem { sets, layers, x, target, data }
    }

    fn phi(&self) -> Phi<'_> {
        match &self.data {
            Kind::Near(c) => Phi::Near(c.view()),
            Kind::Linear(d, y) => Phi::Linear { d: d.view(), y: y.view() },
        }
    }

    fn layers(&self) -> Vec<&Parameters> {
        (0..self.layers as usize).map(|k| &self.sets[k.min(self.sets.len() - 1)]).collect()
    }

    /// How far each number may be off: [`DEVIATIONS`] standard deviations of its rounding errors, taken as independent.
    ///
    /// A rounding of x has the variance u^2 x^2, with u the spacing of f32 relative to x; a product with a matrix hands
    /// variances on by the squares of its entries, and adds one rounding of each partial sum.
    fn bounds(&self) -> Bounds {
        let a = ACTIVATION;
        let slope = a.lipschitz();
        let unit = f64::from(f32::EPSILON).powi(2);
        let sq = |x: &Array2<f64>| x.mapv(|v| v * v);
        let exact = unfolded(&self.layers(), &self.phi(), &self.x);
        let tables: Vec<Vec<f64>> =
            self.layers().iter().map(|p| p.values.iter().map(|v| v * v).collect()).collect();
        let pattern = &self.sets[0].pattern;
        let chain = f64::from(pattern.longest_row().max(pattern.transposed().0.longest_row()) + 2);
        // a product of `exact` with Â or its transpose, whose numbers have the variances `off`
        let forth = |l: usize, exact: &Array2<f64>, off: &Array2<f64>| {
            times(pattern, &tables[l], &(off + &(sq(exact) * (chain * unit))))
        };
        let back = |l: usize, exact: &Array2<f64>, off: &Array2<f64>| {
            transposed_times(pattern, &tables[l], &(off + &(sq(exact) * (chain * unit))))
        };
        // D r and Dᵀ r
        let of_d = |d: &Array2<f64>, exact: &Array2<f64>, off: &Array2<f64>| {
            sq(d).dot(&(off + &(sq(exact) * ((d.ncols() + 2) as f64 * unit))))
        };
        let mut off = Array2::<f64>::zeros(self.x.raw_dim());
        let (mut offs, mut before) = (Vec::new(), self.x.clone());
        for (l, (p, passed)) in self.layers().into_iter().zip(&exact).enumerate() {
            let g = match &self.data {
                Kind::Near(_) => &off + &(sq(&passed.g) * unit),
                Kind::Linear(d, y) => {
                    let product = d.dot(&before);
                    let less = &product - y;
                    let t = of_d(d, &before, &off) + (sq(&less) + sq(&product)) * unit;
                    of_d(&d.t().to_owned(), &less, &t)
                }
            };
            let r = &off + &(&g / (p.l * p.l)) + (sq(&before) + sq(&passed.g) / (p.l * p.l)) * (4.0 * unit);
            let u = forth(l, &passed.r, &r);
            let mut e = u.clone();
            for ((i, c), e) in e.indexed_iter_mut() {
                let v = p.q[i] * passed.u[[i, c]];
                let reach = v * v + a.delta2 * a.delta2;
                *e = slope * slope * (p.q[i] * p.q[i] * *e + 6.0 * unit * reach)
                    + 4.0 * unit * p.b[i] * p.b[i];
            }
            off = back(l, &passed.e, &e);
            before = passed.y.clone();
            offs.push([g, r, u, e]);
        }
        let output = off.clone();
        let mut grad_output = &before - &self.target;
        off = off + sq(&grad_output) * unit;
        let zeros = |p: &Parameters| vec![0.0; p.places().length() as usize];
        let mut gradient: Vec<Vec<f64>> = self.sets.iter().map(zeros).collect();
        for (l, p) in self.layers().into_iter().enumerate().rev() {
            let places = p.places();
            let passed = &exact[l];
            let [g_off, r_off, u_off, e_off] = &offs[l];
            let set = &mut gradient[if self.sets.len() == 1 { 0 } else { l }];
            let (w, w_off) = (times(pattern, &p.values, &grad_output), forth(l, &grad_output, &off));
            let (mut grad_u, mut grad_u_off) = (w.clone(), w_off.clone());
            // sums over vectors round once per term; errors of one vector's components are not independent
            let (vectors, together) = (grad_output.ncols() as f64, grad_output.nrows() as f64);
            for ((i, c), &w) in w.indexed_iter() {
                let (q, u) = (p.q[i], passed.u[[i, c]]);
                let v = q * u;
                let v_off = q * q * u_off[[i, c]] + unit * v * v;
                let near = |knee: f64| (v.abs() - knee).abs() <= DEVIATIONS * v_off.sqrt();
                // either side of a knee is right: the slope jumps by eta1, or eta1 - eta2
                let jump = if near(a.delta1) || near(a.delta2) { slope * slope } else { 0.0 };
                let partials = a.partials(v);
                grad_u[[i, c]] = q * partials.v * w;
                let of_w = w_off[[i, c]] + (3.0 + vectors) * unit * w * w;
                grad_u_off[[i, c]] = q * q * (slope * slope * of_w + jump * w * w);
                set[places.q().start + i] +=
                    slope * slope * (of_w * u * u + w * w * u_off[[i, c]]) + jump * w * w * u * u;
                set[places.b().start + i] += of_w;
                let reach = v * v + 4.0 * (a.delta2 * a.delta2 + slope * slope);
                let scalar = together * (of_w * reach + w * w * v_off + jump * w * w * (1.0 + reach));
                set[1..5].iter_mut().for_each(|sum| *sum += scalar);
            }
            for (k, (i, j)) in p.pattern.entries().enumerate() {
                let (i, j) = (i as usize, j as usize);
                let term =
                    |x: &Array2<f64>, x_off: &Array2<f64>, y: &Array2<f64>, y_off: &Array2<f64>| -> f64 {
                        let one = |c: usize| {
                            let (x, y) = ((x[[i, c]], x_off[[i, c]]), (y[[j, c]], y_off[[j, c]]));
                            x.0 * x.0 * y.1 + y.0 * y.0 * x.1 + (vectors + 4.0) * unit * x.0 * x.0 * y.0 * y.0
                        };
                        (0..grad_output.ncols()).map(one).sum()
                    };
                set[places.values().start + k] +=
                    term(&passed.e, e_off, &grad_output, &off) + term(&grad_u, &grad_u_off, &passed.r, r_off);
            }
            let grad_r = transposed_times(pattern, &p.values, &grad_u);
            let grad_r_off = back(l, &grad_u, &grad_u_off);
            let terms = &grad_r_off * &sq(&passed.g)
                + g_off * &sq(&grad_r)
                + sq(&grad_r) * sq(&passed.g) * (vectors * unit);
            set[0] += together * terms.sum() / p.l.powi(4);
            let (h, h_off) = match &self.data {
                Kind::Near(_) => (grad_r.clone(), grad_r_off.clone()),
                Kind::Linear(d, _) => {
                    let product = d.dot(&grad_r);
                    let once = of_d(d, &grad_r, &grad_r_off);
                    let transposed = d.t().to_owned();
                    (transposed.dot(&product), of_d(&transposed, &product, &once))
                }
            };
            grad_output = &grad_r - &(&h / p.l);
            off = &grad_r_off + &(&h_off / (p.l * p.l)) + (sq(&grad_r) + sq(&h) / (p.l * p.l)) * (4.0 * unit);
        }
        let reach = |x: Array2<f64>| x.mapv(|v| DEVIATIONS * v.sqrt());
        gradient.iter_mut().flatten().for_each(|v| *v = DEVIATIONS * v.sqrt());
        Bounds { output: reach(output), gradient, grad_input: reach(off) }
    }
}

/// Standard deviations that an error may be: independent ones do not reach 6 among as many numbers; the other half is for
/// what is not independent.
const DEVIATIONS: f64 = 12.0;

/// How far each number may be off.
struct Bounds {
    output: Array2<f64>,
    gradient: Vec<Vec<f64>>,
    grad_input: Array2<f64>,
}

/// A gradient that the caller computes, here with the library's own product.
struct Own {
    gradient: Vec<Dispatches>,
    hessian: Dispatches,
}

impl Gradient for Own {
    fn record(&self, layer: u32, pass: &mut wgpu::ComputePass<'_>) {
        self.gradient[layer as usize].record(pass);
    }
    fn record_hessian_times(&self, _: u32, pass: &mut wgpu::ComputePass<'_>) {
        self.hessian.record(pass);
    }
}

/// A matrix as the words of a batch.
fn laid(x: &Array2<f64>, order: Order) -> Vec<f32> {
    match order {
        Order::FeatureMajor => x.iter().map(|&v| v as f32).collect(),
        Order::BatchMajor => x.t().iter().map(|&v| v as f32).collect(),
    }
}

fn batch(device: &wgpu::Device, x: &Array2<f64>, order: Order) -> Batch {
    let values = laid(x, order);
    let buffer = upload_f32(device, &values);
    let view = View::new("batch", &buffer, 0, values.len() as u64).expect("a view");
    Batch::new("batch", view, x.nrows() as u32, x.ncols() as u32, order).expect("a batch")
}

fn read(device: &wgpu::Device, queue: &wgpu::Queue, view: &View) -> Vec<f32> {
    let words = download(device, queue, view.buffer());
    let start = (view.offset() / 4) as usize;
    words[start..start + view.len() as usize].iter().map(|&w| f32::from_bits(w)).collect()
}

/// What a run leaves.
struct Run {
    output: Vec<f32>,
    gradient: Vec<f32>,
    grad_input: Vec<f32>,
}

fn run(adapter: &TestAdapter, problem: &Problem, format: Format, order: Order, own: bool) -> Run {
    let (device, queue) = adapter.device();
    let kernels = PipelineCache::new(&device);
    let (n, m) = (problem.x.nrows() as u32, problem.x.ncols() as u32);
    let places = problem.sets[0].places();
    let packed: Vec<f32> = problem.sets.iter().flat_map(Parameters::packed).collect();
    let sets = problem.sets.len() as u32;
    let numbers = |values: &[f32]| {
        let view =
            View::new("numbers", &upload_f32(&device, values), 0, values.len() as u64).expect("a view");
        LearnedParameters::new("numbers", view, places, sets).expect("numbers")
    };
    let learned = numbers(&packed);
    let gradient = numbers(&vec![f32::NAN; packed.len()]);
    let matrix = Matrix::new(&kernels, problem.sets[0].pattern.clone(), format, sets).expect("a matrix");
    let refresh = spmm::refresh(&kernels, &matrix, &learned).expect("refresh");
    let space = Workspace::new(&device, problem.layers, n, m).expect("space");
    let x = batch(&device, &problem.x, order);
    let empty = |rows: u32| {
        let view = View::new("batch", &blank(&device, u64::from(rows * m) * 4), 0, u64::from(rows * m));
        Batch::new("batch", view.expect("a view"), rows, m, order).expect("a batch")
    };
    let output = empty(n);
    let mut first = vec![];
    let term = match &problem.data {
        Kind::Near(c) => DataTerm::Near(batch(&device, c, order)),
        Kind::Linear(d, y) => {
            let pattern = Arc::new(Pattern::full(d.nrows() as u32, n).expect("a pattern"));
            let matrix = Matrix::new(&kernels, pattern, Format::Dense, 1).expect("D");
            let values: Vec<f32> = d.iter().map(|&v| v as f32).collect();
            let view = View::new("D", &upload_f32(&device, &values), 0, values.len() as u64).expect("a view");
            first.push(spmm::refresh_packed(&kernels, &matrix, &view).expect("refresh"));
            if own {
                own_gradient((&device, &kernels), problem, &space, &x, d, &mut first)
            } else {
                DataTerm::Linear { d: matrix, y: batch(&device, y, order) }
            }
        }
    };
    let job = NetworkJob { matrix, learned, layers: problem.layers, x, term, output: output.clone() };
    let forward = network::forward(&kernels, &job, &space).expect("forward");
    let target = batch(&device, &problem.target, order);
    let grad_output = batch(&device, &Array2::zeros((n as usize, m as usize)), Order::FeatureMajor);
    let loss = View::new("loss", &blank(&device, 16), 0, 1).expect("a view");
    let difference =
        maf_srl::kernels::loss::bind(&kernels, &output, &target, (1.0, 0.0), &grad_output, &loss)
            .expect("loss");
    let grad_input = empty(n);
    let backward = network::backward(&kernels, &job, &space, &grad_output, &gradient, Some(&grad_input))
        .expect("backward");
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        refresh.record(&mut pass);
        first.iter().for_each(|refresh| refresh.record(&mut pass));
        forward.record(&mut pass);
        difference.record(&mut pass);
        backward.record(&mut pass);
    }
    queue.submit([encoder.finish()]);
    Run {
        output: read(&device, &queue, &output.view),
        gradient: read(&device, &queue, &gradient.view),
        grad_input: read(&device, &queue, &grad_input.view),
    }
}

/// The term 1/2 ||D x||^2 as a caller would bring it: its gradient at x, and its Hessian times x, are DᵀD x.
fn own_gradient(
    (device, kernels): (&wgpu::Device, &PipelineCache),
    problem: &Problem,
    space: &Workspace,
    x: &Batch,
    d: &Array2<f64>,
    first: &mut Vec<Dispatches>,
) -> DataTerm {
    let n = problem.x.nrows() as u32;
    let pattern = Arc::new(Pattern::full(n, n).expect("a pattern"));
    let values: Vec<f32> = d.t().dot(d).iter().map(|&v| v as f32).collect();
    let matrix = Matrix::new(kernels, pattern, Format::Dense, 1).expect("a matrix");
    let view = View::new("DᵀD", &upload_f32(device, &values), 0, values.len() as u64).expect("a view");
    first.push(spmm::refresh_packed(kernels, &matrix, &view).expect("refresh"));
    let multiply = |of: &Batch, into: &Batch| {
        let job = spmm::SpmmJob {
            matrix: matrix.clone(),
            layer: 0,
            transposed: false,
            prologue: spmm::Prologue::Plain,
            epilogue: spmm::Epilogue::Plain,
            learned: None,
            learned_layer: 0,
            scale_by: None,
            first: of.clone(),
            second: None,
            output: into.clone(),
        };
        spmm::bind(kernels, &job).expect("a product")
    };
    let input = |layer: u32| if layer == 0 { x.clone() } else { space.input(layer).expect("an input") };
    DataTerm::Given(Arc::new(Own {
        gradient: (0..problem.layers).map(|l| multiply(&input(l), space.gradient())).collect(),
        hessian: multiply(space.grad_r(), space.hessian_times()),
    }))
}

/// Holds a run against the float64 reference.
fn compare(label: &str, problem: &Problem, order: Order, got: &Run) {
    let passed = unfolded(&problem.layers(), &problem.phi(), &problem.x);
    let output = &passed[passed.len() - 1].y;
    let (_, gradients, grad_input) =
        loss_gradient(&problem.layers(), &problem.phi(), &problem.x, problem.target.view(), 0.0);
    let bounds = problem.bounds();
    let mut worst: f64 = 0.0;
    let mut hold = |what: &str, k: usize, got: f32, expected: f64, bound: f64| {
        let bound = bound + 1e-37;
        let error = (f64::from(got) - expected).abs();
        assert!(error <= bound, "{label}: {what} {k}: GPU {got}, reference {expected}, bound {bound:e}");
        worst = worst.max(error / bound);
    };
    let pairs = [
        ("output", &got.output, output, &bounds.output),
        ("grad_input", &got.grad_input, &grad_input, &bounds.grad_input),
    ];
    for (what, got, expected, bound) in pairs {
        let flat = |a: &Array2<f64>| -> Vec<f64> {
            match order {
                Order::FeatureMajor => a.iter().copied().collect(),
                Order::BatchMajor => a.t().iter().copied().collect(),
            }
        };
        for (k, ((&g, e), m)) in got.iter().zip(flat(expected)).zip(flat(bound)).enumerate() {
            hold(what, k, g, e, m);
        }
    }
    let length = problem.sets[0].places().length() as usize;
    let shared = problem.sets.len() == 1;
    for (s, p) in problem.sets.iter().enumerate() {
        let mut sum = maf_srl::network::reference::Gradient::zeros(p);
        for (l, gradient) in gradients.iter().enumerate() {
            if shared || l == s {
                sum.add(gradient);
            }
        }
        let places = p.places();
        let mut expected = vec![0.0; length];
        expected[0] = sum.l;
        expected[1..5].copy_from_slice(&sum.activation);
        expected[places.q()].copy_from_slice(&sum.q);
        expected[places.b()].copy_from_slice(&sum.b);
        expected[places.values()].copy_from_slice(&sum.values);
        for (k, &e) in expected[..places.values().end].iter().enumerate() {
            let at = s * length + k;
            hold("gradient", at, got.gradient[at], e, bounds.gradient[s][k]);
        }
    }
    // a bound that hides everything would prove nothing
    let largest = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, f64::max);
    let output = largest(&mut output.iter().map(|y| y.abs()));
    let loose = largest(&mut bounds.output.iter().copied());
    assert!(loose <= 1e-3 * output, "{label}: outputs of {output} are held to {loose} only");
    println!("{label}: worst error {worst:.2} of the bound, outputs {output:.2} within {loose:.1e}");
}

#[test]
fn every_size_and_density_agrees_with_the_reference() {
    let adapters = software_adapters();
    for n in [2, 3, 16, 63, 64, 65, 256, 1000] {
        for m in [1, 3, 64, 1000] {
            for (k, density) in [0.05, 0.4, 1.0].into_iter().enumerate() {
                let work = f64::from(n) * f64::from(n) * density * f64::from(m);
                if work > if k == 0 { 6e7 } else { 3e7 } {
                    continue;
                }
                let layers = if n <= 65 { 3 } else { 2 };
                let problem = Problem::new(n, m as usize, density, layers, (n + m) % 2 == 0, false);
                let format = Format::ALL[(n as usize + k) % 3];
                let order = [Order::BatchMajor, Order::FeatureMajor][(k + m as usize) % 2];
                for adapter in &adapters {
                    let label = format!("{} n={n} m={m} density={density} {format}", adapter.label);
                    compare(&label, &problem, order, &run(adapter, &problem, format, order, false));
                }
            }
        }
    }
}

#[test]
fn every_data_term_agrees_with_the_reference() {
    for adapter in software_adapters() {
        for (n, m, layers, shared) in [(16, 10, 3, true), (65, 7, 2, false), (600, 5, 2, true)] {
            let density = if n > 100 { 0.05 } else { 0.4 };
            let problem = Problem::new(n, m, density, layers, shared, true);
            let label = format!("{} n={n} D", adapter.label);
            compare(
                &label,
                &problem,
                Order::BatchMajor,
                &run(&adapter, &problem, Format::Csr, Order::BatchMajor, false),
            );

            // y = 0: the caller's own gradient is that of the same term
            let mut problem = problem;
            if let Kind::Linear(_, y) = &mut problem.data {
                y.fill(0.0);
            }
            let label = format!("{} n={n} own", adapter.label);
            let got = run(&adapter, &problem, Format::Bitmap, Order::FeatureMajor, true);
            compare(&label, &problem, Order::FeatureMajor, &got);
        }
    }
}

#[test]
fn the_same_bits_each_run() {
    for adapter in software_adapters() {
        let problem = Problem::new(64, 100, 0.4, 4, true, false);
        let runs = [0, 1].map(|_| run(&adapter, &problem, Format::Csr, Order::BatchMajor, false));
        let bits = |run: &Run| -> Vec<u32> {
            [&run.output, &run.gradient, &run.grad_input].into_iter().flatten().map(|x| x.to_bits()).collect()
        };
        assert!(bits(&runs[0]) == bits(&runs[1]), "{}", adapter.label);
    }
}

#[test]
fn one_step_of_training_is_that_of_the_cpu() {
    use maf_srl::kernels::learn::{Method, Rates};
    use maf_srl::network::{Options, Start, Trainer};
    let options = Options {
        method: Method::Gradient,
        rates: Rates { values: 0.5, q: 0.25, b: 0.0, activation: 1.0, l: 1.0 },
        ..Options::default()
    };
    for adapter in software_adapters() {
        let label = adapter.label.clone();
        let context = maf_srl::gpu::Context::on(adapter.adapter).expect("a context");
        for shared in [true, false] {
            // c is the network's input
            let mut problem = Problem::new(64, 50, 0.3, 3, shared, false);
            problem.data = Kind::Near(problem.x.clone());
            let rate = 0.01;
            let start = Start { parameters: problem.sets.clone(), layers: 3, options };
            let (x, target) = (laid(&problem.x, Order::BatchMajor), laid(&problem.target, Order::BatchMajor));
            let mut cpu = Trainer::on_cpu(start.clone()).expect("a trainer");
            let mut gpu = Trainer::on_gpu(&context, start, 50).expect("a trainer");
            for trainer in [&mut cpu, &mut gpu] {
                assert!(trainer.loss().expect("a loss").is_nan());
                trainer.step(&x, &target, rate).expect("a step");
            }
            let (exact, found) = (cpu.loss().expect("a loss"), gpu.loss().expect("a loss"));
            assert!((found - exact).abs() <= 1e-5 * exact, "{label}: {found} {exact}");
            let bounds = problem.bounds();
            let pairs =
                cpu.parameters().expect("learned").into_iter().zip(gpu.parameters().expect("learned"));
            for (s, (cpu, gpu)) in pairs.enumerate() {
                for (k, (a, b)) in cpu.packed().into_iter().zip(gpu.packed()).enumerate() {
                    // the step, and two roundings of the number itself
                    let bound = rate / 50.0 * bounds.gradient[s][k] + 3.0 * f64::from(f32::EPSILON * a.abs());
                    let error = (f64::from(a) - f64::from(b)).abs();
                    assert!(error <= bound, "{label} {s} {k}: {a} {b}, bound {bound:e}");
                }
                assert_eq!(gpu.b, problem.sets[s].b, "{label}: b has rested");
            }
            // fewer vectors than a batch, and more
            for vectors in [1, 49, 51, 120] {
                let some: Vec<f32> = x.iter().copied().cycle().take(64 * vectors).collect();
                let (a, b) = (cpu.apply(&some).expect("outputs"), gpu.apply(&some).expect("outputs"));
                assert_eq!(a.len(), some.len());
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3), "{label}: {vectors} vectors");
            }
        }
    }
}

#[test]
fn training_lowers_the_loss_and_survives_pruning() {
    use maf_srl::network::{Options, Start, Trainer};
    for adapter in software_adapters() {
        let label = adapter.label.clone();
        let context = maf_srl::gpu::Context::on(adapter.adapter).expect("a context");
        let problem = Problem::new(16, 40, 0.8, 2, true, false);
        let options = Options { bound: Some(2), ..Options::default() };
        let start = Start { parameters: problem.sets.clone(), layers: 2, options };
        let mut trainer = Trainer::on_gpu(&context, start, 40).expect("a trainer");
        let x = laid(&problem.x, Order::BatchMajor);
        let target: Vec<f32> = x.iter().map(|v| 0.3 * v).collect();
        let mut losses = Vec::new();
        for step in 0..60 {
            trainer.step(&x, &target, 0.02).expect("a step");
            if step % 59 == 0 {
                losses.push(trainer.loss().expect("a loss"));
            }
        }
        assert!(losses[1] < 0.7 * losses[0], "{label}: {losses:?}");
        let norm = |trainer: &mut Trainer| {
            let p = trainer.parameters().expect("learned").swap_remove(0);
            (p.norm(&mut [1.0; 16], 200).expect("a norm"), p.pattern.density())
        };
        let (sigma, density) = norm(&mut trainer);
        assert!(sigma < 1.05 && density > 0.79, "{label}: {sigma} {density}");
        let conditions = trainer.prune(0.3).expect("pruned");
        assert!(conditions.len() == 1 && conditions[0].is_finite());
        trainer.step(&x, &target, 0.02).expect("a step");
        assert!(norm(&mut trainer).1 < 0.31, "{label}");
        assert!(trainer.prune(0.0).is_err());
    }
}

/// Slopes, knees and L that are stepped on the host: both trainers come to the same numbers, with Â = I and without.
#[test]
fn projections_inside_the_forward_pass_are_those_of_the_cpu() {
    use maf_srl::kernels::learn::{Method, Rates};
    use maf_srl::network::{Options, Projection, Start, Trainer};
    use maf_srl::regulariser::Floors;
    const STEPS: usize = 30;
    const RATE: f64 = 0.02;
    for adapter in software_adapters() {
        let label = adapter.label.clone();
        let context = maf_srl::gpu::Context::on(adapter.adapter).expect("a context");
        for (separable, shared) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut problem = Problem::new(24, 50, 0.3, 3, shared, false);
            if separable {
                let diagonal = Arc::new(Pattern::diagonal(24).expect("a pattern"));
                let identity = |p: &Parameters| Parameters::identity(diagonal.clone(), p.activation, p.l);
                problem.sets = problem.sets.iter().map(|p| identity(p).expect("parameters")).collect();
            }
            for p in &mut problem.sets {
                // outside the cone of the knees, with an eta1 that the edge depends on
                p.activation = Activation { eta1: 1.75, eta2: 1.0, delta1: 0.125, delta2: 0.5 };
            }
            let floors = Floors { epsilon: 1e-4, l: 1e-6 };
            let method = if separable {
                Method::Adam { beta1: 0.9, beta2: 0.92, epsilon: 1e-9 }
            } else {
                // Adam would take the rounding of a derivative near 0 for its sign
                Method::Gradient
            };
            let values = if separable { 0.0 } else { 0.5 };
            let options = Options {
                method,
                rates: Rates { values, q: 0.0, b: 0.0, activation: 1.0, l: 1.0 },
                decay: 0.01,
                floors,
                bound: (!separable).then_some(2),
                projection: Projection::InForward,
                sparsity: 0.25,
            };
            let start = Start { parameters: problem.sets.clone(), layers: 3, options };
            let (x, target) = (laid(&problem.x, Order::BatchMajor), laid(&problem.target, Order::BatchMajor));
            let mut cpu = Trainer::on_cpu(start.clone()).expect("a trainer");
            let mut gpu = Trainer::on_gpu(&context, start, 50).expect("a trainer");
            for trainer in [&mut cpu, &mut gpu] {
                // what the network computes with from the start is projected
                for p in trainer.parameters().expect("projected") {
                    let a = p.activation;
                    assert!(a.delta1 >= 0.999 * (a.eta1 - 1.0) / a.eta1 * a.delta2, "{label}: {a:?}");
                }
            }
            let before = cpu.parameters().expect("projected");
            for _ in 0..STEPS {
                cpu.step(&x, &target, RATE).expect("a step");
                gpu.step(&x, &target, RATE).expect("a step");
                let (a, b) = (cpu.loss().expect("a loss"), gpu.loss().expect("a loss"));
                assert!((a - b).abs() <= 1e-4 * a, "{label}: {a} {b}");
            }
            let (cpu, gpu) = (cpu.parameters().expect("learned"), gpu.parameters().expect("learned"));
            for (s, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
                for (k, (a, b)) in cpu.packed().into_iter().zip(gpu.packed()).enumerate() {
                    // each step, of about the rate, is off by 1e-4 of it at most
                    let bound = STEPS as f64 * RATE * 1e-4;
                    let error = (f64::from(a) - f64::from(b)).abs();
                    assert!(error <= bound, "{label} {separable} {shared} {s} {k}: {a} {b}");
                }
                let moved = (cpu.activation.eta1 - before[s].activation.eta1).abs();
                assert!(moved > 1e-3, "{label}: eta1 has moved by {moved} only");
            }
        }
    }
}
