//! Files in and out: weight tensors (`.npy`, `.safetensors`) and data sets. No GPU in here.
//!
//! [`Tensors`] holds what a weight file holds; [`Source`] loads a data set as a [`Split`]; [`Output`] writes a
//! file whole or not at all. One file here per format, and [`limits`] for what files may hold. Whatever is wrong with a
//! file comes back as a typed [`Error`] that names the file, the place in it and the reason.

mod bytes;
mod cifar10;
mod dataset;
mod idx;
pub mod limits;
pub mod mat;
mod npy;
mod part;
mod published;
mod safetensors;
mod source;
mod tensor;
mod tensors;
mod text;
mod write;

pub use bytes::Bytes;
pub use dataset::{Dataset, SPLIT_SEED, Split, stratified};
pub use part::{discard, removed};
pub use source::Source;
pub use tensor::{Carried, Dtype, Format, Select, Tensor, Tensors};
pub use write::{Output, make, prepare, save};

use std::fmt::Display;
use std::path::Path;

use maf_srl::error::{self, Error};

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
