//! The one error type. Every variant names the value, the place and what is allowed, and is returned
//! before any GPU work starts; errors of the GPU itself come back the same way.
//!
//! What an error prints is complete. Where it stems from the error of a file system, a file format, wgpu, or from another
//! one of ours, [`std::error::Error::source`] returns that as well, for whoever asks for more than a text:
//!
//! ```
//! use std::error::Error as _;
//! let error = maf_srl::regulariser::file::load("missing.safetensors".as_ref()).unwrap_err();
//! let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
//! assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
//! ```

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong, with the value, the place and the allowed range in the text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number outside its domain.
    #[error("{place}: {name} = {value} is outside {allowed}")]
    Domain {
        /// Where the number was given: a penalty, a tensor's name, an option.
        place: String,
        /// The parameter's name.
        name: String,
        /// The value that was given.
        value: Number,
        /// The allowed range in words, for example `(0, 1)`.
        allowed: String,
    },
    /// A text that is none of the allowed ones.
    #[error("{place}: {text:?} is not understood: {reason}")]
    Text {
        /// Where the text was given.
        place: String,
        /// The text.
        text: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Sizes that do not fit together.
    #[error("{place}: {name} is {got}, expected {expected}")]
    Shape {
        /// The tensor, buffer or file.
        place: String,
        /// The quantity, for example `length of G`.
        name: String,
        /// The size found.
        got: String,
        /// The size expected.
        expected: String,
    },
    /// A combination that has no kernel or no meaning.
    #[error("{place}: {what}; allowed: {allowed}")]
    Unsupported {
        /// Where it was asked for.
        place: String,
        /// What was asked for and why it cannot be had.
        what: String,
        /// What can be had instead.
        allowed: String,
    },
    /// Two views of one plan share memory.
    #[error(
        "{first} and {second} overlap in one buffer at bytes {start}..{end}; tensors of one plan must not overlap"
    )]
    Overlap {
        /// One view.
        first: String,
        /// The other view.
        second: String,
        /// First shared byte.
        start: u64,
        /// One past the last shared byte.
        end: u64,
    },
    /// A file that cannot be read, written or understood.
    #[error("{}: {place}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The place in it: a tensor, a line, a byte, or `open`, `write`.
        place: String,
        /// What is wrong, and what would be right.
        reason: String,
        /// What it stems from, if another error; `reason` says it too.
        source: Option<Source>,
    },
    /// A limit of the device that the request exceeds, found before the call was made.
    #[error("{place}: needs {name} of {needed}, the device allows {limit}")]
    Limit {
        /// The kernel or buffer.
        place: String,
        /// The limit's name in WebGPU's words.
        name: &'static str,
        /// What is needed.
        needed: u64,
        /// What the device allows.
        limit: u64,
    },
    /// No adapter answers to the request.
    #[error("no adapter matches {wanted}; found: {found}; allowed: an index, part of a name, or cpu; {help}")]
    NoAdapter {
        /// The index or name that was asked for.
        wanted: String,
        /// The adapters at hand.
        found: String,
        /// How to get a driver.
        help: &'static str,
    },
    /// The device has no memory left for an allocation.
    #[error("{place}: out of device memory for {bytes} bytes")]
    OutOfMemory {
        /// What was to be allocated.
        place: String,
        /// Its size.
        bytes: u64,
        /// What wgpu says.
        source: Option<Source>,
    },
    /// The device is gone: unplugged, reset, or destroyed by its owner.
    #[error("{place}: the device is lost: {reason}")]
    DeviceLost {
        /// What was under way.
        place: String,
        /// What the driver says.
        reason: String,
    },
    /// The driver or wgpu refused a call that our own checks let pass.
    #[error("{place}: the GPU refused the call: {reason}")]
    Gpu {
        /// The call.
        place: String,
        /// What wgpu says.
        reason: String,
        /// wgpu's own error, where there is one; `reason` says it too.
        source: Option<Source>,
    },
    /// The GPU's values differ from the float64 reference, or a smaller network's outputs from the large one's, by more
    /// than the stated bound.
    #[error("verification failed: {0}")]
    Mismatch(String),
}

impl Error {
    /// The same error, stemming from `source`. Without effect on a variant that keeps none.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        if let Error::File { source: kept, .. }
        | Error::Gpu { source: kept, .. }
        | Error::OutOfMemory { source: kept, .. } = &mut self
        {
            *kept = Some(Source::new(source));
        }
        self
    }
}

