//! How well clusters agree with classes.

use ndarray::{Array1, Array2, Axis};
use pathfinding::prelude::{Matrix, kuhn_munkres};
use serde::Serialize;

use maf_srl::error::{Result, require, shape};

/// Agreement of clusters with classes.
///
/// With n_ij the samples of class i in cluster j, a_i those of class i, b_j those of cluster j, n all of them:
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Accuracy: the largest sum_i n_{i m(i)} / n over all one-to-one matchings m of classes and clusters (Hungarian
    /// method). Where there are more of one than of the other, those left over count nothing.
    pub acc: f64,
    /// sum_j max_i n_ij / n: the share of samples in their cluster's most frequent class.
    pub purity: f64,
    /// Normalised mutual information, sum_ij (n_ij / n) ln(n n_ij / (a_i b_j)) over the arithmetic mean of the two
    /// entropies; 1 where all samples are in one class and in one cluster, else 0 where they are in one of either.
    pub nmi: f64,
    /// The adjusted Rand index 2 (tp tn - fn fp) / ((tp + fn) (fn + tn) + (tp + fp) (fp + tn)), from the pairs of
    /// samples that are together in class and cluster (tp), in neither (tn), in the cluster alone (fp), in the class
    /// alone (fn); 1 where fp = fn = 0.
    pub ari: f64,
}

impl Scores {
    /// Of `found` clusters against the `classes`, one number per sample; the numbers themselves mean nothing.
    ///
    /// As scikit-learn 1.9 defines them (`normalized_mutual_info_score`, `adjusted_rand_score`; counts are exact).
    ///
    /// # Errors
    /// [`maf_srl::Error::Shape`] where the lengths differ; [`maf_srl::Error::Domain`] where there are no samples or more than 2^31, or more
    /// than 2^26 pairs of a class and a cluster.
    pub fn new(classes: &[usize], found: &[usize]) -> Result<Self> {
        if classes.len() != found.len() {
            return Err(shape(
                "scores",
                "number of clustered samples",
                found.len(),
                format!("{}, that of classes", classes.len()),
            ));
        }
        // n^4 has to fit i128.
        let n = classes.len();
        require((1..=1 << 31).contains(&n), "scores", "number of samples", n, "[1, 2^31]")?;
        let ((classes, a), (found, b)) = (compressed(classes), compressed(found));
        let pairs = a as f64 * b as f64;
        require(pairs <= f64::from(1 << 26), "scores", "classes times clusters", pairs, "[1, 2^26]")?;
        let mut table = Array2::<i64>::zeros((a, b));
        for (&class, &cluster) in classes.iter().zip(&found) {
            table[[class, cluster]] += 1;
        }
        let pure = table.columns().into_iter().filter_map(|c| c.iter().max().copied());
        Ok(Scores {
            acc: matched(&table) as f64 / n as f64,
            purity: pure.sum::<i64>() as f64 / n as f64,
            nmi: nmi(&table),
            ari: ari(&table),
        })
    }
}

/// The labels numbered from 0 in their order, and how many there are.
fn compressed(labels: &[usize]) -> (Vec<usize>, usize) {
    let mut all = labels.to_vec();
    all.sort_unstable();
    all.dedup();
    (labels.iter().map(|label| all.partition_point(|other| other < label)).collect(), all.len())
}

/// How many samples the best matching gets right.
fn matched(table: &Array2<i64>) -> i64 {
    // The method wants no more rows than columns; which is which does not matter here.
    let table = if table.nrows() > table.ncols() { table.t() } else { table.view() };
    kuhn_munkres(&Matrix::from_fn(table.nrows(), table.ncols(), |at| table[at])).0
}

