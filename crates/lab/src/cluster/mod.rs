//! Clustering and semi-supervised classification on graphs that have gone through a learned sparse regulariser.
//!
//! The vertices are samples, an edge's weight says how similar two of them are, and the columns of the graph's matrix
//! are the vectors that an unfolded network of 1 + N layers takes in. What comes out, X, is a graph again. Neither
//! way of training ([`learned::fit`]) sees a label:
//!
//! | row | X |
//! |---|---|
//! | `raw` | W itself |
//! | `soft` | W soft thresholded, as dense as the learned graph it is compared with, or as W where that is denser |
//! | `summed`, `squared`, `cubed` | P + P^2, P^2 and P^3 soft thresholded likewise, with P = D^-1/2 W D^-1/2 |
//! | `dsrl` | the network with Â = I, trained as its authors do: target W, weight decay, a set number of epochs |
//! | `maf-srl` | the network with Â learned on its pattern: edges are hidden, and it learns to restore them |
//!
//! The denser one of two learned graphs is also measured soft thresholded to the density of the other.
//!
//! **Clustering** ([`run`]): spectral embedding of the graph, k-means (the best of [`STARTS`] starts from k-means++, by its
//! inertia), [`Scores`] against the classes; mean and standard deviation over the runs of k-means, each with a seed of
//! its own, nested in the trainings where these draw random numbers. Every row is measured with both [`Affinity`]s.
//! k-means and scores agree with scikit-learn's.
//!
//! **Classification** ([`classify`]): a share of the vertices is labelled, those of one class are joined in W, the
//! network is trained on that, and the others get the class of the largest entry of their row of (I + D - X)^-1 Y:
//! the DSRL authors' second experiment. That formula depends on the scale of X, so that the other graphs are also
//! measured with the density and the mean degree of DSRL's.
//!
//! No label enters training; what MAF-SRL hides, and the weight of its l1 norm, were chosen with the labels of ALOI
//! and MSRC-v1 in view. The same seed and adapter give the same figures.

pub mod baselines;
mod graph;
mod input;
mod kmeans;
pub mod labelled;
pub mod learned;
mod pictures;
mod report;
mod scores;
mod spectral;

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use graph::Graph;
pub use input::Input;
pub use kmeans::{Clusters, ROUNDS, STARTS, kmeans, lloyd};
pub use learned::Learned;
pub use pictures::{affinities, course, layers, regulariser};
pub use report::{Classified, ClassifiedRow, Comparison, Measured, Report, Row, Settings, Study, Tally};
pub use scores::Scores;
pub use spectral::{Affinity, embedding};

use crate::count;
use crate::memory::{memory, product, unfolded};
use baselines::{Control, density, thinned};
use maf_srl::error::{Result, require, shape, unsupported};
use maf_srl::network::Family;
use maf_srl::schedule::Backend;

/// Everything that decides a run, the data apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What is learned, in the order of the rows; the last one is what the document's head speaks of.
    pub methods: Vec<Family>,
    /// N: the network has 1 + N layers, which share their parameters.
    pub layers: u32,
    /// Passes over the graph: one number for all, or one per method; none for the family's own.
    pub epochs: Vec<usize>,
    /// Adam's first learning rate; none for the family's own.
    pub rate: Option<f64>,
    /// Entries of the learned graph below this become 0; 0 leaves it as it is.
    pub cut: f64,
    /// Runs of k-means per graph; of [`classify`], draws of the labelled vertices.
    pub repeats: usize,
    /// Trainings with consecutive seeds, where a training is random.
    pub seeds: usize,
    /// The first seed.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            methods: Family::ALL.to_vec(),
            layers: 10,
            epochs: Vec::new(),
            rate: None,
            cut: 0.0,
            repeats: 10,
            seeds: 3,
            seed: 0,
        }
    }
}

