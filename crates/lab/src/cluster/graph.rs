//! Weighted undirected graphs, and how they are made from data.

use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

use maf_srl::error::{Result, require, shape, unsupported};

/// How far the two weights of an edge may differ, relative to the larger: graphs are passed on in f32, and each weight
/// may have been rounded a few times on its way.
const ROUNDING: f64 = 4.0 * f32::EPSILON as f64;

/// A weighted undirected graph in which every vertex has an edge: a dense n x n matrix W with w_ij = w_ji and
/// 0 <= w_ij <= the largest f32. Its diagonal, the weights of loops, is kept as it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    weights: Array2<f64>,
}

impl Graph {
    /// Checks a matrix that is to be a graph, named `place` in errors. Where w_ij and w_ji differ by no more than a few
    /// roundings to f32, 2^-21 of the larger, both become their mean, so that W is symmetric exactly.
    ///
    /// # Errors
    /// [`maf_srl::Error::Shape`] where the matrix is not square or has less than two rows; [`maf_srl::Error::Domain`] naming row and
    /// column (from 0) of the first weight that is NaN, negative or larger than f32 can hold, or that differs from the
    /// weight of the other direction; [`maf_srl::Error::Unsupported`] naming a vertex without an edge to another, whose row of
    /// D^{-1/2} W D^{-1/2} would be nothing.
    pub fn new(place: &str, mut weights: Array2<f64>) -> Result<Self> {
        let (rows, columns) = weights.dim();
        if rows != columns || rows < 2 {
            let got = format_args!("{rows} x {columns}");
            return Err(shape(place, "weights of a graph", got, "a square matrix of at least 2 x 2"));
        }
        for ((i, j), &w) in weights.indexed_iter() {
            let allowed = (0.0..=f64::from(f32::MAX)).contains(&w);
            let at = format_args!("{place}: row {i}, column {j} (from 0)");
            require(allowed, at, "weight", w, format_args!("[0, {:e}]", f32::MAX))?;
        }
        for i in 0..rows {
            for j in i..rows {
                let (w, back) = (weights[[i, j]], weights[[j, i]]);
                let same = (w - back).abs() <= ROUNDING * w.max(back);
                let at = format_args!("{place}: row {i}, column {j} (from 0)");
                let range = format_args!("{back} of row {j}, column {i}, up to rounding");
                require(same, at, "weight", w, range)?;
                // + 0.0: no -0.0 goes on
                let mean = w + (back - w) / 2.0 + 0.0;
                (weights[[i, j]], weights[[j, i]]) = (mean, mean);
            }
        }
        for (i, row) in weights.rows().into_iter().enumerate() {
            // in f32, in which networks are trained
            if row.iter().enumerate().all(|(j, &w)| j == i || w as f32 == 0.0) {
                return Err(unsupported(
                    format!("{place}: vertex {i} (from 0)"),
                    "it has no edge: its weights to all others are 0",
                    "graphs in which every vertex has an edge; leave the vertex out",
                ));
            }
        }
        Ok(Graph { weights })
    }

