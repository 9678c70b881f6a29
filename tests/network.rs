//! The unfolded network on every adapter against its float64 twin: outputs, the gradient by every learned number, that by
//! the input, for the three kinds of data terms; the trainer against the trainer on the CPU.
//!
//! The bound of each number is first order: the same formulas with magnitudes in place of values, where nothing cancels,
//! times the roundings along the longest chain; and, where an activation may lie on either side of a knee, what the jump of
//! its derivative amounts to. The rooms' own cases are sharper; this test is about how they are put together.

mod support;

use std::sync::Arc;

use maf_srl::gpu::View;
use maf_srl::kernels::{Batch, Format, Kernels, Learned, Matrix, Order, product};
use maf_srl::matrix::Pattern;
use maf_srl::network::reference::{Phi, loss_gradient, times, transposed_times, unfolded};
use maf_srl::network::{Backward, Gradient, Job, Parameters, Space, Term, Unfolded};
use maf_srl::penalty::Activation;
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

    /// The longest chain of roundings from the input to anything that is computed.
    fn chain(&self) -> f64 {
        let pattern = &self.sets[0].pattern;
        let (transposed, _) = pattern.transposed();
        let products = f64::from(pattern.longest_row() + transposed.longest_row());
        let data = match &self.data {
            Kind::Near(_) => 4.0,
            Kind::Linear(d, _) => (d.nrows() + d.ncols()) as f64,
        };
        let columns = self.x.ncols() as f64;
        // forward and back, and the sums over columns and components at last; a few operations per element between
        2.0 * f64::from(self.layers) * (products + data + 24.0)
            + columns * f64::from(pattern.rows()).max(1.0).ln_1p()
    }

    /// The same formulas with magnitudes everywhere, and what the knees allow beyond rounding: where v may lie on either
    /// side of one, the derivative may be either side's.
    fn bounds(&self) -> Bounds {
        let a = ACTIVATION;
        let slope = a.lipschitz();
        let unit = self.chain() * f64::from(f32::EPSILON);
        let abs = |x: &Array2<f64>| x.mapv(f64::abs);
        let exact = unfolded(&self.layers(), &self.phi(), &self.x);
        let mut x = abs(&self.x);
        let (mut gs, mut rs, mut us, mut es) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let tables: Vec<Vec<f64>> =
            self.layers().iter().map(|p| p.values.iter().map(|v| v.abs()).collect()).collect();
        for (p, values) in self.layers().into_iter().zip(&tables) {
            let g = match &self.data {
                Kind::Near(c) => &x + &abs(c),
                Kind::Linear(d, y) => abs(d).t().dot(&(abs(d).dot(&x) + abs(y))),
            };
            let r = &x + &(&g / p.l);
            let u = times(&p.pattern, values, &r);
            let mut e = u.clone();
            for (i, mut row) in e.rows_mut().into_iter().enumerate() {
                row.mapv_inplace(|u| slope * (p.q[i] * u + 2.0 * a.delta2) + p.b[i].abs());
            }
            x = transposed_times(&p.pattern, values, &e);
            gs.push(g);
            rs.push(r);
            us.push(u);
            es.push(e);
        }
        let mut bar = &x + &abs(&self.target);
        // beside each magnitude: how far off a knee may bring the number
        let mut off = Array2::<f64>::zeros(bar.raw_dim());
        let zeros = |p: &Parameters| vec![0.0; p.places().length() as usize];
        let mut gradient: Vec<Vec<f64>> = self.sets.iter().map(zeros).collect();
        for (l, p) in self.layers().into_iter().enumerate().rev() {
            let places = p.places();
            let set = &mut gradient[if self.sets.len() == 1 { 0 } else { l }];
            let (w, w_off) = (times(&p.pattern, &tables[l], &bar), times(&p.pattern, &tables[l], &off));
            let (mut u_bar, mut u_off) = (w.clone(), w_off.clone());
            for ((i, c), w) in w.indexed_iter() {
                let u = us[l][[i, c]];
                let v = (p.q[i] * exact[l].u[[i, c]]).abs();
                let near = |knee: f64| (v - knee).abs() <= unit * p.q[i] * u;
                // at delta1 the slope jumps by eta1, at delta2 by eta1 - eta2; the other derivatives by no more than 1 + |v|
                let jump = if near(a.delta1) || near(a.delta2) { *w } else { 0.0 };
                u_bar[[i, c]] = slope * p.q[i] * w;
                u_off[[i, c]] = slope * p.q[i] * (w_off[[i, c]] + jump);
                let w = unit * w + w_off[[i, c]];
                let reach = p.q[i] * u + 2.0 * a.delta2 + 2.0 * slope;
                set[places.q().start + i] += slope * (w + jump) * u;
                set[places.b().start + i] += w;
                (1..5).for_each(|k| set[k] += (w + jump) * reach);
            }
            for (k, (i, j)) in p.pattern.entries().enumerate() {
                let (i, j) = (i as usize, j as usize);
                let whole = es[l].row(i).dot(&bar.row(j)) + u_bar.row(i).dot(&rs[l].row(j));
                let knees = es[l].row(i).dot(&off.row(j)) + u_off.row(i).dot(&rs[l].row(j));
                set[places.values().start + k] += unit * whole + knees;
            }
            let back = |u_bar: &Array2<f64>| {
                let r_bar = transposed_times(&p.pattern, &tables[l], u_bar);
                let h = match &self.data {
                    Kind::Near(_) => r_bar.clone(),
                    Kind::Linear(d, _) => abs(d).t().dot(&abs(d).dot(&r_bar)),
                };
                let x_bar = &r_bar + &(h / p.l);
                (r_bar, x_bar)
            };
            let ((r_bar, next), (r_off, next_off)) = (back(&u_bar), back(&u_off));
            set[0] += ((&r_bar * unit + &r_off) * &gs[l]).sum() / (p.l * p.l);
            (bar, off) = (next, next_off);
        }
        Bounds { output: x * unit, gradient, x_bar: bar * unit + off }
    }
}

