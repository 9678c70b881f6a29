//! What comes out of training: one document, which is also `results.json`, and one table.

use serde::Serialize;

use super::Options;
use super::fit::{Epoch, Fitted, add};
use super::learned::LearnedSummary;
use super::method::Method;
use super::sparsity::{Sparsity, density, flop_share, live_neurons, parameter_share};
use crate::data::Split;
use crate::statistics::{deviation, mean, with_deviation};
use crate::table::table;
use maf_srl::kernels::solver::Solver;
use maf_srl::schedule::{Verification, Verify};

/// One run: a method with a seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// The seed.
    pub seed: u64,
    /// On the test part.
    pub accuracy: f64,
    /// With variable splitting, that of the weights W in place of V.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_of_w: Option<f64>,
    /// On the validation part, after the last epoch.
    pub validation: f64,
    /// The share of nonzero weights, biases left out.
    pub density: f64,
    /// Whether the density that was asked for was met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density_met: Option<bool>,
    /// The share of nonzero parameters, biases taken in.
    pub parameter_share: f64,
    /// Live neurons per hidden layer.
    pub neurons_alive: Vec<usize>,
    /// See [`flop_share`].
    pub flop_share: f64,
    /// How sparse the network is.
    #[serde(flatten)]
    pub sparsity: Sparsity,
    /// Steps taken.
    pub steps: u64,
    /// Wall time, and how much of it was spent in the steps with their checks.
    pub seconds: f64,
    /// See `seconds`.
    pub step_seconds: f64,
    /// What the checks found.
    pub verification: Verification,
    /// The regulariser that was learned for this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<LearnedSummary>,
    /// The first epoch of the highest test accuracy, where it was looked at after each: chosen by the test part, so
    /// better than what new data would show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Epoch>,
    /// Every epoch; left out of JSON.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Epoch>,
}

impl RunSummary {
    pub(super) fn new(fitted: &Fitted, accuracy: f64, accuracy_of_w: Option<f64>) -> Self {
        let weights = fitted.network.weights();
        RunSummary {
            seed: fitted.seed,
            accuracy,
            accuracy_of_w,
            validation: fitted.history.last().map_or(0.0, |e| e.validation),
            density: density(&weights),
            density_met: fitted.met,
            parameter_share: parameter_share(&fitted.network.tensors()),
            neurons_alive: live_neurons(&weights),
            flop_share: flop_share(&weights),
            sparsity: Sparsity::of(&fitted.network),
            steps: fitted.steps,
            seconds: fitted.seconds,
            step_seconds: fitted.step_seconds,
            verification: fitted.verification.clone(),
            learned: None,
            best: best(&fitted.history),
            history: fitted.history.clone(),
        }
    }
}

/// The first epoch of the highest test accuracy.
fn best(history: &[Epoch]) -> Option<Epoch> {
    let tested = history.iter().filter(|e| e.test.is_some());
    tested.reduce(|best, e| if e.test > best.test { e } else { best }).cloned()
}

/// One method over all its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodSummary {
    /// The name, as it was given.
    pub method: String,
    /// The name, and what sets this row apart from others of that name.
    pub label: String,
    /// The penalties with all their parameters, `P` or `P+GP`.
    pub penalty: String,
    /// The weight of the elementwise penalty; of the group penalty where that is alone.
    pub lambda: f64,
    /// The weight of the group penalty, 0 without one.
    pub group_lambda: f64,
    /// The layers of the network that learned the regulariser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<u32>,
    /// How the penalties entered the steps.
    pub solver: String,
    /// The first beta of variable splitting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// The mean test accuracy.
    pub accuracy_mean: f64,
    /// Its standard deviation over the seeds (n - 1 below the line; 0 for one seed).
    pub accuracy_std: f64,
    /// With variable splitting, the mean test accuracy of the weights W; all else is said of the copies V.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_of_w: Option<f64>,
    /// The mean validation accuracy.
    pub validation_mean: f64,
    /// The mean share of nonzero weights, biases left out.
    pub density_mean: f64,
    /// Its standard deviation.
    pub density_std: f64,
    /// How many runs met the density that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density_met: Option<usize>,
    /// The mean share of nonzero parameters, biases taken in.
    pub parameter_share: f64,
    /// The mean number of live hidden neurons, all layers together.
    pub neurons_alive: f64,
    /// The same per hidden layer.
    pub neurons_alive_per_layer: Vec<f64>,
    /// The mean share of operations left, see [`flop_share`].
    pub flop_share: f64,
    /// How sparse the networks are in the mean.
    #[serde(flatten)]
    pub sparsity: Sparsity,
    /// Elements compared with float64, and those outside the bound.
    pub checked: u64,
    /// See `checked`.
    pub mismatches: u64,
    /// The runs.
    pub runs: Vec<RunSummary>,
}