fn nmi(table: &Array2<i64>) -> f64 {
    match table.dim() {
        (1, 1) => return 1.0,
        (1, _) | (_, 1) => return 0.0,
        _ => {}
    }
    let (a, b) = (table.sum_axis(Axis(1)), table.sum_axis(Axis(0)));
    let n = a.sum() as f64;
    let terms = table.indexed_iter().filter(|&(_, &count)| count > 0).map(|((i, j), &count)| {
        let (count, product) = (count as f64, (a[i] * b[j]) as f64);
        let term = count / n * (count.ln() - n.ln()) + count / n * (2.0 * n.ln() - product.ln());
        // A rounding error of 0 is no information.
        if term.abs() < f64::EPSILON { 0.0 } else { term }
    });
    let information: f64 = terms.sum();
    let entropy = |counts: &Array1<i64>| {
        -counts.iter().map(|&c| c as f64 / n * ((c as f64).ln() - n.ln())).sum::<f64>()
    };
    information.max(0.0) / (0.5 * (entropy(&a) + entropy(&b)))
}

fn ari(table: &Array2<i64>) -> f64 {
    fn squares<'a>(counts: impl IntoIterator<Item = &'a i64>) -> i128 {
        counts.into_iter().map(|&c| i128::from(c).pow(2)).sum()
    }
    let (n, both) = (i128::from(table.sum()), squares(table));
    let (false_positive, false_negative) =
        (squares(&table.sum_axis(Axis(0))) - both, squares(&table.sum_axis(Axis(1))) - both);
    if false_positive == 0 && false_negative == 0 {
        return 1.0;
    }
    let true_positive = both - n;
    let true_negative = n * n - false_positive - false_negative - both;
    let (class, cluster) = (true_positive + false_negative, true_positive + false_positive);
    let apart = [false_negative + true_negative, false_positive + true_negative];
    2.0 * (true_positive * true_negative - false_negative * false_positive) as f64
        / (class * apart[0] + cluster * apart[1]) as f64
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        partitions: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        classes: Vec<usize>,
        found: Vec<usize>,
        acc: f64,
        purity: f64,
        nmi: f64,
        ari: f64,
    }

    /// `docs/TESTING.md` says where the values come from.
    #[test]
    fn scores_agree_with_scikit_learn() {
        let reference: Reference =
            serde_json::from_str(include_str!("../../tests/data/cluster/reference.json")).unwrap();
        assert_eq!(reference.partitions.len(), 12);
        for Case { name, classes, found, acc, purity, nmi, ari } in &reference.partitions {
            let scores = Scores::new(classes, found).unwrap();
            // The sums have at most 200 terms below 1, each to a few units of 2^-53.
            for (what, got, wanted) in [
                ("acc", scores.acc, acc),
                ("purity", scores.purity, purity),
                ("nmi", scores.nmi, nmi),
                ("ari", scores.ari, ari),
            ] {
                assert!((got - wanted).abs() <= 1e-13, "{name}: {what} is {got}, not {wanted}");
            }
        }
    }

    /// 2^20 samples: n^4 is beyond 64 bits.
    #[test]
    fn large_counts_are_exact() {
        let n = 1 << 20;
        let halves: Vec<usize> = (0..n).map(|i| i / (n / 2)).collect();
        let parity: Vec<usize> = (0..n).map(|i| i % 2).collect();
        let scores = Scores::new(&halves, &parity).unwrap();
        // From Python's integers.
        assert_eq!((scores.acc, scores.purity, scores.ari), (0.5, 0.5, -9.53676135399123e-07));
        assert!(scores.nmi < 1e-13);
    }

    #[test]
    fn wrong_partitions_are_refused() {
        let text = |classes: &[usize], found: &[usize]| Scores::new(classes, found).unwrap_err().to_string();
        assert_eq!(
            text(&[0, 1], &[0]),
            "scores: number of clustered samples is 1, expected 2, that of classes"
        );
        assert_eq!(text(&[], &[]), "scores: number of samples = 0 is outside [1, 2^31]");
        let all: Vec<usize> = (0..8193).collect();
        assert_eq!(text(&all, &all), "scores: classes times clusters = 67125249 is outside [1, 2^26]");
    }
}
