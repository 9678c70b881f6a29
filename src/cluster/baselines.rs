//! What learning has to be compared with: unlearned graphs of a given density.

use ndarray::Array2;

use super::Graph;

/// The share of entries >= 0.01 that the authors count.
pub const COUNTED: f64 = 0.01;

/// The share of entries of at least [`COUNTED`].
#[must_use]
pub fn density(x: &Array2<f64>) -> f64 {
    x.iter().filter(|&&v| v >= COUNTED).count() as f64 / x.len().max(1) as f64
}

/// W soft thresholded so that its density is at most `density`.
#[must_use]
pub fn soft(graph: &Graph, target: f64) -> Array2<f64> {
    let _ = (graph, target);
    todo!()
}

/// P^2 with P = D^{-1/2} W D^{-1/2}, soft thresholded so that its density is at most `density`.
#[must_use]
pub fn squared(graph: &Graph, target: f64) -> Array2<f64> {
    let _ = (graph, target);
    todo!()
}
