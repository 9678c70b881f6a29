//! Data sets and their fixed splits.

use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use maf_srl::error::{Result, shape};

/// The seed of every split.
pub const SPLIT_SEED: u64 = 20;

/// Samples with their classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The name, as reports show it.
    pub name: String,
    /// One row per sample, scaled to 0..=1.
    pub features: Array2<f32>,
    /// The class of each sample, below `classes`.
    pub labels: Vec<usize>,
    /// How many classes there are.
    pub classes: usize,
    /// The columns of a sample's picture; for samples that are no pictures, the number of features.
    pub width: usize,
    /// Its rows; 1 for samples that are no pictures.
    pub height: usize,
    /// Its colours, one plane after the other.
    pub channels: usize,
}

impl Dataset {
    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The samples of these rows, in this order.
    fn rows(&self, rows: &[usize]) -> Self {
        Dataset {
            name: self.name.clone(),
            features: self.features.select(Axis(0), rows),
            labels: rows.iter().filter_map(|&row| self.labels.get(row).copied()).collect(),
            ..*self
        }
    }
}

/// A data set in the three parts that training needs. The parts share no sample.
///
/// The split is the same in every run and on every machine. DIGITS has one part only: 20 % of each class are
/// for the test and 10 % for validation. The others come with a test set of their own, and 10 % of each class
/// of their training set are for validation. See [`stratified`] for the draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// For fitting the weights.
    pub train: Dataset,
    /// For choosing hyper-parameters and the best epoch.
    pub validation: Dataset,
    /// For the figures that are reported, looked at once.
    pub test: Dataset,
}

impl Split {
    /// Carves validation, and a test where the data set has none, from `whole`.
    pub(super) fn of(whole: &Dataset, test: Option<Dataset>) -> Self {
        let (rest, held) = match test {
            Some(_) => ((0..whole.len()).collect(), Vec::new()),
            None => stratified(&whole.labels, &(0..whole.len()).collect::<Vec<_>>(), 0.2, SPLIT_SEED),
        };
        // The share is of the whole class: 1/8 of the 80 % that the test has left are 10 %.
        let share = if test.is_some() { 0.1 } else { 0.125 };
        let (train, validation) = stratified(&whole.labels, &rest, share, SPLIT_SEED);
        Split {
            train: whole.rows(&train),
            validation: whole.rows(&validation),
            test: test.unwrap_or_else(|| whole.rows(&held)),
        }
    }

    /// [`Error::Shape`] where a part has no rows.
    pub(crate) fn require_rows(&self) -> Result<()> {
        for (name, part) in
            [("training", &self.train), ("validation", &self.validation), ("test", &self.test)]
        {
            if part.is_empty() {
                let place = format!("data set {}", part.name);
                return Err(shape(place, format!("rows of the {name} part"), 0, "at least 1"));
            }
        }
        Ok(())
    }
}

/// Divides `rows` into those kept and those drawn, `share` of each class, rounded; both in ascending order.
///
/// Each row's key is its own 64-bit word of the ChaCha8 stream with this seed, which is fixed for good; the rows
/// with the smallest keys of their class are drawn. So the draw depends on no library's shuffle.
#[must_use]
pub fn stratified(labels: &[usize], rows: &[usize], share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut stream = ChaCha8Rng::seed_from_u64(seed);
    let keys: Vec<u64> = labels.iter().map(|_| stream.next_u64()).collect();
    let mut order = rows.to_vec();
    order.sort_by_key(|&row| (labels[row], keys[row], row));
    let (mut kept, mut drawn) = (Vec::new(), Vec::new());
    for class in order.chunk_by(|&a, &b| labels[a] == labels[b]) {
        let count = (share * class.len() as f64).round() as usize;
        let (first, rest) = class.split_at(count.min(class.len()));
        drawn.extend_from_slice(first);
        kept.extend_from_slice(rest);
    }
    kept.sort_unstable();
    drawn.sort_unstable();
    (kept, drawn)
}
