//! Graphs through learned regularisers.

use std::sync::Arc;
use std::time::Instant;

use ndarray::Array2;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Graph;
use super::spectral::normalised;
use super::{Purpose, random};
use crate::noise::disturb;
use crate::unfolded;
use maf_srl::error::{Result, require, unsupported};
use maf_srl::kernels::learn::{self, Rates};
use maf_srl::matrix::Pattern;
use maf_srl::network::{self, Family, Plateau, Projection};
use maf_srl::penalty::Activation;
use maf_srl::regulariser::Floors;
use maf_srl::regulariser::Parameters;
use maf_srl::schedule::Backend;

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
    /// The loss of each epoch, before its step: 1/2 ||X_N - W||_F^2 for DSRL; for MAF-SRL the sum over the columns,
    /// each before the step that takes it, of 1/2 ||x_N - t||^2 + 0.02 ||x_N||_1 with x_N from what is shown of t.
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
/// The columns of a matrix are the vectors of a network of 1 + N layers that share their parameters, with x_0 = c the
/// input of a column: the first layer computes xi of it, as the layer before the N of the authors of DSRL.
///
/// **DSRL** learns as its authors do. Input and target are W itself, an epoch is one step on all columns; eta = (1,
/// 1), delta = (1, 2) and L = 1 to begin with; Adam with betas (0.9, 0.92) and an L2 decay of 0.15; projections
/// inside the forward pass ([`Projection::InForward`]); the rate by [`Plateau`]. The seed has no effect. All of it is
/// made for weights that reach up to 1: where the largest is well below delta1, every output is 0, no gradient is
/// left, and the plateau ends training.
///
/// **MAF-SRL** learns to restore edges that are hidden. With the graph as its own target Â = I is the best there is,
/// and the network a soft threshold. So the target is T = P / max P, P = D^-1/2 W D^-1/2 without its diagonal, and
/// the input T with each entry hidden by a probability of 0.8, drawn anew in each step (0.8 and 0.02 were chosen with
/// the labels of ALOI and MSRC-v1 in view); what is hidden can be told from the columns of the vertices nearby alone,
/// which is what Â, on the ten strongest neighbours of each vertex, is for. The loss has 0.02 ||x_N||_1. What comes
/// out is the network's output for T with nothing hidden. No label is used.
///
/// # Errors
/// [`maf_srl::Error::Domain`] for no layers, more than a network may have, no epochs, or a rate outside [0, 1e6];
/// [`maf_srl::Error::Unsupported`] for a loss or an output that is not finite, and for a graph that has lost every edge; those
/// of the device, [`maf_srl::Error::Limit`] for graphs that it cannot hold among them.
pub fn fit(
    graph: &Graph,
    method: Family,
    options: &Options,
    seed: u64,
    backend: &Backend,
    mut told: impl FnMut(usize, f64),
) -> Result<Learned> {
    let begin = Instant::now();
    let most = maf_srl::regulariser::file::LAYERS - 1;
    let (layers, rate) = (options.layers, options.rate);
    require((1..=most).contains(&layers), "network", "layers", layers, format_args!("[1, {most}]"))?;
    require(options.epochs > 0, "training", "epochs", options.epochs, "at least 1")?;
    require((0.0..=1e6).contains(&rate), "training", "rate", rate, "[0, 1e6]")?;
    let n = graph.vertices();
    let mut random = random(seed, Purpose::Training);
    let Task { target, first, options: how, batch, hidden } = match method {
        Family::Dsrl => dsrl(graph)?,
        Family::MafSrl => maf_srl(graph, &mut random)?,
    };
    let mut trainer = unfolded::trainer(backend, first, 1 + layers, how, batch)?;
    let refused = |when: String, what: String| {
        unsupported(
            format!("{} (seed {seed}){when}", method.name()),
            what,
            "training that converges: another `rate` or `epochs`; for dsrl, weights that reach up to 1",
        )
    };
    let columns: Vec<f32> = target.t().iter().map(|&w| w as f32).collect();
    let mut order: Vec<usize> = (0..n).collect();
    let (mut input, mut aim) = (columns.clone(), columns.clone());
    let mut plateau = Plateau::new(rate);
    let mut history = Vec::with_capacity(options.epochs);
    for epoch in 1..=options.epochs {
        if batch < n {
            order.shuffle(&mut random);
        }
        let mut loss = 0.0;
        for part in order.chunks(batch) {
            if hidden > 0.0 {
                input.clear();
                aim.clear();
                for &column in part {
                    let column = &columns[column * n..][..n];
                    aim.extend_from_slice(column);
                    // nothing is drawn for entries that are 0 anyway
                    let shown = |&w: &f32| if w != 0.0 && random.random_bool(hidden) { 0.0 } else { w };
                    input.extend(column.iter().map(shown));
                }
            }
            trainer.step(&input, &aim, plateau.rate())?;
            loss += part.len() as f64 * trainer.loss()?;
        }
        if !loss.is_finite() {
            return Err(refused(format!(", epoch {epoch}"), "the loss is not finite".into()));
        }
        if method == Family::Dsrl {
            plateau.seen(loss);
        }
        history.push(loss);
        told(epoch, loss);
    }
    let parameters = trainer.parameters()?.swap_remove(0);
    let output: Vec<f64> = trainer.apply(&columns)?.into_iter().map(f64::from).collect();
    if output.iter().any(|v| !v.is_finite()) {
        return Err(refused(String::new(), "what comes out of the network is not finite".into()));
    }
    if output.iter().all(|&v| v <= 0.0) {
        let (largest, delta1) = (target.fold(0.0, |most: f64, &v| most.max(v)), parameters.activation.delta1);
        let what = format!(
            "no edge is left: the largest weight of its input is {largest:.4}, delta1 is {delta1:.4}"
        );
        return Err(refused(String::new(), what));
    }
    // a vector is a column
    let output = Array2::from_shape_fn((n, n), |(i, j)| output[j * n + i]);
    let (activation, l) = (parameters.activation, parameters.l);
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Learned { seed, history, activation, l, seconds, output, parameters })
}

