//! The network's training in float32 with dense products, on one core.

use ndarray::{Array2, ArrayView2, Zip};

use super::tiles::rows;
use crate::error::{Error, Result};
use crate::network::{Floors, Parameters};

/// Adam's decays. A run has some hundred steps, so the second moment must forget sooner than by the usual 0.999.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.99;

/// The shares of the learning rate.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    pub matrix: f64,
    pub rest: f64,
}

/// Adam on the shared parameters of an unfolded network.
pub struct Trainer {
    parameters: Parameters,
    layers: u32,
    shares: Shares,
    floors: Floors,
    moments: Vec<[f64; 2]>,
    steps: i32,
    loss: f64,
}

struct Passed {
    g: Array2<f32>,
    r: Array2<f32>,
    v: Array2<f32>,
    e: Array2<f32>,
}

impl Trainer {
    pub fn new(parameters: Parameters, layers: u32, shares: Shares, floors: Floors) -> Self {
        let moments = vec![[0.0; 2]; parameters.values.len() + 5];
        Trainer { parameters, layers, shares, floors, moments, steps: 0, loss: 0.0 }
    }

    fn matrix(&self) -> Array2<f32> {
        let p = &self.parameters;
        let mut a = Array2::zeros((p.q.len(), p.q.len()));
        for ((i, j), &value) in p.pattern.entries().zip(&p.values) {
            a[[i as usize, j as usize]] = value as f32;
        }
        a
    }

    fn forward(&self, a: &Array2<f32>, c: &Array2<f32>) -> (Vec<Passed>, Array2<f32>) {
        let xi = self.parameters.activation;
        let [eta1, eta2, delta1, delta2] = [xi.eta1, xi.eta2, xi.delta1, xi.delta2].map(|v| v as f32);
        let mut x = c.clone();
        let mut all = Vec::new();
        for _ in 0..self.layers {
            let g = &x - c;
            let r = &x - &(&g / self.parameters.l as f32);
            let v = r.dot(&a.t());
            let e = v.mapv(|v| {
                let av = v.abs();
                let y = eta1 * (av.min(delta2) - delta1).max(0.0) + eta2 * (av - delta2).max(0.0);
                if v > 0.0 { y } else { -y }
            });
            x = e.dot(a);
            all.push(Passed { g, r, v, e });
        }
        (all, x)
    }