impl Options {
    /// Checks every value against its range, before any work.
    ///
    /// # Errors
    /// [`maf_srl::Error::Domain`] naming option, value and range; [`maf_srl::Error::Unsupported`] without a method.
    pub fn check(&self) -> Result<()> {
        if self.methods.is_empty() {
            return Err(unsupported("`method`", "no method", "dsrl, maf-srl or both, separated by a comma"));
        }
        count("`layers`", "layers", self.layers as usize, 64)?;
        if self.epochs.len() > 1 && self.epochs.len() != self.methods.len() {
            return Err(shape(
                "`epochs`",
                "count of numbers",
                self.epochs.len(),
                format!("1, or one for each of {} methods", self.methods.len()),
            ));
        }
        for &epochs in &self.epochs {
            count("`epochs`", "epochs", epochs, 1_000_000)?;
        }
        if let Some(rate) = self.rate {
            require((1e-9..=1e3).contains(&rate), "`rate`", "learning rate", rate, "[1e-9, 1000.0]")?;
        }
        require((0.0..=1e6).contains(&self.cut), "`cut`", "smallest weight", self.cut, "[0, 1e6]")?;
        count("`repeats`", "repeats", self.repeats, 10_000)?;
        count("`seeds`", "seeds", self.seeds, 1000)?;
        // the last seed must not wrap round
        let last = self.seed.checked_add((self.seeds * self.repeats) as u64);
        require(last.is_some(), "`seed`", "seed", self.seed, "[0, 2^64 - seeds * repeats)")
    }

    /// Checks that a run on a graph of so many vertices takes no more memory than [`MEMORY`](crate::MEMORY).
    ///
    /// # Errors
    /// [`maf_srl::Error::Unsupported`] naming vertices, layers, memory and limit.
    pub fn fits(&self, vertices: usize) -> Result<()> {
        let trainings: usize = self.methods.iter().map(|&m| self.seeds(m).count()).sum();
        // a graph is measured and trained on in about 24 matrices of f64, and each learned one is kept
        let dense = product(&[8, 24 + trainings, vertices, vertices]);
        let kept = if self.methods.contains(&Family::MafSrl) { self.layers + 1 } else { 0 };
        let bytes = dense.saturating_add(unfolded(kept, vertices, vertices.min(2 * learned::BATCH)));
        let what =
            format_args!("a graph of {vertices} vertices, {} layers and {trainings} trainings", self.layers);
        memory("`graph`", what, bytes, "graphs, `layers` or `seeds`")
    }

    /// How a family is trained, on a graph with `labels` joined in or without. The DSRL authors set a number of
    /// epochs for each graph: 25 to 55 for clustering at a rate of 0.02, 5 to 15 with labels at 0.05.
    #[must_use]
    pub fn training(&self, family: Family, labels: bool) -> learned::Options {
        let (epochs, rate) = match (family, labels) {
            (Family::Dsrl, false) => (50, 0.02),
            (Family::Dsrl, true) => (10, 0.05),
            (Family::MafSrl, _) => (100, 0.02),
        };
        learned::Options {
            layers: self.layers,
            epochs: match self.epochs[..] {
                [] => epochs,
                [all] => all,
                _ => self
                    .methods
                    .iter()
                    .zip(&self.epochs)
                    .find(|(m, _)| **m == family)
                    .map_or(epochs, |of| *of.1),
            },
            rate: self.rate.unwrap_or(rate),
        }
    }

    /// The seeds of a family's trainings: DSRL's draws nothing.
    fn seeds(&self, family: Family) -> impl Iterator<Item = u64> + use<> {
        let count = if family == Family::MafSrl { self.seeds } else { 1 };
        (self.seed..).take(count)
    }

    /// How many steps of training and measuring [`run`] will tell of.
    #[must_use]
    pub fn steps(&self) -> usize {
        let trainings = self.methods.iter().map(|&m| self.seeds(m).count());
        let epochs: usize = self
            .methods
            .iter()
            .zip(trainings.clone())
            .map(|(&m, n)| n * self.training(m, false).epochs)
            .sum();
        // every learned graph is measured beside the controls, and each once as dense as the other family's
        let (trainings, families) = (trainings.sum::<usize>(), self.methods.len());
        epochs + 1 + (1 + Control::ALL.len()) * trainings + trainings * (families - 1)
    }
}

