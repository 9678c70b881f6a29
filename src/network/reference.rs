//! The float64 reference of the layer, of the unfolded network and of their gradients, written to be read.
//!
//! One layer, on the columns of x (n x m), with phi's gradient g:
//!
//! ```text
//! r = x - g / L,   u = Â r,   v = diag(q) u,   e = xi(v) - b,   y = Âᵀ e          MAF-SRL, eq. (17) and (27)
//! ```
//!
//! and backward, from ȳ, the derivative of a loss by y:
//!
//! ```text
//! w̄ = Â ȳ,   b̄ = -w̄ 1,   v̄ = xi'(v) w̄,   q̄_i = sum_c v̄_ic u_ic,   ū = diag(q) v̄
//! Â̄ = e ȳᵀ + ū rᵀ on the pattern,   r̄ = Âᵀ ū,   L̄ = <r̄, g> / L²,   x̄ = r̄ - (1/L) H r̄
//! ```
//!
//! with H the Hessian of phi.

use ndarray::{Array2, ArrayView2, Axis, Zip};
use rayon::prelude::*;

use crate::matrix::Pattern;
use crate::penalty::Activation;
use crate::regulariser::Parameters;

/// The data term, whose gradient step each layer takes first.
#[derive(Clone, Copy, Debug)]
pub enum Phi<'a> {
    /// 1/2 ||x - c||^2.
    Near(ArrayView2<'a, f64>),
    /// 1/2 ||D x - y||^2.
    Linear {
        /// D, k x n.
        d: ArrayView2<'a, f64>,
        /// y, k x m.
        y: ArrayView2<'a, f64>,
    },
}

impl Phi<'_> {
    /// The gradient at x: x - c, or Dᵀ(Dx - y).
    #[must_use]
    pub fn gradient(&self, x: &Array2<f64>) -> Array2<f64> {
        match self {
            Phi::Near(c) => x - c,
            Phi::Linear { d, y } => d.t().dot(&(d.dot(x) - y)),
        }
    }

    /// The Hessian times r: r, or DᵀDr.
    #[must_use]
    pub fn hessian_times(&self, r: &Array2<f64>) -> Array2<f64> {
        match self {
            Phi::Near(_) => r.clone(),
            Phi::Linear { d, .. } => d.t().dot(&d.dot(r)),
        }
    }
}

/// The derivatives of a loss by the parameters of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// By the entries of Â, in the pattern's order.
    pub values: Vec<f64>,
    /// By q.
    pub q: Vec<f64>,
    /// By b.
    pub b: Vec<f64>,
    /// By eta1, eta2, delta1 and delta2.
    pub activation: [f64; 4],
    /// By L.
    pub l: f64,
}

impl Gradient {
    /// No gradient.
    #[must_use]
    pub fn zeros(p: &Parameters) -> Self {
        let n = p.components() as usize;
        Gradient {
            values: vec![0.0; p.values.len()],
            q: vec![0.0; n],
            b: vec![0.0; n],
            activation: [0.0; 4],
            l: 0.0,
        }
    }

    /// Adds another layer's gradient: that of shared parameters is the sum over layers.
    pub fn add(&mut self, other: &Gradient) {
        let pairs = [(&mut self.values, &other.values), (&mut self.q, &other.q), (&mut self.b, &other.b)];
        for (to, from) in pairs {
            to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        }
        self.activation.iter_mut().zip(other.activation).for_each(|(a, b)| *a += b);
        self.l += other.l;
    }
}

/// A x for a matrix of values on a pattern.
///
/// # Panics
/// Where shapes do not fit together.
#[must_use]
pub fn times(pattern: &Pattern, values: &[f64], x: &Array2<f64>) -> Array2<f64> {
    let mut y = Array2::zeros((pattern.rows() as usize, x.ncols()));
    Zip::indexed(y.axis_iter_mut(Axis(0))).par_for_each(|i, mut row| {
        for k in pattern.row(i as u32) {
            row.scaled_add(values[k], &x.row(pattern.indices()[k] as usize));
        }
    });
    y
}