/// The error that one of ours stems from, shared by its clones; a reference to it is `&*source`, which downcasts
/// to its type.
///
/// Two of them are equal where they print the same: errors of other libraries can seldom be compared.
#[derive(Clone)]
pub struct Source(Arc<dyn std::error::Error + Send + Sync>);

impl Source {
    /// That of this error.
    pub fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Source(Arc::new(error))
    }
}

// Not an `Error` of its own, so that `source()` leads to what is inside.
impl Deref for Source {
    type Target = dyn std::error::Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

/// A number that an error names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number, printed with all its digits: no u64 goes through a float.
    Whole(i128),
    /// Any other, printed by [`short`].
    Real(f64),
}

impl Number {
    /// The nearest float.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Real(x) => x,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Whole(n) => write!(f, "{n}"),
            Number::Real(x) => f.write_str(&short(x)),
        }
    }
}

macro_rules! numbers {
    ($variant:ident($wide:ty): $($type:ty),*) => {
        $(impl From<$type> for Number {
            fn from(n: $type) -> Self {
                Number::$variant(n as $wide)
            }
        })*
    };
}

numbers!(Whole(i128): u8, u16, u32, u64, usize, i32, i64);
numbers!(Real(f64): f32, f64);

/// `Ok` if `allowed` holds, else the [`Error::Domain`] that names place, parameter, value and range.
/// They become text only then: with [`format_args!`] a check inside a loop makes no string.
///
/// # Errors
/// That one.
pub fn require(
    allowed: bool,
    place: impl fmt::Display,
    name: impl fmt::Display,
    value: impl Into<Number>,
    range: impl fmt::Display,
) -> Result<()> {
    if allowed {
        return Ok(());
    }
    let (place, name, allowed) = (place.to_string(), name.to_string(), range.to_string());
    Err(Error::Domain { place, name, value: value.into(), allowed })
}

/// The [`Error::Shape`] of these.
#[must_use]
pub fn shape(
    place: impl Into<String>,
    name: impl Into<String>,
    got: impl fmt::Display,
    expected: impl fmt::Display,
) -> Error {
    let (got, expected) = (got.to_string(), expected.to_string());
    Error::Shape { place: place.into(), name: name.into(), got, expected }
}

/// `Ok` if both sizes are the same, else the [`Error::Shape`] of these, which become text only then.
///
/// # Errors
/// That one.
pub fn same<T: PartialEq + fmt::Display>(
    place: impl fmt::Display,
    name: impl fmt::Display,
    got: T,
    expected: T,
) -> Result<()> {
    if got == expected { Ok(()) } else { Err(shape(place.to_string(), name.to_string(), got, expected)) }
}

/// `Ok` if what is needed is within the limit, else the [`Error::Limit`] of these, which become text only then.
///
/// # Errors
/// That one.
pub fn within(place: impl fmt::Display, name: &'static str, needed: u64, limit: u64) -> Result<()> {
    if needed <= limit { Ok(()) } else { Err(Error::Limit { place: place.to_string(), name, needed, limit }) }
}

/// The [`Error::Unsupported`] of these.
#[must_use]
pub fn unsupported(place: impl Into<String>, what: impl Into<String>, allowed: impl Into<String>) -> Error {
    Error::Unsupported { place: place.into(), what: what.into(), allowed: allowed.into() }
}

/// The [`Error::File`] of these. [`Error::with_source`] adds the error that it stems from.
#[must_use]
pub fn file(path: impl Into<PathBuf>, place: impl fmt::Display, reason: impl fmt::Display) -> Error {
    let (place, reason) = (place.to_string(), reason.to_string());
    Error::File { path: path.into(), place, reason, source: None }
}

/// The [`Error::File`] of what the file system says, in words.
#[must_use]
pub fn io(path: impl Into<PathBuf>, place: impl fmt::Display, source: io::Error) -> Error {
    file(path, place, words(&source)).with_source(source)
}

/// What the file system says, in words: neither the name of a kind of error nor the number of one.
#[must_use]
pub fn words(error: &io::Error) -> String {
    use io::ErrorKind;
    let words = match error.kind() {
        ErrorKind::NotFound => "no such file or folder",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::AlreadyExists => "exists already",
        ErrorKind::NotADirectory => "a part of the path is no folder",
        ErrorKind::IsADirectory => "it is a folder",
        ErrorKind::InvalidFilename => "the name is too long, or has what no name may have",
        ErrorKind::StorageFull => "no space left on the device",
        ErrorKind::QuotaExceeded => "no space left in the quota",
        ErrorKind::FileTooLarge => "larger than a file may become here",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::UnexpectedEof => "the file ends too early",
        _ => return error.to_string(),
    };
    words.into()
}

