//! k-means: Lloyd's iterations from k-means++.

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;

/// The outcome of k-means.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The cluster of each row.
    pub labels: Vec<usize>,
    /// The centres, one per row.
    pub centres: Array2<f64>,
    /// The sum of squared distances to the nearest centre.
    pub inertia: f64,
}

/// One run from k-means++ centres.
///
/// # Errors
pub fn kmeans(points: ArrayView2<'_, f64>, clusters: usize, random: &mut ChaCha8Rng) -> Result<Clusters> {
    let _ = (points, clusters, random);
    todo!()
}
