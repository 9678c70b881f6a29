//! The IDX files of MNIST and Fashion-MNIST: big-endian magic number and sizes, then bytes.

use std::io::Read;

use ndarray::Array2;

use super::limits::{PIXELS, SIDE};
use super::{Bytes, Dataset, failed, trouble, unread};
use maf_srl::error::Result;

const CLASSES: usize = 10;

/// Reads a file of pictures and the file of their classes, packed with gzip or not.
pub(super) fn read(name: &str, images: Bytes<'_>, labels: Bytes<'_>) -> Result<Dataset> {
    let (mut images, mut labels) = (images.unpacked()?, labels.unpacked()?);
    let [count, height, width] = sizes(&mut images)?;
    if height > SIDE || width > SIDE {
        let reason = format_args!("pictures of {height} x {width}; at most {SIDE} x {SIDE} are read");
        return Err(trouble(&images.path, "bytes 8..16", reason));
    }
    let area = height * width;
    let wrong = |reason: &str| {
        let reason = format_args!("{count} pictures of {height} x {width}; {reason}");
        Err(trouble(&images.path, "bytes 4..16", reason))
    };
    match count.checked_mul(area) {
        Some(0) => return wrong("expected pixels"),
        Some(1..=PIXELS) => {}
        _ => return wrong(&format!("at most {PIXELS} pixels are read")),
    }
    let [labelled] = sizes(&mut labels)?;
    if count != labelled {
        let reason = format_args!("{labelled} classes for the {count} pictures of {}", images.path.display());
        return Err(trouble(&labels.path, "bytes 4..8", reason));
    }
    let classes = bytes(&mut labels, count)?;
    if let Some(k) = classes.iter().position(|&c| usize::from(c) >= CLASSES) {
        let reason = format_args!("class {} is outside 0..={}", classes[k], CLASSES - 1);
        return Err(trouble(&labels.path, format_args!("sample {k}"), reason));
    }
    let pixels = bytes(&mut images, count * area)?;
    let values = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
    let features =
        Array2::from_shape_vec((count, area), values).map_err(|e| failed(&images.path, "pictures", e))?;
    let labels = classes.into_iter().map(usize::from).collect();
    Ok(Dataset { name: name.into(), features, labels, classes: CLASSES, width, height, channels: 1 })
}

/// The sizes in N dimensions. The element type must be unsigned byte.
fn sizes<const N: usize>(file: &mut Bytes<'_>) -> Result<[usize; N]> {
    let Bytes { path, reader, .. } = file;
    let mut word = |place: &str| -> Result<u32> {
        let mut word = [0; 4];
        reader.read_exact(&mut word).map_err(|e| unread(path, place, e))?;
        Ok(u32::from_be_bytes(word))
    };
    let (magic, expected) = (word("magic number")?, 0x0800 + N as u32);
    if magic != expected {
        let reason =
            format_args!("magic number {magic:#010x}, expected {expected:#010x}: bytes in {N} dimensions");
        return Err(trouble(path, "bytes 0..4", reason));
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        *size = word("sizes")? as usize;
    }
    Ok(sizes)
}

/// The bytes behind the sizes: so many, and no more.
fn bytes(file: &mut Bytes<'_>, total: usize) -> Result<Vec<u8>> {
    let bytes = file.next(total as u64, "data")?;
    if bytes.len() < total {
        let reason = format_args!("ends after {} of {total} bytes", bytes.len());
        return Err(trouble(&file.path, "data", reason));
    }
    if !file.is_at_end("data")? {
        return Err(trouble(
            &file.path,
            "data",
            format_args!("goes on after the {total} bytes of its sizes"),
        ));
    }
    Ok(bytes)
}
