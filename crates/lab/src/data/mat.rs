//! MATLAB's `.mat` files of version 5, as MATLAB (without `-v7.3`), Octave and SciPy write them: numeric matrices of
//! any type, full or sparse, and cell arrays of such, packed with zlib or not, in either byte order.
//!
//! Only what is asked for is unpacked. Every size that a file claims is checked against the [`limits`](super::limits) and
//! the bytes that are there before anything is allocated, and nothing in here calls itself, so a damaged file ends in an
//! error.
//! The format is MathWorks' "MAT-File Format" (chapter 1, version 5).

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;
use ndarray::{Array2, ShapeBuilder};

use super::limits::{ENTRIES, MAT, UNPACKED, VARIABLES};
use super::{Bytes, trouble};
use maf_srl::error::Result;
use maf_srl::error::words as why;

/// The text, the version and the mark of the byte order.
const HEADER: usize = 128;

/// What a data element begins with: its type and its size in bytes.
const TAG: usize = 8;

/// How much of a packed variable is unpacked to learn what it is.
const HEAD: u64 = 1 << 12;

/// The most dimensions that an array may have, and bytes of its name: MATLAB allows 63.
const NAME: usize = 255;

/// Why something cannot be read; file and variable are put in front of it.
type Parsed<T> = std::result::Result<T, String>;

/// The variables of a `.mat` file.
#[derive(Clone, Debug)]
pub struct Variables {
    path: PathBuf,
    bytes: Vec<u8>,
    big_endian: bool,
    found: Vec<Variable>,
}

/// Where a variable lies in the file.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    packed: bool,
    start: usize,
    end: usize,
}

impl Variables {
    /// Reads a file and the names of its variables.
    ///
    /// # Errors
    /// [`Error::File`](maf_srl::Error::File) where the file is missing, is no `.mat` file or one of another version, is
    /// beyond the [`limits`](super::limits), or ends too early.
    pub fn read(path: &Path) -> Result<Self> {
        Variables::of(Bytes::open(path)?)
    }

    /// The same of bytes.
    ///
    /// # Errors
    /// As [`Variables::read`].
    pub fn of(mut file: Bytes<'_>) -> Result<Self> {
        if file.length > MAT {
            let reason = format_args!("{} bytes; at most {MAT} are read", file.length);
            return Err(trouble(&file.path, "length", reason));
        }
        let bytes = file.next(file.length, "data")?;
        let path = file.path;
        let big_endian = byte_order(&bytes).map_err(|reason| trouble(&path, "header", reason))?;
        let mut elements = Elements { bytes: &bytes, at: HEADER, big_endian };
        let mut found = Vec::new();
        while elements.at < bytes.len() {
            let from = elements.at;
            let at = |reason: String| trouble(&path, format_args!("byte {from}"), reason);
            if found.len() == VARIABLES {
                return Err(at(format!("more than {VARIABLES} variables")));
            }
            let element = elements.next().map_err(at)?;
            let packed = element.kind == Element::PACKED;
            if !packed && element.kind != Element::MATRIX {
                return Err(at(format!("data of type {}, expected a variable", element.kind)));
            }
            let (start, end) = (element.start, element.start + element.bytes.len());
            let head = if packed { unpack(element.bytes, HEAD).map_err(at)? } else { element.bytes.into() };
            let name = Array::of(&head, packed, big_endian).map_err(at)?.name;
            found.push(Variable { name, packed, start, end });
        }
        Ok(Variables { path, bytes, big_endian, found })
    }

