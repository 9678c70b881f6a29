//! Solvers against each other, in Markdown: the tables 10 and 11 of Bui et al. in kind.

use super::fit::Epoch;
use super::report::{MethodSummary, RunSummary, Summary, short};
use crate::statistics::{deviation, mean};

/// A figure of an epoch: its heading, and how to read it.
type Figure = (&'static str, fn(&Epoch) -> f64);

/// Which epoch of a run: the heading, and how to find it.
type Choice = (&'static str, fn(&RunSummary) -> Option<&Epoch>);

const CHOICES: [Choice; 2] = [
    ("after the last epoch", |run| run.history.last()),
    ("in the epoch of the lowest test error, chosen by that error", |run| run.best.as_ref()),
];

const FIGURES: [Figure; 4] = [
    ("Test error, %", |e| 100.0 * (1.0 - e.test.unwrap_or(0.0))),
    ("Weights below 1e-5, %", |e| 100.0 * e.sparsity.weight_sparsity_1e5),
    ("Weights exactly zero, %", |e| 100.0 * e.sparsity.weight_sparsity),
    ("Hidden neurons with a mean weight of 1e-5 at most, %", |e| 100.0 * e.sparsity.neuron_sparsity_1e5),
];

/// The distinct values of a field, in the order of their first appearance.
fn distinct<T: PartialEq>(methods: &[MethodSummary], of: impl Fn(&MethodSummary) -> T) -> Vec<T> {
    let mut found = Vec::new();
    for value in methods.iter().map(of) {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// One table per figure, method and choice of epoch: a line per lambda, a column per solver.
#[must_use]
pub fn comparison(summary: &Summary) -> String {
    let mut text = format!(
        "# Solvers on {}\n\n{} The figures of splitting are those of the copy V, which is its result.\n",
        summary.dataset,
        summary.made()
    );
    let solvers = distinct(&summary.methods, |m| m.solver.clone());
    for name in distinct(&summary.methods, |m| m.method.clone()) {
        let rows: Vec<_> = summary.methods.iter().filter(|m| m.method == name).collect();
        for (when, choose) in CHOICES {
            text += &format!("\n## {name}, {when}\n");
            for (heading, read) in FIGURES {
                text += &format!("\n| {heading} | {} |\n", solvers.join(" | "));
                text += &format!("|---|{}\n", "---|".repeat(solvers.len()));
                let mut lambdas: Vec<f64> = rows.iter().map(|m| m.lambda).collect();
                lambdas.sort_by(f64::total_cmp);
                lambdas.dedup();
                for lambda in lambdas {
                    let cell = |solver: &String| {
                        let found = rows.iter().find(|m| m.lambda == lambda && m.solver == *solver)?;
                        let values: Vec<f64> = found.runs.iter().filter_map(choose).map(read).collect();
                        let spread = deviation(values.iter().copied());
                        Some(format!("{:.2} ({spread:.2})", mean(values.into_iter())))
                    };
                    let cells: Vec<_> = solvers.iter().map(|s| cell(s).unwrap_or_default()).collect();
                    text += &format!("| lambda {} | {} |\n", short(lambda), cells.join(" | "));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;

    #[test]
    fn every_solver_has_its_column_and_every_lambda_its_line() {
        let mut summary = example(&[("l1", 0.97, 0.1), ("l1", 0.96, 0.05)]);
        summary.methods[1].solver = "splitting".into();
        summary.methods[1].lambda = 0.5;
        for epoch in summary.methods.iter_mut().flat_map(|m| &mut m.runs).flat_map(|r| &mut r.history) {
            epoch.test = Some(0.9);
        }
        let text = comparison(&summary);
        assert!(text.contains("| Test error, % | proximal | splitting |"), "{text}");
        assert!(text.contains("| lambda 0.5 |  | 10.00 (0.00) |"), "{text}");
        assert!(text.contains("chosen by that error"), "{text}");
    }
}
