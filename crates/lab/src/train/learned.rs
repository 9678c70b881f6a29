//! Regularisers learned from the weights of a dense network of the same seed: the methods `dsrl` and `maf-srl`.
//!
//! **Data.** A matrix [outputs, inputs] whose rows n divides is cut into blocks of n consecutive weights into one neuron;
//! the others are left out, and go without a penalty later. Each matrix is divided by the root of its mean square. The
//! input is a block of the dense network's weights with Gaussian noise ([`NOISE`]), fresh in each step; the target is the
//! block with all but the [`KEPT`] largest weights of its matrix set to zero.
//!
//! **Why this target.** With target = input Â = I is optimal and nothing is learned. With target = the dense weights
//! themselves (denoising) the threshold goes to zero: those weights are close to Gaussian (kurtosis 3.2 on DIGITS),
//! for which the best estimate is linear (learned so on DIGITS, delta1 was 0.001 to 0.04 of the root mean square). A
//! regulariser that is to make zeros has to see zeros; which of a network's weights can go, their size tells best
//! before any regulariser is there. This target, the noise, and first densities of Â were looked at on rows of DIGITS
//! that overlap its test part, so that figures there are not wholly unseen; the lambdas, and the density, were chosen
//! without it ([`learned_lambda`](super::method::learned_lambda)).
//!
//! **Network.** N layers with shared parameters, phi = 1/2 ||x - c||^2, q = 1, b = 0, eta = (1, 1) at first, L = 1.5; Â = I
//! for `dsrl`, for `maf-srl` I and a little noise on a random pattern that holds the diagonal.
//!
//! **Into training.** The layer (eta, delta, Â) and the layer (eta / s^2, s delta, s Â) are the same function; s is
//! chosen so that the larger slope is 1, as [`Regularised`](maf_srl::schedule::Regularised) needs. In units of the
//! matrix's root mean square r the penalty is lambda ||Â|| / (r delta1) r^2 R(W / r): its slope at zero in the atoms is
//! lambda ||Â||. For a multiple of the identity that is lambda in the weights, as that of l1; else Â scales the threshold of
//! single weights, and equal lambdas are no equal strengths. The rate is divided by ||Â||^2, by which the metric multiplies it.

use std::sync::Arc;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::mlp::Mlp;
use crate::noise;
use crate::rate::cosine;
use crate::{density, unfolded};
use maf_srl::error::{Error, Result, require, shape, unsupported};
use maf_srl::matrix::Pattern;
use maf_srl::network::Family;
use maf_srl::penalty::Activation;
use maf_srl::regulariser::file::LAYERS;
use maf_srl::regulariser::{Parameters, Regulariser};
use maf_srl::schedule::Backend;

/// The default n: it divides the inputs of DIGITS (64), of MNIST (784), and 128 hidden neurons.
pub const BLOCK: u32 = 16;

/// The default N.
pub const DEPTH: u32 = 10;

/// The default share of entries of maf-srl's Â that may be nonzero; why not more, see
/// [`learned_lambda`](super::method::learned_lambda).
pub const DENSITY: f64 = 0.1;

/// The standard deviation of the noise, in units of a matrix's root mean square.
pub const NOISE: f64 = 1.0;

/// The share of a matrix's weights that the target keeps.
pub const KEPT: f64 = 0.1;

/// Steps of Adam.
const STEPS: u64 = 300;

/// Blocks per step; fewer where there are fewer.
const BATCH: usize = 256;

/// Adam's first rate.
const RATE: f64 = 0.02;

/// The first delta, inside the range of the weights.
const KNEES: [f64; 2] = [0.5, 2.0];

/// The smallest threshold that counts as learned, in units of a matrix's root mean square.
const THRESHOLD: f64 = 1e-3;

/// What is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// Whether Â is learned.
    pub kind: Family,
    /// n.
    pub block: u32,
    /// N.
    pub layers: u32,
    /// The share of entries of Â that may be nonzero, with [`Family::MafSrl`].
    pub matrix_density: f64,
}

/// A learned regulariser.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// In units of a matrix's root mean square, the larger slope 1.
    pub parameters: Parameters,
    /// That for each weight matrix, in the matrix's own units; none where n does not divide its rows.
    pub regularisers: Vec<Option<Arc<Regulariser>>>,
}

/// What a report says of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LearnedSummary {
    /// The activation, in units of a matrix's root mean square, the larger slope 1.
    pub activation: Activation,
    /// L.
    pub l: f64,
    /// The share of entries of Â that may be nonzero.
    pub density: f64,
    /// The largest entry of Â beside the diagonal, as a share of the largest one on it.
    pub off_diagonal: f64,
}

