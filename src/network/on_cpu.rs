//! The trainer in float64: the reference of the one on a device, and the way without an adapter.

use ndarray::Array2;

use super::head::Head;
use super::options::{Options, Start};
use super::reference::{Gradient, Phi, layer, loss_gradient, separable, separable_outputs};
use crate::error::Result;
use crate::kernels::learn::{self, Rates, UpdateParameters};
use crate::penalty::Activation;
use crate::regulariser::Parameters;

/// The float64 trainer.
pub(super) struct OnCpu {
    /// What it started from, with the parameters as they are.
    pub start: Start,
    /// Whether every component is by itself.
    separable: bool,
    /// The unprojected heads, where projections are inside the forward pass.
    heads: Vec<Head>,
    /// First and second moments of each set of parameters, at their places.
    moments: Vec<[Vec<f64>; 2]>,
    /// The vectors of the power iterations.
    directions: Vec<Vec<f64>>,
    steps: u64,
    /// Of the latest step; NaN before the first.
    pub loss: f64,
}

impl OnCpu {
    /// With fresh moments.
    pub fn new(mut start: Start) -> Self {
        let heads = Head::all(&mut start);
        let moments = |p: &Parameters| {
            let zeros = vec![0.0; p.places().length() as usize];
            [zeros.clone(), zeros]
        };
        OnCpu {
            moments: start.parameters.iter().map(moments).collect(),
            directions: start.parameters.iter().map(|p| learn::start(p.components())).collect(),
            separable: start.is_separable(),
            heads,
            start,
            steps: 0,
            loss: f64::NAN,
        }
    }

    /// The network's outputs.
    pub fn apply(&self, noisy: &[f32]) -> Vec<f32> {
        if self.separable {
            return separable_outputs(&self.layers(), noisy);
        }
        let x = columns(noisy, self.start.parameters[0].components() as usize);
        let phi = Phi::Near(x.view());
        // what layers have passed is for gradients alone, and is not kept here
        let y = self
            .layers()
            .into_iter()
            .fold(None, |before, p| Some(layer(p, &phi, before.as_ref().unwrap_or(&x)).y));
        y.as_ref().unwrap_or(&x).t().iter().map(|&y| y as f32).collect()
    }

    fn layers(&self) -> Vec<&Parameters> {
        let sets = &self.start.parameters;
        (0..self.start.layers as usize).map(|k| &sets[k.min(sets.len() - 1)]).collect()
    }

    /// One step.
    pub fn step(&mut self, noisy: &[f32], target: &[f32], rate: f64) -> Result<()> {
        let n = self.start.parameters[0].components() as usize;
        let scale = n as f64 / noisy.len() as f64;
        let (layers, lambda) = (self.layers(), self.start.options.sparsity);
        let (loss, gradients) = if self.separable {
            separable(&layers, noisy, target, lambda)
        } else {
            let (x, target) = (columns(noisy, n), columns(target, n));
            let made = loss_gradient(&layers, &Phi::Near(x.view()), &x, target.view(), lambda);
            (made.0, made.1)
        };
        self.loss = scale * loss;
        self.steps += 1;
        let shared = self.start.parameters.len() == 1;
        let mut sets: Vec<Gradient> = self.start.parameters.iter().map(Gradient::zeros).collect();
        for (k, gradient) in gradients.iter().enumerate() {
            sets[if shared { 0 } else { k }].add(gradient);
        }
        let options = self.start.options;
        let hyper = UpdateParameters { rate, step: self.steps };
        for (k, (p, gradient)) in self.start.parameters.iter_mut().zip(&sets).enumerate() {
            update(p, gradient, scale, &mut self.moments[k], &options, hyper);
            let rested = (options.rates.q == 0.0).then(|| p.q.clone());
            p.project(options.floors);
            if let Some(q) = rested {
                p.q = q;
            }
            if let Some(head) = self.heads.get_mut(k) {
                let [eta1, eta2, delta1, delta2] = gradient.activation;
                let by = [gradient.l, eta1, eta2, delta1, delta2].map(|by| scale * by);
                head.step(by, &options, hyper);
                p.set_head(head.projected(options.floors));
            }
            if let Some(rounds) = options.bound {
                let norm = p.norm(&mut self.directions[k], rounds as usize)?;
                p.values.iter_mut().for_each(|a| *a /= norm.max(1.0));
            }
        }
        Ok(())
    }
}

/// One step of the method on every kind of parameter whose rate is not 0; on the head only where it is projected after
/// the step.
fn update(
    p: &mut Parameters,
    gradient: &Gradient,
    scale: f64,
    moments: &mut [Vec<f64>; 2],
    options: &Options,
    hyper: UpdateParameters,
) {
    let places = p.places();
    let Rates { values, q, b, activation, l } = options.stored_rates();
    let mut step = |at: usize, rate: f64, x: &mut f64, gradient: f64| {
        let hyper = UpdateParameters { rate: hyper.rate * rate, ..hyper };
        options.advance(hyper, x, scale * gradient, moments.each_mut().map(|moment| &mut moment[at]));
    };
    let Activation { eta1, eta2, delta1, delta2 } = &mut p.activation;
    for (k, x) in [eta1, eta2, delta1, delta2].into_iter().enumerate() {
        step(1 + k, activation, x, gradient.activation[k]);
    }
    step(0, l, &mut p.l, gradient.l);
    let kinds = [
        (places.values(), values, &mut p.values, &gradient.values),
        (places.q(), q, &mut p.q, &gradient.q),
        (places.b(), b, &mut p.b, &gradient.b),
    ];
    for (range, rate, numbers, gradients) in kinds {
        for ((at, x), &gradient) in range.zip(numbers).zip(gradients) {
            step(at, rate, x, gradient);
        }
    }
}

/// Vectors one after the other as the columns of a matrix.
fn columns(vectors: &[f32], n: usize) -> Array2<f64> {
    let m = vectors.len() / n;
    Array2::from_shape_fn((n, m), |(i, c)| f64::from(vectors[c * n + i]))
}
