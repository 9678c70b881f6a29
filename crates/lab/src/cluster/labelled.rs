//! Classification of the vertices of a graph of which a share is labelled.

use faer::Mat;
use faer::linalg::solvers::Solve;
use ndarray::Array2;
use rand::seq::index::sample;

use super::Graph;
use super::spectral::square;
use super::{Purpose, random};
use maf_srl::error::{Error, Result, require, shape, unsupported};

/// How many vertices are labelled: floor(`share` `vertices`).
///
/// # Errors
/// [`Error::Domain`] where the share is outside (0, 1), so small that no vertex is drawn, or there are more than 2^32
/// - 1 vertices.
pub fn count(vertices: usize, share: f64) -> Result<usize> {
    require(share > 0.0 && share < 1.0, "labelled vertices", "share", share, "(0, 1)")?;
    // From 2^32 on, the numbers drawn would depend on the machine's word.
    let most = u32::MAX as usize;
    require(vertices <= most, "labelled vertices", "vertices", vertices, "[1, 2^32 - 1]")?;
    let count = (share * vertices as f64).floor() as usize;
    require(count > 0, "labelled vertices", "share", share, format_args!("[1/{vertices}, 1)"))?;
    Ok(count)
}

/// Which vertices are labelled: as many as [`count`] says, drawn at random without a look at their classes, as the
/// authors do; in ascending order.
///
/// # Errors
/// Those of [`count`].
pub fn draw(vertices: usize, share: f64, seed: u64) -> Result<Vec<usize>> {
    let count = count(vertices, share)?;
    let mut drawn = sample(&mut random(seed, Purpose::Labels), vertices, count).into_vec();
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
/// D is the diagonal matrix of the row sums of X, n x n; Y, n x `count`, has 1 at the class of each labelled vertex,
/// and 0 elsewhere. X is taken as it is, symmetric or not, by LU decomposition. A vertex that no label reaches gets
/// class 0. The classes of unlabelled vertices are not looked at.
///
/// # Errors
/// [`Error::Shape`] where X is not square or there are not as many classes as vertices; [`Error::Domain`] where an
/// entry of X is NaN or infinite, a labelled vertex is none, or its class is not below `count`;
/// [`Error::Unsupported`] where I + D - X is singular, which it never is with entries >= 0.
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
        return Err(Error::Domain { place, name, value: value.into(), allowed: "finite numbers".into() });
    }
    let mut y = Mat::zeros(n, count);
    for &i in labelled {
        let (name, class) = (format_args!("class of vertex {i}"), classes[i]);
        require(class < count, "classes", name, class, format_args!("[0, {count})"))?;
        y[(i, classes[i])] = 1.0;
    }
    let a = Mat::from_fn(n, n, |i, j| if i == j { 1.0 + x.row(i).sum() } else { 0.0 } - x[[i, j]]);
    let f = a.partial_piv_lu().solve(&y);
    if (0..count).any(|k| f.col(k).iter().any(|v| !v.is_finite())) {
        return Err(unsupported("label propagation", "I + D - X is singular", "X with entries >= 0"));
    }
    // The first of several largest, where max_by would take the last.
    let class = |i: usize| (0..count).reduce(|best, k| if f[(i, k)] > f[(i, best)] { k } else { best });
    Ok((0..n).map(|i| class(i).unwrap_or(0)).collect())
}

