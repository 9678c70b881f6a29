//! What comes out: one document, which is also `results.json`, one table, and the pictures to be shown.

use ndarray::{Array2, Axis};
use serde::Serialize;

use super::{Learned, Options};
use crate::data::{Dataset, Split};
use crate::statistics::{deviation, mean, with_deviation};
use crate::table::table;

/// One method over all seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The name.
    pub method: String,
    /// The share of entries of Â that may be nonzero; none for methods without Â.
    pub density: Option<f64>,
    /// The mean ratio on the test pictures, in dB.
    pub psnr_mean: f64,
    /// Its standard deviation over the seeds (n - 1 below the line; 0 for one seed).
    pub psnr_std: f64,
    /// The ratio of each seed.
    pub psnr: Vec<f64>,
    /// What was learned with each seed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Learned>,
}

/// The figures as they come in, seed by seed.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<(String, Vec<f64>, Vec<Learned>)>);

impl Figures {
    pub(super) fn push(&mut self, method: &str, psnr: f64, learned: Option<Learned>) {
        let at = self.0.iter().position(|row| row.0 == method).unwrap_or_else(|| {
            self.0.push((method.to_owned(), Vec::new(), Vec::new()));
            self.0.len() - 1
        });
        self.0[at].1.push(psnr);
        self.0[at].2.extend(learned);
    }
}

/// How the runs were made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The layers of the network.
    pub layers: u32,
    /// The pattern of Â.
    pub pattern: String,
    /// Passes over the training part.
    pub epochs: usize,
    /// Pictures or patches per step.
    pub batch: usize,
    /// The first learning rate of the cosine.
    pub learning_rate: f64,
    /// Width and height of what the methods work on.
    pub tile: [usize; 2],
    /// Runs per method.
    pub seeds: usize,
    /// The first seed.
    pub seed: u64,
    /// Pictures of the training, validation and test parts.
    pub pictures: [usize; 3],
}

/// Some test pictures, and what each method makes of them with the first seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Gallery {
    /// Of the pictures.
    pub width: usize,
    /// See `width`.
    pub height: usize,
    /// A name and the pictures, one per row; first `clean`.
    pub rows: Vec<(String, Array2<f32>)>,
}

impl Gallery {
    pub(super) fn new(part: &Dataset, clean: &Array2<f32>, shown: &[usize]) -> Self {
        let rows = vec![("clean".to_owned(), clean.select(Axis(0), shown))];
        Gallery { width: part.width, height: part.height, rows }
    }

    pub(super) fn push(&mut self, name: &str, pictures: &Array2<f32>) {
        self.rows.push((name.to_owned(), pictures.clone()));
    }
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The data set.
    pub dataset: String,
    /// sigma.
    pub noise: f64,
    /// Where the networks were trained.
    pub adapter: String,
    /// How.
    pub settings: Settings,
    /// The methods, the simplest first.
    pub rows: Vec<Row>,
    /// Pictures.
    #[serde(skip)]
    pub gallery: Gallery,
}

impl Report {
    pub(super) fn new(
        split: &Split,
        options: &Options,
        adapter: String,
        [validation, test]: [usize; 2],
        figures: Figures,
        gallery: Gallery,
    ) -> Self {
        let row = |(method, psnr, runs): (String, Vec<f64>, Vec<Learned>)| Row {
            method,
            density: runs.first().map(|run| run.density),
            psnr_mean: mean(psnr.iter().copied()),
            psnr_std: deviation(psnr.iter().copied()),
            psnr,
            runs,
        };
        let side = |whole: usize| options.patch.map_or(whole, |side| side as usize);
        Report {
            dataset: split.train.name.clone(),
            noise: options.noise,
            adapter,
            settings: Settings {
                layers: options.layers,
                pattern: options.shape.to_string(),
                epochs: options.epochs,
                batch: options.batch.min(split.train.len()),
                learning_rate: options.rate,
                tile: [side(split.train.width), side(split.train.height)],
                seeds: options.seeds,
                seed: options.seed,
                pictures: [split.train.len(), validation, test],
            },
            rows: figures.0.into_iter().map(row).collect(),
            gallery,
        }
    }

    /// The same without the courses of training.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mut brief = self.clone();
        brief.rows.iter_mut().flat_map(|row| &mut row.runs).for_each(|run| run.history.clear());
        brief
    }

    /// What was done, in a few words.
    #[must_use]
    pub fn about(&self) -> String {
        let s = &self.settings;
        let [width, height] = s.tile;
        let tile = if (width, height) == (self.gallery.width, self.gallery.height) {
            format!("{width} x {height} pictures")
        } else {
            format!("{width} x {height} patches")
        };
        let seeds = if s.seeds == 1 { "1 seed".to_owned() } else { format!("{} seeds", s.seeds) };
        format!(
            "{}, {tile}, noise {}: {} layers, {} epochs, {seeds}; trained on {}",
            self.dataset, self.noise, s.layers, s.epochs, self.adapter
        )
    }

    /// One line per method.
    #[must_use]
    pub fn table(&self) -> String {
        let heading = ["method", "density %", "PSNR dB", "gain dB"].map(str::to_owned).to_vec();
        let noisy = self.rows.first().map_or(0.0, |row| row.psnr_mean);
        let line = |row: &Row| {
            vec![
                row.method.clone(),
                row.density.map_or_else(|| "-".into(), |d| format!("{:.2}", 100.0 * d)),
                with_deviation(row.psnr_mean, row.psnr_std, row.psnr.len(), 2),
                format!("{:.2}", row.psnr_mean - noisy),
            ]
        };
        let rows: Vec<_> = std::iter::once(heading).chain(self.rows.iter().map(line)).collect();
        format!("{}\n\n{}", self.about(), table(&rows))
    }
}