impl Learning {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Domain`] naming option, value and range.
    pub fn check(&self) -> Result<()> {
        let most = Regulariser::AT_ONCE;
        let range = format!("[1, {most}]");
        require((1..=most).contains(&self.block), "`block`", "weights", self.block, range)?;
        let range = format!("[1, {LAYERS}]");
        require((1..=LAYERS).contains(&self.layers), "`layers`", "layers", self.layers, range)?;
        density("`matrix_density`", self.matrix_density)
    }

    /// Bytes that learning takes beside the weights.
    pub(super) fn bytes(&self) -> u64 {
        crate::memory::unfolded(self.layers, self.block as usize, BATCH)
    }

    /// Whether a matrix with so many columns is regularised.
    #[must_use]
    pub fn fits(&self, columns: usize) -> bool {
        columns > 0 && columns.is_multiple_of(self.block as usize)
    }

    /// The error that n divides the rows of no weight matrix.
    pub(super) fn no_block(&self, place: &str) -> Error {
        shape(
            place,
            "inputs of a layer",
            "no multiple of the block",
            format!("a multiple of `block` {}, in one layer at least", self.block),
        )
    }

    /// Where learning begins.
    fn start(&self, random: &mut ChaCha8Rng) -> Result<Parameters> {
        let n = self.block;
        let pattern = match self.kind {
            Family::Dsrl => Pattern::diagonal(n)?,
            Family::MafSrl => Pattern::random(n, self.matrix_density, random.random())?,
        };
        unfolded::start(self.kind, pattern, KNEES, random)
    }

    /// A regulariser of that size before anything is learned, for weight matrices with these columns.
    ///
    /// # Errors
    /// Those of [`Learning::check`].
    pub fn stand_in(&self, columns: &[usize]) -> Result<Learned> {
        self.check()?;
        let units: Vec<_> = columns.iter().map(|c| self.fits(*c).then_some(1.0)).collect();
        Learned::new(unfolded::identity(Pattern::diagonal(self.block)?, KNEES)?, &units)
    }

    /// Learns a regulariser from the weights of a network. The same seed and adapter give the same one.
    ///
    /// # Errors
    /// [`Error::Shape`] where n divides the rows of no weight matrix; [`Error::Unsupported`] where the loss stops being
    /// finite; [`Error::Domain`] for a singular Â, or a threshold of next to zero; those of [`maf_srl::network::Trainer`].
    pub fn learn(&self, network: &Mlp, seed: u64, backend: &Backend) -> Result<Learned> {
        self.check()?;
        let n = self.block as usize;
        let place = format!("{} (seed {seed})", self.kind.name());
        let mut units = Vec::new();
        let (mut blocks, mut targets) = (Vec::new(), Vec::new());
        for weight in network.weights() {
            let square =
                weight.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / weight.len().max(1) as f64;
            let unit = square.sqrt();
            if !self.fits(weight.ncols()) || unit == 0.0 {
                units.push(None);
                continue;
            }
            units.push(Some(unit));
            let values: Vec<f32> = weight.iter().map(|w| (f64::from(*w) / unit) as f32).collect();
            let mut sizes: Vec<f32> = values.iter().map(|w| w.abs()).collect();
            sizes.sort_by(f32::total_cmp);
            let cut = sizes[(((1.0 - KEPT) * sizes.len() as f64) as usize).min(sizes.len() - 1)];
            targets.extend(values.iter().map(|w| if w.abs() < cut { 0.0 } else { *w }));
            blocks.extend(values);
        }
        let count = blocks.len() / n;
        if count == 0 {
            return Err(self.no_block(&place));
        }

        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // apart from the stream of batches and noise
        random.set_stream(1);
        let first = self.start(&mut random)?;
        let options = unfolded::options(self.kind, &first, 0.3);
        let mut trainer = unfolded::trainer(backend, first, self.layers, options, count.min(BATCH))?;
        let mut order: Vec<usize> = (0..count).collect();
        let (mut noisy, mut clean) = (Vec::new(), Vec::new());
        let mut at = count;
        for step in 0..STEPS {
            noisy.clear();
            clean.clear();
            for _ in 0..count.min(BATCH) {
                if at == count {
                    order.shuffle(&mut random);
                    at = 0;
                }
                let block = order[at] * n..(order[at] + 1) * n;
                at += 1;
                clean.extend_from_slice(&targets[block.clone()]);
                noisy.extend(blocks[block].iter().map(|w| noise::add(*w, NOISE, &mut random)));
            }
            trainer.step(&noisy, &clean, cosine(RATE, step, STEPS))?;
        }
        if !trainer.loss()?.is_finite() {
            return Err(unsupported(
                place,
                "the loss of the regulariser is not finite",
                "learning that converges, for example with fewer `layers`",
            ));
        }
        let mut p = trainer.parameters()?.swap_remove(0);
        let a = p.activation;
        let largest = a.eta1.max(a.eta2);
        let s = largest.sqrt();
        p.values.iter_mut().for_each(|value| *value *= s);
        p.activation = Activation {
            eta1: a.eta1 / largest,
            eta2: a.eta2 / largest,
            delta1: s * a.delta1,
            delta2: s * a.delta2,
        };
        let threshold = p.activation.delta1;
        let range = format!("[{THRESHOLD}, inf): without a threshold no weight becomes zero");
        require(threshold >= THRESHOLD, &place, "learned delta1", threshold, range)?;
        Learned::new(p, &units)
    }
}

impl Learned {
    /// The regularisers of weight matrices whose units are given, none for those left out.
    fn new(parameters: Parameters, units: &[Option<f64>]) -> Result<Self> {
        let whole = Regulariser::new(parameters)?;
        let one = |unit: &Option<f64>| unit.map(|u| whole.scaled(u).map(Arc::new)).transpose();
        let regularisers = units.iter().map(one).collect::<Result<_>>()?;
        Ok(Learned { parameters: whole.parameters().clone(), regularisers })
    }

    /// What a report says.
    #[must_use]
    pub fn summary(&self) -> LearnedSummary {
        let p = &self.parameters;
        let largest = |diagonal: bool| {
            let entries = p.pattern.entries().zip(&p.values);
            entries.filter(|((i, j), _)| (i == j) == diagonal).fold(0.0_f64, |most, (_, a)| most.max(a.abs()))
        };
        LearnedSummary {
            activation: p.activation,
            l: p.l,
            density: p.pattern.density(),
            off_diagonal: largest(false) / largest(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learning(kind: Family) -> Learning {
        Learning { kind, block: 4, layers: 3, matrix_density: 0.5 }
    }

    fn network(seed: u64) -> Mlp {
        Mlp::new(&[8, 6, 3], 1, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn what_is_learned_can_be_trained_with() {
        for kind in Family::ALL {
            let learned = learning(kind).learn(&network(1), 1, &Backend::Cpu).unwrap();
            let a = learned.parameters.activation;
            assert_eq!(a.eta1.max(a.eta2), 1.0);
            assert!(a.delta1 > THRESHOLD && a.delta1 <= a.delta2);
            // 6 x 8 by blocks of 4; 3 x 6 not at all, although 4 does not stand against 18 weights alone
            assert!(learned.regularisers[0].is_some() && learned.regularisers[1].is_none());
            let said = learned.summary();
            assert_eq!(said.density, if kind == Family::Dsrl { 0.25 } else { 0.5 });
            assert_eq!(said.off_diagonal > 0.0, kind == Family::MafSrl);
            assert_eq!(learning(kind).learn(&network(1), 1, &Backend::Cpu).unwrap(), learned);
            assert_ne!(learning(kind).learn(&network(1), 2, &Backend::Cpu).unwrap(), learned);
        }
    }

    #[test]
    fn knees_are_in_the_units_of_each_matrix() {
        let mut network = Mlp::new(&[8, 8, 3], 1, &mut ChaCha8Rng::seed_from_u64(1));
        network.gradients_and_tensors().1[0].iter_mut().for_each(|w| *w *= 10.0);
        let learned = learning(Family::Dsrl).learn(&network, 1, &Backend::Cpu).unwrap();
        let root = |k: usize| {
            let w = network.weight(k);
            (w.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / w.len() as f64).sqrt()
        };
        for k in 0..2 {
            let of = learned.regularisers[k].as_ref().unwrap().parameters().activation;
            assert!((of.delta1 / learned.parameters.activation.delta1 / root(k) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn what_cannot_be_learned_is_a_typed_error() {
        let small = Learning { block: 5, ..learning(Family::Dsrl) };
        let error = small.learn(&network(1), 1, &Backend::Cpu).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }) && error.to_string().contains("`block` 5"), "{error}");
        for (learning, needle) in [
            (Learning { block: 0, ..learning(Family::Dsrl) }, "`block`"),
            (Learning { layers: 0, ..learning(Family::Dsrl) }, "`layers`"),
            (Learning { matrix_density: 0.0, ..learning(Family::MafSrl) }, "`matrix_density`"),
        ] {
            assert!(learning.check().unwrap_err().to_string().contains(needle));
        }
    }
}
