//! Denoising of pictures by a learned sparse regulariser, compared with the classical ways.
//!
//! A picture with values in 0..=1 gets Gaussian noise, each method makes an estimate of the clean one, and the figure
//! is the peak signal-to-noise ratio 10 log10(1 / mean squared error) over all pixels of all test pictures.
//!
//! | row | what it is |
//! |---|---|
//! | `noisy` | the input |
//! | `soft` | the pixels, each soft thresholded |
//! | `soft-dct` | the coefficients of the orthonormal two-dimensional DCT-II, each soft thresholded |
//! | `wiener` | the best affine estimator: mean + C (C + sigma^2 I)^-1 (x - mean), from the training pictures |
//! | `dsrl` | the unfolded network with Â = I: a learned regulariser that is a sum over pixels |
//! | `maf-srl` | the same with Â learned on its pattern: a regulariser that is not |
//!
//! The network starts from the noisy picture c, keeps to it by phi(x) = 1/2 ||x - c||^2, and has q = 1 and b = 0; its
//! layers share their parameters, which minimise the squared error on training pictures with fresh noise in each step.
//!
//! Thresholds are chosen on the validation part; nothing else is chosen on it, and nothing at all on the test part.
//! With [`Options::patch`], every method works on the K x K patches of a picture, and where they overlap their
//! estimates are averaged. The noise on a test picture depends on the seed alone, so that all rows see the same one.
//! The same seed and adapter give the same figures.

mod classical;
mod learned;
mod pictures;
mod report;
mod tiles;

use ndarray::{Array2, Axis, s};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use learned::{Learned, Shape};
pub use pictures::{atoms, course, gallery, regulariser};
pub use report::{Gallery, Report, Row, Settings};

use crate::count;
use crate::data::{Dataset, Source, Split};
use crate::memory::{memory, product, unfolded};
use crate::noise;
use classical::Estimator;
use maf_srl::error::{Error, Result, require};
use maf_srl::network::Family;
use maf_srl::schedule::Backend;
use maf_srl::text::there_are;
use report::Figures;
use tiles::Tiles;

/// The data sets of grey pictures.
pub const SOURCES: [Source; 3] = [Source::Digits, Source::Mnist, Source::FashionMnist];

/// The data set of this name.
///
/// # Errors
/// [`maf_srl::Error::Text`] for a name that is none of a data set of grey pictures.
pub fn source(name: &str) -> Result<Source> {
    let known = Source::ALL.into_iter().find(|source| source.name() == name.trim());
    let names = SOURCES.map(Source::name);
    let reason = match known {
        Some(source) if SOURCES.contains(&source) => return Ok(source),
        Some(_) => format!("it has no grey pictures; those of {} are", names.join(", ")),
        None => format!("no such data set; {}", there_are(name, names)),
    };
    Err(Error::Text { place: "`data`".into(), text: name.into(), reason })
}

/// Everything that decides a run, the data apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// sigma, the standard deviation of the noise.
    pub noise: f64,
    /// The learned methods; the classical ones are always there.
    pub methods: Vec<Family>,
    /// Which entries of `maf-srl`'s Â may be nonzero.
    pub shape: Shape,
    /// How many layers the network has.
    pub layers: u32,
    /// Passes over the training part.
    pub epochs: usize,
    /// Pictures (or patches) per step; more than there are means all.
    pub batch: usize,
    /// Adam's first learning rate; a cosine takes it towards 0.
    pub rate: f64,
    /// The side of the patches; none for whole pictures.
    pub patch: Option<u32>,
    /// At most so many pictures are taken from the test part, and a fifth as many from the validation part.
    pub test: usize,
    /// How many runs; noise, minibatches, pattern and start differ.
    pub seeds: usize,
    /// The seed of the first run; the others count up from it.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            noise: 0.3,
            methods: Family::ALL.to_vec(),
            shape: Shape::Random { density: learned::DENSITY },
            layers: 4,
            epochs: 30,
            batch: 64,
            rate: 0.03,
            patch: None,
            test: 1000,
            seeds: 3,
            seed: 0,
        }
    }
}

