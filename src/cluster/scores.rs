//! How well clusters agree with classes.

use serde::Serialize;

use crate::error::Result;

/// Agreement of clusters with classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Accuracy under the best one-to-one matching of clusters and classes (Hungarian).
    pub acc: f64,
    /// The share of samples in their cluster's most frequent class.
    pub purity: f64,
    /// Normalised mutual information, arithmetic mean of the entropies below.
    pub nmi: f64,
    /// The adjusted Rand index.
    pub ari: f64,
}

impl Scores {
    /// Of `found` clusters against the `classes`.
    ///
    /// # Errors
    pub fn new(classes: &[usize], found: &[usize]) -> Result<Self> {
        let _ = (classes, found);
        todo!()
    }
}
