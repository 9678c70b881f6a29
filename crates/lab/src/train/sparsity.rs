//! What is counted in a trained network: weights, parameters, neurons, operations.

use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::Serialize;

use super::mlp::Mlp;

/// Below it a weight counts as zero, and at most it the mean magnitude of a dead neuron's weights, in the tables of Bui et
/// al. and Ma et al.
const SMALL: f32 = 1e-5;

/// The share of exactly nonzero entries over all weight matrices; biases do not count.
#[must_use]
pub fn density(weights: &[ArrayView2<'_, f32>]) -> f64 {
    share(weights, |v| v != 0.0)
}

/// The share of entries for which `counts` holds over all weight matrices.
fn share(weights: &[ArrayView2<'_, f32>], counts: impl Fn(f32) -> bool) -> f64 {
    let number: usize = weights.iter().map(|w| w.iter().filter(|v| counts(**v)).count()).sum();
    number as f64 / weights.iter().map(|w| w.len()).sum::<usize>().max(1) as f64
}

/// The share of exactly nonzero parameters over all parameters, biases included.
#[must_use]
pub fn parameter_share(tensors: &[&[f32]]) -> f64 {
    let nonzeros: usize = tensors.iter().map(|t| t.iter().filter(|v| **v != 0.0).count()).sum();
    nonzeros as f64 / tensors.iter().map(|t| t.len()).sum::<usize>().max(1) as f64
}

/// The live neurons of each hidden layer. Neuron j of hidden layer k is live if at least one weight into it
/// (row j of the k-th matrix) and at least one weight out of it (column j of the next matrix) is nonzero. A
/// neuron that is not live contributes nothing, or a constant that its bias alone decides: it can be removed.
#[must_use]
pub fn live_neurons(weights: &[ArrayView2<'_, f32>]) -> Vec<usize> {
    live(weights, |side| side.iter().any(|v| *v != 0.0))
}

/// The hidden neurons of each layer whose weights in and whose weights out are both `alive`.
fn live(weights: &[ArrayView2<'_, f32>], alive: impl Fn(ArrayView1<'_, f32>) -> bool) -> Vec<usize> {
    weights
        .windows(2)
        .map(|pair| {
            let sides = pair[0].axis_iter(Axis(0)).zip(pair[1].axis_iter(Axis(1)));
            sides.filter(|(into, out)| alive(*into) && alive(*out)).count()
        })
        .collect()
}

/// The operations of the network without its dead neurons, as a share of those of the whole one: 2 inputs outputs per
/// layer. Inputs and classes are never taken out.
#[must_use]
pub fn flop_share(weights: &[ArrayView2<'_, f32>]) -> f64 {
    let live = live_neurons(weights);
    let kept = |k: usize, w: &ArrayView2<'_, f32>| {
        let inputs = if k == 0 { w.ncols() } else { live[k - 1] };
        inputs * live.get(k).copied().unwrap_or(w.nrows())
    };
    let kept: usize = weights.iter().enumerate().map(|(k, w)| kept(k, w)).sum();
    kept as f64 / weights.iter().map(|w| w.len()).sum::<usize>().max(1) as f64
}

/// How sparse a network is, exactly and by the threshold that the papers count with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sparsity {
    /// The share of weights that are exactly zero.
    pub weight_sparsity: f64,
    /// The share of hidden neurons that are not live, see [`live_neurons`].
    pub neuron_sparsity: f64,
    /// The share of weights smaller than 1e-5 in magnitude.
    pub weight_sparsity_1e5: f64,
    /// The share of hidden neurons whose weights in, or whose weights out, have a mean magnitude of 1e-5 at most.
    pub neuron_sparsity_1e5: f64,
}

impl Sparsity {
    /// That of a network.
    #[must_use]
    pub fn of(network: &Mlp) -> Self {
        let weights = network.weights();
        let hidden: usize = weights.windows(2).map(|pair| pair[0].nrows()).sum();
        let dead = |live: Vec<usize>| 1.0 - live.iter().sum::<usize>() as f64 / hidden.max(1) as f64;
        let large = |side: ArrayView1<'_, f32>| {
            let sum: f64 = side.iter().map(|v| f64::from(v.abs())).sum();
            sum > f64::from(SMALL) * side.len() as f64
        };
        Sparsity {
            weight_sparsity: share(&weights, |v| v == 0.0),
            neuron_sparsity: dead(live_neurons(&weights)),
            weight_sparsity_1e5: share(&weights, |v| v.abs() < SMALL),
            neuron_sparsity_1e5: dead(live(&weights, large)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn live_neurons_need_a_way_in_and_a_way_out() {
        // Neuron 0: in and out. 1: in only. 2: out only. 3: neither. 4: in and out.
        let first = arr2(&[[1.0, 0.0], [0.0, -1e-30], [0.0, 0.0], [0.0, 0.0], [2.0, 2.0]]);
        let second = arr2(&[[0.0, 0.0, 1.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, -1.0]]);
        let third = arr2(&[[0.0, 1.0]]);
        assert_eq!(live_neurons(&[first.view(), second.view(), third.view()]), [2, 1]);
        assert_eq!(live_neurons(&[first.view()]), Vec::<usize>::new());
    }

    #[test]
    fn density_leaves_the_biases_out_and_the_share_takes_them_in() {
        let w = arr2(&[[1.0_f32, 0.0], [0.0, 0.0]]);
        let v = arr2(&[[0.5_f32, -0.0]]);
        assert_eq!(density(&[w.view(), v.view()]), 2.0 / 6.0);
        assert_eq!(parameter_share(&[&[1.0, 0.0, 0.0, 0.0], &[1.0, 1.0], &[0.5, -0.0]]), 4.0 / 8.0);
        assert_eq!(density(&[]), 0.0);
    }

    #[test]
    fn operations_are_those_of_what_is_left() {
        // 2 inputs, 3 hidden, 2 hidden, 1 class: neuron 2 of the first layer and 0 of the second are dead.
        let first = arr2(&[[1.0_f32, 0.0], [0.0, 1.0], [0.0, 0.0]]);
        let second = arr2(&[[0.0_f32, 0.0, 0.0], [1.0, 1.0, 1.0]]);
        let third = arr2(&[[1.0_f32, 1.0]]);
        let weights = [first.view(), second.view(), third.view()];
        assert_eq!(live_neurons(&weights), [2, 1]);
        assert_eq!(flop_share(&weights), (2.0 * 2.0 + 2.0 + 1.0) / (6.0 + 6.0 + 2.0));
        assert_eq!(flop_share(&[first.view()]), 1.0);
        assert_eq!(flop_share(&[]), 0.0);
    }

    #[test]
    fn the_threshold_of_the_papers_counts_more_than_exact_zeros() {
        use rand::SeedableRng;
        let mut network = Mlp::new(&[2, 2, 2], 1, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0));
        // Neuron 0 is small on its way in, neuron 1 lives.
        network.gradients_and_tensors().1[0].copy_from_slice(&[1e-6, 0.0, 0.5, 1e-5]);
        network.gradients_and_tensors().1[2].copy_from_slice(&[1.0, 1.0, 1.0, 1.0]);
        let found = Sparsity::of(&network);
        assert_eq!((found.weight_sparsity, found.neuron_sparsity), (1.0 / 8.0, 0.0));
        assert_eq!((found.weight_sparsity_1e5, found.neuron_sparsity_1e5), (2.0 / 8.0, 0.5));
    }
}