impl Options {
    /// Checks every value against its range, before any work.
    ///
    /// # Errors
    /// [`maf_srl::Error::Domain`] naming option, value and range.
    pub fn check(&self) -> Result<()> {
        require(
            (1e-6..=100.0).contains(&self.noise),
            "`noise`",
            "standard deviation",
            self.noise,
            "[1e-6, 100]",
        )?;
        self.shape.check()?;
        count("`layers`", "layers", self.layers as usize, 64)?;
        count("`epochs`", "epochs", self.epochs, 1_000_000)?;
        count("`batch`", "pictures per step", self.batch, 1_000_000)?;
        require((1e-9..=1e3).contains(&self.rate), "`rate`", "learning rate", self.rate, "[1e-9, 1000.0]")?;
        if let Some(side) = self.patch {
            require((2..=32).contains(&side), "`patch`", "side", side, "[2, 32]")?;
        }
        count("`test`", "test pictures", self.test, 10_000_000)?;
        count("`seeds`", "seeds", self.seeds, 1000)?;
        // The last seed must not wrap round.
        let last = self.seed.checked_add(self.seeds as u64);
        require(last.is_some(), "`seed`", "seed", self.seed, "[0, 2^64 - seeds)")
    }
}

impl Options {
    /// Checks what the data decides: they are grey pictures, every part of them has some, patches are no larger, and a
    /// run takes no more memory than [`MEMORY`](crate::MEMORY).
    ///
    /// # Errors
    /// [`maf_srl::Error::Shape`] for a part without rows or pictures smaller than a patch; [`maf_srl::Error::Unsupported`] for
    /// data that are no grey pictures, and naming what takes how much memory, and the limit.
    pub fn fits(&self, split: &Split) -> Result<()> {
        let tiles = Tiles::new(&split.train, self.patch)?;
        split.require_rows()?;
        let (n, batch) = (tiles.components(), self.batch.min(split.train.len()));
        let kept = if self.methods.contains(&Family::MafSrl) { self.layers } else { 0 };
        let bytes = unfolded(kept, n, batch)
            .saturating_add(classical::bytes(&tiles, split.train.len()))
            .saturating_add(product(&[12, self.seeds, self.shape.entries(&tiles)]));
        let what = format_args!("{} layers of {n} components in batches of {batch}", self.layers);
        memory("`layers`", what, bytes, "`layers`, `patch`, `batch` or `seeds`")
    }
}

/// What the random numbers of a seed are for; each purpose has its own stream.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Training = 1,
    Validation,
    Test,
    Start,
    Pattern,
    Covariance,
}

fn random(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(purpose as u64);
    random
}

/// The same with Gaussian noise.
fn noised(clean: &Array2<f32>, sigma: f64, random: &mut ChaCha8Rng) -> Array2<f32> {
    clean.mapv(|v| noise::add(v, sigma, random))
}

/// Peak signal-to-noise ratio in dB.
fn psnr(estimate: &Array2<f32>, clean: &Array2<f32>) -> f64 {
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    let sum: f64 = estimate.iter().zip(clean).map(square).sum();
    decibels(sum / clean.len() as f64)
}

/// The ratio of which a mean squared error is part.
fn decibels(mean_square: f64) -> f64 {
    -10.0 * mean_square.log10()
}

/// What is told while training goes on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The method under way.
    pub method: Family,
    /// The seed of the run.
    pub seed: u64,
    /// How many steps have been taken.
    pub step: usize,
    /// How many there are.
    pub steps: usize,
    /// The ratio on the latest minibatch, in dB; known at the end of an epoch.
    pub psnr: Option<f64>,
}

/// How many steps a run of a learned method takes.
#[must_use]
pub fn steps(options: &Options, pictures: usize) -> usize {
    (options.epochs * pictures).div_ceil(options.batch.min(pictures).max(1)).max(1)
}

/// At most `most` rows of a part.
fn some(part: &Dataset, most: usize) -> Array2<f32> {
    part.features.slice(s![..part.len().min(most), ..]).to_owned()
}

/// The first row of each class, as far as there are any: what galleries show.
fn one_of_each(part: &Dataset, most: usize) -> Vec<usize> {
    let labels = &part.labels[..part.len().min(most)];
    (0..part.classes).filter_map(|class| labels.iter().position(|&l| l == class)).take(10).collect()
}

