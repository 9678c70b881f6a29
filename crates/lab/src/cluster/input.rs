//! What a run starts from: a graph, or the views to make one of, and labels.

use std::path::Path;

use ndarray::Array2;

use super::Graph;
use crate::data::{Tensor, Tensors, mat};
use maf_srl::error::{self, Result, require, unsupported};

/// Labels lie within this: integers up to it are exact in every type that a file may have.
const LARGEST: f64 = 16_777_215.0;

/// A graph with the classes of its vertices.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name of the labels' file, without its extension.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// The class of each vertex, from 0.
    pub labels: Vec<usize>,
    /// How many classes there are, at least 2; each has a vertex.
    pub classes: usize,
}

/// The files that are read.
enum Kind {
    Mat,
    Npy,
}

impl Kind {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase().as_str() {
            "mat" => Ok(Kind::Mat),
            "npy" => Ok(Kind::Npy),
            other => Err(unsupported(
                path.display().to_string(),
                match other {
                    "" => "a file name without an extension says nothing about its format".into(),
                    _ => format!("graphs and labels are not read from .{other} files"),
                },
                ".mat, .npy",
            )),
        }
    }
}

impl Input {
    /// Reads the labels and the graph; without a file for it, reads the views and makes it from them
    /// ([`Graph::from_views`] with `neighbours`).
    ///
    /// - `graph`: a `.mat` file with a matrix W, or a square `.npy` of f32 or f64 (read as f32).
    /// - `labels`: a `.mat` file with a vector Y, and the views as a cell array X, samples in rows; or a `.npy` of f32 or
    ///   f64 with one dimension other than 1. Labels are integers within ±16777215; in ascending order they become the
    ///   classes 0, 1, 2, ...
    ///
    /// # Errors
    /// Those of [`mat::Variables`], [`Tensors::read`], [`Graph::new`] and [`Graph::from_views`]; [`error::Error::Unsupported`]
    /// for a file of another kind, or where neither a graph nor views are given; [`error::Error::Domain`] naming a label that
    /// is no such integer, or less than 2 classes; [`error::Error::Shape`] where graph, labels and views have different
    /// lengths.
    pub fn load(graph: Option<&Path>, labels: &Path, neighbours: usize) -> Result<Self> {
        let place = labels.display().to_string();
        let mut views = Vec::new();
        let (shape, values) = match Kind::of(labels)? {
            Kind::Mat => {
                let variables = mat::Variables::read(labels)?;
                let y = variables.matrix("Y")?;
                if graph.is_none() && variables.names().any(|name| name == "X") {
                    views = variables.cells("X")?;
                }
                (y.shape().to_vec(), y.iter().copied().collect())
            }
            Kind::Npy => {
                let tensor = only(labels)?;
                (tensor.shape().to_vec(), tensor.values().iter().map(|&v| f64::from(v)).collect())
            }
        };
        let (labels_, classes) = classes(&place, &shape, values)?;
        let same = |place: &str, name: &str, got: usize| {
            if got == labels_.len() {
                return Ok(());
            }
            let expected = format!("{}, the number of labels in {}", labels_.len(), labels.display());
            Err(error::shape(place, name, got, expected))
        };
        for (v, view) in views.iter().enumerate() {
            same(&format!("{place}: view {v} (from 0)"), "number of samples", view.nrows())?;
        }
        let graph = match graph {
            Some(path) => {
                let place = path.display().to_string();
                let graph = Graph::new(&place, weights(path)?)?;
                same(&place, "number of vertices", graph.vertices())?;
                graph
            }
            None if views.is_empty() => {
                return Err(unsupported(
                    place,
                    "it has no views to make a graph of",
                    "a file with a graph beside it, or a .mat file with the views as a cell array X",
                ));
            }
            None => Graph::from_views(&place, &views, neighbours)?,
        };
        let name = labels.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Input { name, graph, labels: labels_, classes })
    }
}

/// The matrix of a graph, unchecked.
fn weights(path: &Path) -> Result<Array2<f64>> {
    match Kind::of(path)? {
        Kind::Mat => mat::Variables::read(path)?.matrix("W"),
        Kind::Npy => {
            let tensor = only(path)?;
            tensor.matrix().ok_or_else(|| {
                let got = format!("of shape {:?}", tensor.shape());
                error::shape(path.display().to_string(), "weights of a graph", got, "a square matrix")
            })
        }
    }
}

/// The one tensor of a `.npy` file.
fn only(path: &Path) -> Result<Tensor> {
    let tensors = Tensors::read(path, None)?;
    tensors
        .iter()
        .next()
        .cloned()
        .ok_or_else(|| unsupported(path.display().to_string(), "it holds no tensor", "one tensor"))
}

/// The class of each label, and how many classes there are.
fn classes(place: &str, shape: &[usize], values: Vec<f64>) -> Result<(Vec<usize>, usize)> {
    if shape.iter().filter(|&&d| d != 1).count() > 1 {
        let got = format!("of shape {shape:?}");
        return Err(error::shape(place, "labels", got, "a vector: one row or one column"));
    }
    for (i, &label) in values.iter().enumerate() {
        let allowed = label.fract() == 0.0 && label.abs() <= LARGEST;
        let range = format_args!("the integers within [-{LARGEST}, {LARGEST}]");
        require(allowed, format_args!("{place}: label {i} (from 0)"), "label", label, range)?;
    }
    let mut distinct = values.clone();
    distinct.sort_by(f64::total_cmp);
    // by value: -0 is 0
    distinct.dedup();
    require(distinct.len() >= 2, place, "number of classes", distinct.len(), "[2, the number of samples]")?;
    let labels = values.iter().map(|label| distinct.partition_point(|d| d < label)).collect();
    Ok((labels, distinct.len()))
}