/// Aᵀ x for the same.
///
/// # Panics
/// Where shapes do not fit together.
#[must_use]
pub fn transposed_times(pattern: &Pattern, values: &[f64], x: &Array2<f64>) -> Array2<f64> {
    let (transposed, from) = pattern.transposed();
    let values: Vec<f64> = from.iter().map(|&k| values[k as usize]).collect();
    times(&transposed, &values, x)
}

/// What a layer computes on the way.
#[derive(Clone, Debug)]
pub struct SavedActivations {
    /// phi's gradient at the layer's input.
    pub g: Array2<f64>,
    /// x - g / L.
    pub r: Array2<f64>,
    /// Â r.
    pub u: Array2<f64>,
    /// xi(q u) - b.
    pub e: Array2<f64>,
    /// The output, Âᵀ e.
    pub y: Array2<f64>,
}

/// One layer.
///
/// # Panics
/// Where shapes do not fit together.
#[must_use]
pub fn layer(p: &Parameters, phi: &Phi<'_>, x: &Array2<f64>) -> SavedActivations {
    let g = phi.gradient(x);
    let r = x - &(&g / p.l);
    let u = times(&p.pattern, &p.values, &r);
    let mut e = u.clone();
    for (i, mut row) in e.axis_iter_mut(Axis(0)).enumerate() {
        row.mapv_inplace(|u| p.activation.value(p.q[i] * u) - p.b[i]);
    }
    let y = transposed_times(&p.pattern, &p.values, &e);
    SavedActivations { g, r, u, e, y }
}

/// The derivatives of a loss by x and by the parameters of a layer, from those by its output, `grad_output`.
///
/// # Panics
/// Where shapes do not fit together.
#[must_use]
pub fn layer_back(
    p: &Parameters,
    phi: &Phi<'_>,
    passed: &SavedActivations,
    grad_output: &Array2<f64>,
) -> (Array2<f64>, Gradient) {
    let grad_w = times(&p.pattern, &p.values, grad_output);
    let mut grad_u = grad_w.clone();
    let mut gradient = Gradient::zeros(p);
    for i in 0..p.q.len() {
        for c in 0..grad_output.ncols() {
            let (w, u) = (grad_w[[i, c]], passed.u[[i, c]]);
            let partials = p.activation.partials(p.q[i] * u);
            let by = [partials.eta1, partials.eta2, partials.delta1, partials.delta2];
            gradient.activation.iter_mut().zip(by).for_each(|(sum, d)| *sum += w * d);
            gradient.b[i] -= w;
            gradient.q[i] += w * partials.v * u;
            grad_u[[i, c]] = w * partials.v * p.q[i];
        }
    }
    for (k, (i, j)) in p.pattern.entries().enumerate() {
        let (i, j) = (i as usize, j as usize);
        gradient.values[k] = passed.e.row(i).dot(&grad_output.row(j)) + grad_u.row(i).dot(&passed.r.row(j));
    }
    let grad_r = transposed_times(&p.pattern, &p.values, &grad_u);
    gradient.l = (&grad_r * &passed.g).sum() / (p.l * p.l);
    let grad_input = &grad_r - &(phi.hessian_times(&grad_r) / p.l);
    (grad_input, gradient)
}

/// The outputs of the layers in turn; `layers[i]` has the parameters of layer i.
///
/// # Panics
/// Where shapes do not fit together.
#[must_use]
pub fn unfolded(layers: &[&Parameters], phi: &Phi<'_>, x: &Array2<f64>) -> Vec<SavedActivations> {
    let mut all: Vec<SavedActivations> = Vec::new();
    for p in layers {
        let passed = layer(p, phi, all.last().map_or(x, |before| &before.y));
        all.push(passed);
    }
    all
}

/// The loss 1/2 ||x_N - target||^2 + lambda ||x_N||_1, its derivatives by each layer's parameters, and that by x_0. The
/// derivative of |x| at 0 is 0. For parameters that layers share the gradient is the sum of theirs.
///
/// # Panics
/// Where shapes do not fit together.
#[must_use]
pub fn loss_gradient(
    layers: &[&Parameters],
    phi: &Phi<'_>,
    x: &Array2<f64>,
    target: ArrayView2<'_, f64>,
    lambda: f64,
) -> (f64, Vec<Gradient>, Array2<f64>) {
    let passed = unfolded(layers, phi, x);
    let output = passed.last().map_or(x, |last| &last.y);
    let loss = Zip::from(output).and(target).fold(0.0, |sum, &x, &aim| sum + cost(x, aim, lambda));
    let mut grad_output = Zip::from(output).and(target).map_collect(|&x, &aim| cost_slope(x, aim, lambda));
    let mut gradients = Vec::new();
    for (p, passed) in layers.iter().zip(&passed).rev() {
        let (before, gradient) = layer_back(p, phi, passed, &grad_output);
        grad_output = before;
        gradients.push(gradient);
    }
    gradients.reverse();
    (loss, gradients, grad_output)
}

