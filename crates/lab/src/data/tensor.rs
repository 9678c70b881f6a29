//! What a weight file holds: named tensors of floating-point values.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::{bf16, f16};
use ndarray::{Array2, ArrayView2, ShapeBuilder};

use super::unread;
use maf_srl::error::{Error, Result, shape, unsupported};

/// How many values are read or written at a time.
const PIECE: usize = 1 << 16;

/// The type of the values in a file. All are computed in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE half precision; rounded to nearest even on writing.
    F16,
    /// The upper half of an f32; rounded to nearest even on writing.
    Bf16,
    /// IEEE single precision, kept bit for bit.
    F32,
    /// IEEE double precision, rounded to f32 on reading and written back as f64. A finite value beyond the
    /// range of f32 is an error.
    F64,
}

impl Dtype {
    /// Bytes per value.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }

    /// The value that a file of this type holds after `value` has been written to it: to nearest, ties to even.
    #[must_use]
    pub fn round(self, value: f32) -> f32 {
        match self {
            Dtype::F16 => f16::from_f32(value).to_f32(),
            Dtype::Bf16 => bf16::from_f32(value).to_f32(),
            Dtype::F32 | Dtype::F64 => value,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::F32 => "F32",
            Dtype::F64 => "F64",
        })
    }
}

/// The kind of a weight file, told by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// NumPy's `.npy`: one tensor, f32 or f64, any rank and order.
    Npy,
    /// `.safetensors`: many tensors.
    Safetensors,
}

impl Format {
    /// The format that a file's extension stands for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] naming the extensions that are allowed.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "npy" => Ok(Format::Npy),
            "safetensors" => Ok(Format::Safetensors),
            other => Err(unsupported(
                path.display().to_string(),
                match other {
                    "" => "a file name without an extension says nothing about its format".into(),
                    _ => format!("no reader or writer for .{other} files"),
                },
                ".npy, .safetensors",
            )),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Npy => ".npy",
            Format::Safetensors => ".safetensors",
        })
    }
}

/// Which tensors of a file are meant.
#[derive(Clone, Debug)]
pub enum Select {
    /// Those whose name a regular expression matches anywhere.
    Matching(regex::Regex),
    /// Those of exactly these names.
    Named(HashSet<String>),
}

impl Select {
    /// Whether a tensor of this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Select::Matching(pattern) => pattern.is_match(name),
            Select::Named(names) => names.contains(name),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Select::Matching(pattern) => f.write_str(pattern.as_str()),
            Select::Named(names) => {
                let mut names: Vec<_> = names.iter().map(String::as_str).collect();
                names.sort_unstable();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl FromStr for Select {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        regex::Regex::new(text).map(Select::Matching).map_err(|e| Error::Text {
            place: "`select`".into(),
            text: text.into(),
            // The last line says what is wrong; those before draw the place.
            reason: e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").into(),
        })
    }
}

/// One tensor: its name, its shape, and its values in f32, in the file's order.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: Dtype,
    pub(super) fortran: bool,
    pub(super) big_endian: bool,
    pub(super) values: Vec<f32>,
}

impl Tensor {
    /// The name in the file; for `.npy` the file's name without extension.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size in each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of the values in the file.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The values, in the order of the file.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values, to be changed.
    #[must_use]
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The values as a matrix in f64, or nothing where the rank is not 2.
    #[must_use]
    pub fn matrix(&self) -> Option<Array2<f64>> {
        let &[rows, columns] = &self.shape[..] else { return None };
        let view = ArrayView2::from_shape((rows, columns).set_f(self.fortran), &self.values).ok()?;
        Some(view.mapv(f64::from))
    }

    /// Rounds every value to what the file can hold, as writing does. What is too small for it becomes +0.0,
    /// whatever its sign, so that hosts count zeros by their bits.
    pub fn round(&mut self) {
        let dtype = self.dtype;
        if dtype.size() == 2 {
            for v in &mut self.values {
                *v = match dtype.round(*v) {
                    0.0 => 0.0,
                    rounded => rounded,
                };
            }
        }
    }

