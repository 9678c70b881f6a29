//! Graphs through learned regularisers.

use ndarray::Array2;
use serde::Serialize;

use super::Graph;
use crate::error::Result;
use crate::network::{Family, Parameters};
use crate::penalty::Activation;
use crate::schedule::Backend;

/// How it is learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Options {
    /// N: the network has N layers after its first.
    pub layers: u32,
    /// Passes over the graph.
    pub epochs: usize,
    /// Adam's learning rate.
    pub rate: f64,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// The seed.
    pub seed: u64,
    /// The loss of each epoch, before its step.
    pub history: Vec<f64>,
    /// The learned activation.
    pub activation: Activation,
    /// The learned L.
    pub l: f64,
    /// Wall time of the training.
    pub seconds: f64,
    /// The graph that comes out of the network.
    #[serde(skip)]
    pub output: Array2<f64>,
    /// All that was learned.
    #[serde(skip)]
    pub parameters: Parameters,
}

/// Trains on a graph and gives the graph that comes out. `told` hears of each epoch: its number and its loss.
///
/// # Errors
pub fn fit(
    graph: &Graph,
    method: Family,
    options: &Options,
    seed: u64,
    backend: &Backend,
    told: impl FnMut(usize, f64),
) -> Result<Learned> {
    let _ = (graph, method, options, seed, backend, told);
    todo!()
}