/// The [`Error::Gpu`] of a call that wgpu refused with this error.
pub(crate) fn refused(
    place: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Gpu { place: place.into(), reason: source.to_string(), source: Some(Source::new(source)) }
}

/// A number in the shorter of its two forms: 0.5, 1e-6, 1e60.
#[must_use]
pub fn short(x: f64) -> String {
    let (plain, scientific) = (format!("{x}"), format!("{x:e}"));
    if scientific.len() < plain.len() { scientific } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn an_error_leads_to_its_source_and_prints_as_without() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let bare = [
            file("w.npy", "open", missing()),
            Error::Gpu { place: "poll".into(), reason: "timeout".into(), source: None },
            Error::OutOfMemory { place: "page".into(), bytes: 64, source: None },
        ];
        for bare in bare {
            assert!(bare.source().is_none(), "{bare}");
            let chained = bare.clone().with_source(missing());
            assert_eq!(chained.to_string(), bare.to_string());
            // a clone has it too, and nothing of ours is between
            for error in [&chained, &chained.clone()] {
                let kind = error.source().and_then(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
                assert_eq!(kind, Some(io::ErrorKind::NotFound), "{error}");
            }
            // equal where they say the same
            assert_eq!(chained, bare.clone().with_source(missing()));
            assert_ne!(chained, bare.clone().with_source(io::Error::other("no space left")));
            assert_ne!(chained, bare);
        }
        // a variant without a source stays as it is
        assert!(Error::Mismatch("1".into()).with_source(missing()).source().is_none());
    }

    /// Inside loops over entries the texts would be most of the work.
    #[test]
    fn texts_are_made_where_a_check_fails_alone() {
        struct Never;
        impl fmt::Display for Never {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("a text of what is right")
            }
        }
        assert_eq!(require(true, Never, Never, 1.0, Never), Ok(()));
        assert_eq!(same(Never, Never, 1, 1), Ok(()));
        assert_eq!(within(Never, "size", 1, 1), Ok(()));
        let wrong = require(false, format_args!("row {}", 1), "weight", -1.0, "[0, 1]").unwrap_err();
        assert_eq!(wrong.to_string(), "row 1: weight = -1 is outside [0, 1]");
    }

    #[test]
    fn whole_numbers_keep_their_digits() {
        let said = |value: Number| require(false, "run", "seed", value, "range").unwrap_err().to_string();
        for (value, text) in [
            (u64::MAX.into(), "18446744073709551615"),
            ((u64::MAX - 1).into(), "18446744073709551614"),
            (i64::MIN.into(), "-9223372036854775808"),
            (1_000_000_u32.into(), "1000000"),
            (1e6.into(), "1e6"),
            (0.25_f32.into(), "0.25"),
        ] {
            assert_eq!(said(value), format!("run: seed = {text} is outside range"));
        }
    }

    #[test]
    fn the_file_system_speaks_in_words() {
        // as the operating system reports them, and as the kinds alone that other libraries hand on
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied, io::ErrorKind::StorageFull] {
            let error = io("w.npy", "open", kind.into());
            assert!(!error.to_string().contains("entity"), "{error}");
            let source = error.source().and_then(|e| e.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(kind));
        }
        let missing = std::fs::metadata("no/such/file").unwrap_err();
        assert_eq!(io("w.npy", "open", missing).to_string(), "w.npy: open: no such file or folder");
        let other = io("w.npy", "open", io::Error::other("the network is down"));
        assert_eq!(other.to_string(), "w.npy: open: the network is down");
    }

    #[test]
    fn a_chain_has_as_many_links_as_errors() {
        let domain = require(false, "layer0", "l", 0.0, "(0, 1]").unwrap_err();
        let outer = file("r.safetensors", "layer0", &domain).with_source(domain.clone());
        let inner = outer.source().and_then(|e| e.downcast_ref::<Error>());
        assert_eq!(inner, Some(&domain));
        assert!(inner.is_some_and(|e| e.source().is_none()));
        fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
        shared(&outer);
    }
}