impl MethodSummary {
    pub(super) fn new(method: &Method, runs: Vec<RunSummary>) -> Self {
        let layers = runs.first().map_or(0, |r| r.neurons_alive.len());
        let live = |layer: usize| mean(runs.iter().map(|r| r.neurons_alive[layer] as f64));
        let neurons_alive_per_layer: Vec<f64> = (0..layers).map(live).collect();
        let of_w: Option<Vec<f64>> = runs.iter().map(|r| r.accuracy_of_w).collect();
        let of_w = of_w.filter(|values| !values.is_empty()).map(|values| mean(values.into_iter()));
        let met = runs.iter().any(|r| r.density_met.is_some());
        let sparsity = |of: fn(&Sparsity) -> f64| mean(runs.iter().map(|r| of(&r.sparsity)));
        MethodSummary {
            method: method.name.clone(),
            label: method.label.clone(),
            penalty: method.penalties(),
            lambda: method.lambda,
            group_lambda: method.group_lambda,
            layers: method.learning().map(|l| l.layers),
            solver: method.solver.to_string(),
            beta: method.solver.has_copy().then(|| method.solver.beta()),
            accuracy_mean: mean(runs.iter().map(|r| r.accuracy)),
            accuracy_std: deviation(runs.iter().map(|r| r.accuracy)),
            accuracy_of_w: of_w,
            validation_mean: mean(runs.iter().map(|r| r.validation)),
            density_mean: mean(runs.iter().map(|r| r.density)),
            density_std: deviation(runs.iter().map(|r| r.density)),
            density_met: met.then(|| runs.iter().filter(|r| r.density_met == Some(true)).count()),
            parameter_share: mean(runs.iter().map(|r| r.parameter_share)),
            neurons_alive: neurons_alive_per_layer.iter().sum(),
            neurons_alive_per_layer,
            flop_share: mean(runs.iter().map(|r| r.flop_share)),
            sparsity: Sparsity {
                weight_sparsity: sparsity(|s| s.weight_sparsity),
                neuron_sparsity: sparsity(|s| s.neuron_sparsity),
                weight_sparsity_1e5: sparsity(|s| s.weight_sparsity_1e5),
                neuron_sparsity_1e5: sparsity(|s| s.neuron_sparsity_1e5),
            },
            checked: runs.iter().map(|r| r.verification.checked).sum(),
            mismatches: runs.iter().map(|r| r.verification.mismatches).sum(),
            runs,
        }
    }
}

/// A lambda in few digits.
pub(super) fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if rounded != 0.0 && rounded.abs() < 1e-3 { format!("{rounded:e}") } else { rounded.to_string() }
}

/// How the runs were made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Passes over the training part.
    pub epochs: usize,
    /// Rows per step.
    pub batch: usize,
    /// The first learning rate of the cosine.
    pub learning_rate: f64,
    /// Inputs, hidden widths, classes.
    pub widths: Vec<usize>,
    /// The base step with its parameters.
    pub optimizer: String,
    /// Which steps were checked.
    pub verify: &'static str,
    /// The noise on training inputs.
    pub noise: f64,
    /// The share of the run over which lambda rises.
    pub warm_up: f64,
    /// The share of the epochs that refit what is left.
    pub refit: f64,
    /// The epoch after which zeros stay zeros.
    pub freeze_after: usize,
    /// The density that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<f64>,
    /// How the weight matrices are divided into groups.
    pub groups: String,
    /// The factor of variable splitting's beta every `beta_every` epochs.
    pub sigma: f64,
    /// See `sigma`.
    pub beta_every: usize,
    /// Runs per method.
    pub repeats: usize,
    /// The first seed.
    pub seed: u64,
    /// Rows of the training, validation and test parts.
    pub rows: [usize; 3],
}

