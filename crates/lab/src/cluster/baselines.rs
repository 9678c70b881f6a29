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

/// An unlearned graph, made of W with P = D^{-1/2} W D^{-1/2} and D the row sums of W.
///
/// An entry of P^k is large where many short walks of k edges join two vertices. Sums and powers of P have their diagonal
/// set to 0 and are scaled to a largest entry of 1, so that [`COUNTED`] means a hundredth of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// W.
    Soft,
    /// P + P^2.
    Summed,
    /// P^2: two vertices are near each other if they have many neighbours in common.
    Squared,
    /// P^3.
    Cubed,
}

impl Control {
    /// All of them, from the shortest walks to the longest.
    pub const ALL: [Control; 4] = [Control::Soft, Control::Summed, Control::Squared, Control::Cubed];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Control::Soft => "soft",
            Control::Summed => "summed",
            Control::Squared => "squared",
            Control::Cubed => "cubed",
        }
    }

    /// The whole graph, before [`thinned`] brings it to a density.
    #[must_use]
    pub fn of(self, graph: &Graph) -> Array2<f64> {
        let p = || normalised(graph.weights().clone());
        let x = match self {
            Control::Soft => return graph.weights().clone(),
            Control::Summed => {
                let p = p();
                p.dot(&p) + p
            }
            Control::Squared => {
                let p = p();
                p.dot(&p)
            }
            Control::Cubed => {
                let p = p();
                p.dot(&p).dot(&p)
            }
        };
        // P is symmetric, and so is this; a product of matrices need not be to the last bit.
        let mut x =
            Array2::from_shape_fn(x.dim(), |(i, j)| if i == j { 0.0 } else { x[[i.min(j), i.max(j)]] });
        let largest = x.fold(0.0, |most: f64, &v| most.max(v));
        if largest > 0.0 {
            x /= largest;
        }
        x
    }
}

/// max(X - t, 0) with the smallest t >= 0 that brings the [`density`] of a symmetric matrix without negative entries
/// down to `target` or below.
///
/// Entries that tie, as the two of every edge do, are counted or not together, so the density may stay below the
/// target; a graph below it is returned as it is.
///
/// # Errors
/// [`Error::Domain`](maf_srl::Error::Domain) where the target is outside [0, 1].
pub fn thinned(mut x: Array2<f64>, target: f64) -> Result<Array2<f64>> {
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
            let x = thinned(w.clone(), target).unwrap();
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

    fn of(control: Control, weights: Array2<f64>) -> Array2<f64> {
        control.of(&Graph::new("test", weights).unwrap())
    }

    #[track_caller]
    fn close(a: &Array2<f64>, b: &Array2<f64>) {
        assert!(a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-15), "{a}\n{b}");
    }

    /// A path of four vertices, whose degrees are 1, 2, 2, 1 times its weight: P has 1/sqrt 2 at its ends, 1/2 in the middle.
    #[test]
    fn sums_and_powers_are_those_of_walks_on_a_path() {
        let path = Array2::from_shape_fn((4, 4), |(i, j)| if i.abs_diff(j) == 1 { 0.3 } else { 0.0 });
        assert_eq!(of(Control::Soft, path.clone()), path);
        let matrix = |[ends, middle, two, three]: [f64; 4]| {
            let (a, b, c, d) = (ends, middle, two, three);
            array![[0.0, a, c, d], [a, 0.0, b, c], [c, b, 0.0, a], [d, c, a, 0.0]]
        };
        let root = 2.0f64.sqrt();
        // two steps from an end to the vertex after the next: 1/sqrt 2 times 1/2
        close(&of(Control::Squared, path.clone()), &matrix([0.0, 0.0, 1.0, 0.0]));
        let [a, b, c] = [1.0 / root, 0.5, 0.5 / root];
        close(&of(Control::Summed, path.clone()), &matrix([1.0, b / a, c / a, 0.0]));
        // three steps: there and back and over an edge, at either end of it, or along the path
        let [a, b, c] = [(0.5 + 0.25) / root, (0.5 + 0.25 + 0.5) / 2.0, 0.5 * 0.5];
        close(&of(Control::Cubed, path), &matrix([a / b, 1.0, 0.0, c / b]));
    }

    #[test]
    fn one_edge_has_no_walk_of_two_steps() {
        let edge = array![[0.0, 2.0], [2.0, 0.0]];
        let one = array![[0.0, 1.0], [1.0, 0.0]];
        assert_eq!(of(Control::Squared, edge.clone()), Array2::<f64>::zeros((2, 2)));
        close(&of(Control::Summed, edge.clone()), &one);
        close(&of(Control::Cubed, edge), &one);
    }

    #[test]
    fn every_control_is_symmetric_and_comes_to_the_density() {
        for control in Control::ALL {
            let x = control.of(&graph());
            assert_eq!(x, x.t(), "{}", control.name());
            assert!(x.diag().iter().all(|&v| v == 0.0));
            let x = thinned(x, 0.3).unwrap();
            assert!(density(&x) <= 0.3 && density(&x) > 0.25, "{}: {}", control.name(), density(&x));
        }
    }

    #[test]
    fn wrong_densities_are_refused() {
        for target in [-0.1, 1.1, f64::NAN] {
            let text = thinned(graph().weights().clone(), target).unwrap_err().to_string();
            assert!(text.starts_with("soft threshold: density = ") && text.ends_with("[0, 1]"), "{text}");
        }
    }
}