/// What is told while a run goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// An epoch of training has ended.
    Epoch {
        /// What is trained.
        method: Family,
        /// The seed of the training.
        seed: u64,
        /// The epoch, from 1.
        epoch: usize,
        /// How many there are.
        epochs: usize,
        /// The loss before its step.
        loss: f64,
    },
    /// A graph has been clustered.
    Measured,
}

/// What the random numbers of a seed are for; each purpose has its own stream.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Training = 1,
    Means,
    Labels,
}

fn random(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(purpose as u64);
    random
}

/// A learned graph as one to be measured: symmetric, no negative weights, no loops, and nothing below the cut.
fn tidied(x: &Array2<f64>, cut: f64) -> Array2<f64> {
    Array2::from_shape_fn(x.dim(), |(i, j)| {
        let v = 0.5 * (x[[i, j]] + x[[j, i]]);
        if i != j && v > 0.0 && v >= cut { v } else { 0.0 }
    })
}

/// Clusters a graph with both affinities; k-means runs from the seeds `seed`, `seed + 1` and so on.
///
/// # Errors
/// Those of [`embedding`], [`kmeans`] and [`Scores::new`].
pub fn measure(x: &Array2<f64>, input: &Input, repeats: usize, seed: u64) -> Result<Measured> {
    let runs = |affinity: Affinity| -> Result<Vec<Scores>> {
        let points = embedding(&affinity.of(x), input.classes)?;
        (seed..)
            .take(repeats)
            .map(|seed| {
                let found = kmeans(points.view(), input.classes, &mut random(seed, Purpose::Means))?;
                Scores::new(&input.labels, &found.labels)
            })
            .collect()
    };
    Ok(Measured {
        density: density(x),
        nonzero: x.iter().filter(|&&v| v != 0.0).count() as f64 / x.len() as f64,
        rows: runs(Affinity::Rows)?,
        graph: runs(Affinity::Graph)?,
    })
}

/// Learns with every method, and measures each graph beside the raw one and every [`Control`] at its density.
///
/// # Errors
/// Those of [`Options::check`], [`Options::fits`], [`learned::fit`] and [`measure`].
pub fn run(
    input: &Input,
    options: &Options,
    backend: &Backend,
    mut seen: impl FnMut(Progress),
) -> Result<Report> {
    options.check()?;
    options.fits(input.graph.vertices())?;
    // each training has runs of k-means of its own
    let measured = |x: &Array2<f64>, training: usize| {
        measure(x, input, options.repeats, options.seed + (training * options.repeats) as u64)
    };
    let raw = measured(input.graph.weights(), 0)?;
    seen(Progress::Measured);
    let controls = Control::ALL.map(|control| control.of(&input.graph));
    let mut comparisons = Vec::with_capacity(options.methods.len());
    for &method in &options.methods {
        let training = options.training(method, false);
        let mut comparison = Comparison::new(method, training);
        for (k, seed) in options.seeds(method).enumerate() {
            let epochs = training.epochs;
            let told = |epoch, loss| seen(Progress::Epoch { method, seed, epoch, epochs, loss });
            let mut learned = learned::fit(&input.graph, method, &training, seed, backend, told)?;
            learned.output = tidied(&learned.output, options.cut);
            let found = measured(&learned.output, k)?;
            seen(Progress::Measured);
            // as dense as the learned graph, by the authors' count
            for ((_, rows), graph) in comparison.controls.iter_mut().zip(&controls) {
                rows.push(measured(&thinned(graph.clone(), found.density)?, k)?);
                seen(Progress::Measured);
            }
            comparison.learned.push(found);
            comparison.runs.push(learned);
        }
        comparisons.push(comparison);
    }
    for at in 0..comparisons.len() {
        let density = comparisons[at].density();
        for other in (0..comparisons.len()).filter(|&other| other != at) {
            let mut rows = Vec::new();
            for (k, run) in comparisons[other].runs.iter().enumerate() {
                if baselines::density(&run.output) > density {
                    rows.push(measured(&thinned(run.output.clone(), density)?, k)?);
                }
                seen(Progress::Measured);
            }
            if !rows.is_empty() {
                let family = comparisons[other].method;
                comparisons[at].others.push((family, rows));
            }
        }
    }
    Ok(Report::new(input, options, backend.name(), raw, comparisons))
}

