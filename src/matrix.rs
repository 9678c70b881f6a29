//! Sparsity patterns of matrices: which entries may be nonzero. No GPU in it, and no values: those are learned.
//!
//! The pattern of Â, the square matrix of a MAF-SRL layer, always holds the diagonal: a random pattern without it is
//! often singular whatever the values (with 30 % of the entries: 94 % of the patterns of 4 x 4, 9 % of 16 x 16).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Result, require, within};

/// Which entries of a matrix may be nonzero, row by row in ascending order of columns (compressed sparse rows).
///
/// Values of the entries are kept elsewhere, in the pattern's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    columns: u32,
    starts: Vec<u32>,
    indices: Vec<u32>,
}

/// Rows and columns may be as many as this.
pub const LARGEST: u32 = 1 << 20;

impl Pattern {
    /// The pattern of `(row, column)` entries, in any order; an entry may be named twice.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] where rows or columns are none or more than [`LARGEST`], or an entry lies outside; [`crate::Error::Limit`] for
    /// 2^32 entries or more.
    pub fn new(rows: u32, columns: u32, entries: impl IntoIterator<Item = (u32, u32)>) -> Result<Self> {
        check_size(rows, columns)?;
        let mut all: Vec<(u32, u32)> = entries.into_iter().collect();
        for &(i, j) in &all {
            for (name, value, end) in [("row", i, rows), ("column", j, columns)] {
                require(value < end, "pattern", name, value, format_args!("[0, {end})"))?;
            }
        }
        all.sort_unstable();
        all.dedup();
        within("pattern", "entries", all.len() as u64, u64::from(u32::MAX))?;
        let starts = starts(rows, all.iter().map(|&(i, _)| i));
        Ok(Pattern { columns, starts, indices: all.into_iter().map(|(_, j)| j).collect() })
    }

    /// Every entry.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] as [`Pattern::new`]; [`crate::Error::Limit`] where there are 2^32 entries or more.
    pub fn full(rows: u32, columns: u32) -> Result<Self> {
        check_size(rows, columns)?;
        within("pattern", "entries", u64::from(rows) * u64::from(columns), u64::from(u32::MAX))?;
        let starts = (0..=rows).map(|i| i * columns).collect();
        Ok(Pattern { columns, starts, indices: (0..rows).flat_map(|_| 0..columns).collect() })
    }

    /// The diagonal of an n x n matrix: with values 1 the identity, a DSRL layer.
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn diagonal(n: u32) -> Result<Self> {
        Pattern::new(n, n, (0..n).map(|i| (i, i)))
    }

    /// The diagonal and, drawn at random, as many other entries as `density` (share of all n^2 entries) leaves: at least
    /// the n of the diagonal.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] where the density is outside (0, 1], or n as in [`Pattern::new`].
    pub fn random(n: u32, density: f64, seed: u64) -> Result<Self> {
        check_size(n, n)?;
        require(density > 0.0 && density <= 1.0, "pattern", "density", density, "(0, 1]")?;
        let wanted = (density * f64::from(n) * f64::from(n)).round() as u64;
        let others = u64::from(n) * u64::from(n - 1);
        let drawn = wanted.saturating_sub(u64::from(n)).min(others);
        within("pattern", "entries", drawn + u64::from(n), u64::from(u32::MAX))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // row by row, as many in each as are left on average: exact in total, uniform within a row
        let mut left = drawn;
        let mut entries = Vec::with_capacity((drawn + u64::from(n)) as usize);
        for i in 0..n {
            let rows = u64::from(n - i);
            let share = left / rows + u64::from(rng.random_range(0..rows) < left % rows);
            let share = share.min(u64::from(n - 1));
            let others = rand::seq::index::sample(&mut rng, n as usize - 1, share as usize);
            // the diagonal is left out of the numbers that are drawn
            entries.extend(others.into_iter().map(|k| (i, k as u32 + u32::from(k as u32 >= i))));
            entries.push((i, i));
            left -= share;
        }
        Pattern::new(n, n, entries)
    }

    /// Pixels of a `width` x `height` image, row by row: each with those at most `radius` away in either direction.
    ///
    /// # Errors
    /// As [`Pattern::new`] with n = width * height.
    pub fn neighbourhood(width: u32, height: u32, radius: u32) -> Result<Self> {
        let n = u64::from(width) * u64::from(height);
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        check_size(n, n)?;
        let near = |at: u32, end: u32| at.saturating_sub(radius)..=at.saturating_add(radius).min(end - 1);
        let entries = (0..n).flat_map(|i| {
            let (x, y) = (i % width, i / width);
            near(y, height).flat_map(move |v| near(x, width).map(move |u| (i, v * width + u)))
        });
        Pattern::new(n, n, entries)
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// How many columns.
    #[must_use]
    pub fn columns(&self) -> u32 {
        self.columns
    }

    /// How many entries.
    #[must_use]
    pub fn nonzeros(&self) -> u32 {
        self.indices.len() as u32
    }

    /// The share of entries that may be nonzero, in (0, 1].
    #[must_use]
    pub fn density(&self) -> f64 {
        f64::from(self.nonzeros()) / (f64::from(self.rows()) * f64::from(self.columns))
    }

    /// Where each row starts among the entries, and the number of entries.
    #[must_use]
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The column of each entry.
    #[must_use]
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The entries of row `i`: their numbers among all.
    #[must_use]
    pub fn row(&self, i: u32) -> std::ops::Range<usize> {
        self.starts[i as usize] as usize..self.starts[i as usize + 1] as usize
    }

    /// Every entry, `(row, column)`, in order.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..self.rows()).flat_map(move |i| self.row(i).map(move |k| (i, self.indices[k])))
    }

