//! What comes out: one document, which is also `results.json`, and one table.

use serde::Serialize;

use super::baselines::{COUNTED, Control};
use super::learned::{self, Learned};
use super::{Affinity, Input, Options, Scores};
use crate::statistics::{deviation, mean, with_deviation};
use crate::table::table;
use maf_srl::network::Family;

/// A graph's density, and its clusters' scores by affinity, a run of k-means after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The share of entries of at least 0.01, as the authors count.
    pub density: f64,
    /// The share of entries that are not exactly 0.
    pub nonzero: f64,
    /// With [`Affinity::Rows`].
    pub rows: Vec<Scores>,
    /// With [`Affinity::Graph`].
    pub graph: Vec<Scores>,
}

/// A method's graphs beside unlearned ones of the same density, seed by seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What was learned.
    pub method: Family,
    /// How.
    pub training: learned::Options,
    /// The learned graphs.
    pub learned: Vec<Measured>,
    /// Every control, soft thresholded.
    pub controls: Vec<(Control, Vec<Measured>)>,
    /// Denser learned graphs of other families, soft thresholded.
    pub others: Vec<(Family, Vec<Measured>)>,
    /// What was learned with each seed.
    pub runs: Vec<Learned>,
}

impl Comparison {
    pub(super) fn new(method: Family, training: learned::Options) -> Self {
        Comparison {
            method,
            training,
            learned: Vec::new(),
            controls: Control::ALL.map(|control| (control, Vec::new())).into(),
            others: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// The learned graphs' density, the mean over the seeds.
    pub(super) fn density(&self) -> f64 {
        mean(self.learned.iter().map(|m| m.density))
    }
}

/// One row: a graph with one affinity, over all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The graph.
    pub graph: String,
    /// The learned graph whose density it has; none for the raw one.
    pub as_dense_as: Option<Family>,
    /// What stands for the similarity of two vertices.
    pub affinity: Affinity,
    /// How many runs of k-means there are, all trainings together.
    pub runs: usize,
    /// The share of entries of at least 0.01, the mean over the seeds.
    pub density: f64,
    /// The share of entries that are not exactly 0, likewise.
    pub nonzero: f64,
    /// Mean over all runs.
    pub acc_mean: f64,
    /// Standard deviation over all runs (n - 1 below the line; 0 for one run).
    pub acc_std: f64,
    /// See `acc_mean`.
    pub purity_mean: f64,
    /// See `acc_std`.
    pub purity_std: f64,
    /// See `acc_mean`.
    pub nmi_mean: f64,
    /// See `acc_std`.
    pub nmi_std: f64,
    /// See `acc_mean`.
    pub ari_mean: f64,
    /// See `acc_std`.
    pub ari_std: f64,
}

impl Row {
    fn new(graph: &str, as_dense_as: Option<Family>, affinity: Affinity, of: &[Measured]) -> Self {
        let scores: Vec<Scores> = of
            .iter()
            .flat_map(|m| match affinity {
                Affinity::Rows => &m.rows,
                Affinity::Graph => &m.graph,
            })
            .copied()
            .collect();
        let both = |of: fn(&Scores) -> f64| {
            let values = scores.iter().map(of);
            (mean(values.clone()), deviation(values))
        };
        let (acc_mean, acc_std) = both(|s| s.acc);
        let (purity_mean, purity_std) = both(|s| s.purity);
        let (nmi_mean, nmi_std) = both(|s| s.nmi);
        let (ari_mean, ari_std) = both(|s| s.ari);
        Row {
            graph: graph.into(),
            as_dense_as,
            affinity,
            runs: scores.len(),
            density: mean(of.iter().map(|m| m.density)),
            nonzero: mean(of.iter().map(|m| m.nonzero)),
            acc_mean,
            acc_std,
            purity_mean,
            purity_std,
            nmi_mean,
            nmi_std,
            ari_mean,
            ari_std,
        }
    }
}

/// A graph's name in tables.
fn named(graph: &str, as_dense_as: Option<Family>) -> String {
    match as_dense_as {
        Some(family) if family.name() != graph => format!("{graph}, as {}", family.name()),
        _ => graph.to_owned(),
    }
}

/// The raw graph's scores, with the affinity of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Baseline {
    /// Mean over the runs of k-means.
    pub acc_mean: f64,
    /// See `acc_mean`.
    pub purity_mean: f64,
    /// See `acc_mean`.
    pub nmi_mean: f64,
    /// See `acc_mean`.
    pub ari_mean: f64,
}

/// How the runs were made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Vertices of the graph.
    pub vertices: usize,
    /// Classes of the vertices.
    pub classes: usize,
    /// Runs of k-means per graph.
    pub repeats: usize,
    /// Trainings, where they are random.
    pub seeds: usize,
    /// The first seed.
    pub seed: u64,
    /// Smaller entries of learned graphs are 0.
    pub cut: f64,
    /// Where the networks were trained.
    pub adapter: String,
}

/// What was learned by one method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// The method.
    pub method: Family,
    /// How it was trained.
    pub training: learned::Options,
    /// Each seed's.
    pub runs: Vec<Learned>,
}

