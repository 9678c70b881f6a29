//! What became smaller.

use ndarray::{ArrayD, Axis};
use serde::Serialize;

use super::chain::Chain;
use super::{Layer, Proof};

/// The threshold below which the literature counts a weight as zero (Ma et al., Bui et al.).
pub const THRESHOLD: f64 = 1e-5;

/// The size of a layer or of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Weights and biases.
    pub parameters: u64,
    /// Those that are not exactly zero. NaN is not.
    pub nonzeros: u64,
    /// The parameters as f32.
    pub bytes: u64,
    /// Two per multiply-add with a weight, zeros included: per output position of a convolution, unless the size of
    /// its input was given.
    pub flops: u64,
}

/// Shares of what is zero; NaN is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sparsity {
    /// The share of zeros among the weights; biases do not count.
    pub weights: f64,
    /// The share of dead neurons among the hidden ones; none where there are no hidden neurons.
    pub neurons: Option<f64>,
}

/// What became of one layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The layer.
    pub name: String,
    /// The shape of its weights in the large network.
    pub shape_before: Vec<usize>,
    /// The shape of its weights in the small network.
    pub shape_after: Vec<usize>,
    /// Its neurons, or filters, in the large network.
    pub neurons: usize,
    /// Those that are not dead. 0 where all are dead; the small network then keeps one, with zero weights.
    pub neurons_alive: usize,
    /// The neurons of the large network that are in the small one, in its order.
    pub kept: Vec<usize>,
    /// Dead neurons with a constant output, which is now in the next layer's bias.
    pub folded: usize,
    /// Neurons with a constant output that stayed, as it cannot be folded.
    pub constants_kept: usize,
    /// The large layer.
    pub before: Size,
    /// The small layer.
    pub after: Size,
    /// In the large network, by exact zeros: weights that are zero, neurons that were removed.
    pub sparsity: Sparsity,
    /// In the large network, by [`THRESHOLD`]: weights of a magnitude below it, neurons whose weights in, or weights
    /// out, have a mean magnitude of at most that.
    pub sparsity_threshold: Sparsity,
}

/// All layers together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Total {
    /// Hidden neurons of the large network.
    pub neurons: usize,
    /// Those that are not dead.
    pub neurons_alive: usize,
    /// Inputs of the network (channels, where it begins with a convolution).
    pub inputs: usize,
    /// Those that nothing depends on. They stay.
    pub dead_inputs: usize,
    /// Sum of [`LayerReport::folded`].
    pub folded: usize,
    /// Sum of [`LayerReport::constants_kept`].
    pub constants_kept: usize,
    /// What [`Size::flops`] counts, in words.
    pub flops_per: String,
    /// The large network.
    pub before: Size,
    /// The small network.
    pub after: Size,
    /// By exact zeros, as in [`LayerReport::sparsity`].
    pub sparsity: Sparsity,
    /// By [`THRESHOLD`], as in [`LayerReport::sparsity_threshold`].
    pub sparsity_threshold: Sparsity,
}

/// What became smaller, and by how much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Each layer.
    pub layers: Vec<LayerReport>,
    /// All of them.
    pub total: Total,
    /// The comparison of the two networks, once [`Compact::prove`](super::Compact::prove) has made it.
    pub proof: Option<Proof>,
}

impl Size {
    fn new(layer: &Layer, size: Option<[usize; 2]>) -> Self {
        let bias = layer.bias.iter().flatten();
        let (weights, biases) = (layer.weight.len() as u64, bias.clone().count() as u64);
        let positions = size.filter(|_| layer.weight.ndim() == 4).map_or(1, |[rows, columns]| rows * columns);
        Size {
            parameters: weights + biases,
            nonzeros: layer.weight.iter().chain(bias).filter(|v| **v != 0.0).count() as u64,
            bytes: 4 * (weights + biases),
            flops: (2 * weights).saturating_mul(positions as u64),
        }
    }

    fn sum(sizes: impl Iterator<Item = Size>) -> Self {
        sizes.fold(Size::default(), |a, b| Size {
            parameters: a.parameters + b.parameters,
            nonzeros: a.nonzeros + b.nonzeros,
            bytes: a.bytes + b.bytes,
            flops: a.flops.saturating_add(b.flops),
        })
    }
}

