//! Classification of the vertices of a graph of which a share is labelled.

use faer::Mat;
use faer::linalg::solvers::Solve;
use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::Graph;
use super::spectral::square;
use crate::error::{Error, Result, require};

/// Which vertices are labelled: floor(`share` `vertices`) of them, drawn at random without a look at their classes, as the
/// authors do; in ascending order.
///
/// # Errors
/// [`Error::Domain`] where the share is outside (0, 1), so small that no vertex is drawn, or there are more than 2^32 - 1 vertices.
pub fn draw(vertices: usize, share: f64, seed: u64) -> Result<Vec<usize>> {
    require(share > 0.0 && share < 1.0, "labelled vertices", "share", share, "(0, 1)")?;
    // From 2^32 on, the numbers drawn would depend on the machine's word.
    let most = u32::MAX as usize;
    require(vertices <= most, "labelled vertices", "vertices", vertices as f64, "[1, 2^32 - 1]")?;
    let count = (share * vertices as f64).floor() as usize;
    let range = format!("[1/{vertices}, 1)");
    require(count > 0, "labelled vertices", "share", share, range)?;
    let mut drawn = sample(&mut ChaCha8Rng::seed_from_u64(seed), vertices, count).into_vec();
    drawn.sort_unstable();
    Ok(drawn)
}

/// W with weight 1 between any two labelled vertices of one class, and of each labelled vertex with itself.
///
/// # Errors
/// [`Error::Shape`] where there are not as many classes as vertices; [`Error::Domain`] for a labelled vertex that is none.
pub fn joined(graph: &Graph, classes: &[usize], labelled: &[usize]) -> Result<Graph> {
    check(graph.vertices(), classes, labelled)?;
    let mut weights = graph.weights().clone();
    for &i in labelled {
        for &j in labelled {
            if classes[i] == classes[j] {
                weights[[i, j]] = 1.0;
            }
        }
    }
    Graph::new("graph with labels", weights)
}

/// The class of each vertex: the column of the largest entry of its row of F = (I + D - X)^{-1} Y, the first of several.
///
/// D is the diagonal matrix of the row sums of X, n x n; Y, n x `count`, has 1 at the class of each labelled vertex, and 0 elsewhere. X is
/// taken as it is, symmetric or not, by LU decomposition. A vertex that no label reaches gets class 0. The classes of
/// unlabelled vertices are not looked at.
///
/// # Errors
/// [`Error::Shape`] where X is not square or there are not as many classes as vertices; [`Error::Domain`] where an entry
/// of X is NaN or infinite, a labelled vertex is none, or its class is not below `count`; [`Error::Unsupported`] where I + D - X is singular,
/// which it never is with entries >= 0.
pub fn propagated(
    x: &Array2<f64>,
    classes: &[usize],
    labelled: &[usize],
    count: usize,
) -> Result<Vec<usize>> {
    let n = x.nrows();
    square("X", x)?;
    check(n, classes, labelled)?;
    if let Some(((i, j), &value)) = x.indexed_iter().find(|(_, v)| !v.is_finite()) {
        let (place, name) = ("X".into(), format!("row {i}, column {j}"));
        return Err(Error::Domain { place, name, value, allowed: "finite numbers".into() });
    }
    let mut y = Mat::zeros(n, count);
    for &i in labelled {
        let allowed = format!("[0, {count})");
        require(classes[i] < count, "classes", &format!("class of vertex {i}"), classes[i] as f64, allowed)?;
        y[(i, classes[i])] = 1.0;
    }
    let a = Mat::from_fn(n, n, |i, j| if i == j { 1.0 + x.row(i).sum() } else { 0.0 } - x[[i, j]]);
    let f = a.partial_piv_lu().solve(&y);
    if (0..count).any(|k| f.col(k).iter().any(|v| !v.is_finite())) {
        return Err(Error::Unsupported {
            place: "label propagation".into(),
            what: "I + D - X is singular".into(),
            allowed: "X with entries >= 0".into(),
        });
    }
    // The first of several largest, where max_by would take the last.
    let class = |i: usize| (0..count).reduce(|best, k| if f[(i, k)] > f[(i, best)] { k } else { best });
    Ok((0..n).map(|i| class(i).unwrap_or(0)).collect())
}

/// The share of the vertices that are not `labelled` whose `found` class is theirs.
///
/// # Errors
/// [`Error::Shape`] where `classes` and `found` differ in length; [`Error::Domain`] for a labelled vertex that is none, or where
/// all are labelled.
pub fn accuracy(classes: &[usize], found: &[usize], labelled: &[usize]) -> Result<f64> {
    check(found.len(), classes, labelled)?;
    let mut hidden = vec![true; classes.len()];
    labelled.iter().for_each(|&i| hidden[i] = false);
    let asked = hidden.iter().filter(|&&h| h).count();
    require(asked > 0, "accuracy", "number of unlabelled vertices", 0.0, "[1, number of vertices]")?;
    let right = (0..classes.len()).filter(|&i| hidden[i] && classes[i] == found[i]).count();
    Ok(right as f64 / asked as f64)
}

fn check(vertices: usize, classes: &[usize], labelled: &[usize]) -> Result<()> {
    if classes.len() != vertices {
        return Err(Error::Shape {
            place: "classes".into(),
            name: "length".into(),
            got: classes.len().to_string(),
            expected: format!("{vertices}, the number of vertices"),
        });
    }
    for &i in labelled {
        require(i < vertices, "labelled vertices", "vertex", i as f64, format!("[0, {vertices})"))?;
    }
    Ok(())
}
