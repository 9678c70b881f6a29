//! A multilayer perceptron in plain ndarray f32: the part that a pipeline brings along itself.
//!
//! Nothing here knows of penalties, kernels or schedules. Layer k computes z = a W^T + b with W stored
//! `[outputs, inputs]`, row-major; hidden layers apply ReLU (with derivative 0 at 0), the last one softmax, and
//! the loss is the mean cross-entropy over the batch.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// One layer: weights `[outputs, inputs]`, biases, and their gradients after [`Mlp::backward`].
#[derive(Clone, Debug)]
struct Layer {
    weight: Array2<f32>,
    bias: Array1<f32>,
    weight_gradient: Array2<f32>,
    bias_gradient: Array1<f32>,
}

/// The network with buffers for batches of up to a fixed size.
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Layer>,
    /// The output of each layer, `[capacity, outputs]`; the last one holds logits, then probabilities.
    outputs: Vec<Array2<f32>>,
    /// The derivative of the loss by each layer's z.
    deltas: Vec<Array2<f32>>,
}

impl Mlp {
    /// A network of the given widths (inputs first, classes last) for batches of at most `capacity` rows.
    /// Weights are drawn by He's rule, N(0, 2 / inputs); biases are zero.
    #[must_use]
    pub fn new(widths: &[usize], capacity: usize, rng: &mut impl Rng) -> Self {
        let layers: Vec<Layer> = widths
            .windows(2)
            .map(|pair| {
                let deviation = (2.0 / pair[0].max(1) as f32).sqrt();
                let weight = Array2::from_shape_simple_fn((pair[1], pair[0]), || {
                    let z: f32 = StandardNormal.sample(rng);
                    deviation * z
                });
                let bias = Array1::zeros(pair[1]);
                Layer {
                    weight_gradient: Array2::zeros(weight.raw_dim()),
                    bias_gradient: bias.clone(),
                    weight,
                    bias,
                }
            })
            .collect();
        let buffer = |layer: &Layer| Array2::zeros((capacity, layer.bias.len()));
        Mlp {
            outputs: layers.iter().map(buffer).collect(),
            deltas: layers.iter().map(buffer).collect(),
            layers,
        }
    }