impl Sparsity {
    /// Of zeros among weights, and of dead ones among hidden neurons.
    fn new(zeros: usize, weights: usize, dead: usize, neurons: usize) -> Self {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        Sparsity { weights: share(zeros, weights).unwrap_or(0.0), neurons: share(dead, neurons) }
    }
}

/// How many weights are zero, or so small that they count as zero.
fn zeros(weight: &ArrayD<f32>) -> (usize, usize) {
    weight.iter().fold((0, 0), |(exact, small), w| {
        (exact + usize::from(*w == 0.0), small + usize::from(f64::from(w.abs()) < THRESHOLD))
    })
}

/// Whether the mean magnitude of the weights of each neuron is at most [`THRESHOLD`]: of those into it (`axis` 0 of its own
/// layer) or out of it (`axis` 1 of the next, where it has `inputs` columns next to each other).
fn faint(weight: &ArrayD<f32>, axis: usize, inputs: usize) -> impl Iterator<Item = bool> {
    let groups = weight.len_of(Axis(axis)) / inputs.max(1);
    let mean = move |group: usize| {
        let slice = ndarray::Slice::from(group * inputs..(group + 1) * inputs);
        let group = weight.slice_axis(Axis(axis), slice);
        group.iter().map(|w| f64::from(w.abs())).sum::<f64>() / group.len() as f64
    };
    (0..groups).map(move |group| mean(group) <= THRESHOLD)
}

impl Report {
    pub(super) fn new(large: &[Layer], small: &[Layer], chain: &Chain<'_>, size: Option<[usize; 2]>) -> Self {
        let (mut layers, mut counts, mut faint_neurons) = (Vec::with_capacity(large.len()), (0, 0), 0);
        for (k, (before, after)) in large.iter().zip(small).enumerate() {
            let next = large.get(k + 1);
            let neurons = chain.links[k].outputs;
            let neurons_alive = chain.alive(k + 1);
            let (exact, below) = zeros(&before.weight);
            (counts.0, counts.1) = (counts.0 + exact, counts.1 + below);
            let faint = next.map_or(0, |next| {
                let inputs = next.weight.len_of(Axis(1)) / neurons;
                let out = faint(&next.weight, 1, inputs);
                faint(&before.weight, 0, 1).zip(out).filter(|(into, out)| *into || *out).count()
            });
            faint_neurons += faint;
            let hidden = if next.is_some() { neurons } else { 0 };
            let sparsity = |zeros, dead| Sparsity::new(zeros, before.weight.len(), dead, hidden);
            layers.push(LayerReport {
                name: before.name.clone(),
                shape_before: before.weight.shape().to_vec(),
                shape_after: after.weight.shape().to_vec(),
                neurons,
                neurons_alive,
                kept: chain.kept(k + 1),
                folded: chain.folded[k],
                constants_kept: if next.is_some() { chain.constants(k) } else { 0 },
                before: Size::new(before, size),
                after: Size::new(after, size),
                sparsity: sparsity(exact, neurons - neurons_alive),
                sparsity_threshold: sparsity(below, faint),
            });
        }
        let hidden = &layers[..layers.len().saturating_sub(1)];
        let neurons = hidden.iter().map(|l| l.neurons).sum();
        let neurons_alive = hidden.iter().map(|l| l.neurons_alive).sum();
        let weights = large.iter().map(|layer| layer.weight.len()).sum();
        let sparsity = |zeros, dead| Sparsity::new(zeros, weights, dead, neurons);
        let total = Total {
            neurons,
            neurons_alive,
            inputs: chain.links.first().map_or(0, |link| link.units),
            dead_inputs: chain.dead_inputs(),
            folded: layers.iter().map(|l| l.folded).sum(),
            constants_kept: layers.iter().map(|l| l.constants_kept).sum(),
            flops_per: match (size, chain.links.iter().any(|link| link.kernel.is_some())) {
                (_, false) => "input".into(),
                (None, true) => "output position of each convolution".into(),
                (Some([rows, columns]), true) => {
                    format!("input, convolutions with {rows}x{columns} positions (stride 1, same padding)")
                }
            },
            before: Size::sum(layers.iter().map(|l| l.before)),
            after: Size::sum(layers.iter().map(|l| l.after)),
            sparsity: sparsity(counts.0, neurons - neurons_alive),
            sparsity_threshold: sparsity(counts.1, faint_neurons),
        };
        Report { layers, total, proof: None }
    }
}
