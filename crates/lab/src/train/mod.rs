//! Training of a classifier, dense and sparse, method by method: the main job of the tool.
//!
//! The pipeline is an ordinary one ([`mlp`], on the host); what is on show is the step. Every weight matrix and
//! every bias is a tensor of one [`HostSchedule`](maf_srl::schedule::HostSchedule), the matrices with the method's
//! penalty, the biases with none, and each step is compared with its float64 reference.
//!
//! What the figures mean:
//! - *density*: the share of exactly nonzero entries over all weight matrices, biases left out;
//! - *parameter share*: the share of exactly nonzero parameters over all, biases taken in;
//! - *live neurons*: hidden neurons with a nonzero weight in and a nonzero weight out ([`live_neurons`]);
//! - *FLOP share*: the operations that are left once the other neurons are taken out ([`flop_share`]);
//! - *sparsity*: of weights and of neurons, exactly and by the papers' threshold ([`Sparsity`]);
//! - *accuracy*: on the test part, of the last epoch's weights, evaluated once per run. No run chooses
//!   anything by it: lambdas come from a table ([`method`]) that was made on data outside the test part.
//!   [`Options::test_each_epoch`] is for comparisons that report the best epoch, as the papers do.
//!
//! With variable splitting all of it is said of the sparse copies V.
//!
//! Inputs are each feature less its mean over the training part, times 2, so that a feature spans 2; training
//! adds Gaussian noise to them ([`Options::noise`]). The same seed and adapter give the same figures.

mod chart;
mod comparison;
mod fit;
pub mod learned;
pub mod method;
pub mod mlp;
mod report;
mod save;
mod sparsity;
mod study;

use std::collections::BTreeMap;

use ndarray::Axis;

pub use chart::{course, solvers, tradeoff};
pub use comparison::comparison;
pub use fit::{Epoch, Fitted, fit};
pub use method::{Choices, Method};
pub use report::{MethodSummary, RunSummary, Settings, Summary};
pub use save::{Folder, file_stem};
pub use sparsity::{Sparsity, density, flop_share, live_neurons, parameter_share};
pub use study::Study;

use crate::count;
use crate::data::Split;
use crate::memory::{memory, product};
use maf_srl::error::{Result, require, unsupported};
use maf_srl::kernels::step::Optimizer;
use maf_srl::penalty::Layout;
use maf_srl::schedule::{Backend, Verify};
use method::Regularisation;

/// Bytes that a schedule takes for a weight: as many as were measured with Adam and variable splitting on a software
/// adapter, whose memory is the host's. On the CPU and with other steps it takes less.
const WEIGHT: u64 = 112;

/// Everything that decides a run, data and methods apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Passes over the training part.
    pub epochs: usize,
    /// Rows per step; more than there are means all.
    pub batch: usize,
    /// The learning rate of the first step; a cosine takes it towards 0.
    pub rate: f64,
    /// The widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// The base step.
    pub base: Optimizer,
    /// Which steps are compared with float64.
    pub verify: Verify,
    /// The standard deviation of the noise on training inputs.
    pub noise: f64,
    /// The share of the run over which lambda rises from 0 in proportion to the steps.
    pub warm_up: f64,
    /// The share of the epochs, at the end, that refit what is left: without the penalty, every zero kept, and the
    /// base step and the cosine begun anew.
    pub refit: f64,
    /// The epoch after which zeros of weight matrices stay zeros, from 0 to the last one before the refit; none for
    /// that one, [`Options::penalised`]. Until the refit, which knows the weights alone, they are zeros of the copy V
    /// with variable splitting, and of the coefficients with a learned regulariser. Biases are free to leave zero.
    pub freeze_after: Option<usize>,
    /// The share of the weights, biases left out, that is to be left: lambda follows it
    /// ([`DensityControl`](maf_srl::schedule::DensityControl)), and once it is met the penalty is off and zeros stay. None for the
    /// lambdas that methods have.
    pub density: Option<f64>,
    /// How each weight matrix is divided into groups; none for [`method::Penalties::layout`].
    pub groups: Option<Layout>,
    /// The factor of variable splitting's beta every `beta_every` epochs.
    pub sigma: f64,
    /// See `sigma`.
    pub beta_every: usize,
    /// Whether the test part is looked at after each epoch.
    pub test_each_epoch: bool,
    /// How many runs per method.
    pub repeats: usize,
    /// The seed of the first run; the others count up from it.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            epochs: 100,
            batch: 64,
            rate: 0.1,
            hidden: vec![128],
            base: Optimizer::HeavyBall { momentum: 0.9 },
            verify: Verify::Full,
            noise: 0.3,
            warm_up: 0.0,
            refit: 0.3,
            freeze_after: None,
            density: None,
            groups: None,
            sigma: 1.25,
            beta_every: 40,
            test_each_epoch: false,
            repeats: 3,
            seed: 0,
        }
    }
}