/// Everything; what scripts read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The data set.
    pub dataset: String,
    /// Where the steps ran.
    pub adapter: String,
    /// How.
    pub settings: Settings,
    /// The methods in the order they were named.
    pub methods: Vec<MethodSummary>,
    /// The checks of all runs together.
    pub verification: Verification,
}

impl Summary {
    pub(super) fn new(
        split: &Split,
        options: &Options,
        adapter: String,
        methods: Vec<MethodSummary>,
    ) -> Self {
        let mut verification = Verification::default();
        for found in methods.iter().flat_map(|m| &m.runs).map(|r| &r.verification) {
            add(&mut verification, found);
        }
        let mut widths = vec![split.train.features.ncols()];
        widths.extend(&options.hidden);
        widths.push(split.train.classes);
        Summary {
            dataset: split.train.name.clone(),
            adapter,
            settings: Settings {
                epochs: options.epochs,
                batch: options.batch.min(split.train.len()),
                learning_rate: options.rate,
                widths,
                optimizer: options.base.to_string(),
                verify: match options.verify {
                    Verify::Off => "off",
                    Verify::Sample { .. } => "sample",
                    Verify::Full => "full",
                },
                noise: options.noise,
                warm_up: options.warm_up,
                refit: options.refit,
                freeze_after: options.freeze_after.unwrap_or(options.penalised()),
                density: options.density,
                groups: options.groups.as_ref().map_or_else(|| "auto".into(), ToString::to_string),
                sigma: options.sigma,
                beta_every: options.beta_every,
                repeats: options.repeats,
                seed: options.seed,
                rows: [split.train.len(), split.validation.len(), split.test.len()],
            },
            methods,
            verification,
        }
    }

    /// How the runs were made, for the head of a document: network, optimiser, epochs, seeds, adapter.
    pub(super) fn made(&self) -> String {
        let s = &self.settings;
        let widths: Vec<_> = s.widths.iter().map(usize::to_string).collect();
        format!(
            "{}, {}, learning rate {}, batches of {}, {} epochs, mean (standard deviation) over {} seeds; steps on {}.",
            widths.join("-"),
            s.optimizer,
            s.learning_rate,
            s.batch,
            s.epochs,
            s.repeats,
            self.adapter
        )
    }

    /// The same without the epochs.
    #[must_use]
    pub fn brief(&self) -> Self {
        let mut brief = self.clone();
        brief.methods.iter_mut().flat_map(|m| &mut m.runs).for_each(|r| r.history.clear());
        brief
    }