    /// Of views named `place` in errors: the average of their graphs of `neighbours` nearest neighbours with a heat
    /// kernel, as the authors of DSRL make it: W = 1/V sum_v W_v, where for one view X of n samples (rows)
    ///
    /// - each row of X is shifted and scaled to mean 0 and variance 1 (over its features, divisor their number - 1);
    ///   a row of equal features becomes 0;
    /// - d_ij = max(0, |x_i|^2 + |x_j|^2 - 2 x_i.x_j), and t = 1/n^2 sum_ij sqrt(d_ij), d_ii with them;
    /// - j is a neighbour of i where d_ij is among the `neighbours` + 1 smallest of row i, the lower index first among
    ///   equals; i itself is mostly the first of them and does not count;
    /// - w_ij = exp(-d_ij / (2 t^2)) where one is a neighbour of the other, 0 elsewhere and on the diagonal.
    ///
    /// That is D. Cai's `constructW` with its default t, on z-scores. From 10 neighbours it gives the authors' graph of
    /// MSRC-v1 to 3e-8; from 20 that of ALOI to 2e-8, but for 20 of the 1164241 weights, which are .25 larger or smaller:
    /// in the fourth view one feature, 1e13 times as large as the others, leaves little but rounding errors to choose
    /// neighbours by. So that the same neighbours are chosen on every machine, sums run in the order of the
    /// features, and x_i.x_j (not |x_i|^2) takes fused multiply-adds.
    ///
    /// # Errors
    /// [`maf_srl::Error::Shape`] without views, or where they differ in their number of samples; [`maf_srl::Error::Domain`] naming view,
    /// row and column (all from 0) of a feature that is not finite, or for `neighbours` outside [1, samples - 1];
    /// [`maf_srl::Error::Unsupported`] for a view that tells no samples apart, or whose features are too large for f64.
    pub fn from_views(place: &str, views: &[Array2<f64>], neighbours: usize) -> Result<Self> {
        let name = "number of samples";
        let Some(samples) = views.first().map(Array2::nrows) else {
            return Err(shape(place, name, "unknown: there is no view", "one view or more"));
        };
        if samples < 2 {
            return Err(shape(format!("{place}: view 0"), name, samples, "2 or more"));
        }
        let allowed = (1..samples).contains(&neighbours);
        let range = format_args!("[1, {}], for {samples} samples", samples - 1);
        require(allowed, format_args!("{place}: graph of the views"), "neighbours", neighbours, range)?;
        let mut sum = Array2::zeros((samples, samples));
        for (v, view) in views.iter().enumerate() {
            if view.nrows() != samples {
                let expected = format_args!("{samples}, as in view 0");
                return Err(shape(format!("{place}: view {v}"), name, view.nrows(), expected));
            }
            sum += &one_view(&format!("{place}: view {v}"), view, neighbours)?;
        }
        sum /= views.len() as f64;
        Graph::new(&format!("{place}: graph of the views"), sum)
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

    /// d_i = sum_j w_ij, loops included; all above 0.
    #[must_use]
    pub fn degrees(&self) -> Array1<f64> {
        self.weights.sum_axis(Axis(1))
    }
}

/// The graph of one view, as [`Graph::from_views`] says.
fn one_view(name: &str, view: &Array2<f64>, neighbours: usize) -> Result<Array2<f64>> {
    for ((i, j), &x) in view.indexed_iter() {
        let place = format_args!("{name}, row {i}, column {j} (from 0)");
        require(x.is_finite(), place, "feature", x, "the finite numbers")?;
    }
    let n = view.nrows();
    let rows: Vec<Vec<f64>> = view.rows().into_iter().map(|row| scaled(&row.to_vec())).collect();
    let squares: Vec<f64> = rows.iter().map(|x| square(x)).collect();
    let distances: Vec<Vec<f64>> = (0..n)
        .into_par_iter()
        .map(|i| {
            (0..n).map(|j| (squares[i] + squares[j] - 2.0 * product(&rows[i], &rows[j])).max(0.0)).collect()
        })
        .collect();
    let mean =
        distances.iter().map(|row| row.iter().map(|d| d.sqrt()).sum::<f64>()).sum::<f64>() / (n * n) as f64;
    // asked of the squares, because max(0, NaN) is 0
    let large = squares.iter().any(|s| !s.is_finite());
    if large || mean == 0.0 {
        return Err(unsupported(
            format!("{name} (from 0)"),
            if large {
                "its features are too large: their squares overflow".to_owned()
            } else {
                "no two of its samples differ once each is scaled to mean 0 and variance 1".into()
            },
            "views whose samples have a finite distance above 0 from each other",
        ));
    }
    let mut weights = Array2::zeros((n, n));
    for (i, row) in distances.iter().enumerate() {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| row[a].total_cmp(&row[b]));
        for &j in order.iter().take(neighbours + 1).filter(|&&j| j != i) {
            let weight = (-row[j] / (2.0 * mean * mean)).exp();
            (weights[[i, j]], weights[[j, i]]) = (weight, weight);
        }
    }
    Ok(weights)
}

/// A sample with mean 0 and variance 1 over its features; all 0 where these are equal, all NaN where they overflow.
fn scaled(x: &[f64]) -> Vec<f64> {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let shifted: Vec<f64> = x.iter().map(|x| x - mean).collect();
    let deviation = (square(&shifted) / (x.len() as f64 - 1.0)).sqrt();
    if x.len() < 2 || deviation == 0.0 {
        vec![0.0; x.len()]
    } else if deviation.is_finite() {
        shifted.iter().map(|x| x / deviation).collect()
    } else {
        vec![f64::NAN; x.len()]
    }
}

/// |x|^2, each square rounded.
fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// x.y, each product added unrounded.
fn product(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).fold(0.0, |sum, (&x, &y)| x.mul_add(y, sum))
}