impl Options {
    /// The widths of all layers of a network for so many features and classes.
    #[must_use]
    pub fn widths(&self, features: usize, classes: usize) -> Vec<usize> {
        let hidden = self.hidden.iter().copied();
        std::iter::once(features).chain(hidden).chain(std::iter::once(classes)).collect()
    }

    /// How many epochs there are before those that refit: at least one.
    #[must_use]
    pub fn penalised(&self) -> usize {
        let refit = (self.refit * self.epochs as f64) as usize;
        self.epochs - refit.min(self.epochs.saturating_sub(1))
    }

    /// Checks every value against its range, before any work.
    ///
    /// # Errors
    /// [`maf_srl::Error::Domain`] naming option, value and range; [`maf_srl::Error::Unsupported`] without a hidden layer or with a
    /// base step that reads no gradient.
    pub fn check(&self) -> Result<()> {
        let real = |place: &str, name: &str, value: f64, low: f64, high: f64| {
            require((low..=high).contains(&value), place, name, value, format_args!("[{low:?}, {high:?}]"))
        };
        count("`epochs`", "epochs", self.epochs, 1_000_000)?;
        count("`batch`", "rows per step", self.batch, 1_000_000)?;
        count("`repeats`", "repeats", self.repeats, 1000)?;
        if self.hidden.is_empty() || self.hidden.len() > 16 {
            return Err(unsupported(
                "`hidden`",
                format!("{} hidden layers", self.hidden.len()),
                "1 to 16 widths, separated by commas",
            ));
        }
        for &width in &self.hidden {
            count("`hidden`", "width", width, 65536)?;
        }
        real("`rate`", "learning rate", self.rate, 1e-9, 1e3)?;
        real("`noise`", "standard deviation", self.noise, 0.0, 1e3)?;
        real("`warm_up`", "share of the run", self.warm_up, 0.0, 1.0)?;
        real("`refit`", "share of the epochs", self.refit, 0.0, 0.9)?;
        self.check_freezing()?;
        self.check_density()?;
        real("`sigma`", "factor of beta", self.sigma, 1.0, 1e3)?;
        count("`beta_every`", "epochs", self.beta_every, 1_000_000)?;
        if let Verify::Sample { every, .. } = self.verify {
            require(every >= 1, "`verify`", "every", every, "[1, inf)")?;
        }
        // The last seed must not wrap round.
        require(
            self.seed.checked_add(self.repeats as u64).is_some(),
            "`seed`",
            "seed",
            self.seed,
            "[0, 2^64 - repeats)",
        )?;
        self.base.check()?;
        if !self.base.has_gradient() {
            return Err(unsupported(
                "`optimizer`",
                format!("{} reads no gradient, so nothing would be learned", self.base.name()),
                optimizers().join(", "),
            ));
        }
        Ok(())
    }

    /// Checks that every method can be trained like this.
    ///
    /// # Errors
    /// Those of [`Method::check`], and where a density is asked for of [`Method::can_be_sparse`].
    pub fn check_methods(&self, methods: &[Method]) -> Result<()> {
        for method in methods {
            method.check(self.base, self.groups.as_ref())?;
            if self.density.is_some() {
                method.can_be_sparse()?;
            }
        }
        Ok(())
    }

