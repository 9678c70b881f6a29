//! Mean and deviation of repeated runs.

/// The mean; 0 of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

/// The standard deviation over n - 1; 0 of fewer than two values.
pub(crate) fn deviation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let centre = mean(values.clone());
    let (sum, count) = values.fold((0.0, 0.0), |(s, n), v| (s + (v - centre) * (v - centre), n + 1.0));
    if count < 2.0 { 0.0 } else { (sum / (count - 1.0)).sqrt() }
}

/// A mean with its deviation, to so many decimals; one run has none.
pub(crate) fn with_deviation(mean: f64, deviation: f64, runs: usize, decimals: usize) -> String {
    match runs {
        1 => format!("{mean:.decimals$}"),
        _ => format!("{mean:.decimals$} ± {deviation:.decimals$}"),
    }
}
