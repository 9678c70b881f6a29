//! Clustering and semi-supervised classification on graphs that a learned sparse regulariser has thinned out.

mod baselines;
mod graph;
mod input;
mod kmeans;
mod labelled;
mod learned;
mod scores;
mod spectral;

pub use graph::Graph;
pub use input::Input;
pub use kmeans::{Clusters, kmeans};
pub use learned::{Learned, Method, Options, fit};
pub use scores::Scores;
pub use spectral::{Affinity, embedding};