    /// Checks what the data decides: every part of them has rows, and a run takes no more memory than
    /// [`MEMORY`](crate::MEMORY).
    ///
    /// # Errors
    /// [`maf_srl::Error::Shape`] for a part without rows; [`maf_srl::Error::Unsupported`] naming network, memory and limit.
    pub fn fits(&self, methods: &[Method], split: &Split) -> Result<()> {
        split.require_rows()?;
        let widths = self.widths(split.train.features.ncols(), split.train.classes);
        let batch = self.batch.min(split.train.len());
        let weights = widths.windows(2).fold(0_u64, |n, pair| n.saturating_add(product(pair)));
        let values =
            widths[1..].iter().fold(0_u64, |n, &width| n.saturating_add(product(&[2, width, batch])));
        let one = weights.saturating_mul(8).saturating_add(values.saturating_mul(4));
        // those of every seed are kept for what learns from them
        let learning = methods.iter().filter_map(Method::learning);
        let kept = if learning.clone().next().is_some() { self.repeats as u64 } else { 0 };
        let learning = learning.map(|learning| learning.bytes()).max().unwrap_or(0);
        // copies in a schedule, on its way there and back, and in float64 to be compared with; beside it up to two networks more
        let bytes = weights.saturating_mul(WEIGHT).saturating_add(one.saturating_mul(kept + 3));
        let shape = widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
        let what = format_args!("a network of {shape} in batches of {batch}");
        memory("`hidden`", what, bytes.saturating_add(learning), "`hidden`, `batch`, `block` or `layers`")
    }

    /// Checks the density that is asked for: lambda cannot follow two masters.
    fn check_density(&self) -> Result<()> {
        let Some(share) = self.density else { return Ok(()) };
        require(share > 0.0 && share < 1.0, "`density`", "share of the weights", share, "(0, 1)")?;
        if self.warm_up == 0.0 {
            return Ok(());
        }
        let what = format!("a density to be met with `warm_up` {}", self.warm_up);
        Err(unsupported("`density`", what, "`warm_up` 0: the density falls by a ramp of its own"))
    }

    /// Checks when zeros begin to stay: once there are epochs, and a refit that keeps them all.
    fn check_freezing(&self) -> Result<()> {
        let Some(after) = self.freeze_after else { return Ok(()) };
        let range = format!("[0, {}]", self.epochs);
        require(after <= self.epochs, "`freeze_after`", "epoch", after, range)?;
        let refit = self.penalised();
        if refit < after {
            return Err(unsupported(
                "`freeze_after`",
                format!(
                    "epoch {after}, when the refit (`refit` {}) has begun: it keeps every zero from its first \
                     step on, after epoch {refit}",
                    self.refit
                ),
                format!("an epoch in [0, {refit}], or `refit` 0"),
            ));
        }
        Ok(())
    }
}

/// The base steps that training can take, by name.
#[must_use]
pub fn optimizers() -> Vec<&'static str> {
    Optimizer::all().iter().filter(|b| b.has_gradient()).map(Optimizer::name).collect()
}

/// The three parts with their features centred and doubled; the means are those of the training part.
#[must_use]
pub fn prepared(mut split: Split) -> Split {
    if let Some(mean) = split.train.features.mean_axis(Axis(0)) {
        for part in [&mut split.train, &mut split.validation, &mut split.test] {
            part.features -= &mean;
            part.features *= 2.0;
        }
    }
    split
}

/// What is told while training goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The method under way.
    pub method: &'a Method,
    /// The seed of the run.
    pub seed: u64,
    /// The epoch that has just ended.
    pub epoch: &'a Epoch,
}

/// The epochs that [`run`] trains: a dense network per seed more where one is learned from and `dense` is no method.
#[must_use]
pub fn epochs(methods: &[Method], options: &Options) -> usize {
    let more = methods.iter().any(|m| m.learning().is_some()) && !methods.iter().any(is_dense);
    (methods.len() + usize::from(more)) * options.repeats * options.epochs
}

fn is_dense(method: &Method) -> bool {
    method.regularisation == Regularisation::None
}

