//! Classification of the vertices of a graph of which a share is labelled.

use ndarray::Array2;

use super::Graph;
use crate::error::Result;

/// Which vertices are labelled: floor(share n) of them, drawn at random.
///
/// # Errors
pub fn draw(vertices: usize, share: f64, seed: u64) -> Result<Vec<usize>> {
    let _ = (vertices, share, seed);
    todo!()
}

/// W with 1 between any two labelled vertices of one class, each with itself too.
#[must_use]
pub fn joined(graph: &Graph, classes: &[usize], labelled: &[usize]) -> Graph {
    let _ = (graph, classes, labelled);
    todo!()
}

/// The class of each vertex: the largest entry of its row of (I + D - X)^{-1} Y.
///
/// # Errors
pub fn propagated(
    x: &Array2<f64>,
    classes: &[usize],
    labelled: &[usize],
    count: usize,
) -> Result<Vec<usize>> {
    let _ = (x, classes, labelled, count);
    todo!()
}

/// The share of the vertices without a label whose class is right.
#[must_use]
pub fn accuracy(classes: &[usize], found: &[usize], labelled: &[usize]) -> f64 {
    let _ = (classes, found, labelled);
    todo!()
}
