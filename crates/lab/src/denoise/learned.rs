//! The learned methods: training of the unfolded network, and its use.

use std::fmt;
use std::time::Instant;

use ndarray::Array2;
use rand::RngExt;
use serde::Serialize;

use super::tiles::{Tiles, rows};
use super::{Minibatches, Options, Purpose, decibels, random, steps};
use crate::rate::cosine;
use crate::unfolded;
use maf_srl::error::{Error, Result, require, unsupported};
use maf_srl::matrix::Pattern;
use maf_srl::network::{Family, Trainer};
use maf_srl::penalty::Activation;
use maf_srl::regulariser::Parameters;
use maf_srl::schedule::Backend;

/// The default share of entries of Â that may be nonzero.
pub const DENSITY: f64 = 0.4;

/// Which entries of Â may be nonzero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// The diagonal and others drawn at random.
    Random {
        /// The share of all entries.
        density: f64,
    },
    /// Those of pixels near each other.
    Neighbourhood {
        /// How far, in either direction.
        radius: u32,
    },
}

impl Shape {
    /// `random` with a density, or `neighbourhood:R` without one.
    ///
    /// # Errors
    /// [`Error::Text`] for another text, [`Error::Unsupported`] for a neighbourhood with a density, and as
    /// [`Options::check`].
    pub fn parse(text: &str, density: Option<f64>) -> Result<Self> {
        let text = text.trim();
        let wrong = || Error::Text {
            place: "`pattern`".into(),
            text: text.into(),
            reason: "a pattern is random, or neighbourhood:R with a whole number R, as in neighbourhood:2"
                .into(),
        };
        let shape = match text.split_once(':') {
            None if text == "random" => Shape::Random { density: density.unwrap_or(DENSITY) },
            Some(("neighbourhood", radius)) => {
                if let Some(density) = density {
                    return Err(unsupported(
                        "`density`",
                        format!("{density} beside `pattern` {text}, which has a density of its own"),
                        "`density` with `pattern` random",
                    ));
                }
                Shape::Neighbourhood { radius: radius.parse().map_err(|_| wrong())? }
            }
            _ => return Err(wrong()),
        };
        shape.check()?;
        Ok(shape)
    }

    pub(super) fn check(&self) -> Result<()> {
        match *self {
            Shape::Random { density } => crate::density("`density`", density),
            Shape::Neighbourhood { radius } => {
                let allowed = (1..=1024).contains(&radius);
                require(allowed, "`pattern`", "radius", radius, "[1, 1024]")
            }
        }
    }

    /// About how many entries that are.
    pub(super) fn entries(&self, tiles: &Tiles) -> usize {
        let n = tiles.components();
        match *self {
            Shape::Random { density } => (density * (n * n) as f64) as usize,
            Shape::Neighbourhood { radius } => {
                let near = |side: usize| side.min(2 * radius as usize + 1);
                n * near(tiles.width) * near(tiles.height)
            }
        }
    }

    fn pattern(&self, tiles: &Tiles, seed: u64) -> Result<Pattern> {
        let [n, width, height] =
            [tiles.components(), tiles.width, tiles.height].map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        match *self {
            Shape::Random { density } => {
                Pattern::random(n, density, random(seed, Purpose::Pattern).random::<u64>())
            }
            Shape::Neighbourhood { radius } => Pattern::neighbourhood(width, height, radius),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Random { .. } => f.write_str("random"),
            Shape::Neighbourhood { radius } => write!(f, "neighbourhood:{radius}"),
        }
    }
}

/// What one run of a learned method came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// The seed.
    pub seed: u64,
    /// Steps taken.
    pub steps: usize,
    /// Wall time of the training.
    pub seconds: f64,
    /// The density of Â.
    pub density: f64,
    /// The learned activation.
    pub activation: Activation,
    /// The learned L.
    pub l: f64,
    /// The ratio in dB on the minibatch that ends each epoch: step and ratio. Left out of JSON.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<(usize, f64)>,
    /// All that was learned.
    #[serde(skip)]
    pub parameters: Parameters,
}

/// A trained network.
pub struct Network {
    trainer: Trainer,
    components: usize,
    batch: usize,
}

impl Network {
    /// Its output for each row.
    pub fn estimate(&mut self, noisy: Array2<f32>) -> Result<Array2<f32>> {
        let values: Vec<f32> = noisy.into_iter().collect();
        let mut made = Vec::with_capacity(values.len());
        for part in values.chunks(self.batch * self.components) {
            made.extend(self.trainer.apply(part)?);
        }
        rows(made, self.components)
    }
}

/// Where a network is trained.
pub fn adapter(backend: &Backend) -> String {
    match backend {
        Backend::Cpu => "cpu (float64)".into(),
        Backend::Gpu(context) => context.name(),
    }
}

/// Where training begins: near the identity.
fn start(tiles: &Tiles, method: Family, options: &Options, seed: u64) -> Result<Parameters> {
    let pattern = match method {
        Family::Dsrl => Pattern::diagonal(tiles.components() as u32)?,
        Family::MafSrl => options.shape.pattern(tiles, seed)?,
    };
    // the first knee below the noise, the second inside the range of the pixels
    let delta = [options.noise / 3.0, (options.noise / 0.6).max(0.5)];
    unfolded::start(method, pattern, delta, &mut random(seed, Purpose::Start))
}

/// Trains one network. `told` hears of each step: its number, how many there are, and where it is known the ratio.
pub fn fit(
    pictures: &Array2<f32>,
    tiles: &Tiles,
    method: Family,
    options: &Options,
    seed: u64,
    backend: &Backend,
    mut told: impl FnMut(usize, usize, Option<f64>),
) -> Result<(Network, Learned)> {
    let begin = Instant::now();
    let components = tiles.components();
    let batch = options.batch.min(pictures.nrows());
    let parameters = start(tiles, method, options, seed)?;
    let density = parameters.pattern.density();
    let usual = unfolded::options(method, &parameters, 1.0);
    let mut trainer = unfolded::trainer(backend, parameters, options.layers, usual, batch)?;
    let mut minibatches = Minibatches::new(pictures, tiles, options.noise, seed);
    let (mut noisy, mut clean) = (vec![0.0; batch * components], vec![0.0; batch * components]);
    let steps = steps(options, pictures.nrows());
    let mut history = Vec::with_capacity(options.epochs);
    for step in 0..steps {
        minibatches.fill(&mut noisy, &mut clean);
        trainer.step(&noisy, &clean, cosine(options.rate, step as u64, steps as u64))?;
        // the loss is read back once an epoch: a device need not be waited for in between
        let epochs = |step: usize| step * batch / pictures.nrows();
        let ended = epochs(step + 1) > epochs(step) || step + 1 == steps;
        let ratio = if ended {
            let ratio = decibels(2.0 * trainer.loss()? / components as f64);
            if !ratio.is_finite() {
                return Err(unsupported(
                    format!("{} (seed {seed}), step {}", method.name(), step + 1),
                    "the loss is not finite",
                    "training that converges, for example with a smaller `rate`",
                ));
            }
            history.push((step + 1, ratio));
            Some(ratio)
        } else {
            None
        };
        told(step + 1, steps, ratio);
    }
    let parameters = trainer.parameters()?.swap_remove(0);
    let learned = Learned {
        seed,
        steps,
        seconds: begin.elapsed().as_secs_f64(),
        density,
        activation: parameters.activation,
        l: parameters.l,
        history,
        parameters,
    };
    Ok((Network { trainer, components, batch }, learned))
}
