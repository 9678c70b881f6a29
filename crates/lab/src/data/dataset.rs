//! Data sets and their fixed splits.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{cifar10, csv, idx, trouble};
use maf_srl::error::{Error, Result, shape};

/// DIGITS (UCI "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, CC BY 4.0; the 1797
/// samples of its test part): the one data set that travels with the program.
const DIGITS: &[u8] = include_bytes!("../../assets/digits.csv.gz");

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
    fn of(whole: &Dataset, test: Option<Dataset>) -> Self {
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

/// The data sets that can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// 1797 pictures of 8 x 8, 10 classes; part of the program.
    Digits,
    /// 70000 pictures of 28 x 28, 10 classes (LeCun, Cortes, Burges).
    Mnist,
    /// 70000 pictures of 28 x 28, 10 classes (Zalando Research).
    FashionMnist,
    /// 10992 pen strokes of 16 coordinates, 10 classes (Alpaydin, Alimoglu; CC BY 4.0).
    Pendigits,
    /// 60000 pictures of 32 x 32 in 3 colours, 10 classes (Krizhevsky 2009); files with fewer samples are
    /// named `cifar10-subset` in every report.
    Cifar10,
}

impl Source {
    /// Every data set, in the order of the documentation.
    pub const ALL: [Source; 5] =
        [Source::Digits, Source::Mnist, Source::FashionMnist, Source::Pendigits, Source::Cifar10];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Digits => "digits",
            Source::Mnist => "mnist",
            Source::FashionMnist => "fashion-mnist",
            Source::Pendigits => "pendigits",
            Source::Cifar10 => "cifar10",
        }
    }

    /// The files that it is read from, as their publishers name them.
    #[must_use]
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Source::Digits => &[],
            Source::Mnist | Source::FashionMnist => &[
                "train-images-idx3-ubyte.gz",
                "train-labels-idx1-ubyte.gz",
                "t10k-images-idx3-ubyte.gz",
                "t10k-labels-idx1-ubyte.gz",
            ],
            Source::Pendigits => &["pendigits.tra", "pendigits.tes"],
            Source::Cifar10 => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ],
        }
    }

    /// Loads and splits the data set. DIGITS needs no folder; the others' files are looked for in
    /// `folder/<name>` and in `folder`, packed with gzip or not.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a folder; [`Error::File`] for a missing or damaged file, naming file, place
    /// and reason.
    pub fn load(self, folder: Option<&Path>) -> Result<Split> {
        let at = |file: &str| find(self, folder, file);
        let (train, test) = match self {
            Source::Digits => {
                let reader = flate2::read::MultiGzDecoder::new(DIGITS);
                let whole = csv::read(Path::new("digits.csv.gz (built in)"), Box::new(reader), &csv::DIGITS)?;
                return Ok(Split::of(&whole, None));
            }
            Source::Pendigits => {
                let read = |file| {
                    let path = at(file)?;
                    csv::read(&path, super::open_packed(&path)?, &csv::PENDIGITS)
                };
                (read("pendigits.tra")?, read("pendigits.tes")?)
            }
            Source::Mnist | Source::FashionMnist => {
                let read = |part| {
                    let images = at(&format!("{part}-images-idx3-ubyte.gz"))?;
                    let labels = at(&format!("{part}-labels-idx1-ubyte.gz"))?;
                    idx::read(self.name(), &images, &labels)
                };
                let (train, test) = (read("train")?, read("t10k")?);
                same_size(&train, &test)?;
                (train, test)
            }
            Source::Cifar10 => cifar10::read(&at)?,
        };
        Ok(Split::of(&train, Some(test)))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Source::ALL.into_iter().find(|s| s.name() == text.trim()).ok_or_else(|| Error::Text {
            place: "data set".into(),
            text: text.into(),
            reason: format!("no such data set; there are {}", Source::ALL.map(Source::name).join(", ")),
        })
    }
}

/// Where a file of the data set lies: in `folder/<name>` or `folder`, with or without `.gz`.
fn find(source: Source, folder: Option<&Path>, file: &str) -> Result<PathBuf> {
    let folder = folder.ok_or_else(|| Error::Unsupported {
        place: format!("data set {source}"),
        what: "its files are not part of the program".into(),
        allowed: format!("`data_dir` DIR with {} in DIR or DIR/{source}", source.files().join(", ")),
    })?;
    let plain = file.trim_end_matches(".gz");
    let mut places = vec![folder.join(source.name()), folder.into()];
    if source == Source::Cifar10 {
        // As the published archive unpacks, and as a cut of it may be named.
        places.extend(["cifar-10-batches-bin", cifar10::SUBSET].map(|name| folder.join(name)));
    }
    let found = places.iter().flat_map(|p| [p.join(file), p.join(plain), p.join(format!("{plain}.gz"))]);
    found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        let looked: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        let reason =
            format!("not found in {}; {source} needs {}", looked.join(", "), source.files().join(", "));
        trouble(Path::new(file), "open", reason)
    })
}

/// Training and test pictures of one size.
fn same_size(train: &Dataset, test: &Dataset) -> Result<()> {
    let size = |d: &Dataset| format!("{} x {}", d.height, d.width);
    if (train.height, train.width) == (test.height, test.width) {
        return Ok(());
    }
    Err(Error::Shape {
        place: format!("data set {}", train.name),
        name: "size of the test pictures".into(),
        got: size(test),
        expected: format!("{} as in training", size(train)),
    })
}
