//! Spectral embedding of a graph.

use ndarray::Array2;
use serde::Serialize;

use crate::error::Result;

/// What of a matrix X stands for the similarity of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Affinity {
    /// exp(-||x_i - x_j||^2 / n) of the rows of X, n being their length, and 0 for i = j: what the authors do.
    Rows,
    /// X itself.
    Graph,
}

impl Affinity {
    /// Both.
    pub const ALL: [Affinity; 2] = [Affinity::Rows, Affinity::Graph];

    /// What it is, in a few words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Affinity::Rows => "heat kernel of the rows",
            Affinity::Graph => "the graph itself",
        }
    }

    /// The similarities.
    #[must_use]
    pub fn of(self, x: &Array2<f64>) -> Array2<f64> {
        let _ = x;
        todo!()
    }
}

/// The eigenvectors of the `dimensions` largest eigenvalues of D^{-1/2} S D^{-1/2}, each row scaled to length 1.
///
/// # Errors
pub fn embedding(similarities: &Array2<f64>, dimensions: usize) -> Result<Array2<f64>> {
    let _ = (similarities, dimensions);
    todo!()
}
