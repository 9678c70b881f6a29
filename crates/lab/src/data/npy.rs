//! NumPy's `.npy` files: one tensor of f32 or f64, any rank, C or Fortran order, either byte order.
//!
//! The header is parsed by `ndarray-npy` and kept byte for byte, so an output has the order, the type and the
//! version of its input.

use std::io::Read;
use std::path::Path;

use ndarray_npy::npy::header::Header;

use super::limits::NPY_HEADER;
use super::tensor::Part;
use super::{Bytes, Dtype, Format, Select, Tensor, Tensors, trouble, unread};
use maf_srl::error::{Result, unsupported};

/// The deepest nesting that a header may have; a shape needs two levels.
const MAX_BRACKETS: usize = 16;

/// Reads the one tensor; without any part where `select` does not match the file's name.
pub(super) fn read(file: Bytes<'_>, select: Option<&Select>) -> Result<Tensors> {
    let Bytes { path, length, mut reader } = file;
    let path = path.as_path();
    let header = read_header(path, &mut *reader)?;
    let about = Header::from_reader(&mut &header[..])
        .map_err(|e| trouble(path, "header", undrawn(&e.to_string())).with_source(e))?;
    let descriptor =
        about.type_descriptor.as_string().cloned().unwrap_or_else(|| about.type_descriptor.to_string());
    let (dtype, big_endian) = match descriptor.as_str() {
        "<f4" => (Dtype::F32, false),
        ">f4" => (Dtype::F32, true),
        "<f8" => (Dtype::F64, false),
        ">f8" => (Dtype::F64, true),
        other => {
            return Err(unsupported(
                path.display().to_string(),
                format!("values of dtype {other:?}"),
                "float32 (\"<f4\", \">f4\") and float64 (\"<f8\", \">f8\")",
            ));
        }
    };
    let elements = about.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let (elements, bytes) = elements
        .and_then(|n| Some((n, n.checked_mul(dtype.size())?)))
        .ok_or_else(|| trouble(path, "header", format!("shape {:?} overflows", about.shape)))?;
    let present = length.saturating_sub(header.len() as u64);
    if present != bytes as u64 {
        let reason = format!(
            "{present} bytes of values, expected {bytes} for shape {:?} of {descriptor:?}",
            about.shape
        );
        return Err(trouble(path, format!("byte {}", header.len()), reason));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut parts = Vec::new();
    if select.is_none_or(|s| s.matches(&name)) {
        let fortran = about.layout.is_fortran();
        let mut tensor = Tensor { name, shape: about.shape, dtype, fortran, big_endian, values: Vec::new() };
        tensor.fill(path, elements, &mut *reader)?;
        parts.push(Part::Values(tensor));
    }
    Ok(Tensors { source: path.into(), format: Format::Npy, header, parts })
}

/// A parser's error in one line: where the text is drawn with an arrow under the place, the place and what was expected
/// there, which stands last.
fn undrawn(error: &str) -> String {
    let line = |drawn: (&str, &str)| {
        let (place, drawing) = drawn.1.split_once('\n')?;
        let (row, column) = place.trim().split_once(':')?;
        let expected = drawing.lines().last()?.trim_start_matches(['=', ' ']);
        let before = drawn.0.trim_end_matches([':', ' ']);
        Some(format!("{before} at line {row}, column {column}: {expected}"))
    };
    error.split_once("-->").and_then(line).unwrap_or_else(|| error.to_owned())
}

/// The header's bytes, from the magic string to the line's end, small enough and flat enough to be parsed.
fn read_header(path: &Path, file: &mut dyn Read) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    let mut more = |header: &mut Vec<u8>, count: usize| {
        let start = header.len();
        header.resize(start + count, 0);
        file.read_exact(&mut header[start..])
            .map_err(|e| unread(path, format!("header, bytes {start}..{}", start + count), e))
    };
    more(&mut header, 10)?;
    if !header.starts_with(b"\x93NUMPY") {
        return Err(trouble(path, "byte 0", "not a .npy file: it must begin with \\x93NUMPY"));
    }
    let mut size = usize::from(u16::from_le_bytes([header[8], header[9]]));
    if header[6] >= 2 {
        more(&mut header, 2)?;
        size += usize::from(u16::from_le_bytes([header[10], header[11]])) << 16;
    }
    if size > NPY_HEADER {
        return Err(trouble(
            path,
            "byte 8",
            format!("a header of {size} bytes; at most {NPY_HEADER} are read"),
        ));
    }
    more(&mut header, size)?;
    // The parser of Python literals is recursive: a damaged header must not exhaust the stack.
    if header[10..].iter().filter(|b| b"([{".contains(b)).count() > MAX_BRACKETS {
        return Err(trouble(path, "header", "too many brackets for a type, an order and a shape"));
    }
    Ok(header)
}