    /// The number of the entry in row `i` and column `j`, if there is one.
    #[must_use]
    pub fn find(&self, i: u32, j: u32) -> Option<usize> {
        let row = self.row(i);
        self.indices[row.clone()].binary_search(&j).ok().map(|k| row.start + k)
    }

    /// Whether every entry of the diagonal is there.
    #[must_use]
    pub fn has_diagonal(&self) -> bool {
        self.rows() == self.columns && (0..self.rows()).all(|i| self.find(i, i).is_some())
    }

    /// The longest row's number of entries.
    #[must_use]
    pub fn longest_row(&self) -> u32 {
        self.starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0)
    }

    /// The transposed pattern, and for each of its entries the number of the same entry here.
    #[must_use]
    pub fn transposed(&self) -> (Pattern, Vec<u32>) {
        let starts = starts(self.columns, self.indices.iter().copied());
        let mut next = starts.clone();
        let mut indices = vec![0; self.indices.len()];
        let mut from = vec![0; self.indices.len()];
        for (k, (i, j)) in self.entries().enumerate() {
            let at = &mut next[j as usize];
            indices[*at as usize] = i;
            from[*at as usize] = k as u32;
            *at += 1;
        }
        (Pattern { columns: self.rows(), starts, indices }, from)
    }
}

/// Where each row starts, from the row of every entry.
fn starts(rows: u32, of: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut starts = vec![0; rows as usize + 1];
    of.for_each(|i| starts[i as usize + 1] += 1);
    (1..starts.len()).for_each(|i| starts[i] += starts[i - 1]);
    starts
}

/// Rows and columns within their limits.
fn check_size(rows: u32, columns: u32) -> Result<()> {
    for (name, value) in [("rows", rows), ("columns", columns)] {
        let allowed = (1..=LARGEST).contains(&value);
        require(allowed, "pattern", name, value, format_args!("[1, {LARGEST}]"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_pattern_has_the_density_and_the_diagonal() {
        for n in [1u32, 2, 3, 16, 64, 100] {
            for density in [0.01, 0.05, 0.3, 0.5, 0.99, 1.0] {
                let pattern = Pattern::random(n, density, 7).unwrap();
                let wanted = (density * f64::from(n * n)).round().max(f64::from(n));
                assert_eq!(f64::from(pattern.nonzeros()), wanted, "{n} {density}");
                assert!(pattern.has_diagonal());
                assert_eq!(Pattern::new(n, n, pattern.entries()).unwrap(), pattern);
            }
        }
        assert_ne!(Pattern::random(16, 0.3, 0), Pattern::random(16, 0.3, 1));
    }

    #[test]
    fn transposing_twice_gives_the_pattern_again() {
        let pattern = Pattern::new(4, 7, [(3, 6), (0, 2), (0, 1), (2, 2), (3, 0)]).unwrap();
        let (transposed, from) = pattern.transposed();
        assert_eq!((transposed.rows(), transposed.columns()), (7, 4));
        for (k, (j, i)) in transposed.entries().enumerate() {
            assert_eq!(pattern.find(i, j), Some(from[k] as usize));
        }
        let (again, back) = transposed.transposed();
        assert_eq!(again, pattern);
        assert!(back.iter().enumerate().all(|(k, &b)| from[b as usize] as usize == k));
    }

    #[test]
    fn a_neighbourhood_has_the_pixels_near_by() {
        let pattern = Pattern::neighbourhood(8, 8, 2).unwrap();
        // per side: 3 + 4 + 5 * 4 + 4 + 3 neighbours of the eight pixels
        assert_eq!(pattern.nonzeros(), 34 * 34);
        assert_eq!(pattern.row(0).len(), 9);
        assert!(pattern.has_diagonal() && pattern.find(0, 18).is_some() && pattern.find(0, 3).is_none());
    }

    #[test]
    fn bad_requests_name_value_and_range() {
        let said = |result: Result<Pattern>| result.unwrap_err().to_string();
        assert_eq!(said(Pattern::full(0, 3)), "pattern: rows = 0 is outside [1, 1048576]");
        assert_eq!(said(Pattern::random(4, 0.0, 0)), "pattern: density = 0 is outside (0, 1]");
        assert_eq!(said(Pattern::random(4, f64::NAN, 0)), "pattern: density = NaN is outside (0, 1]");
        assert_eq!(said(Pattern::new(2, 2, [(0, 2)])), "pattern: column = 2 is outside [0, 2)");
        assert!(said(Pattern::full(1 << 20, 1 << 20)).contains("needs entries of 1099511627776"));
    }
}
