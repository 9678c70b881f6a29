//! Networks that really get smaller: neurons and filters that exact zeros have cut off are removed. No GPU in here.
//!
//! A network is a chain of [`Layer`]s with ReLU between them, and none after the last: dense layers, convolutions, or
//! convolutions followed by dense ones through a flattening, channel by channel. A hidden neuron (a filter, for a
//! convolution) is dead, and [`run`] removes it, where
//!
//! - all weights out of it are zero, whatever it computes; or
//! - all weights into it are zero and it has no bias, or one that is not positive: relu makes its output 0; or
//! - all weights into it are zero and its bias c is positive: its output is c for every input. If the next layer is dense
//!   and has a bias, c times the weights out of it is folded into that bias, in float64, rounded once. In all other
//!   cases the neuron stays and is counted in [`LayerReport::constants_kept`]: a constant channel is not constant for
//!   a convolution whose padding is zero, and a layer without a bias is not given one, as what loads the file
//!   would not know of it.
//!
//! This goes on until nothing more dies, as one removal may cut off the neurons before or behind it. Inputs and outputs
//! of the network stay. A hidden layer whose neurons are all dead keeps its first one, with all weights and the bias zero.
//!
//! NaN counts as nonzero, and a neuron with a NaN or an infinity in its bias or in any weight into or out of it is never
//! removed: no plausible number may take the place of a NaN.
//!
//! With another activation f, f(0) = 0, the first rule holds, and the second for neurons without a bias or with a bias of
//! zero. Whatever else lies between two layers must act on each channel alone, keep zero zero and a constant constant
//! (pooling, dropout); a normalisation with a shift of its own does not.
//!
//! The outputs are the same for every input for which no value in the network overflows; [`Compact::prove`] checks it.

mod chain;
mod proof;
mod report;
#[cfg(test)]
mod tests;

use ndarray::{Array1, ArrayD, ArrayView2};

use crate::error::{Result, shape};

pub use proof::{Probe, Proof};
pub use report::{LayerReport, Report, Size, Sparsity, THRESHOLD, Total};

/// One layer: z = W a + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The name in reports and errors.
    pub name: String,
    /// `[outputs, inputs]` for a dense layer, `[outputs, inputs, rows, columns]` for a convolution.
    pub weight: ArrayD<f32>,
    /// `[outputs]`.
    pub bias: Option<Array1<f32>>,
}

/// A smaller network.
#[derive(Clone, Debug)]
pub struct Compact {
    /// The layers, with names, ranks and biases as before. Which neurons are left says [`LayerReport::kept`].
    pub layers: Vec<Layer>,
    /// What became smaller, and by how much.
    pub report: Report,
    /// The biases before their rounding, for each layer that something was folded into.
    exact: Vec<Option<Vec<f64>>>,
}

/// Removes the dead neurons of a chain of layers; the rules are [the module's](self).
///
/// `size`, rows and columns of a picture, is for the FLOPs alone: each convolution is taken to have as many output
/// positions (stride 1, padding that keeps the size, no pooling before it). Without it FLOPs are per output position.
///
/// # Errors
/// [`crate::Error::Unsupported`] for an empty chain; [`crate::Error::Shape`] for a weight that is neither a matrix nor a
/// convolution, a bias of another length than the outputs, an empty tensor, or two layers that do not fit, naming both;
/// [`crate::Error::Domain`] for a side of the picture outside 1..=65536.
pub fn run(layers: &[Layer], size: Option<[usize; 2]>) -> Result<Compact> {
    for (name, side) in ["rows", "columns"].into_iter().zip(size.into_iter().flatten()) {
        crate::error::require((1..=1 << 16).contains(&side), "input size", name, side, "[1, 65536]")?;
    }
    let mut chain = chain::Chain::new(layers)?;
    chain.prune();
    let small = chain.small();
    let report = report::Report::new(layers, &small, &chain, size);
    Ok(Compact { layers: small, report, exact: chain.exact() })
}

/// [`run`] and [`Compact::prove`] for a perceptron: weights `[outputs, inputs]`, one bias per layer, of length 0 for none.
/// Layer K is called `layers.K.weight`.
///
/// # Errors
/// Those of the two, and [`crate::Error::Shape`] where there are not as many biases as weights.
pub fn mlp(weights: &[ArrayView2<'_, f32>], biases: &[&[f32]]) -> Result<Compact> {
    if weights.len() != biases.len() {
        let expected = format!("{}, one per layer", weights.len());
        return Err(shape("perceptron", "number of biases", biases.len(), expected));
    }
    let layer = |(k, (weight, bias)): (usize, (&ArrayView2<'_, f32>, &&[f32]))| Layer {
        name: format!("layers.{k}.weight"),
        weight: weight.to_owned().into_dyn(),
        bias: (!bias.is_empty()).then(|| Array1::from(bias.to_vec())),
    };
    let large: Vec<Layer> = weights.iter().zip(biases).enumerate().map(layer).collect();
    let mut compact = run(&large, None)?;
    compact.prove(&large, Probe::default())?;
    Ok(compact)
}
