//! `.safetensors` files: F32, F16, BF16 and F64 tensors are computed with, all others carried over.
//!
//! The header is parsed and validated by the `safetensors` crate and kept byte for byte. The tensors are read
//! one after the other, so the file is never in memory twice.

use std::path::Path;

use safetensors::Dtype as Stored;
use safetensors::tensor::Metadata;

use super::limits::{SAFETENSORS_HEADER as HEADER, TENSORS};
use super::tensor::Part;
use super::{Bytes, Carried, Dtype, Format, Select, Tensor, Tensors, failed, trouble, unread};
use maf_srl::error::{Result, unsupported};

/// Reads the tensors that are floating and meant; the others' bytes are carried over.
pub(super) fn read(file: Bytes<'_>, select: Option<&Select>) -> Result<Tensors> {
    let Bytes { path, length, mut reader } = file;
    let (path, file) = (path.as_path(), &mut *reader);
    let mut size = [0; 8];
    file.read_exact(&mut size)
        .map_err(|_| trouble(path, "bytes 0..8", format_args!("the file has only {length}")))?;
    let end = match u64::from_le_bytes(size) {
        size if size > HEADER => {
            let reason = format_args!("a header of {size} bytes; at most {HEADER} are read");
            return Err(trouble(path, "bytes 0..8", reason));
        }
        size => 8 + size,
    };
    if end > length {
        let reason = format_args!("ends at byte {end}, the file at byte {length}");
        return Err(trouble(path, "header", reason));
    }
    let mut header = vec![0; end as usize];
    header[..8].copy_from_slice(&size);
    file.read_exact(&mut header[8..]).map_err(|e| unread(path, "header", e))?;
    let about: Metadata = serde_json::from_slice(&header[8..]).map_err(|e| failed(path, "header", e))?;
    let names = names(&about);
    if names.len() > TENSORS {
        let reason = format_args!("{} tensors; at most {TENSORS} are read", names.len());
        return Err(trouble(path, "header", reason));
    }

    // All lengths are compared before anything is allocated.
    for name in &names {
        let Some(info) = about.info(name) else { continue };
        let last = end.saturating_add(info.data_offsets.1 as u64);
        if last > length {
            let reason = format!("ends at byte {last}, the file at byte {length}");
            return Err(trouble(path, format!("tensor {name:?}"), reason));
        }
    }
    let last = end + about.data_len() as u64;
    if last != length {
        let reason = format!("{} bytes after the last tensor", length - last);
        return Err(trouble(path, format!("byte {last}"), reason));
    }

    let mut parts = Vec::with_capacity(names.len());
    for name in names {
        let Some(info) = about.info(&name) else { continue };
        let meant = select.is_none_or(|s| s.matches(&name));
        parts.push(match if meant { computed(path, &name, info.dtype)? } else { None } {
            Some(dtype) => {
                let shape = info.shape.clone();
                let elements = shape.iter().product();
                let mut tensor =
                    Tensor { name, shape, dtype, fortran: false, big_endian: false, values: Vec::new() };
                tensor.fill(path, elements, file)?;
                Part::Values(tensor)
            }
            None => {
                let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
                file.read_exact(&mut bytes).map_err(|e| unread(path, format!("tensor {name:?}"), e))?;
                Part::Carried(bytes)
            }
        });
    }
    Ok(Tensors { source: path.into(), format: Format::Safetensors, header, parts })
}

/// The names in the order of the file.
fn names(about: &Metadata) -> Vec<String> {
    let mut names = about.offset_keys();
    // Tensors without elements share an offset; by name, so that every run reports the same order.
    names.sort_by_cached_key(|name| (about.info(name).map(|info| info.data_offsets), name.clone()));
    names
}

/// What the header says of the tensors that are carried over.
pub(super) fn carried(path: &Path, header: &[u8], parts: &[Part]) -> Result<Vec<Carried>> {
    let json = header.get(8..).unwrap_or_default();
    let about: Metadata = serde_json::from_slice(json).map_err(|e| failed(path, "header", e))?;
    let carried = names(&about).into_iter().zip(parts).filter(|(_, part)| matches!(part, Part::Carried(_)));
    let described = carried.filter_map(|(name, _)| {
        let info = about.info(&name)?;
        Some(Carried { dtype: info.dtype.to_string(), shape: info.shape.clone(), name })
    });
    Ok(described.collect())
}

/// The header of a file with the same tensors in the same order, where `parts` may have other shapes than in `header`.
/// Metadata and types are kept.
pub(super) fn reshaped(path: &Path, header: &[u8], parts: &[Part]) -> Result<Vec<u8>> {
    let json = header.get(8..).unwrap_or_default();
    let about: Metadata = serde_json::from_slice(json).map_err(|e| failed(path, "header", e))?;
    let mut entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(json).map_err(|e| failed(path, "header", e))?;
    let mut start = 0;
    for (name, part) in names(&about).into_iter().zip(parts) {
        let bytes = match part {
            Part::Values(tensor) => {
                entries[&name]["shape"] = tensor.shape.clone().into();
                tensor.values.len() * tensor.dtype.size()
            }
            Part::Carried(bytes) => bytes.len(),
        };
        entries[&name]["data_offsets"] = vec![start, start + bytes].into();
        start += bytes;
    }
    let mut json = serde_json::to_vec(&entries).map_err(|e| failed(path, "header", e))?;
    // The values begin at a multiple of 8.
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes()[..], &json].concat())
}

/// The type to compute with; `None` for what is not floating-point. A floating type that cannot be computed with
/// is an error, not a tensor passed over in silence.
fn computed(path: &Path, name: &str, stored: Stored) -> Result<Option<Dtype>> {
    match stored {
        Stored::F16 => Ok(Some(Dtype::F16)),
        Stored::BF16 => Ok(Some(Dtype::Bf16)),
        Stored::F32 => Ok(Some(Dtype::F32)),
        Stored::F64 => Ok(Some(Dtype::F64)),
        Stored::BOOL
        | Stored::U8
        | Stored::I8
        | Stored::U16
        | Stored::I16
        | Stored::U32
        | Stored::I32
        | Stored::U64
        | Stored::I64 => Ok(None),
        other => Err(unsupported(
            format!("{}: tensor {name:?}", path.display()),
            format!("values of type {other}"),
            "F16, BF16, F32, F64; leave the tensor out with `select` and it is carried over",
        )),
    }
}
