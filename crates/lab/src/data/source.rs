//! The data sets that can be loaded, and where their files lie.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Bytes, Dataset, Split, cifar10, idx, published, text, trouble};
use maf_srl::error::{Error, Result, shape, unsupported};
use maf_srl::text::there_are;

/// DIGITS (UCI "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, CC BY 4.0; the 1797
/// samples of its test part): the one data set that travels with the program.
const DIGITS: &[u8] = include_bytes!("../../assets/digits.csv.gz");

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
    /// [`Error::Unsupported`] without a folder, or with one for DIGITS; [`Error::File`] for a missing or damaged file, naming
    /// file, place and reason, and for one beyond the [`limits`](super::limits).
    pub fn load(self, folder: Option<&Path>) -> Result<Split> {
        if let (true, Some(folder)) = (self.files().is_empty(), folder) {
            let what = format!("{} beside {self}, which is part of the program", folder.display());
            return Err(unsupported("`data_dir`", what, "a folder for a data set with files"));
        }
        self.read(&|file| Bytes::open(&find(self, folder, file)?))
    }

    /// The same of files that `at` finds by their published names ([`Source::files`]).
    ///
    /// # Errors
    /// Those of `at`, and as [`Source::load`].
    pub fn read<'a>(self, at: &dyn Fn(&str) -> Result<Bytes<'a>>) -> Result<Split> {
        let (train, test) = match self {
            Source::Digits => {
                let built_in = Bytes::of(Path::new("digits.csv.gz (built in)"), DIGITS);
                return Ok(Split::of(&text::read(built_in, &text::DIGITS)?, None));
            }
            Source::Pendigits => {
                let read = |file| text::read(at(file)?, &text::PENDIGITS);
                (read("pendigits.tra")?, read("pendigits.tes")?)
            }
            Source::Mnist | Source::FashionMnist => {
                let read = |part| {
                    let images = at(&format!("{part}-images-idx3-ubyte.gz"))?;
                    idx::read(self.name(), images, at(&format!("{part}-labels-idx1-ubyte.gz"))?)
                };
                let (train, test) = (read("train")?, read("t10k")?);
                same_size(&train, &test)?;
                (train, test)
            }
            Source::Cifar10 => cifar10::read(self.name(), self.files(), at)?,
        };
        Ok(Split::of(&train, Some(test)))
    }

    /// Those of the files that [`Source::load`] reads which are another data set's as published, and which one's: MNIST and
    /// Fashion-MNIST name their files alike.
    ///
    /// # Errors
    /// Those of [`Source::load`] for a file that is missing or cannot be read.
    pub fn mistaken(self, folder: Option<&Path>) -> Result<Vec<(PathBuf, Source)>> {
        let (other, sums) = match self {
            Source::Mnist => (Source::FashionMnist, published::FASHION_MNIST),
            Source::FashionMnist => (Source::Mnist, published::MNIST),
            _ => return Ok(Vec::new()),
        };
        let mut found = Vec::new();
        for (file, theirs) in self.files().iter().zip(sums) {
            let path = find(self, folder, file)?;
            if published::sum(&path)? == theirs {
                found.push((path, other));
            }
        }
        Ok(found)
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
            reason: format!("no such data set; {}", there_are(text, Source::ALL.map(Source::name))),
        })
    }
}

/// Where a file of the data set lies: in `folder/<name>` or `folder`, with or without `.gz`.
fn find(source: Source, folder: Option<&Path>, file: &str) -> Result<PathBuf> {
    let folder = folder.ok_or_else(|| {
        unsupported(
            format!("data set {source}"),
            "its files are not part of the program",
            format!("`data_dir` DIR with {} in DIR or DIR/{source}", source.files().join(", ")),
        )
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
    Err(shape(
        format!("data set {}", train.name),
        "size of the test pictures",
        size(test),
        format!("{} as in training", size(train)),
    ))
}