    /// One line per method.
    #[must_use]
    pub fn table(&self) -> String {
        let solvers = self.methods.iter().any(|m| m.solver != Solver::Proximal.to_string());
        let groups = self.methods.iter().any(|m| m.group_lambda > 0.0);
        let neurons: usize = self.settings.widths.iter().rev().skip(1).rev().skip(1).sum();
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        // the columns that this run needs: heading, whether, cell
        type Cell<'a> = Box<dyn Fn(&MethodSummary) -> String + 'a>;
        let mut depths: Vec<u32> = self.methods.iter().filter_map(|m| m.layers).collect();
        depths.dedup();
        let columns: [(&str, bool, Cell<'_>); 13] = [
            ("method", true, Box::new(|m| m.method.clone())),
            ("layers", depths.len() > 1, Box::new(|m| m.layers.map(|n| n.to_string()).unwrap_or_default())),
            (
                "solver",
                solvers,
                Box::new(|m| {
                    // what is reported of splitting is its copy
                    if m.beta.is_some() { format!("{}: V", m.solver) } else { m.solver.clone() }
                }),
            ),
            ("lambda", true, Box::new(|m| short(m.lambda))),
            ("group", groups, Box::new(|m| short(m.group_lambda))),
            (
                "accuracy %",
                true,
                Box::new(|m| {
                    let (mean, std) = (100.0 * m.accuracy_mean, 100.0 * m.accuracy_std);
                    with_deviation(mean, std, m.runs.len(), 2)
                }),
            ),
            ("density %", true, Box::new(|m| percent(m.density_mean))),
            (
                "met",
                self.settings.density.is_some(),
                Box::new(|m| {
                    let of = |met| format!("{met} of {}", m.runs.len());
                    m.density_met.map(of).unwrap_or_default()
                }),
            ),
            ("< 1e-5 %", solvers, Box::new(|m| percent(m.sparsity.weight_sparsity_1e5))),
            ("FLOPs %", true, Box::new(|m| percent(m.flop_share))),
            ("neurons", true, Box::new(|m| format!("{:.1}/{neurons}", m.neurons_alive))),
            ("checked", true, Box::new(|m| m.checked.to_string())),
            ("mismatches", true, Box::new(|m| m.mismatches.to_string())),
        ];
        let columns: Vec<_> = columns.iter().filter(|c| c.1).collect();
        let mut rows = vec![columns.iter().map(|c| c.0.to_owned()).collect::<Vec<_>>()];
        rows.extend(self.methods.iter().map(|m| columns.iter().map(|c| c.2(m)).collect()));
        let widths: Vec<_> = self.settings.widths.iter().map(usize::to_string).collect();
        format!(
            "{} on {}: {}, {} epochs, {} seed{}\n\n{}",
            self.dataset,
            self.adapter,
            widths.join("-"),
            self.settings.epochs,
            self.settings.repeats,
            if self.settings.repeats == 1 { "" } else { "s" },
            table(&rows)
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A summary with made-up figures.
    pub fn example(methods: &[(&str, f64, f64)]) -> Summary {
        let split = crate::data::Source::Digits.load(None).unwrap();
        let options = Options { epochs: 20, ..Options::default() };
        let methods = methods
            .iter()
            .map(|&(name, accuracy, density)| {
                let runs = (0..3)
                    .map(|seed| {
                        let shift = (seed as f64 - 1.0) * 0.004;
                        RunSummary {
                            seed,
                            accuracy: accuracy + shift,
                            accuracy_of_w: None,
                            validation: accuracy,
                            density: density * (1.0 - shift),
                            density_met: None,
                            parameter_share: density,
                            neurons_alive: vec![30 + seed as usize],
                            flop_share: density,
                            sparsity: Sparsity { weight_sparsity: 1.0 - density, ..Sparsity::default() },
                            steps: 10,
                            seconds: 1.0,
                            step_seconds: 0.5,
                            verification: Verification {
                                checked: 100,
                                max_ulps: 0.5,
                                ..Verification::default()
                            },
                            learned: None,
                            best: None,
                            history: (1..=20)
                                .map(|epoch| Epoch {
                                    epoch,
                                    loss: 1.0 / epoch as f64,
                                    validation: accuracy - 0.3 / epoch as f64,
                                    density: density + (1.0 - density) / epoch as f64,
                                    live: vec![30],
                                    sparsity: Sparsity::default(),
                                    lambda_scale: None,
                                    test: None,
                                })
                                .collect(),
                        }
                    })
                    .collect();
                MethodSummary::new(&Method::parse(name, None).unwrap(), runs)
            })
            .collect();
        Summary::new(&split, &options, "an adapter".into(), methods)
    }

    #[test]
    fn the_document_has_the_fields_that_scripts_rely_on() {
        let summary = example(&[("dense", 0.98, 1.0), ("tl1(a=0.5)", 0.97, 0.07)]);
        let document = serde_json::to_value(summary.brief()).unwrap();
        assert_eq!(document["dataset"], "digits");
        assert_eq!(document["adapter"], "an adapter");
        assert_eq!(document["verification"]["checked"], 600);
        assert_eq!(document["verification"]["mismatches"], 0);
        let method = &document["methods"][1];
        assert_eq!(method["method"], "tl1(a=0.5)");
        for (field, expected) in [
            ("accuracy_mean", 0.97),
            ("accuracy_std", 0.004),
            ("density_mean", 0.07),
            ("parameter_share", 0.07),
            ("neurons_alive", 31.0),
        ] {
            assert!((method[field].as_f64().unwrap() - expected).abs() < 1e-12, "{field}");
        }
        assert!(method["runs"][0].get("history").is_none());
        let whole = serde_json::to_value(&summary).unwrap();
        assert_eq!(whole["methods"][1]["runs"][0]["history"].as_array().unwrap().len(), 20);
    }

    #[test]
    fn one_run_has_no_deviation() {
        assert_eq!(deviation([0.5].into_iter()), 0.0);
        assert_eq!(mean(std::iter::empty()), 0.0);
    }

    #[test]
    fn the_table_shows_each_method() {
        let table = example(&[("dense", 0.98, 1.0), ("l1", 0.97, 0.07)]).table();
        assert!(table.contains("97.00 ± 0.40"), "{table}");
        assert!(table.contains("31.0/128"), "{table}");
    }
}