    /// One step on samples of n numbers each.
    pub fn step(&mut self, noisy: &[f32], target: &[f32], rate: f64) -> Result<()> {
        let n = self.parameters.q.len();
        let view = |values| {
            ArrayView2::from_shape((noisy.len() / n, n), values).map_err(|_| Error::Shape {
                place: "training".into(),
                name: "length of the target".into(),
                got: target.len().to_string(),
                expected: noisy.len().to_string(),
            })
        };
        let (c, target) = (view(noisy)?.to_owned(), view(target)?);
        let a = self.matrix();
        let (passed, y) = self.forward(&a, &c);
        let mut bar = y - target;
        self.loss = 0.5 * bar.iter().map(|d| f64::from(d * d)).sum::<f64>();
        let (l, xi) = (self.parameters.l as f32, self.parameters.activation);
        let [eta1, eta2, delta1, delta2] = [xi.eta1, xi.eta2, xi.delta1, xi.delta2].map(|v| v as f32);
        let learned = self.shares.matrix > 0.0;
        let mut by_a = Array2::<f32>::zeros((n, n));
        let mut rest = [0.0f64; 5];
        for p in passed.iter().rev() {
            let w = bar.dot(&a.t());
            let mut u = w.clone();
            let mut sums = [0.0f32; 4];
            Zip::from(&mut u).and(&p.v).and(&w).for_each(|u, &v, &w| {
                let (av, s) = (v.abs(), if v < 0.0 { -w } else { w });
                *u = if av >= delta2 {
                    sums[0] += s * (delta2 - delta1);
                    sums[1] += s * (av - delta2);
                    sums[2] -= s * eta1;
                    sums[3] += s * (eta1 - eta2);
                    w * eta2
                } else if av >= delta1 {
                    sums[0] += s * (av - delta1);
                    sums[2] -= s * eta1;
                    w * eta1
                } else {
                    0.0
                };
            });
            rest[1..].iter_mut().zip(sums).for_each(|(to, s)| *to += f64::from(s));
            if learned {
                by_a += &p.e.t().dot(&bar);
                by_a += &u.t().dot(&p.r);
            }
            let r = u.dot(&a);
            rest[0] += (&r * &p.g).iter().map(|&v| f64::from(v)).sum::<f64>() / f64::from(l * l);
            bar = r * (1.0 - 1.0 / l);
        }
        self.steps += 1;
        let by_a: Vec<f64> = self
            .parameters
            .pattern
            .entries()
            .map(|(i, j)| f64::from(by_a[[i as usize, j as usize]]))
            .collect();
        let (b1, b2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let p = &mut self.parameters;
        let xi = &mut p.activation;
        let numbers = [&mut p.l, &mut xi.eta1, &mut xi.eta2, &mut xi.delta1, &mut xi.delta2].into_iter();
        let numbers = numbers.zip(rest).map(|(x, d)| (x, d, self.shares.rest));
        let values = p.values.iter_mut().zip(by_a).map(|(x, d)| (x, d, self.shares.matrix));
        for ((x, d, share), [m, v]) in numbers.chain(values).zip(&mut self.moments) {
            *m = BETA1 * *m + (1.0 - BETA1) * d;
            *v = BETA2 * *v + (1.0 - BETA2) * d * d;
            *x -= rate * share * (*m / b1) / ((*v / b2).sqrt() + 1e-8);
        }
        p.project(self.floors);
        Ok(())
    }

    /// 1/2 of the sum of squared errors at the latest step.
    pub fn loss(&mut self) -> Result<f64> {
        Ok(self.loss)
    }

    pub fn parameters(&mut self) -> Result<Vec<Parameters>> {
        Ok(vec![self.parameters.clone()])
    }

    /// The network's outputs.
    pub fn apply(&mut self, noisy: &[f32]) -> Result<Vec<f32>> {
        let c = rows(noisy.to_vec(), self.parameters.q.len())?;
        Ok(self.forward(&self.matrix(), &c).1.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::matrix::Pattern;
    use crate::network::reference::{Phi, loss_gradient, unfolded};
    use crate::penalty::Activation;

    /// Parameters with no two numbers alike, and samples.
    fn example() -> (Parameters, Vec<f32>, Vec<f32>) {
        let pattern = Arc::new(Pattern::random(9, 0.5, 3).unwrap());
        let xi = Activation { eta1: 0.9, eta2: 0.4, delta1: 0.12, delta2: 0.7 };
        let mut p = Parameters::identity(pattern, xi, 1.7).unwrap();
        p.values.iter_mut().enumerate().for_each(|(k, a)| *a += 0.1 * (k as f64 * 1.7).sin());
        let wave = |shift: f64| (0..45).map(|k| (k as f64 * 0.77 + shift).sin() as f32).collect();
        (p.rounded(), wave(0.0), wave(0.3))
    }

    fn columns(samples: &[f32]) -> Array2<f64> {
        rows(samples.to_vec(), 9).unwrap().mapv(f64::from).reversed_axes()
    }

    #[test]
    fn outputs_and_the_first_step_are_those_of_the_reference() {
        let (p, noisy, target) = example();
        let (c, t) = (columns(&noisy), columns(&target));
        let layers = [&p; 3];
        let expected = unfolded(&layers, &Phi::Near(c.view()), &c).pop().unwrap().y;
        let mut trainer = Trainer::new(p.clone(), 3, Shares { matrix: 0.5, rest: 1.0 }, Floors::default());
        let found = columns(&trainer.apply(&noisy).unwrap());
        assert!((&found - &expected).iter().all(|d| d.abs() < 1e-5));
        let (loss, gradients, _) = loss_gradient(&layers, &Phi::Near(c.view()), &c, t.view());
        trainer.step(&noisy, &target, 1e-3).unwrap();
        assert!((trainer.loss().unwrap() / loss - 1.0).abs() < 1e-5);
        // the first moments are a tenth of the gradient: L, the activation, the matrix
        let mut sum = gradients[0].clone();
        gradients[1..].iter().for_each(|g| sum.add(g));
        let expected: Vec<f64> =
            [sum.l].into_iter().chain(sum.activation).chain(sum.values.iter().copied()).collect();
        for (k, (moment, expected)) in trainer.moments.iter().zip(&expected).enumerate() {
            assert!((10.0 * moment[0] - expected).abs() < 1e-4 * (1.0 + expected.abs()), "number {k}");
        }
        // and Adam's first step is the rate against its sign
        let moved = trainer.parameters().unwrap()[0].values[0] - p.values[0];
        assert!((moved + 0.5e-3 * sum.values[0].signum()).abs() < 1e-6);
    }
}