/// Trains every method with every seed, and sums up. Methods with something to learn learn it, for each seed, from
/// the weights of a dense network of that seed, trained once. `seen` is called after each epoch, `done` after each
/// run.
///
/// # Errors
/// Those of [`Options::check`], [`Options::fits`] and [`fit`], and those of `done` and [`learned::Learning::learn`].
pub fn run(
    split: Split,
    methods: &[Method],
    options: &Options,
    backend: &Backend,
    mut seen: impl FnMut(Progress<'_>),
    mut done: impl FnMut(&Method, &Fitted) -> Result<()>,
) -> Result<Summary> {
    options.check()?;
    options.check_methods(methods)?;
    options.fits(methods, &split)?;
    let split = prepared(split);
    let mut summaries = Vec::with_capacity(methods.len());
    let learning = methods.iter().any(|m| m.learning().is_some());
    let mut dense = BTreeMap::<u64, Fitted>::new();
    for method in methods {
        let mut runs = Vec::with_capacity(options.repeats);
        for seed in (options.seed..).take(options.repeats) {
            let mut train = |method: &Method| {
                fit(&split, method, options, seed, backend, |epoch| seen(Progress { method, seed, epoch }))
            };
            if learning && (is_dense(method) || method.learning().is_some()) && !dense.contains_key(&seed) {
                dense.insert(seed, train(&Method::dense())?);
            }
            let learned = match (method.learning(), dense.get(&seed)) {
                (Some(learning), Some(fitted)) => Some(learning.learn(&fitted.network, seed, backend)?),
                _ => None,
            };
            let summary = learned.as_ref().map(learned::Learned::summary);
            let with = learned.map(|learned| method.with_learned(learned));
            let method = with.as_ref().unwrap_or(method);
            let mut fitted = match dense.get(&seed) {
                Some(fitted) if is_dense(method) => fitted.clone(),
                _ => train(method)?,
            };
            let test =
                |network: &mut mlp::Mlp| network.accuracy(split.test.features.view(), &split.test.labels);
            let accuracy = test(&mut fitted.network);
            let dense_accuracy = fitted.dense.as_mut().map(test);
            done(method, &fitted)?;
            let mut run = RunSummary::new(&fitted, accuracy, dense_accuracy);
            run.learned = summary;
            runs.push(run);
        }
        summaries.push(MethodSummary::new(method, runs));
    }
    Ok(Summary::new(&split, options, backend.name(), summaries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_outside_their_range_are_named() {
        let base = Options::default();
        base.check().unwrap();
        for (options, needle) in [
            (Options { epochs: 0, ..base.clone() }, "`epochs`"),
            (Options { batch: 0, ..base.clone() }, "`batch`"),
            (Options { repeats: 0, ..base.clone() }, "`repeats`"),
            (Options { hidden: vec![], ..base.clone() }, "`hidden`"),
            (Options { hidden: vec![8, 0], ..base.clone() }, "`hidden`: width = 0"),
            (Options { rate: f64::NAN, ..base.clone() }, "`rate`"),
            (Options { rate: 0.0, ..base.clone() }, "`rate`"),
            (Options { noise: -1.0, ..base.clone() }, "`noise`"),
            (Options { warm_up: 1.5, ..base.clone() }, "`warm_up`"),
            (Options { refit: 1.0, ..base.clone() }, "`refit`"),
            (
                Options { freeze_after: Some(101), ..base.clone() },
                "`freeze_after`: epoch = 101 is outside [0, 100]",
            ),
            (Options { freeze_after: Some(71), ..base.clone() }, "`freeze_after`: epoch 71, when the refit"),
            (Options { seed: u64::MAX, ..base.clone() }, "`seed`"),
            (Options { base: Optimizer::Prox, ..base.clone() }, "gradient, heavy-ball"),
        ] {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }

    #[test]
    fn features_are_centred_on_the_training_part() {
        let split = prepared(crate::data::Source::Digits.load(None).unwrap());
        let mean = split.train.features.mean_axis(Axis(0)).unwrap();
        assert!(mean.iter().all(|m| m.abs() < 1e-5));
        assert!(split.test.features.iter().all(|v| v.abs() <= 2.0));
    }
}
