//! Spectral embedding of a graph.

use faer::{Mat, Side};
use ndarray::{Array1, Array2, Axis};
use serde::Serialize;

use maf_srl::error::{Error, Result, require, shape, unsupported};

/// What of a square matrix X stands for the similarity of its rows.
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

    /// The similarities: n x n, for `Rows` exactly symmetric. NaN in a row of X makes NaN of all that has to do with it.
    #[must_use]
    pub fn of(self, x: &Array2<f64>) -> Array2<f64> {
        if self == Affinity::Graph {
            return x.clone();
        }
        // ||x_i - x_j||^2 from one product of matrices.
        let products = x.dot(&x.t());
        let length = x.ncols().max(1) as f64;
        Array2::from_shape_fn(products.dim(), |(i, j)| {
            // The same entry of the product for (i, j) and (j, i).
            let both = products[[i.min(j), i.max(j)]];
            let distance = products[[i, i]] + products[[j, j]] - 2.0 * both;
            // Not f64::max, which would hide NaN.
            let distance = if distance < 0.0 { 0.0 } else { distance };
            if i == j { 0.0 * distance } else { (-distance / length).exp() }
        })
    }
}

/// The eigenvectors of the `dimensions` largest eigenvalues of D^{-1/2} S D^{-1/2}, one per column, each row scaled to
/// length 1: one row per vertex (Ng, Jordan, Weiss 2001).
///
/// S is the symmetric part (X + X^T) / 2 of `similarities`, D the diagonal matrix of its row sums. A vertex of degree
/// 0 gets a zero row, and so does one that the eigenvectors do not reach. Negative similarities have no meaning here:
/// clip them first. In each eigenvector the entry of largest magnitude is positive, the first of several; where
/// eigenvalues are equal, any basis of their eigenvectors may come out.
///
/// # Errors
/// [`Error::Shape`] where the matrix is not square; [`Error::Domain`] where there are no dimensions or more than vertices,
/// or a similarity is negative, NaN or infinite; [`Error::Unsupported`] where the eigenvalues do not converge.
pub fn embedding(similarities: &Array2<f64>, dimensions: usize) -> Result<Array2<f64>> {
    let n = similarities.nrows();
    square("similarities", similarities)?;
    let fits = (1..=n).contains(&dimensions);
    let allowed = format_args!("[1, {n}], the number of vertices");
    require(fits, "embedding", "dimensions", dimensions, allowed)?;
    for ((i, j), &value) in similarities.indexed_iter() {
        let fine = value >= 0.0 && value.is_finite();
        if !fine {
            let name = format!("row {i}, column {j}");
            return Err(Error::Domain {
                place: "similarities".into(),
                name,
                value: value.into(),
                allowed: "[0, inf)".into(),
            });
        }
    }
    let p = normalised((similarities + &similarities.t()) * 0.5);
    let mut rows = leading(&p, dimensions)?.1;
    for (mut row, vertex) in rows.rows_mut().into_iter().zip(p.rows()) {
        let length = row.dot(&row).sqrt();
        // what is left of a component that these eigenvectors do not reach is rounding errors
        if length <= n as f64 * f64::EPSILON || vertex.iter().all(|&v| v == 0.0) {
            row.fill(0.0);
        } else {
            row /= length;
        }
    }
    Ok(rows)
}

/// D^{-1/2} S D^{-1/2} with D the row sums; zero rows and columns where these are 0.
pub(super) fn normalised(mut s: Array2<f64>) -> Array2<f64> {
    let scale: Array1<f64> = s.sum_axis(Axis(1)).mapv(|d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 });
    for ((i, j), value) in s.indexed_iter_mut() {
        // one after the other: the product of two may overflow
        *value = *value * scale[i] * scale[j];
    }
    s
}

/// [`Error::Shape`] where a matrix is not square.
pub(super) fn square(place: &str, x: &Array2<f64>) -> Result<()> {
    if x.is_square() {
        return Ok(());
    }
    Err(shape(place, "shape", format!("{} x {}", x.nrows(), x.ncols()), "as many rows as columns"))
}