    /// The names of the variables, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        // MATLAB keeps what its objects need in a variable without a name
        self.found.iter().map(|v| v.name.as_str()).filter(|name| !name.is_empty())
    }

    /// A numeric or logical matrix, rows and columns as MATLAB shows them; sparse ones become full. Every number is
    /// converted to f64, 64-bit integers beyond 2^53 to the nearest.
    ///
    /// # Errors
    /// [`Error::File`](maf_srl::Error::File) naming file and variable where there is none of that name, or where it is
    /// damaged, complex, of more than two dimensions, beyond the [`limits`](super::limits), or no numbers.
    pub fn matrix(&self, name: &str) -> Result<Array2<f64>> {
        self.look(name, |array| array.matrix(&mut { ENTRIES }))
    }

    /// The matrices in a cell array, in MATLAB's order; of a matrix that is in no cell, that one.
    ///
    /// # Errors
    /// Those of [`Variables::matrix`], for the array and each of its cells.
    pub fn cells(&self, name: &str) -> Result<Vec<Array2<f64>>> {
        self.look(name, |array| match array.class {
            Array::CELL => array.cells(&mut { ENTRIES }),
            _ => Ok(vec![array.matrix(&mut { ENTRIES })?]),
        })
    }

    fn look<T>(&self, name: &str, how: impl Fn(Array<'_>) -> Parsed<T>) -> Result<T> {
        let place = format_args!("variable {name:?}");
        let variable = self.found.iter().find(|v| v.name == name).ok_or_else(|| {
            let names: Vec<_> = self.names().collect();
            let found = if names.is_empty() { "none".into() } else { names.join(", ") };
            trouble(&self.path, place, format_args!("there is no such variable; found: {found}"))
        })?;
        let bytes = self.bytes.get(variable.start..variable.end).unwrap_or_default();
        let big_endian = self.big_endian;
        let all = if variable.packed { whole(bytes, big_endian) } else { Ok(bytes.into()) };
        all.and_then(|bytes| how(Array::of(&bytes, variable.packed, big_endian)?))
            .map_err(|reason| trouble(&self.path, place, reason))
    }
}

/// Whether the numbers in the file have their first byte first, from its header.
fn byte_order(bytes: &[u8]) -> Parsed<bool> {
    if bytes.starts_with(b"MATLAB 7.3 MAT-file") || bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Err("a MATLAB file of version 7.3 (HDF5), which is not read; save it again with -v7".into());
    }
    match bytes.get(124..HEADER) {
        Some([0, 1, b'I', b'M']) => Ok(false),
        Some([1, 0, b'M', b'I']) => Ok(true),
        _ => {
            Err("not a MATLAB file of version 5: bytes 124..128 must be the version 1 and the mark \"MI\""
                .into())
        }
    }
}

/// The first `limit` bytes of a packed element, or all where there are fewer.
fn unpack(bytes: &[u8], limit: u64) -> Parsed<Cow<'static, [u8]>> {
    let mut unpacked = Vec::new();
    let read = ZlibDecoder::new(bytes).take(limit).read_to_end(&mut unpacked);
    read.map_err(|e| format!("damaged: {}", why(&e)))?;
    Ok(unpacked.into())
}

/// All bytes of a packed array, the checksum compared: no more than it says in front that it has, which must be no more
/// than such an array needs.
fn whole(bytes: &[u8], big_endian: bool) -> Parsed<Cow<'static, [u8]>> {
    let head = unpack(bytes, HEAD)?;
    let (_, claimed) = Elements { bytes: &head, at: 0, big_endian }.begun()?;
    let (claimed, most) = ((claimed + TAG) as u64, Array::of(&head, true, big_endian)?.most_bytes()?);
    if claimed > most {
        return Err(format!("{claimed} bytes when unpacked; at most {most} are read"));
    }
    // what it says is made room for if that can come out of what is there
    let mut unpacked = Vec::with_capacity(claimed.min(UNPACKED.saturating_mul(bytes.len() as u64)) as usize);
    let mut rest = ZlibDecoder::new(bytes);
    let read = (&mut rest).take(claimed).read_to_end(&mut unpacked);
    // to the end, where the checksum is
    let more = read.and_then(|_| rest.take(1).read_to_end(&mut Vec::new()));
    if more.map_err(|e| format!("damaged: {}", why(&e)))? > 0 {
        return Err(format!("damaged: more than the {claimed} bytes that it says it has"));
    }
    Ok(unpacked.into())
}

/// Data elements, one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

/// One data element.
struct Element<'a> {
    kind: u32,
    /// Where its bytes begin.
    start: usize,
    bytes: &'a [u8],
}

impl Element<'_> {
    const MATRIX: u32 = 14;
    const PACKED: u32 = 15;
}

impl<'a> Elements<'a> {
    /// The number at a byte.
    fn word(&self, at: usize) -> Parsed<u32> {
        let bytes = at.checked_add(4).and_then(|end| self.bytes.get(at..end));
        let bytes = bytes.and_then(|bytes| bytes.first_chunk()).ok_or_else(|| self.short(at, 4))?;
        Ok(if self.big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
    }

    fn short(&self, at: usize, more: usize) -> String {
        format!("it ends too early: {more} bytes expected at byte {at} of {}", self.bytes.len())
    }

    /// The next element, whole.
    fn next(&mut self) -> Parsed<Element<'a>> {
        let (element, claimed) = self.begun()?;
        if element.bytes.len() < claimed {
            return Err(self.short(element.start, claimed));
        }
        Ok(element)
    }