/// How far each number may be off.
struct Bounds {
    output: Array2<f64>,
    gradient: Vec<Vec<f64>>,
    x_bar: Array2<f64>,
}

/// A gradient that the caller computes, here with the library's own product.
struct Own {
    gradient: Vec<product::Dispatches>,
    hessian: product::Dispatches,
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
        Order::Components => x.iter().map(|&v| v as f32).collect(),
        Order::Samples => x.t().iter().map(|&v| v as f32).collect(),
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
    words[start..start + view.length() as usize].iter().map(|&w| f32::from_bits(w)).collect()
}

/// What a run leaves.
struct Run {
    output: Vec<f32>,
    gradient: Vec<f32>,
    x_bar: Vec<f32>,
}

fn run(adapter: &TestAdapter, problem: &Problem, format: Format, order: Order, own: bool) -> Run {
    let (device, queue) = adapter.device();
    let kernels = Kernels::new(&device);
    let (n, m) = (problem.x.nrows() as u32, problem.x.ncols() as u32);
    let places = problem.sets[0].places();
    let packed: Vec<f32> = problem.sets.iter().flat_map(Parameters::packed).collect();
    let sets = problem.sets.len() as u32;
    let numbers = |values: &[f32]| {
        let view =
            View::new("numbers", &upload_f32(&device, values), 0, values.len() as u64).expect("a view");
        Learned::new("numbers", view, places, sets).expect("numbers")
    };
    let learned = numbers(&packed);
    let gradient = numbers(&vec![f32::NAN; packed.len()]);
    let matrix = Matrix::new(&kernels, problem.sets[0].pattern.clone(), format, sets).expect("a matrix");
    let refresh = product::Refresh::bind(&kernels, &matrix, &learned).expect("refresh");
    let space = Space::new(&device, problem.layers, n, m).expect("space");
    let x = batch(&device, &problem.x, order);
    let empty = |rows: u32| {
        let view = View::new("batch", &blank(&device, u64::from(rows * m) * 4), 0, u64::from(rows * m));
        Batch::new("batch", view.expect("a view"), rows, m, order).expect("a batch")
    };
    let output = empty(n);
    let mut first = vec![];
    let term = match &problem.data {
        Kind::Near(c) => Term::Near(batch(&device, c, order)),
        Kind::Linear(d, y) => {
            let pattern = Arc::new(Pattern::full(d.nrows() as u32, n).expect("a pattern"));
            let matrix = Matrix::new(&kernels, pattern, Format::Dense, 1).expect("D");
            let values: Vec<f32> = d.iter().map(|&v| v as f32).collect();
            let view = View::new("D", &upload_f32(&device, &values), 0, values.len() as u64).expect("a view");
            first.push(product::Refresh::packed(&kernels, &matrix, &view).expect("refresh"));
            if own {
                own_gradient((&device, &kernels), problem, &space, &x, d, &mut first)
            } else {
                Term::Linear { d: matrix, y: batch(&device, y, order) }
            }
        }
    };
    let job = Job { matrix, learned, layers: problem.layers, x, term, output: output.clone() };
    let forward = Unfolded::bind(&kernels, &job, &space).expect("forward");
    let target = batch(&device, &problem.target, order);
    let bar = batch(&device, &Array2::zeros((n as usize, m as usize)), Order::Components);
    let loss = View::new("loss", &blank(&device, 16), 0, 1).expect("a view");
    let difference =
        maf_srl::kernels::sums::Loss::bind(&kernels, &output, &target, 1.0, &bar, &loss).expect("loss");
    let x_bar = empty(n);
    let backward = Backward::bind(&kernels, &job, &space, &bar, &gradient, Some(&x_bar)).expect("backward");
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
        x_bar: read(&device, &queue, &x_bar.view),
    }
}