/// Everything. The head speaks of the last method, with the affinity of the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The data's name.
    pub dataset: String,
    /// The method.
    pub method: Family,
    /// N.
    pub layers: u32,
    /// Its epochs.
    pub epochs: usize,
    /// The share of entries of W of at least 0.01.
    pub density_before: f64,
    /// That of the learned graph, made symmetric and without loops and negative weights; the mean over the seeds.
    pub density_after: f64,
    /// The share of the learned graph's entries that are not exactly 0, likewise.
    pub nonzero_after: f64,
    /// Mean over all runs.
    pub acc_mean: f64,
    /// See `acc_mean`.
    pub purity_mean: f64,
    /// See `acc_mean`.
    pub nmi_mean: f64,
    /// See `acc_mean`.
    pub ari_mean: f64,
    /// The raw graph.
    pub baseline: Baseline,
    /// Every graph with every affinity.
    pub rows: Vec<Row>,
    /// What was learned.
    pub trained: Vec<Trained>,
    /// How.
    pub settings: Settings,
    /// W, for the pictures.
    #[serde(skip)]
    pub input: Input,
}

impl Report {
    pub(super) fn new(
        input: &Input,
        options: &Options,
        adapter: String,
        raw: Measured,
        comparisons: Vec<Comparison>,
    ) -> Self {
        let raw = [raw];
        let mut rows = Vec::new();
        for affinity in Affinity::ALL {
            rows.push(Row::new("raw", None, affinity, &raw));
            for c in &comparisons {
                let of = Some(c.method);
                for (control, measured) in &c.controls {
                    rows.push(Row::new(control.name(), of, affinity, measured));
                }
                for (family, thinned) in &c.others {
                    rows.push(Row::new(family.name(), of, affinity, thinned));
                }
                rows.push(Row::new(c.method.name(), of, affinity, &c.learned));
            }
        }
        // with the affinity of the rows: the authors'
        let half = rows.len() / 2;
        let (first, last) = (rows[0].clone(), rows[half - 1].clone());
        let training = options.training(options.methods[options.methods.len() - 1], false);
        let trained = |c: Comparison| Trained { method: c.method, training: c.training, runs: c.runs };
        Report {
            dataset: input.name.clone(),
            method: options.methods[options.methods.len() - 1],
            layers: options.layers,
            epochs: training.epochs,
            density_before: first.density,
            density_after: last.density,
            nonzero_after: last.nonzero,
            acc_mean: last.acc_mean,
            purity_mean: last.purity_mean,
            nmi_mean: last.nmi_mean,
            ari_mean: last.ari_mean,
            baseline: Baseline {
                acc_mean: first.acc_mean,
                purity_mean: first.purity_mean,
                nmi_mean: first.nmi_mean,
                ari_mean: first.ari_mean,
            },
            rows,
            trained: comparisons.into_iter().map(trained).collect(),
            settings: Settings {
                vertices: input.graph.vertices(),
                classes: input.classes,
                repeats: options.repeats,
                seeds: options.seeds,
                seed: options.seed,
                cut: options.cut,
                adapter,
            },
            input: input.clone(),
        }
    }

    /// The same without the courses of training.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mut brief = self.clone();
        brief.trained.iter_mut().flat_map(|t| &mut t.runs).for_each(|run| run.history.clear());
        brief
    }

    /// What was done, in a few words.
    #[must_use]
    pub fn about(&self) -> String {
        format!("1 + {} layers on {}", self.layers, self.about_data())
    }

    /// The same without the layers.
    fn about_data(&self) -> String {
        let s = &self.settings;
        let epochs: Vec<String> =
            self.trained.iter().map(|t| format!("{} {}", t.method.name(), t.training.epochs)).collect();
        format!(
            "{} ({} vertices, {} classes), epochs: {}; trained on {}",
            self.dataset,
            s.vertices,
            s.classes,
            epochs.join(", "),
            s.adapter
        )
    }

    /// A line per graph, with either affinity.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.about();
        for affinity in Affinity::ALL {
            let heading = ["graph", "density %", "nonzero %", "ACC", "purity", "NMI", "ARI"];
            let mut lines = vec![heading.map(str::to_owned).to_vec()];
            for row in self.rows.iter().filter(|row| row.affinity == affinity) {
                let name = named(&row.graph, row.as_dense_as);
                let figure = |mean, std| with_deviation(mean, std, row.runs, 3);
                lines.push(vec![
                    name,
                    format!("{:.2}", 100.0 * row.density),
                    format!("{:.2}", 100.0 * row.nonzero),
                    figure(row.acc_mean, row.acc_std),
                    figure(row.purity_mean, row.purity_std),
                    figure(row.nmi_mean, row.nmi_std),
                    figure(row.ari_mean, row.ari_std),
                ]);
            }
            text += &format!("\n\naffinity: {}\n{}", affinity.about(), table(&lines).trim_end());
        }
        text + &format!(
            "\n\ndensity: the share of entries of at least {COUNTED}; nonzero: of those that are not exactly 0"
        )
    }
}