    /// The next element as far as it is there, and the size that it claims.
    fn begun(&mut self) -> Parsed<(Element<'a>, usize)> {
        let first = self.word(self.at)?;
        // Up to four bytes fit into the tag itself; their number is in its upper half then.
        let (kind, start, claimed, padded) = if first >> 16 != 0 {
            (first & 0xffff, self.at + 4, (first >> 16) as usize, 4)
        } else {
            let size = self.word(self.at + 4)? as usize;
            let padded = if first == Element::PACKED { size } else { size.saturating_add(7) & !7 };
            (first, self.at + TAG, size, padded)
        };
        if start == self.at + 4 && claimed > 4 {
            return Err(format!("{claimed} bytes in a tag at byte {}, where there is room for 4", self.at));
        }
        let end = start.saturating_add(claimed).min(self.bytes.len());
        // a last element without its padding is read all the same
        self.at = start.saturating_add(padded).min(self.bytes.len());
        Ok((Element { kind, start, bytes: self.bytes.get(start..end).unwrap_or_default() }, claimed))
    }
}

/// An array with its header read and its contents yet to be.
struct Array<'a> {
    class: u32,
    complex: bool,
    shape: Vec<usize>,
    name: String,
    rest: Elements<'a>,
}

impl<'a> Array<'a> {
    const CELL: u32 = 1;
    const SPARSE: u32 = 5;
    /// A class of MATLAB's own, without dimensions.
    const OPAQUE: u32 = 17;

    /// Reads the header of an array. `tagged`: its tag is in front, as it is of what was packed.
    fn of(bytes: &'a [u8], tagged: bool, big_endian: bool) -> Parsed<Self> {
        let mut rest = Elements { bytes, at: 0, big_endian };
        if tagged {
            let (element, _) = rest.begun()?;
            if element.kind != Element::MATRIX {
                return Err(format!("packed data of type {}, expected an array", element.kind));
            }
            rest = Elements { bytes: element.bytes, at: 0, big_endian };
        }
        let flags = rest.next()?;
        let word = Elements { bytes: flags.bytes, at: 0, big_endian }.word(0)?;
        let class = word & 0xff;
        let mut shape = Vec::new();
        if class != Self::OPAQUE {
            let sizes = rest.next()?.numbers(big_endian)?;
            if sizes.len() > NAME {
                return Err(format!("damaged: {} dimensions", sizes.len()));
            }
            shape = sizes.map(index).collect::<Parsed<_>>()?;
        }
        let name = rest.next()?.bytes;
        if name.len() > NAME {
            return Err(format!("damaged: a name of {} bytes", name.len()));
        }
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').into();
        Ok(Array { class, complex: word & 0x800 != 0, shape, name, rest })
    }

    /// The rows and columns of a matrix that can be read, with room for it among as many entries as are `left`.
    fn size(&self, left: usize) -> Parsed<[usize; 2]> {
        if !(Self::SPARSE..=15).contains(&self.class) {
            return Err(format!("not numeric: it is {}", self.what()));
        }
        let &[rows, columns] = &self.shape[..] else {
            return Err(format!("of shape {:?}, expected rows and columns", self.shape));
        };
        if self.complex {
            return Err("complex, expected real numbers".into());
        }
        // of an empty matrix as well: a sparse one has a number for each column
        if columns > ENTRIES || rows.checked_mul(columns).is_none_or(|entries| entries > left) {
            let what = if self.class == Self::SPARSE { "sparse" } else { "a matrix" };
            let before = match ENTRIES - left {
                0 => String::new(),
                before => format!(", and those before it have {before}"),
            };
            return Err(format!(
                "{what} of {rows} x {columns}; at most {ENTRIES} entries of a variable are read{before}"
            ));
        }
        Ok([rows, columns])
    }

    /// The most bytes that such an array needs: 8 for each entry, and those of headers. A sparse one has a row with each
    /// entry, a number for each column, and may have kept room for more.
    fn most_bytes(&self) -> Parsed<u64> {
        const HEADERS: usize = 1 << 10;
        const KEPT: usize = 1 << 20;
        if self.class == Self::CELL {
            self.count()?;
            return Ok((8 * ENTRIES + HEADERS * VARIABLES) as u64);
        }
        let [rows, columns] = self.size(ENTRIES)?;
        let bytes = match self.class {
            Self::SPARSE => (16 * rows * columns + 8 * columns).min(8 * ENTRIES) + KEPT,
            _ => 8 * rows * columns,
        };
        Ok((bytes + HEADERS) as u64)
    }