/// The share of the vertices that are not `labelled` whose `found` class is theirs.
///
/// # Errors
/// [`Error::Shape`] where `classes` and `found` differ in length; [`Error::Domain`] for a labelled vertex that is
/// none, or where all are labelled.
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
        return Err(shape("classes", "length", classes.len(), format!("{vertices}, the number of vertices")));
    }
    for &i in labelled {
        require(i < vertices, "labelled vertices", "vertex", i, format_args!("[0, {vertices})"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        propagation: Case,
    }

    #[derive(Deserialize)]
    struct Case {
        x: Vec<Vec<f64>>,
        classes: Vec<usize>,
        labelled: Vec<usize>,
        found: Vec<usize>,
    }

    /// X is not symmetric and has negative entries; `docs/TESTING.md` says where the values come from.
    #[test]
    fn propagation_agrees_with_numpy() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../tests/data/cluster/reference.json")).unwrap();
        let Case { x, mut classes, labelled, found } = reference.propagation;
        let x = Array2::from_shape_fn((40, 40), |(i, j)| x[i][j]);
        assert_eq!(propagated(&x, &classes, &labelled, 4).unwrap(), found);
        let right = accuracy(&classes, &found, &labelled).unwrap();
        let hidden = (0..40).filter(|i| !labelled.contains(i));
        let hits = hidden.clone().filter(|&i| classes[i] == found[i]).count();
        assert_eq!(right, hits as f64 / 30.0);
        // The classes of unlabelled vertices play no part, not even wrong ones.
        hidden.for_each(|i| classes[i] = 99);
        assert_eq!(propagated(&x, &classes, &labelled, 4).unwrap(), found);
    }

    #[test]
    fn draws_are_floors_of_shares_and_repeat() {
        for (vertices, share, count) in [(1079, 0.1, 107), (10, 0.1, 1), (210, 0.05, 10), (3, 0.99, 2)] {
            let drawn = draw(vertices, share, 5).unwrap();
            assert_eq!(drawn.len(), count);
            assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|&i| i < vertices));
            assert_eq!(draw(vertices, share, 5).unwrap(), drawn);
        }
        assert_ne!(draw(1079, 0.1, 5).unwrap(), draw(1079, 0.1, 6).unwrap());
        // Every vertex is drawn about as often: 200 times; 5 standard deviations are 64.
        let mut times = [0i32; 10];
        (0..1000).for_each(|seed| draw(10, 0.2, seed).unwrap().iter().for_each(|&i| times[i] += 1));
        assert!(times.iter().all(|t| (t - 200).abs() < 64), "{times:?}");
    }

    #[test]
    fn labelled_vertices_of_one_class_are_joined() {
        let w =
            array![[0.0, 0.2, 0.3, 0.0], [0.2, 0.0, 0.1, 0.4], [0.3, 0.1, 0.0, 0.5], [0.0, 0.4, 0.5, 0.0]];
        let graph = Graph::new("test", w).unwrap();
        let joined = joined(&graph, &[1, 0, 1, 1], &[0, 1, 3]).unwrap();
        let wanted =
            array![[1.0, 0.2, 0.3, 1.0], [0.2, 1.0, 0.1, 0.4], [0.3, 0.1, 0.0, 0.5], [1.0, 0.4, 0.5, 1.0]];
        assert_eq!(joined.weights(), wanted);
    }

    #[test]
    fn wrong_input_is_refused() {
        for (vertices, share) in [(9, 0.1), (0, 0.5), (9, 0.0), (9, 1.0), (9, f64::NAN), (9, -1.0)] {
            let text = draw(vertices, share, 1).unwrap_err().to_string();
            assert!(text.starts_with("labelled vertices: share = "), "{text}");
        }
        let x = array![[0.0, 1.0], [1.0, 0.0]];
        let text = |classes: &[usize], labelled: &[usize], count| {
            propagated(&x, classes, labelled, count).unwrap_err().to_string()
        };
        assert_eq!(text(&[0], &[0], 1), "classes: length is 1, expected 2, the number of vertices");
        assert_eq!(text(&[0, 1], &[2], 2), "labelled vertices: vertex = 2 is outside [0, 2)");
        assert_eq!(text(&[0, 5], &[1], 2), "classes: class of vertex 1 = 5 is outside [0, 2)");
        assert!(propagated(&array![[0.0, 1.0]], &[0], &[0], 1).is_err());
        let refused = |x: Array2<f64>| propagated(&x, &[0, 1], &[0, 1], 2).unwrap_err().to_string();
        assert!(refused(array![[0.0, f64::NAN], [1.0, 0.0]]).starts_with("X: row 0, column 1 = NaN"));
        // I + D - X = [[0, 1], [0, 1]].
        let singular = refused(array![[0.0, -1.0], [0.0, 0.0]]);
        assert!(singular.contains("I + D - X is singular"), "{singular}");
        assert!(accuracy(&[0, 1], &[0, 1], &[0, 1]).unwrap_err().to_string().contains("unlabelled vertices"));
        assert!(accuracy(&[0, 1], &[0], &[0]).is_err());
    }
}
