//! The IDX files of MNIST and Fashion-MNIST: big-endian magic number and sizes, then bytes.

use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use super::{Dataset, failed, open_packed, trouble, unread};
use maf_srl::error::Result;

const CLASSES: usize = 10;

/// Reads a file of pictures and the file of their classes.
pub(super) fn read(name: &str, images: &Path, labels: &Path) -> Result<Dataset> {
    let ([count, height, width], pixels) = bytes(images)?;
    let ([labelled], classes) = bytes(labels)?;
    if count != labelled {
        let reason = format!("{labelled} classes for the {count} pictures of {}", images.display());
        return Err(trouble(labels, "bytes 4..8", reason));
    }
    if pixels.is_empty() {
        return Err(trouble(
            images,
            "bytes 4..16",
            format!("no pixels: {count} pictures of {height} x {width}"),
        ));
    }
    if let Some(k) = classes.iter().position(|&c| usize::from(c) >= CLASSES) {
        let reason = format!("class {} is outside 0..={}", classes[k], CLASSES - 1);
        return Err(trouble(labels, format!("sample {k}"), reason));
    }
    let values = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
    let features =
        Array2::from_shape_vec((count, height * width), values).map_err(|e| failed(images, "pictures", e))?;
    let labels = classes.into_iter().map(usize::from).collect();
    Ok(Dataset { name: name.into(), features, labels, classes: CLASSES, width, height, channels: 1 })
}

/// The sizes in N dimensions and the bytes. The element type must be unsigned byte.
fn bytes<const N: usize>(path: &Path) -> Result<([usize; N], Vec<u8>)> {
    let mut file = open_packed(path)?;
    let mut word = |place: &str| -> Result<u32> {
        let mut word = [0; 4];
        file.read_exact(&mut word).map_err(|e| unread(path, place, e))?;
        Ok(u32::from_be_bytes(word))
    };
    let (magic, expected) = (word("magic number")?, 0x0800 + N as u32);
    if magic != expected {
        let reason =
            format!("magic number {magic:#010x}, expected {expected:#010x}: bytes in {N} dimensions");
        return Err(trouble(path, "bytes 0..4", reason));
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        *size = word("sizes")? as usize;
    }
    let total = sizes
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .ok_or_else(|| trouble(path, "sizes", format!("{sizes:?} overflow")))?;
    // The sizes are only a claim: memory grows with what is really there, and one byte more is asked for.
    let mut bytes = Vec::new();
    file.take((total as u64).saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| unread(path, "data", e))?;
    match bytes.len() {
        n if n < total => Err(trouble(path, "data", format!("ends after {n} of {total} bytes"))),
        n if n > total => Err(trouble(path, "data", format!("goes on after the {total} bytes of {sizes:?}"))),
        _ => Ok((sizes, bytes)),
    }
}
