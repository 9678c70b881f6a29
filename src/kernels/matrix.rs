//! Matrices on the device: one pattern, any number of layers of values, in one of three formats, plain and transposed.
//!
//! The learned numbers are the values in the pattern's order. Kernels read them in the order of their format, which is kept
//! in a buffer of its own: [`super::spmm::refresh()`] brings it up to date after the values have changed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::PipelineCache;
use super::program::host_struct;
use crate::error::{Error, Result, same, within};
use crate::gpu;
use crate::matrix::Pattern;
use crate::text::there_are;

/// How a matrix is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `csr`: compressed sparse rows: 8 bytes per entry.
    Csr,
    /// `bitmap`: packed values and 1.25 bits per place.
    Bitmap,
    /// `dense`: every place, zeros too: 4 bytes per place, and one copy serves both directions.
    Dense,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 3] = [Format::Csr, Format::Bitmap, Format::Dense];

    /// The name in text form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Csr => "csr",
            Format::Bitmap => "bitmap",
            Format::Dense => "dense",
        }
    }

    /// The WGSL that walks along a row: `row_sum`.
    pub(super) fn file(self) -> &'static str {
        match self {
            Format::Csr => "matrix/csr",
            Format::Bitmap => "matrix/bitmap",
            Format::Dense => "matrix/dense",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Reads `csr`, `bitmap` or `dense`.
    ///
    /// # Errors
    /// [`Error::Text`] for anything else.
    fn from_str(text: &str) -> Result<Self> {
        Format::ALL.into_iter().find(|format| format.name() == text.trim()).ok_or_else(|| Error::Text {
            place: "format".into(),
            text: text.into(),
            reason: there_are(text, Format::ALL.map(Format::name)),
        })
    }
}

host_struct! {
    /// A matrix or its transpose, as kernels find it: `struct Side` of `shaders/shared/side.wgsl`.
    #[derive(Default)]
    pub(super) struct Side {
        pub rows: u32,
        pub columns: u32,
        /// First word of its structure.
        pub structure: u32,
        /// First of its values.
        pub values: u32,
        /// From a row to the next in dense values, and from a column to the next.
        pub down: u32,
        pub across: u32,
    }
}

/// No entry: the value there is 0.
const NONE: u32 = u32::MAX;

/// A matrix of a format in host memory: what the device's buffers hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Laid {
    /// The matrix and its transpose.
    pub sides: [Side; 2],
    pub structure: Vec<u32>,
    /// For each value of the format the number of the entry in the pattern, or [`NONE`].
    pub index: Vec<u32>,
}

impl Laid {
    pub fn new(pattern: &Pattern, format: Format) -> Self {
        let (transposed, from) = pattern.transposed();
        let own: Vec<u32> = (0..pattern.nonzeros()).collect();
        let (mut structure, mut index) = (Vec::new(), Vec::new());
        let mut sides = [Side::default(); 2];
        for (side, (pattern, numbers)) in sides.iter_mut().zip([(pattern, own), (&transposed, from)]) {
            let (rows, columns) = (pattern.rows(), pattern.columns());
            *side = Side {
                rows,
                columns,
                structure: structure.len() as u32,
                values: index.len() as u32,
                down: columns,
                across: 1,
            };
            match format {
                Format::Csr => {
                    structure.extend_from_slice(pattern.starts());
                    structure.extend_from_slice(pattern.indices());
                    index.extend(numbers);
                }
                Format::Bitmap => {
                    structure.extend((0..rows).flat_map(|i| bits(pattern, i)));
                    index.extend(numbers);
                }
                Format::Dense if index.is_empty() => {
                    structure.extend(blocks(pattern));
                    index.resize(rows as usize * columns as usize, NONE);
                    for ((i, j), number) in pattern.entries().zip(numbers) {
                        index[i as usize * columns as usize + j as usize] = number;
                    }
                }
                Format::Dense => {
                    structure.extend(blocks(pattern));
                    *side = Side { values: 0, down: 1, across: rows, ..*side };
                }
            }
        }
        structure.resize(structure.len().max(1), 0);
        Laid { sides, structure, index }
    }