/// The term 1/2 ||D x||^2 as a caller would bring it: its gradient at x, and its Hessian times x, are DᵀD x.
fn own_gradient(
    (device, kernels): (&wgpu::Device, &Kernels),
    problem: &Problem,
    space: &Space,
    x: &Batch,
    d: &Array2<f64>,
    first: &mut Vec<product::Refresh>,
) -> Term {
    let n = problem.x.nrows() as u32;
    let pattern = Arc::new(Pattern::full(n, n).expect("a pattern"));
    let values: Vec<f32> = d.t().dot(d).iter().map(|&v| v as f32).collect();
    let matrix = Matrix::new(kernels, pattern, Format::Dense, 1).expect("a matrix");
    let view = View::new("DᵀD", &upload_f32(device, &values), 0, values.len() as u64).expect("a view");
    first.push(product::Refresh::packed(kernels, &matrix, &view).expect("refresh"));
    let multiply = |of: &Batch, into: &Batch| {
        let job = product::Job {
            matrix: matrix.clone(),
            layer: 0,
            transposed: false,
            operand: product::Operand::Plain,
            finish: product::Finish::Plain,
            learned: None,
            learned_layer: 0,
            scale_by: None,
            first: of.clone(),
            second: None,
            output: into.clone(),
        };
        product::Dispatches::bind(kernels, &job).expect("a product")
    };
    let input = |layer: u32| if layer == 0 { x.clone() } else { space.input(layer).expect("an input") };
    Term::Given(Arc::new(Own {
        gradient: (0..problem.layers).map(|l| multiply(&input(l), space.gradient())).collect(),
        hessian: multiply(space.r_bar(), space.hessian_times()),
    }))
}

/// Holds a run against the float64 twin.
fn compare(label: &str, problem: &Problem, order: Order, got: &Run) {
    let passed = unfolded(&problem.layers(), &problem.phi(), &problem.x);
    let output = &passed[passed.len() - 1].y;
    let (_, gradients, x_bar) =
        loss_gradient(&problem.layers(), &problem.phi(), &problem.x, problem.target.view());
    let bounds = problem.bounds();
    let mut worst: f64 = 0.0;
    let mut hold = |what: &str, k: usize, got: f32, expected: f64, bound: f64| {
        let bound = bound + 1e-37;
        let error = (f64::from(got) - expected).abs();
        assert!(error <= bound, "{label}: {what} {k}: GPU {got}, twin {expected}, bound {bound:e}");
        worst = worst.max(error / bound);
    };
    let pairs =
        [("output", &got.output, output, &bounds.output), ("x_bar", &got.x_bar, &x_bar, &bounds.x_bar)];
    for (what, got, expected, bound) in pairs {
        let flat = |a: &Array2<f64>| -> Vec<f64> {
            match order {
                Order::Components => a.iter().copied().collect(),
                Order::Samples => a.t().iter().copied().collect(),
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
    assert!(worst > 0.0 || problem.x.len() < 20, "{label}: nothing was rounded");
    println!("{label}: worst error {worst:.2e} of the bound");
}

#[test]
fn every_size_and_density_agrees_with_the_twin() {
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
                let order = [Order::Samples, Order::Components][(k + m as usize) % 2];
                for adapter in &adapters {
                    let label = format!("{} n={n} m={m} density={density} {format}", adapter.label);
                    compare(&label, &problem, order, &run(adapter, &problem, format, order, false));
                }
            }
        }
    }
}

#[test]
fn every_data_term_agrees_with_the_twin() {
    for adapter in software_adapters() {
        for (n, m, layers, shared) in [(16, 10, 3, true), (65, 7, 2, false), (600, 5, 2, true)] {
            let density = if n > 100 { 0.05 } else { 0.4 };
            let problem = Problem::new(n, m, density, layers, shared, true);
            let label = format!("{} n={n} D", adapter.label);
            compare(
                &label,
                &problem,
                Order::Samples,
                &run(&adapter, &problem, Format::Csr, Order::Samples, false),
            );

            // y = 0: the caller's own gradient is that of the same term
            let mut problem = problem;
            if let Kind::Linear(_, y) = &mut problem.data {
                y.fill(0.0);
            }
            let label = format!("{} n={n} own", adapter.label);
            let got = run(&adapter, &problem, Format::Bitmap, Order::Components, true);
            compare(&label, &problem, Order::Components, &got);
        }
    }
}

#[test]
fn the_same_bits_each_run() {
    for adapter in software_adapters() {
        let problem = Problem::new(64, 100, 0.4, 4, true, false);
        let runs = [0, 1].map(|_| run(&adapter, &problem, Format::Csr, Order::Samples, false));
        let bits = |run: &Run| -> Vec<u32> {
            [&run.output, &run.gradient, &run.x_bar].into_iter().flatten().map(|x| x.to_bits()).collect()
        };
        assert!(bits(&runs[0]) == bits(&runs[1]), "{}", adapter.label);
    }
}