/// What a family learns from, and how.
struct Task {
    /// What is to come out.
    target: Array2<f64>,
    /// Where training begins.
    first: Parameters,
    /// How the network is trained.
    options: network::Options,
    /// Columns per step.
    batch: usize,
    /// The probability with which an entry of the input is hidden.
    hidden: f64,
}

/// n as the kernels count.
fn vertices(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// As the authors of DSRL train. Their loss is not divided by the n columns, ours is, and with it all that is added to the
/// gradient.
fn dsrl(graph: &Graph) -> Result<Task> {
    let n = graph.vertices();
    let columns = (n as f64).max(1.0);
    let activation = Activation { eta1: 1.0, eta2: 1.0, delta1: 1.0, delta2: 2.0 };
    let first = Parameters::identity(Arc::new(Pattern::diagonal(vertices(n))?), activation, 1.0)?;
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
    Ok(Task { target: graph.weights().clone(), first, options, batch: n, hidden: 0.0 })
}

/// Strongest neighbours of each vertex for which Â has entries.
const NEIGHBOURS: usize = 10;
/// Columns per step, in graphs of more than twice as many vertices; smaller graphs are taken whole.
pub(super) const BATCH: usize = 128;

/// Â near the identity, on each vertex's strongest neighbours and the diagonal. Without a bound on its norm: a bound
/// of 1, by which every entry shrinks all others, ends with an empty graph.
fn maf_srl(graph: &Graph, random: &mut ChaCha8Rng) -> Result<Task> {
    let n = graph.vertices();
    let mut target = normalised(graph.weights().clone());
    target.diag_mut().fill(0.0);
    let largest = target.fold(0.0, |most: f64, &v| most.max(v));
    // a graph has an edge
    target /= largest;
    let mut entries: Vec<(u32, u32)> = (0..vertices(n)).map(|i| (i, i)).collect();
    for (i, row) in (0u32..).zip(target.rows()) {
        let mut others: Vec<(u32, f64)> =
            (0u32..).zip(row.iter().copied()).filter(|&(_, w)| w > 0.0).collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        entries.extend(others.into_iter().take(NEIGHBOURS).map(|(j, _)| (i, j)));
    }
    let pattern = Pattern::new(vertices(n), vertices(n), entries)?;
    let mut first = unfolded::identity(pattern, [0.15, 0.6])?;
    disturb(&mut first.values, 1e-3, random);
    let usual = network::Options::default();
    let options = network::Options {
        rates: Rates { values: 0.5, ..usual.rates },
        floors: Floors { l: 0.55, ..usual.floors },
        sparsity: 0.02,
        ..usual
    };
    let batch = if n > 2 * BATCH { BATCH } else { n };
    Ok(Task { target, first, options, batch, hidden: 0.8 })
}