/// The study of the number of layers: [`run`] for each of them.
///
/// # Errors
/// Those of [`run`].
pub fn study(
    input: &Input,
    options: &Options,
    layers: &[u32],
    backend: &Backend,
    mut seen: impl FnMut(Progress),
) -> Result<Study> {
    let reports = layers
        .iter()
        .map(|&layers| run(input, &Options { layers, ..options.clone() }, backend, &mut seen))
        .collect::<Result<Vec<Report>>>()?;
    Ok(Study { reports })
}

/// Classifies the vertices of which a `share` is labelled, [`Options::repeats`] times with other ones, on the raw
/// graph without and with the labels joined in, and on what each method learns from the latter; with [`Family::Dsrl`]
/// among the methods also on the others' graphs and the unlearned ones brought to the density and the mean degree of
/// DSRL's.
///
/// # Errors
/// Those of [`Options::check`], [`Options::fits`], [`learned::fit`] and module [`labelled`].
pub fn classify(
    input: &Input,
    share: f64,
    options: &Options,
    backend: &Backend,
    mut seen: impl FnMut(Progress),
) -> Result<Classified> {
    options.check()?;
    options.fits(input.graph.vertices())?;
    let mut tally = Tally::default();
    for repeat in (options.seed..).take(options.repeats) {
        let labels = labelled::draw(input.graph.vertices(), share, repeat)?;
        let accuracy = |x: &Array2<f64>| -> Result<f64> {
            let found = labelled::propagated(x, &input.labels, &labels, input.classes)?;
            labelled::accuracy(&input.labels, &found, &labels)
        };
        let joined = labelled::joined(&input.graph, &input.labels, &labels)?;
        for (name, graph) in [("raw", &input.graph), ("labels joined", &joined)] {
            tally.push(name, None, accuracy(graph.weights())?, density(graph.weights()));
        }
        let mut outputs = Vec::with_capacity(options.methods.len());
        for &method in &options.methods {
            let training = options.training(method, true);
            let epochs = training.epochs;
            let told = |epoch, loss| seen(Progress::Epoch { method, seed: repeat, epoch, epochs, loss });
            let x = learned::fit(&joined, method, &training, repeat, backend, told)?.output;
            tally.push(method.name(), None, accuracy(&x)?, density(&x));
            outputs.push((method, x));
        }
        let Some((_, dsrl)) = outputs.iter().find(|(method, _)| *method == Family::Dsrl) else { continue };
        // loops, which `joined` adds, cancel in D - X
        let dsrl = tidied(dsrl, 0.0);
        let (target, degrees) = (density(&dsrl), dsrl.sum());
        let joined = Graph::new("graph with labels", tidied(joined.weights(), 0.0))?;
        let controls = Control::ALL.iter().map(|control| (control.name(), control.of(&joined)));
        let others = outputs.iter().filter(|(method, _)| *method != Family::Dsrl);
        let others = others.map(|(method, x)| (method.name(), tidied(x, 0.0)));
        for (name, x) in controls.chain(others) {
            let mut x = thinned(x, target)?;
            // what does not count must not be lifted over the line
            x.mapv_inplace(|v| if v < baselines::COUNTED { 0.0 } else { v });
            let sum = x.sum();
            if sum > 0.0 {
                x *= degrees / sum;
            }
            tally.push(name, Some(Family::Dsrl), accuracy(&x)?, density(&x));
        }
    }
    Ok(Classified::new(input, share, options, backend.name(), tally))
}
