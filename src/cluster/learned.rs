//! Graphs through learned regularisers.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::Graph;
use crate::error::{Error, Result, require};
use crate::kernels::learn::{self, Floors, Rates};
use crate::matrix::Pattern;
use crate::network::{self, Family, Parameters, Plateau, Projection, Start, Trainer};
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
    /// The loss of each epoch, before its step: 1/2 ||x_N - W||_F^2, for MAF-SRL with lambda ||x_N||_1.
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

/// Trains on a graph and gives the graph that comes out. `told` hears of each epoch: its number, from 1, and its loss.
///
/// The columns of W are the vectors of a network with x_0 = c = W, whose target is W too; an epoch is one step on all of
/// them. Its first layer then computes xi(W), as the layer before the N of the authors of DSRL.
///
/// DSRL learns as its authors do: one set of numbers for all layers, from eta = (1, 1), delta = (1, 2) and L = 1; Adam with
/// betas (0.9, 0.92) and an L2 decay of 0.15; projections inside the forward pass ([`Projection::InForward`]); the rate by
/// [`Plateau`]. The seed has no effect.
///
/// # Errors
/// [`Error::Domain`] for no layers, more than a network may have, no epochs, or a rate outside [0, 1e6]; [`Error::Unsupported`] for
/// a loss that is not finite; those of the device, [`Error::Limit`] for graphs that it cannot hold among them.
pub fn fit(
    graph: &Graph,
    method: Family,
    options: &Options,
    seed: u64,
    backend: &Backend,
    mut told: impl FnMut(usize, f64),
) -> Result<Learned> {
    let begin = Instant::now();
    let most = network::file::LAYERS - 1;
    let (layers, rate) = (options.layers, options.rate);
    require((1..=most).contains(&layers), "network", "layers", f64::from(layers), format!("[1, {most}]"))?;
    require(options.epochs > 0, "training", "epochs", options.epochs as f64, "at least 1")?;
    require((0.0..=1e6).contains(&rate), "training", "rate", rate, "[0, 1e6]")?;
    let n = graph.vertices();
    let mut start = match method {
        Family::Dsrl => dsrl(n)?,
        Family::MafSrl => maf_srl(graph, seed)?,
    };
    start.layers = 1 + layers;
    let mut trainer = match backend {
        Backend::Cpu => Trainer::on_cpu(start)?,
        Backend::Gpu(context) => Trainer::on_device(context, start, vertices(n))?,
    };
    let columns: Vec<f32> = graph.weights().t().iter().map(|&w| w as f32).collect();
    let mut plateau = Plateau::new(rate);
    let mut history = Vec::with_capacity(options.epochs);
    for epoch in 1..=options.epochs {
        trainer.step(&columns, &columns, plateau.rate())?;
        let loss = n as f64 * trainer.loss()?;
        if !loss.is_finite() {
            return Err(Error::Unsupported {
                place: format!("training (seed {seed}), epoch {epoch}"),
                what: "the loss is not finite".into(),
                allowed: "training that converges, for example at a smaller rate".into(),
            });
        }
        if method == Family::Dsrl {
            plateau.seen(loss);
        }
        history.push(loss);
        told(epoch, loss);
    }
    let parameters = trainer.parameters()?.swap_remove(0);
    let output: Vec<f64> = trainer.apply(&columns)?.into_iter().map(f64::from).collect();
    // a vector is a column
    let output = Array2::from_shape_fn((n, n), |(i, j)| output[j * n + i]);
    let (activation, l) = (parameters.activation, parameters.l);
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Learned { seed, history, activation, l, seconds, output, parameters })
}

/// n as the kernels count.
fn vertices(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// As the authors of DSRL train. Their loss is not divided by the n columns, ours is, and with it all that is added to the
/// gradient.
fn dsrl(n: usize) -> Result<Start> {
    let columns = (n as f64).max(1.0);
    let activation = Activation { eta1: 1.0, eta2: 1.0, delta1: 1.0, delta2: 2.0 };
    let parameters = Parameters::identity(Arc::new(Pattern::diagonal(vertices(n))?), activation, 1.0)?;
    let options = network::Options {
        method: learn::Method::Adam { beta1: 0.9, beta2: 0.92, epsilon: (1e-8 / columns).max(1e-12) },
        rates: Rates { values: 0.0, q: 0.0, b: 0.0, activation: 1.0, l: 1.0 },
        decay: 0.15 / columns,
        // they keep L free: the floor is the smallest L that a layer may have
        floors: Floors { epsilon: 1e-4, l: 1e-6 },
        bound: None,
        projection: Projection::InForward,
        sparsity: 0.0,
    };
    Ok(Start { parameters: vec![parameters], layers: 1, options })
}

/// Strongest neighbours of each vertex between which Â has entries.
const NEIGHBOURS: usize = 10;

/// Â near the identity, on the graph's strongest edges and the diagonal.
fn maf_srl(graph: &Graph, seed: u64) -> Result<Start> {
    let n = graph.vertices();
    let mut entries: Vec<(u32, u32)> = (0..vertices(n)).map(|i| (i, i)).collect();
    for (i, row) in (0u32..).zip(graph.weights().rows()) {
        let mut others: Vec<(u32, f64)> =
            (0u32..).zip(row.iter().copied()).filter(|&(j, w)| j != i && w > 0.0).collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        entries.extend(others.into_iter().take(NEIGHBOURS).flat_map(|(j, _)| [(i, j), (j, i)]));
    }
    let pattern = Pattern::new(vertices(n), vertices(n), entries)?;
    let activation = Activation { eta1: 1.0, eta2: 1.0, delta1: 0.15, delta2: 0.6 };
    let mut parameters = Parameters::identity(Arc::new(pattern), activation, 1.0)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for value in &mut parameters.values {
        let z: f64 = StandardNormal.sample(&mut random);
        *value += 1e-3 * z;
    }
    let usual = network::Options::default();
    let options = network::Options {
        rates: Rates { values: 4.0 / n as f64, ..usual.rates },
        floors: Floors { l: 0.55, ..usual.floors },
        bound: Some(2),
        sparsity: 0.25,
        ..usual
    };
    Ok(Start { parameters: vec![parameters], layers: 1, options })
}
