//! Weighted undirected graphs, and how they are made from data.

use ndarray::Array2;

use crate::error::Result;

/// A weighted undirected graph: a dense symmetric matrix W with w_ij >= 0, finite, by whose place errors are named.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    weights: Array2<f64>,
}

impl Graph {
    /// Checks a matrix that is to be a graph, named `place` in errors.
    ///
    /// # Errors
    pub fn new(place: &str, weights: Array2<f64>) -> Result<Self> {
        let _ = place;
        Ok(Graph { weights })
    }

    /// The average over the views of their graphs of `neighbours` nearest neighbours with a heat kernel.
    ///
    /// # Errors
    pub fn from_views(views: &[Array2<f64>], neighbours: usize) -> Result<Self> {
        let _ = (views, neighbours);
        todo!()
    }

    /// W.
    #[must_use]
    pub fn weights(&self) -> &Array2<f64> {
        &self.weights
    }

    /// n.
    #[must_use]
    pub fn vertices(&self) -> usize {
        self.weights.nrows()
    }
}
