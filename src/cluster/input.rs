//! What a run starts from: a graph, or the views to make one of, and labels.

use std::path::Path;

use ndarray::Array2;

use super::Graph;
use crate::error::Result;

/// A graph with the classes of its vertices.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name, from the files'.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// The views, samples by features, where the file of the labels has them.
    pub views: Vec<Array2<f64>>,
    /// The class of each vertex, from 0.
    pub labels: Vec<usize>,
    /// How many classes there are.
    pub classes: usize,
}

impl Input {
    /// Reads the labels (and views), and the graph; without a file for it, makes it from the views.
    ///
    /// # Errors
    pub fn load(graph: Option<&Path>, labels: &Path, neighbours: usize) -> Result<Self> {
        let _ = (graph, labels, neighbours);
        todo!()
    }
}
