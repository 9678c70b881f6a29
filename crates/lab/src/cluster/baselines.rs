//! What learning has to be compared with: unlearned graphs of a given density.

use ndarray::Array2;

use super::Graph;
use super::spectral::normalised;
use maf_srl::error::{Result, require};

/// An entry counts from this on: the authors' line between zero and nonzero.
pub const COUNTED: f64 = 0.01;

/// The share of entries of at least [`COUNTED`]; 0 where there are none. NaN and negative entries do not count.
#[must_use]
pub fn density(x: &Array2<f64>) -> f64 {
    x.iter().filter(|&&v| v >= COUNTED).count() as f64 / x.len().max(1) as f64
}

/// max(W - t, 0) with the smallest t >= 0 that brings the [`density`] down to `target` or below.
///
/// Entries that tie, as the two of every edge do, are counted or not together, so the density may stay below the
/// target; a graph below it is returned as it is.
///
/// # Errors
/// [`Error::Domain`](maf_srl::Error::Domain) where the target is outside [0, 1].
pub fn soft(graph: &Graph, target: f64) -> Result<Array2<f64>> {
    thinned(graph.weights().clone(), target)
}

/// P^2 with P = D^{-1/2} W D^{-1/2} and D the row sums of W, its diagonal set to 0, scaled to a largest entry of 1 (so that
/// [`COUNTED`] means a hundredth of that), then soft thresholded as in [`soft`].
///
/// Two vertices are near each other there if they have many neighbours in common.
///
/// # Errors
/// As [`soft`].
pub fn squared(graph: &Graph, target: f64) -> Result<Array2<f64>> {
    let p = normalised(graph.weights().clone());
    // P is symmetric, and so is its square; a product of matrices need not be to the last bit.
    let square = p.dot(&p);
    let mut x = Array2::from_shape_fn(p.dim(), |(i, j)| match i.cmp(&j) {
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Less => square[[i, j]],
        std::cmp::Ordering::Greater => square[[j, i]],
    });
    let largest = x.fold(0.0, |most: f64, &v| most.max(v));
    if largest > 0.0 {
        x /= largest;
    }
    thinned(x, target)
}

/// [`soft`] of any symmetric matrix without negative entries.
pub(super) fn thinned(mut x: Array2<f64>, target: f64) -> Result<Array2<f64>> {
    require((0.0..=1.0).contains(&target), "soft threshold", "density", target, "[0, 1]")?;
    if density(&x) > target {
        let mut allowed = (target * x.len() as f64) as usize;
        // a share computed from a count may give a product just below it
        if (allowed + 1) as f64 / x.len() as f64 <= target {
            allowed += 1;
        }
        // The largest entry that must not count any more decides.
        let mut values: Vec<f64> = x.iter().copied().collect();
        let (_, &mut first, _) = values.select_nth_unstable_by(allowed, |a, b| b.total_cmp(a));
        // By bisection, since first - COUNTED may round to the wrong side; the bits of numbers >= 0 are in their order.
        let (mut low, mut high) = (0, first.max(0.0).to_bits());
        while low < high {
            let middle = low + (high - low) / 2;
            if first - f64::from_bits(middle) < COUNTED {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let threshold = f64::from_bits(low);
        x.mapv_inplace(|v| (v - threshold).max(0.0));
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Weights that tie often, some below the line.
    fn graph() -> Graph {
        let weight = |i: usize, j: usize| match (i * j + i + j) % 12 {
            0..4 => 0.0,
            4 => 0.009,
            k => k as f64 / 12.0 + 0.001 * ((i + j) % 4) as f64,
        };
        let w = Array2::from_shape_fn((30, 30), |(i, j)| if i == j { 0.0 } else { weight(i, j) });
        Graph::new("test", w).unwrap()
    }

    #[test]
    fn the_density_counts_from_a_hundredth() {
        assert_eq!(density(&array![[0.01, 0.0099], [-1.0, f64::NAN]]), 0.25);
        assert_eq!(density(&Array2::zeros((0, 0))), 0.0);
    }

    #[test]
    fn the_density_is_the_largest_below_the_target() {
        let graph = graph();
        let w = graph.weights();
        // All that any threshold can bring.
        let mut cuts: Vec<f64> = w.iter().map(|v| v - COUNTED + 1e-9).filter(|&t| t > 0.0).collect();
        cuts.push(0.0);
        let reached: Vec<f64> = cuts.iter().map(|t| density(&w.mapv(|v| v - t))).collect();
        let full = density(w);
        assert!(full > 0.5 && full < 0.7);
        for step in 0..=40 {
            let target = f64::from(step) / 40.0;
            let x = soft(&graph, target).unwrap();
            let wanted = reached.iter().copied().filter(|&d| d <= target).fold(0.0, f64::max);
            assert_eq!(density(&x), wanted, "{target}");
            assert_eq!(x, x.t());
            assert!(x.iter().zip(w).all(|(&a, &b)| (0.0..=b).contains(&a)));
            if target >= full {
                assert_eq!(x, w);
            }
            // One number is taken from all entries that stay.
            let taken: Vec<f64> = x.iter().zip(w).filter(|(a, _)| **a > 0.0).map(|(a, b)| b - a).collect();
            assert!(taken.iter().all(|t| (t - taken[0]).abs() < 1e-15));
        }
    }

    #[test]
    fn neighbours_of_neighbours_are_joined() {
        let path = array![[0.0, 0.3, 0.0], [0.3, 0.0, 0.3], [0.0, 0.3, 0.0]];
        let x = squared(&Graph::new("test", path).unwrap(), 1.0).unwrap();
        assert_eq!(x, array![[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        // One edge: P^2 has its diagonal alone.
        let edge = Graph::new("test", array![[0.0, 2.0], [2.0, 0.0]]).unwrap();
        assert_eq!(squared(&edge, 1.0).unwrap(), Array2::<f64>::zeros((2, 2)));
        let x = squared(&graph(), 0.3).unwrap();
        assert!(density(&x) <= 0.3 && density(&x) > 0.25, "{}", density(&x));
        assert_eq!(x, x.t());
    }

    #[test]
    fn wrong_densities_are_refused() {
        for target in [-0.1, 1.1, f64::NAN] {
            let text = soft(&graph(), target).unwrap_err().to_string();
            assert!(text.starts_with("soft threshold: density = ") && text.ends_with("[0, 1]"), "{text}");
            assert!(squared(&graph(), target).is_err());
        }
    }
}