    /// What it is, for messages.
    fn what(&self) -> &'static str {
        match self.class {
            Self::CELL => "a cell array",
            2 => "a structure",
            3 | Self::OPAQUE => "an object",
            4 => "text",
            16 => "a function",
            _ => "of an unknown class",
        }
    }

    /// The matrix, whose entries are taken off those `left`.
    fn matrix(mut self, left: &mut usize) -> Parsed<Array2<f64>> {
        let [rows, columns] = self.size(*left)?;
        *left -= rows * columns;
        if self.class == Self::SPARSE {
            return self.sparse(rows, columns);
        }
        let numbers = self.rest.next()?.numbers(self.rest.big_endian)?;
        if numbers.len() != rows * columns {
            return Err(format!("damaged: {} numbers for {rows} x {columns}", numbers.len()));
        }
        Array2::from_shape_vec((rows, columns).f(), numbers.collect()).map_err(|e| e.to_string())
    }

    /// The rows of the entries, where each column begins, and the values.
    fn sparse(mut self, rows: usize, columns: usize) -> Parsed<Array2<f64>> {
        let big = self.rest.big_endian;
        let places = self.rest.next()?.numbers(big)?;
        let mut starts = self.rest.next()?.numbers(big)?;
        let values = self.rest.next()?.numbers(big)?;
        if starts.len() != columns + 1 {
            return Err(format!("damaged: {} starts of {columns} columns", starts.len()));
        }
        let count = places.len().min(values.len());
        let mut start = starts.next().map_or(Ok(0), index)?;
        let mut entries = places.zip(values).skip(start);
        let mut full = Array2::zeros((rows, columns));
        for (column, end) in starts.enumerate() {
            let end = index(end)?;
            if end < start || end > count {
                return Err(format!("damaged: column {column} is {start}..{end} of {count} entries"));
            }
            for (row, value) in entries.by_ref().take(end - start) {
                let row = index(row)?;
                *full
                    .get_mut((row, column))
                    .ok_or_else(|| format!("damaged: row {row} in column {column}, of {rows} rows"))? = value;
            }
            start = end;
        }
        Ok(full)
    }

    /// How many cells a cell array has.
    fn count(&self) -> Parsed<usize> {
        let count = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        if count > VARIABLES {
            return Err(format!("{count} cells; at most {VARIABLES} are read"));
        }
        Ok(count)
    }

    fn cells(mut self, left: &mut usize) -> Parsed<Vec<Array2<f64>>> {
        let count = self.count()?;
        let mut cells = Vec::new();
        while cells.len() < count {
            let of = |reason| format!("cell {} (from 0): {reason}", cells.len());
            let element = self.rest.next().map_err(of)?;
            if element.kind != Element::MATRIX {
                return Err(of(format!("damaged: data of type {}, expected an array", element.kind)));
            }
            let cell = if element.bytes.is_empty() {
                Ok(Array2::zeros((0, 0)))
            } else {
                Array::of(element.bytes, false, self.rest.big_endian).and_then(|array| array.matrix(left))
            };
            cells.push(cell.map_err(of)?);
        }
        Ok(cells)
    }
}

impl<'a> Element<'a> {
    /// The numbers in it, whose type need not be the array's: MATLAB stores them in the smallest that holds them.
    fn numbers(&self, big_endian: bool) -> Parsed<Box<dyn ExactSizeIterator<Item = f64> + 'a>> {
        macro_rules! each {
            ($type:ty) => {{
                let (chunks, odd) = self.bytes.as_chunks::<{ size_of::<$type>() }>();
                if !odd.is_empty() {
                    return Err(format!("damaged: {} bytes of {}", self.bytes.len(), stringify!($type)));
                }
                Box::new(chunks.iter().map(move |&b| {
                    (if big_endian { <$type>::from_be_bytes(b) } else { <$type>::from_le_bytes(b) }) as f64
                }))
            }};
        }
        Ok(match self.kind {
            1 => each!(i8),
            2 => each!(u8),
            3 => each!(i16),
            4 => each!(u16),
            5 => each!(i32),
            6 => each!(u32),
            7 => each!(f32),
            9 => each!(f64),
            12 => each!(i64),
            13 => each!(u64),
            other => return Err(format!("damaged: data of type {other}, expected numbers")),
        })
    }
}

/// A size or a place.
fn index(number: f64) -> Parsed<usize> {
    if (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0 {
        Ok(number as usize)
    } else {
        Err(format!("damaged: {number} as a size or a place"))
    }
}