/// What one element adds to the loss.
fn cost(x: f64, aim: f64, lambda: f64) -> f64 {
    // without the norm an infinite x adds no 0 times infinity
    let norm = if lambda == 0.0 { 0.0 } else { lambda * x.abs() };
    0.5 * (x - aim) * (x - aim) + norm
}

/// Its derivative by x.
fn cost_slope(x: f64, aim: f64, lambda: f64) -> f64 {
    let sign = if x == 0.0 { 0.0 } else { x.signum() };
    x - aim + lambda * sign
}

/// Elements that are summed up together: the order of sums does not depend on the number of threads.
const TOGETHER: usize = 4096;

/// Slopes, knees and L of each layer.
fn numbers(layers: &[&Parameters]) -> Vec<(Activation, f64)> {
    layers.iter().map(|p| (p.activation, p.l)).collect()
}

/// [`loss_gradient`] for Â = I, q = 1, b = 0 and phi = 1/2 ||x - c||^2 with x_0 = c: element by element, so that the order
/// of the elements does not matter, and without the derivatives by Â, q and b, which are left 0.
///
/// # Panics
/// Where the lengths differ.
#[must_use]
pub fn separable(layers: &[&Parameters], c: &[f32], target: &[f32], lambda: f64) -> (f64, Vec<Gradient>) {
    assert_eq!(c.len(), target.len());
    let numbers = numbers(layers);
    let part = |(c, target): (&[f32], &[f32])| {
        let mut loss = 0.0;
        let mut sums = vec![[0.0; 5]; numbers.len()];
        let mut passed = vec![(0.0, 0.0); numbers.len()];
        for (&c, &aim) in c.iter().zip(target) {
            let (c, aim) = (f64::from(c), f64::from(aim));
            let mut x = c;
            for ((a, l), passed) in numbers.iter().zip(&mut passed) {
                let g = x - c;
                let v = x - g / l;
                *passed = (g, v);
                x = a.value(v);
            }
            loss += cost(x, aim, lambda);
            let mut grad_output = cost_slope(x, aim, lambda);
            for (((a, l), &(g, v)), sums) in numbers.iter().zip(&passed).zip(&mut sums).rev() {
                if grad_output == 0.0 {
                    break;
                }
                let p = a.partials(v);
                let r = p.v * grad_output;
                let by = [
                    r * g / (l * l),
                    p.eta1 * grad_output,
                    p.eta2 * grad_output,
                    p.delta1 * grad_output,
                    p.delta2 * grad_output,
                ];
                sums.iter_mut().zip(by).for_each(|(sum, by)| *sum += by);
                grad_output = r - r / l;
            }
        }
        (loss, sums)
    };
    let parts: Vec<_> = c.par_chunks(TOGETHER).zip(target.par_chunks(TOGETHER)).map(part).collect();
    let mut loss = 0.0;
    let mut gradients: Vec<Gradient> = layers.iter().map(|p| Gradient::zeros(p)).collect();
    for (own, sums) in parts {
        loss += own;
        for (gradient, [l, activation @ ..]) in gradients.iter_mut().zip(sums) {
            gradient.l += l;
            gradient.activation.iter_mut().zip(activation).for_each(|(sum, by)| *sum += by);
        }
    }
    (loss, gradients)
}

/// x_N for the same, rounded to f32.
#[must_use]
pub fn separable_outputs(layers: &[&Parameters], c: &[f32]) -> Vec<f32> {
    let numbers = numbers(layers);
    let one = |&c: &f32| {
        let c = f64::from(c);
        numbers.iter().fold(c, |x, (a, l)| a.value(x - (x - c) / l)) as f32
    };
    c.par_iter().with_min_len(TOGETHER).map(one).collect()
}