    /// The values of the format, from those in the pattern's order.
    pub fn values(&self, of: &[f32]) -> Vec<f32> {
        self.index.iter().map(|&k| if k == NONE { 0.0 } else { of[k as usize] }).collect()
    }
}

/// Per 128 columns of row `i`: the number of its first entry and four words of bits.
fn bits(pattern: &Pattern, i: u32) -> Vec<u32> {
    let mut words = Vec::new();
    let mut entries = pattern.row(i).peekable();
    for block in 0..pattern.columns().div_ceil(128) {
        let mut of = [0u32; 5];
        of[0] = entries.peek().map_or(pattern.starts()[i as usize + 1], |&k| k as u32);
        while let Some(k) = entries.next_if(|&k| pattern.indices()[k] / 128 == block) {
            let bit = pattern.indices()[k] % 128;
            of[1 + (bit / 32) as usize] |= 1 << (bit % 32);
        }
        words.extend(of);
    }
    words
}

/// The blocks of `rows` x `columns` places that have entries: of each row of blocks their numbers within it, ascending.
pub(super) fn occupied(pattern: &Pattern, rows: u32, columns: u32) -> Vec<Vec<u32>> {
    let row = |first: u32| {
        let last = (first + rows).min(pattern.rows());
        let entries = pattern.starts()[first as usize] as usize..pattern.starts()[last as usize] as usize;
        let mut blocks: Vec<u32> = pattern.indices()[entries].iter().map(|j| j / columns).collect();
        // few are left to be sorted: columns ascend within a row
        blocks.dedup();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    };
    (0..pattern.rows()).step_by(rows as usize).map(row).collect()
}

/// The blocks of 64 x 16 places that have entries, for a dense matrix: where each row of blocks starts in the list, then the
/// list, the blocks' numbers within their rows.
fn blocks(pattern: &Pattern) -> Vec<u32> {
    let rows = occupied(pattern, 64, 16);
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.len() as u32;
        Some(*end)
    });
    std::iter::once(0).chain(ends).chain(rows.iter().flatten().copied()).collect()
}

/// A matrix on the device: `layers` matrices of one pattern.
#[derive(Clone, Debug)]
pub struct Matrix {
    pattern: Arc<Pattern>,
    format: Format,
    layers: u32,
    sides: [Side; 2],
    /// Values of one layer, of both directions.
    apart: u32,
    pub(super) structure: wgpu::Buffer,
    pub(super) values: wgpu::Buffer,
    pub(super) index: wgpu::Buffer,
}

impl Matrix {
    /// Kernel for `layers` matrices; the values are zeros until the kernel `product`'s refresh has run.
    ///
    /// # Errors
    /// [`Error::Limit`] where structure or values exceed a binding; those of buffers.
    pub fn new(kernels: &PipelineCache, pattern: Arc<Pattern>, format: Format, layers: u32) -> Result<Self> {
        Self::make(kernels, pattern, format, layers, None)
    }

    /// One matrix with these values, in the pattern's order: needs no refresh.
    ///
    /// # Errors
    /// As [`Matrix::new`]; [`Error::Shape`] for another number of values.
    pub fn of(
        kernels: &PipelineCache,
        pattern: Arc<Pattern>,
        format: Format,
        values: &[f32],
    ) -> Result<Self> {
        let place = format!("{format} matrix of {} x {}", pattern.rows(), pattern.columns());
        same(&place, "number of values", values.len(), pattern.nonzeros() as usize)?;
        Self::make(kernels, pattern, format, 1, Some(values))
    }