/// Every method with every seed. `seen` is called after each step of training.
///
/// # Errors
/// Those of [`Options::check`] and [`Options::fits`]; [`maf_srl::Error::Unsupported`] for training that diverges; those of the
/// device.
pub fn run(
    split: &Split,
    options: &Options,
    backend: &Backend,
    mut seen: impl FnMut(Progress),
) -> Result<Report> {
    options.check()?;
    options.fits(split)?;
    let tiles = Tiles::new(&split.train, options.patch)?;
    let validation = some(&split.validation, options.test.div_ceil(5));
    let test = some(&split.test, options.test);
    let shown = one_of_each(&split.test, options.test);
    let mut gallery = Gallery::new(&split.test, &test, &shown);
    let mut figures = Figures::default();
    let draw = &mut random(options.seed, Purpose::Covariance);
    let wiener = classical::wiener(&split.train.features, &tiles, options.noise, draw)?;
    for seed in (options.seed..).take(options.seeds) {
        let noisy = noised(&test, options.noise, &mut random(seed, Purpose::Test));
        let calibration = noised(&validation, options.noise, &mut random(seed, Purpose::Validation));
        let first = seed == options.seed;
        let mut add = |name: &str, estimate: &Array2<f32>, learned: Option<Learned>| {
            if first {
                gallery.push(name, &estimate.select(Axis(0), &shown));
            }
            figures.push(name, psnr(estimate, &test), learned);
        };
        add("noisy", &noisy, None);
        for method in [Estimator::pixels(), Estimator::dct(&tiles)] {
            let chosen = method.chosen(&tiles, &calibration, &validation, options.noise)?;
            add(method.name, &method.estimate(&tiles, &noisy, chosen)?, None);
        }
        add("wiener", &tiles.through(&noisy, |x| Ok(wiener.estimate(&x)))?, None);
        for &method in &options.methods {
            let told = |step, steps, psnr| seen(Progress { method, seed, step, steps, psnr });
            let (mut network, learned) =
                learned::fit(&split.train.features, &tiles, method, options, seed, backend, told)?;
            let estimate = tiles.through(&noisy, |x| network.estimate(x))?;
            add(method.name(), &estimate, Some(learned));
        }
    }
    Ok(Report::new(
        split,
        options,
        learned::adapter(backend),
        [validation.nrows(), test.nrows()],
        figures,
        gallery,
    ))
}

/// Fresh minibatches of tiles without end: passes over the pictures in an order drawn anew for each.
struct Minibatches<'a> {
    pictures: &'a Array2<f32>,
    tiles: &'a Tiles,
    order: Vec<usize>,
    next: usize,
    sigma: f64,
    random: ChaCha8Rng,
}

impl<'a> Minibatches<'a> {
    fn new(pictures: &'a Array2<f32>, tiles: &'a Tiles, sigma: f64, seed: u64) -> Self {
        let order: Vec<usize> = (0..pictures.nrows()).collect();
        let next = order.len();
        Minibatches { pictures, tiles, order, next, sigma, random: random(seed, Purpose::Training) }
    }

    /// Fills both, sample by sample: one tile of each picture drawn, with noise and without.
    fn fill(&mut self, noisy: &mut [f32], clean: &mut [f32]) {
        for target in clean.chunks_exact_mut(self.tiles.components()) {
            if self.next == self.order.len() {
                self.order.shuffle(&mut self.random);
                self.next = 0;
            }
            let at = self.random.random_range(0..self.tiles.positions());
            self.tiles.cut(self.pictures.row(self.order[self.next]), at, target);
            self.next += 1;
        }
        for (to, &from) in noisy.iter_mut().zip(clean.iter()) {
            *to = noise::add(from, self.sigma, &mut self.random);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many pictures as MNIST has, and as large.
    fn split(rows: usize) -> Split {
        let part = |rows: usize| Dataset {
            name: "made-up".into(),
            features: Array2::zeros((rows, 784)),
            labels: vec![0; rows],
            classes: 1,
            width: 28,
            height: 28,
            channels: 1,
        };
        Split { train: part(rows), validation: part(1), test: part(1) }
    }

    #[test]
    fn what_takes_too_much_memory_is_refused() {
        let split = split(54_000);
        let whole = Options { patch: None, ..Options::default() };
        whole.fits(&split).unwrap();
        for (options, words) in [
            (
                Options { batch: 54_000, ..whole.clone() },
                "4 layers of 784 components in batches of 54000 would take",
            ),
            (Options { layers: 64, batch: 8000, ..whole.clone() }, "64 layers of 784 components"),
            (
                Options {
                    batch: 12_000,
                    seeds: 1000,
                    shape: Shape::Random { density: 1.0 },
                    ..whole.clone()
                },
                "GiB",
            ),
            (
                Options {
                    batch: 12_000,
                    seeds: 1000,
                    shape: Shape::Neighbourhood { radius: 40 },
                    ..whole.clone()
                },
                "GiB",
            ),
        ] {
            let error = options.fits(&split).unwrap_err();
            assert!(matches!(error, maf_srl::Error::Unsupported { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(words) && text.contains("allowed: 8 GiB"), "{text}");
        }
        // dsrl keeps nothing of its layers
        Options { layers: 64, batch: 8000, methods: vec![Family::Dsrl], ..whole }.fits(&split).unwrap();
    }
}
