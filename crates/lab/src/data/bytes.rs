//! The bytes of a file, on their way to a reader.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{limits, trouble, unread};
use maf_srl::error::Result;

/// The bytes of a file, from a disk or from memory.
pub struct Bytes<'a> {
    pub(super) path: PathBuf,
    /// How many there are.
    pub(super) length: u64,
    pub(super) reader: Box<dyn BufRead + 'a>,
}

impl<'a> Bytes<'a> {
    /// Opens a regular file. Folders, pipes and devices are refused: a length must be known before anything is
    /// allocated.
    ///
    /// # Errors
    /// [`maf_srl::Error::File`] for what is missing, no regular file or cannot be opened.
    pub fn open(path: &Path) -> Result<Bytes<'static>> {
        let about = std::fs::metadata(path).map_err(|e| unread(path, "open", e))?;
        if !about.is_file() {
            return Err(trouble(path, "open", "not a regular file"));
        }
        let file = File::open(path).map_err(|e| unread(path, "open", e))?;
        let reader = Box::new(BufReader::with_capacity(1 << 18, file));
        Ok(Bytes { path: path.into(), length: about.len(), reader })
    }

    /// Bytes at hand; `path` is for messages, and its extension tells the format where a reader asks for one.
    #[must_use]
    pub fn of(path: &Path, bytes: &'a [u8]) -> Self {
        Bytes { path: path.into(), length: bytes.len() as u64, reader: Box::new(bytes) }
    }

    /// The same unpacked, where it is packed with gzip, told by its first two bytes. The length is then the most that can
    /// come out.
    pub(super) fn unpacked(mut self) -> Result<Self> {
        let magic = self.reader.fill_buf().map_err(|e| unread(&self.path, "byte 0", e))?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            self.length = self.length.saturating_mul(limits::UNPACKED);
            self.reader = Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(self.reader)));
        }
        Ok(self)
    }

    /// The next bytes: `count`, or as many as there are. Room is made for no more than can come.
    pub(super) fn next(&mut self, count: u64, place: impl Display) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(count.min(self.length)).unwrap_or(usize::MAX));
        let read = (&mut self.reader).take(count).read_to_end(&mut bytes);
        read.map_err(|e| unread(&self.path, place, e)).map(|_| bytes)
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&mut self, place: impl Display) -> Result<bool> {
        self.reader.fill_buf().map(<[u8]>::is_empty).map_err(|e| unread(&self.path, place, e))
    }
}
