//! Files in and out: weight tensors (`.npy`, `.safetensors`) and data sets. No GPU in here.
//!
//! [`Tensors`] holds what a weight file holds; [`Source`] loads a data set as a [`Split`]; [`Output`] writes a
//! file whole or not at all. One file here per format. Whatever is wrong with a file comes back as a typed
//! [`Error`] that names the file, the place in it and the reason.

mod cifar10;
mod csv;
mod dataset;
mod idx;
pub mod mat;
mod npy;
mod published;
mod safetensors;
mod source;
mod tensor;
mod tensors;
mod write;

pub use dataset::{Dataset, SPLIT_SEED, Split, stratified};
pub use source::Source;
pub use tensor::{Dtype, Format, Select, Tensor, Tensors};
pub use write::{Output, make, save};

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use maf_srl::error::{self, Error, Result, words as why};

/// [`Error::File`] from anything that can be shown.
fn trouble(path: &Path, place: impl Display, reason: impl Display) -> Error {
    error::file(path, place, reason)
}

/// [`Error::File`] from another error, in its words.
fn failed(path: &Path, place: impl Display, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    trouble(path, place, &error).with_source(error)
}

/// [`Error::File`] where reading failed.
fn unread(path: &Path, place: impl Display, error: std::io::Error) -> Error {
    error::io(path, place, error)
}

/// Opens a regular file, with its length in bytes. Folders, pipes and devices are refused: a length must be
/// known before anything is allocated.
fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let about = std::fs::metadata(path).map_err(|e| unread(path, "open", e))?;
    if !about.is_file() {
        return Err(trouble(path, "open", "not a regular file"));
    }
    let file = File::open(path).map_err(|e| unread(path, "open", e))?;
    Ok((BufReader::with_capacity(1 << 18, file), about.len()))
}

/// Opens a file that may be packed with gzip, told by its first two bytes.
fn open_packed(path: &Path) -> Result<Box<dyn Read>> {
    let (mut file, length) = open(path)?;
    let magic = std::io::BufRead::fill_buf(&mut file).map_err(|e| unread(path, "byte 0", e))?;
    if length >= 2 && magic.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)))
    } else {
        Ok(Box::new(file))
    }
}