    fn make(
        kernels: &PipelineCache,
        pattern: Arc<Pattern>,
        format: Format,
        layers: u32,
        contents: Option<&[f32]>,
    ) -> Result<Self> {
        let device = kernels.device();
        let bindable = |place: String, needed: u64| {
            let limit = device.limits().max_storage_buffer_binding_size;
            within(place, "max_storage_buffer_binding_size", needed, limit)
        };
        // before anything large is laid out
        let places = match format {
            Format::Dense => u64::from(pattern.rows()) * u64::from(pattern.columns()),
            Format::Csr | Format::Bitmap => 2 * u64::from(pattern.nonzeros()),
        };
        let needed = 4 * places * u64::from(layers.max(1));
        bindable(format!("{format} matrix of {} x {}", pattern.rows(), pattern.columns()), needed)?;
        let laid = Laid::new(&pattern, format);
        bindable(format!("structure of a {format} matrix"), 4 * laid.structure.len() as u64)?;
        let usage = gpu::USAGE;
        let words = |name, words: &[u32]| gpu::buffer_with(device, name, bytemuck::cast_slice(words), usage);
        let name = "matrix values";
        let values = match contents {
            Some(of) => gpu::buffer_with(device, name, bytemuck::cast_slice(&laid.values(of)), usage)?,
            None => gpu::buffer(device, name, needed.next_multiple_of(16).max(16), usage, false)?,
        };
        Ok(Matrix {
            structure: words("matrix structure", &laid.structure)?,
            index: words("matrix index", &laid.index)?,
            values,
            pattern,
            format,
            layers,
            sides: laid.sides,
            apart: laid.index.len() as u32,
        })
    }

    /// Which entries may be nonzero.
    #[must_use]
    pub fn pattern(&self) -> &Arc<Pattern> {
        &self.pattern
    }

    /// How it is kept.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many matrices share the pattern.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.layers
    }

    /// The matrix of a layer, or its transpose.
    pub(super) fn side(&self, layer: u32, transposed: bool) -> Side {
        let first = self.sides[usize::from(transposed)];
        Side { values: first.values + layer * self.apart, ..first }
    }

    /// From one layer's values to the next one's.
    pub(super) fn apart(&self) -> u32 {
        self.apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every format holds the matrix and its transpose.
    #[test]
    fn every_format_holds_every_entry() {
        for pattern in [
            Pattern::random(65, 0.3, 1).unwrap(),
            Pattern::new(3, 300, [(0, 0), (0, 127), (0, 128), (2, 299), (2, 5)]).unwrap(),
            Pattern::full(5, 4).unwrap(),
        ] {
            let packed: Vec<f32> = (0..pattern.nonzeros()).map(|k| k as f32 + 1.0).collect();
            for format in Format::ALL {
                let laid = Laid::new(&pattern, format);
                let values = laid.values(&packed);
                for (transposed, side) in laid.sides.iter().enumerate() {
                    for (row, column, value) in entries(format, side, &laid.structure, &values) {
                        let (i, j) = if transposed == 1 { (column, row) } else { (row, column) };
                        let expected = pattern.find(i, j).map_or(0.0, |k| packed[k]);
                        assert_eq!(value, expected, "{format} {transposed} {i} {j}");
                    }
                }
            }
        }
    }

    /// What a kernel reads, as the WGSL of the format does.
    fn entries(format: Format, side: &Side, structure: &[u32], values: &[f32]) -> Vec<(u32, u32, f32)> {
        let word = |k: u32| structure[(side.structure + k) as usize];
        let value = |k: u32| values[(side.values + k) as usize];
        let mut all = Vec::new();
        for row in 0..side.rows {
            match format {
                Format::Csr => {
                    for k in word(row)..word(row + 1) {
                        all.push((row, word(side.rows + 1 + k), value(k)));
                    }
                }
                Format::Bitmap => {
                    let blocks = side.columns.div_ceil(128);
                    for block in 0..blocks {
                        let at = 5 * (row * blocks + block);
                        let mut k = word(at);
                        for bit in 0..128 {
                            if word(at + 1 + bit / 32) >> (bit % 32) & 1 == 1 {
                                all.push((row, 128 * block + bit, value(k)));
                                k += 1;
                            }
                        }
                    }
                }
                Format::Dense => {
                    for column in 0..side.columns {
                        all.push((row, column, value(row * side.down + column * side.across)));
                    }
                }
            }
        }
        let nonzeros = all.iter().filter(|(_, _, v)| *v != 0.0).count();
        assert_eq!(
            nonzeros,
            values.iter().filter(|v| **v != 0.0).count() / if format == Format::Dense { 1 } else { 2 }
        );
        all
    }
}