    /// How many layers there are.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// The weight matrix `[outputs, inputs]` of a layer.
    #[must_use]
    pub fn weight(&self, layer: usize) -> ArrayView2<'_, f32> {
        self.layers[layer].weight.view()
    }

    /// All weight matrices, first layer first.
    #[must_use]
    pub fn weights(&self) -> Vec<ArrayView2<'_, f32>> {
        self.layers.iter().map(|l| l.weight.view()).collect()
    }

    /// All tensors, `weight, bias` per layer. The arrays own their memory in row-major order, so the slices are
    /// always there.
    #[must_use]
    pub fn tensors(&self) -> Vec<&[f32]> {
        self.layers
            .iter()
            .flat_map(|l| [l.weight.as_slice().unwrap_or_default(), l.bias.as_slice().unwrap_or_default()])
            .collect()
    }

    /// The gradients and the tensors they belong to, in the order of [`Mlp::tensors`].
    pub fn gradients_and_tensors(&mut self) -> (Vec<&[f32]>, Vec<&mut [f32]>) {
        let mut gradients = Vec::with_capacity(2 * self.layers.len());
        let mut tensors = Vec::with_capacity(2 * self.layers.len());
        for layer in &mut self.layers {
            gradients.push(layer.weight_gradient.as_slice().unwrap_or_default());
            gradients.push(layer.bias_gradient.as_slice().unwrap_or_default());
            tensors.push(layer.weight.as_slice_mut().unwrap_or_default());
            tensors.push(layer.bias.as_slice_mut().unwrap_or_default());
        }
        (gradients, tensors)
    }

    /// Runs up to `capacity` rows through the network; the logits are left in the last output.
    fn forward(&mut self, x: ArrayView2<'_, f32>) {
        let rows = x.nrows();
        let last = self.layers.len() - 1;
        for (k, layer) in self.layers.iter().enumerate() {
            let (before, rest) = self.outputs.split_at_mut(k);
            let input = before.last().map_or(x, |a| a.slice(s![..rows, ..]));
            let mut output = rest[0].slice_mut(s![..rows, ..]);
            output.assign(&layer.bias);
            general_mat_mul(1.0, &input, &layer.weight.t(), 1.0, &mut output);
            if k < last {
                output.mapv_inplace(|z| z.max(0.0));
            }
        }
    }

    /// The mean cross-entropy of a batch (at most `capacity` rows), with its gradients left in the network.
    pub fn backward(&mut self, x: ArrayView2<'_, f32>, labels: &[usize]) -> f64 {
        self.forward(x);
        let rows = x.nrows();
        let last = self.layers.len() - 1;
        let mut loss = 0.0;
        let share = 1.0 / rows as f32;
        let logits = self.outputs[last].slice(s![..rows, ..]);
        let mut delta = self.deltas[last].slice_mut(s![..rows, ..]);
        for ((z, mut d), &label) in logits.outer_iter().zip(delta.outer_iter_mut()).zip(labels) {
            let peak = z.fold(f32::NEG_INFINITY, |m, &v| m.max(v));
            Zip::from(&mut d).and(&z).for_each(|d, &z| *d = (z - peak).exp());
            let sum = d.sum();
            loss += f64::from(sum.ln() - (z[label] - peak));
            d.mapv_inplace(|e| e / sum * share);
            d[label] -= share;
        }
        for (k, layer) in self.layers.iter_mut().enumerate().rev() {
            let (before, rest) = self.deltas.split_at_mut(k);
            let delta = rest[0].slice(s![..rows, ..]);
            let input = if k == 0 { x } else { self.outputs[k - 1].slice(s![..rows, ..]) };
            general_mat_mul(1.0, &delta.t(), &input, 0.0, &mut layer.weight_gradient);
            layer.bias_gradient.assign(&delta.sum_axis(Axis(0)));
            if let Some(below) = before.last_mut() {
                let mut below = below.slice_mut(s![..rows, ..]);
                general_mat_mul(1.0, &delta, &layer.weight, 0.0, &mut below);
                Zip::from(&mut below).and(&input).for_each(|d, &a| {
                    if a <= 0.0 {
                        *d = 0.0;
                    }
                });
            }
        }
        loss / rows as f64
    }

    /// The share of rows whose largest logit (the first one at ties) is that of the label; 0 without rows.
    pub fn accuracy(&mut self, x: ArrayView2<'_, f32>, labels: &[usize]) -> f64 {
        let capacity = self.outputs[0].nrows();
        let mut right = 0_usize;
        for (x, labels) in x.axis_chunks_iter(Axis(0), capacity).zip(labels.chunks(capacity)) {
            self.forward(x);
            let logits = &self.outputs[self.layers.len() - 1];
            for (z, &label) in logits.outer_iter().zip(labels) {
                let (mut best, mut peak) = (usize::MAX, f32::NEG_INFINITY);
                for (class, &v) in z.iter().enumerate() {
                    if v > peak {
                        (best, peak) = (class, v);
                    }
                }
                right += usize::from(best == label);
            }
        }
        right as f64 / labels.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// The loss in float64 and in loops, as the formulas say it: shares nothing with the code above.
    fn plain_loss(widths: &[usize], tensors: &[Vec<f64>], x: &Array2<f32>, labels: &[usize]) -> f64 {
        let mut total = 0.0;
        for (row, &label) in x.outer_iter().zip(labels) {
            let mut a: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
            for k in 0..widths.len() - 1 {
                let (weight, bias) = (&tensors[2 * k], &tensors[2 * k + 1]);
                a = (0..widths[k + 1])
                    .map(|o| {
                        let z =
                            bias[o] + (0..widths[k]).map(|i| weight[o * widths[k] + i] * a[i]).sum::<f64>();
                        if k + 2 < widths.len() { z.max(0.0) } else { z }
                    })
                    .collect();
            }
            total += a.iter().map(|z| z.exp()).sum::<f64>().ln() - a[label];
        }
        total / labels.len() as f64
    }

    fn sample(widths: &[usize], rows: usize, seed: u64) -> (Mlp, Array2<f32>, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mlp = Mlp::new(widths, rows + 3, &mut rng);
        let x = Array2::from_shape_simple_fn((rows, widths[0]), || {
            let z: f32 = StandardNormal.sample(&mut rng);
            z
        });
        let classes = widths[widths.len() - 1];
        (mlp, x, (0..rows).map(|i| (7 * i + 1) % classes).collect())
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (widths, rows) in [(vec![5, 7, 4], 6), (vec![4, 6, 5, 3], 9), (vec![3, 2], 1)] {
            let (mut mlp, x, labels) = sample(&widths, rows, 11);
            // Biases away from zero, so that their path is exercised.
            for (k, layer) in mlp.layers.iter_mut().enumerate() {
                layer.bias.mapv_inplace(|b| b + 0.1 * (k + 1) as f32);
            }
            let loss = mlp.backward(x.view(), &labels);
            let mut tensors: Vec<Vec<f64>> =
                mlp.tensors().iter().map(|t| t.iter().map(|&v| f64::from(v)).collect()).collect();
            assert!((loss - plain_loss(&widths, &tensors, &x, &labels)).abs() < 1e-5);
            let gradients: Vec<Vec<f32>> = mlp.gradients_and_tensors().0.iter().map(|g| g.to_vec()).collect();
            let h = 1e-6;
            for t in 0..tensors.len() {
                for i in 0..tensors[t].len() {
                    let at = tensors[t][i];
                    tensors[t][i] = at + h;
                    let above = plain_loss(&widths, &tensors, &x, &labels);
                    tensors[t][i] = at - h;
                    let below = plain_loss(&widths, &tensors, &x, &labels);
                    tensors[t][i] = at;
                    let expected = (above - below) / (2.0 * h);
                    let got = f64::from(gradients[t][i]);
                    assert!(
                        (got - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                        "{t} {i}: {got} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn shorter_batches_leave_nothing_of_longer_ones() {
        let (mut mlp, x, labels) = sample(&[5, 6, 3], 8, 3);
        let mut fresh = mlp.clone();
        mlp.backward(x.view(), &labels);
        mlp.backward(x.slice(s![..2, ..]), &labels[..2]);
        fresh.backward(x.slice(s![..2, ..]), &labels[..2]);
        assert_eq!(mlp.gradients_and_tensors().0, fresh.gradients_and_tensors().0);
    }

    #[test]
    fn accuracy_counts_over_several_chunks() {
        let (mut mlp, x, labels) = sample(&[5, 6, 3], 8, 5);
        let whole = mlp.accuracy(x.view(), &labels);
        let right: f64 = (0..8).map(|i| mlp.accuracy(x.slice(s![i..=i, ..]), &labels[i..=i])).sum();
        assert_eq!(whole, right / 8.0);
        let mut narrow = Mlp::new(&[5, 6, 3], 3, &mut ChaCha8Rng::seed_from_u64(5));
        assert_eq!(narrow.accuracy(x.view(), &labels), whole);
        assert_eq!(mlp.accuracy(x.slice(s![..0, ..]), &[]), 0.0);
    }

    #[test]
    fn large_logits_give_a_finite_loss() {
        let (mut mlp, _, _) = sample(&[2, 2], 1, 1);
        mlp.layers[0].weight.fill(0.0);
        mlp.layers[0].bias.assign(&ndarray::arr1(&[1000.0, -1000.0]));
        assert_eq!(mlp.backward(Array2::zeros((1, 2)).view(), &[1]), 2000.0);
    }
}