    /// The values in the element order of `other`, which has the same shape: a file in Fortran order meets one
    /// in C order.
    ///
    /// # Errors
    /// [`Error::Shape`] naming this tensor, where the shapes differ.
    pub fn values_like(&self, other: &Tensor) -> Result<std::borrow::Cow<'_, [f32]>> {
        use ndarray::{ArrayView, IxDyn};
        if self.shape != other.shape {
            return Err(self.wrong_shape(other));
        }
        if self.fortran == other.fortran {
            return Ok((&self.values).into());
        }
        let view = ArrayView::from_shape(IxDyn(&self.shape).set_f(self.fortran), &self.values)
            .map_err(|_| self.wrong_shape(other))?;
        let wanted = if other.fortran { view.reversed_axes() } else { view };
        Ok(wanted.iter().copied().collect::<Vec<_>>().into())
    }

    /// The values in row-major (C) order, whatever the file's.
    ///
    /// # Errors
    /// [`Error::Shape`] where the values do not fill the shape, which no tensor of a file does.
    pub fn row_major(&self) -> Result<std::borrow::Cow<'_, [f32]>> {
        let order = Tensor {
            name: self.name.clone(),
            shape: self.shape.clone(),
            dtype: self.dtype,
            fortran: false,
            big_endian: false,
            values: Vec::new(),
        };
        self.values_like(&order)
    }

    /// Takes values in row-major (C) order and keeps them in the file's.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are more or fewer than before.
    pub fn set_row_major(&mut self, values: &[f32]) -> Result<()> {
        use ndarray::{ArrayView, IxDyn};
        let view = ArrayView::from_shape(IxDyn(&self.shape), values).map_err(|_| {
            shape(format!("tensor {:?}", self.name), "number of values", values.len(), self.values.len())
        })?;
        self.values = match self.fortran {
            true => view.reversed_axes().iter().copied().collect(),
            false => values.to_vec(),
        };
        Ok(())
    }

    fn wrong_shape(&self, other: &Tensor) -> Error {
        let expected = format!("{:?} as in {:?}", other.shape, other.name);
        shape(format!("tensor {:?}", self.name), "shape", format!("{:?}", self.shape), expected)
    }

    /// Reads `elements` values, a piece at a time.
    pub(super) fn fill(&mut self, path: &Path, elements: usize, reader: &mut dyn Read) -> Result<()> {
        let mut bytes = vec![0; elements.min(PIECE) * self.dtype.size()];
        self.values = Vec::with_capacity(elements);
        while self.values.len() < elements {
            let piece = &mut bytes[..(elements - self.values.len()).min(PIECE) * self.dtype.size()];
            reader.read_exact(piece).map_err(|e| unread(path, format_args!("tensor {:?}", self.name), e))?;
            self.decode(piece)?;
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<()> {
        fn each<const N: usize>(bytes: &[u8], big: bool) -> impl Iterator<Item = [u8; N]> + '_ {
            bytes.as_chunks::<N>().0.iter().map(move |&chunk| {
                let mut chunk = chunk;
                if big {
                    chunk.reverse();
                }
                chunk
            })
        }
        let big = self.big_endian;
        match self.dtype {
            Dtype::F16 => self.values.extend(each(bytes, big).map(|b| f16::from_le_bytes(b).to_f32())),
            Dtype::Bf16 => self.values.extend(each(bytes, big).map(|b| bf16::from_le_bytes(b).to_f32())),
            Dtype::F32 => self.values.extend(each(bytes, big).map(f32::from_le_bytes)),
            Dtype::F64 => {
                for wide in each(bytes, big).map(f64::from_le_bytes) {
                    let value = wide as f32;
                    if wide.is_finite() && !value.is_finite() {
                        return Err(Error::Domain {
                            place: format!("tensor {:?}", self.name),
                            name: format!("element {}", self.values.len()),
                            value: wide.into(),
                            allowed: format!(
                                "[{:e}, {:e}], the range of f32 that is computed in",
                                f32::MIN,
                                f32::MAX
                            ),
                        });
                    }
                    self.values.push(value);
                }
            }
        }
        Ok(())
    }

    /// Writes its values.
    pub(super) fn encode(&self, writer: &mut dyn Write) -> io::Result<()> {
        fn put<const N: usize>(bytes: &mut Vec<u8>, piece: &[f32], big: bool, cast: impl Fn(f32) -> [u8; N]) {
            for &value in piece {
                let mut value = cast(value);
                if big {
                    value.reverse();
                }
                bytes.extend_from_slice(&value);
            }
        }
        let mut bytes = Vec::with_capacity(PIECE * self.dtype.size());
        for piece in self.values.chunks(PIECE) {
            bytes.clear();
            match self.dtype {
                Dtype::F16 => put(&mut bytes, piece, self.big_endian, |v| f16::from_f32(v).to_le_bytes()),
                Dtype::Bf16 => put(&mut bytes, piece, self.big_endian, |v| bf16::from_f32(v).to_le_bytes()),
                Dtype::F32 => put(&mut bytes, piece, self.big_endian, f32::to_le_bytes),
                Dtype::F64 => put(&mut bytes, piece, self.big_endian, |v| f64::from(v).to_le_bytes()),
            }
            writer.write_all(&bytes)?;
        }
        Ok(())
    }
}

/// A piece of a file after its header.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// A tensor to compute with.
    Values(Tensor),
    /// Bytes carried over unchanged.
    Carried(Vec<u8>),
}

/// A tensor of a file that is carried over: not read, or not floating-point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The name in the file.
    pub name: String,
    /// The type of the values, as the format calls it.
    pub dtype: String,
    /// The size in each dimension.
    pub shape: Vec<usize>,
}

/// The tensors of one weight file.
///
/// Names and types never change between reading and writing, nor do shapes unless [`Tensors::replace`] changes them: so
/// the header is kept byte for byte, with its metadata and its order, and only the values are written anew.
#[derive(Clone, Debug)]
pub struct Tensors {
    pub(super) source: PathBuf,
    pub(super) format: Format,
    pub(super) header: Vec<u8>,
    pub(super) parts: Vec<Part>,
}