/// Runs with several numbers of layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Study {
    /// One per number of layers.
    pub reports: Vec<Report>,
}

impl Study {
    /// The same without the courses of training.
    #[must_use]
    pub fn brief(&self) -> Self {
        Study { reports: self.reports.iter().map(Report::brief).collect() }
    }

    /// A line per number of layers and method.
    #[must_use]
    pub fn table(&self) -> String {
        let heading = ["graph", "layers", "density %", "ACC, rows", "NMI, rows", "ARI, rows", "ACC, graph"];
        let mut lines = vec![heading.map(str::to_owned).to_vec()];
        for (k, report) in self.reports.iter().enumerate() {
            let half = report.rows.len() / 2;
            for (rows, graph) in report.rows[..half].iter().zip(&report.rows[half..]) {
                // the raw graph is the same each time
                if rows.as_dense_as.map_or(k == 0, |m| m.name() == rows.graph) {
                    let figure = |mean, std| with_deviation(mean, std, rows.runs, 3);
                    lines.push(vec![
                        rows.graph.clone(),
                        rows.as_dense_as.map_or_else(|| "-".into(), |_| report.layers.to_string()),
                        format!("{:.2}", 100.0 * rows.density),
                        figure(rows.acc_mean, rows.acc_std),
                        figure(rows.nmi_mean, rows.nmi_std),
                        figure(rows.ari_mean, rows.ari_std),
                        figure(graph.acc_mean, graph.acc_std),
                    ]);
                }
            }
        }
        let about = self.reports.first().map(Report::about_data).unwrap_or_default();
        format!("{about}\n\n{}", table(&lines))
    }
}

/// Accuracies as they come in, repeat by repeat.
#[derive(Clone, Debug, Default)]
pub struct Tally(Vec<ClassifiedRow>);

impl Tally {
    pub(super) fn push(&mut self, graph: &str, as_dense_as: Option<Family>, accuracy: f64, density: f64) {
        let found = self.0.iter().position(|row| row.graph == graph && row.as_dense_as == as_dense_as);
        let at = found.unwrap_or_else(|| {
            let row = ClassifiedRow { graph: graph.to_owned(), as_dense_as, ..ClassifiedRow::default() };
            self.0.push(row);
            self.0.len() - 1
        });
        let row = &mut self.0[at];
        row.accuracy.push(accuracy);
        // the mean so far
        row.density += (density - row.density) / row.accuracy.len() as f64;
    }
}

/// Classification on one graph, over all repeats.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassifiedRow {
    /// The graph.
    pub graph: String,
    /// The learned graph whose density and mean degree it was brought to.
    pub as_dense_as: Option<Family>,
    /// The share of entries of at least 0.01.
    pub density: f64,
    /// On the vertices that are not labelled.
    pub accuracy_mean: f64,
    /// Its standard deviation (n - 1 below the line; 0 for one repeat).
    pub accuracy_std: f64,
    /// Each repeat's.
    pub accuracy: Vec<f64>,
}

/// Semi-supervised classification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classified {
    /// The data's name.
    pub dataset: String,
    /// The share of labelled vertices.
    pub labelled: f64,
    /// N.
    pub layers: u32,
    /// How each method was trained.
    pub training: Vec<(Family, learned::Options)>,
    /// Draws of the labelled vertices.
    pub repeats: usize,
    /// The first seed.
    pub seed: u64,
    /// Where the networks were trained.
    pub adapter: String,
    /// The graphs.
    pub rows: Vec<ClassifiedRow>,
}

impl Classified {
    pub(super) fn new(input: &Input, share: f64, options: &Options, adapter: String, tally: Tally) -> Self {
        let row = |row: ClassifiedRow| ClassifiedRow {
            accuracy_mean: mean(row.accuracy.iter().copied()),
            accuracy_std: deviation(row.accuracy.iter().copied()),
            ..row
        };
        let training = options.methods.iter().map(|&method| (method, options.training(method, true)));
        Classified {
            dataset: input.name.clone(),
            labelled: share,
            layers: options.layers,
            training: training.collect(),
            repeats: options.repeats,
            seed: options.seed,
            adapter,
            rows: tally.0.into_iter().map(row).collect(),
        }
    }

    /// A line per graph.
    #[must_use]
    pub fn table(&self) -> String {
        let mut lines = vec![["graph", "density %", "accuracy %"].map(str::to_owned).to_vec()];
        for row in &self.rows {
            let (mean, std) = (100.0 * row.accuracy_mean, 100.0 * row.accuracy_std);
            lines.push(vec![
                named(&row.graph, row.as_dense_as),
                format!("{:.2}", 100.0 * row.density),
                with_deviation(mean, std, self.repeats, 2),
            ]);
        }
        format!(
            "{}: {} % labelled, {} repeats, 1 + {} layers; trained on {}\n\n{}",
            self.dataset,
            100.0 * self.labelled,
            self.repeats,
            self.layers,
            self.adapter,
            table(&lines)
        )
    }
}