/// The largest eigenvalues of a symmetric matrix, in descending order, and their eigenvectors as columns.
///
/// All are computed, by faer: at 1079 x 1079 five times as fast as nalgebra.
fn leading(p: &Array2<f64>, count: usize) -> Result<(Array1<f64>, Array2<f64>)> {
    let n = p.nrows();
    let all = Mat::from_fn(n, n, |i, j| p[[i, j]]).self_adjoint_eigen(Side::Lower).map_err(|_| {
        unsupported(
            "embedding",
            format!("the eigenvalues of the {n} x {n} similarities do not converge"),
            "similarities of about the same magnitude",
        )
    })?;
    // faer's are in ascending order.
    let column = |k: usize| n - 1 - k;
    let values = (0..count).map(|k| all.S()[column(k)]).collect();
    let mut vectors = Array2::from_shape_fn((n, count), |(i, k)| all.U()[(i, column(k))]);
    for mut vector in vectors.columns_mut() {
        let largest = vector.iter().fold(0.0f64, |most, &v| if v.abs() > most.abs() { v } else { most });
        if largest < 0.0 {
            vector.mapv_inplace(|v| -v);
        }
    }
    Ok((values, vectors))
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde::Deserialize;

    use super::*;
    use crate::cluster::{Scores, kmeans};

    #[derive(Deserialize)]
    struct Reference {
        graph: Case,
    }

    #[derive(Deserialize)]
    struct Case {
        edges: Vec<(usize, usize, f64)>,
        eigenvalues: [f64; 3],
        embedding: Vec<[f64; 3]>,
        rows: Vec<f64>,
        labels: Vec<usize>,
    }

    /// `docs/TESTING.md` says where the values come from.
    fn case() -> (Case, Array2<f64>) {
        let reference: Reference =
            serde_json::from_str(include_str!("../../tests/data/cluster/reference.json")).unwrap();
        let mut w = Array2::zeros((60, 60));
        for &(i, j, weight) in &reference.graph.edges {
            w[[i, j]] = weight;
            w[[j, i]] = weight;
        }
        (reference.graph, w)
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-10
    }

    #[test]
    fn eigenvalues_and_embedding_agree_with_numpy() {
        let (case, w) = case();
        let (values, _) = leading(&normalised(w.clone()), 3).unwrap();
        assert!(values.iter().zip(case.eigenvalues).all(|(&a, b)| close(a, b)), "{values}");
        // The three eigenvalues differ, so that the eigenvectors are unique up to their signs, which are fixed.
        let rows = embedding(&w, 3).unwrap();
        assert!(rows.iter().zip(case.embedding.iter().flatten()).all(|(&a, &b)| close(a, b)), "{rows}");
    }

    #[test]
    fn clusters_agree_with_scikit_learn() {
        let (case, w) = case();
        let rows = embedding(&Affinity::Graph.of(&w), 3).unwrap();
        let found = kmeans(rows.view(), 3, &mut ChaCha8Rng::seed_from_u64(7)).unwrap();
        assert_eq!(Scores::new(&case.labels, &found.labels).unwrap().ari, 1.0);
    }

    #[test]
    fn similarities_of_rows_agree_with_scikit_learn() {
        let (case, w) = case();
        let s = Affinity::Rows.of(&w);
        assert!(s.row(0).iter().zip(&case.rows).all(|(&a, &b)| (a - b).abs() < 1e-14));
        assert_eq!(s, s.t());
        assert!(s.diag().iter().all(|&v| v == 0.0));
        let mut w = w;
        w[[2, 3]] = f64::NAN;
        let s = Affinity::Rows.of(&w);
        for ((i, j), v) in s.indexed_iter() {
            assert_eq!(v.is_nan(), i == 2 || j == 2, "{i}, {j}");
        }
    }

    /// Two cliques and a vertex without edges: the eigenvalue 1 is double, and any basis may come out.
    #[test]
    fn components_are_orthogonal_and_a_lone_vertex_is_zero() {
        let of = [0, 0, 0, 1, 1, 1, 1, 2];
        let s = Array2::from_shape_fn((8, 8), |(i, j)| f64::from(u8::from(i != j && of[i] == of[j])));
        for dimensions in [2, 8] {
            let rows = embedding(&s, dimensions).unwrap();
            let products = rows.dot(&rows.t());
            if dimensions == 2 {
                for ((i, j), &v) in products.indexed_iter() {
                    let wanted = if of[i] == of[j] && i != 7 { 1.0 } else { 0.0 };
                    assert!((v - wanted).abs() < 1e-12, "{i}, {j}: {v}");
                }
            }
            assert!(rows.row(7).iter().all(|&v| v == 0.0));
            assert!((0..7).all(|i| (products[[i, i]] - 1.0).abs() < 1e-12));
        }
        assert_eq!(embedding(&Array2::zeros((3, 3)), 2).unwrap(), Array2::<f64>::zeros((3, 2)));
    }

    #[test]
    fn only_the_symmetric_part_counts() {
        let (_, w) = case();
        let mut leaning = w.clone();
        for ((i, j), value) in leaning.indexed_iter_mut() {
            *value *= if i < j { 0.5 } else { 1.5 };
        }
        let (a, b) = (embedding(&leaning, 3).unwrap(), embedding(&w, 3).unwrap());
        assert!(a.iter().zip(&b).all(|(&a, &b)| close(a, b)));
    }

    #[test]
    fn wrong_similarities_are_refused() {
        let mut s = array![[0.0, 1.0], [1.0, 0.0]];
        let text = |s: &Array2<f64>, dimensions| embedding(s, dimensions).unwrap_err().to_string();
        let wrong = "embedding: dimensions = 3 is outside [1, 2], the number of vertices";
        assert_eq!(text(&s, 3), wrong);
        assert!(text(&s, 0).contains("dimensions = 0"));
        let wrong = "similarities: shape is 1 x 2, expected as many rows as columns";
        assert_eq!(text(&array![[0.0, 1.0]], 1), wrong);
        for value in [f64::NAN, f64::INFINITY, -0.5] {
            s[[1, 0]] = value;
            let got = text(&s, 1);
            assert!(
                got.starts_with("similarities: row 1, column 0 = ") && got.ends_with("[0, inf)"),
                "{got}"
            );
        }
    }
}
