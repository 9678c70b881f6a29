//! The checksums of MNIST and Fashion-MNIST, whose files have the same names and sizes: what tells them apart.

use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::path::Path;

use super::{Bytes, unread};
use maf_srl::error::Result;

/// CRC-32 of the unpacked files of MNIST: pictures and classes of the training part, then of the test part. The files
/// that it was computed of have the published MD5 sums.
pub(super) const MNIST: [u32; 4] = [0xe9f4_d8b3, 0xe0cb_4ad2, 0x9137_3bdf, 0x4ab9_eff9];

/// The same of Fashion-MNIST.
pub(super) const FASHION_MNIST: [u32; 4] = [0xb4f2_9f28, 0x741a_4657, 0x678f_e0b1, 0x8014_2c1f];

/// CRC-32 of a file's contents, unpacked. What is packed with gzip carries it, before the length in its last 8 bytes (RFC
/// 1952); of several pieces, which no publisher has, that of the last.
pub(super) fn sum(path: &Path) -> Result<u32> {
    let Bytes { length, mut reader, .. } = Bytes::open(path)?;
    let failed = |e| unread(path, "checksum", e);
    let packed = length >= 8 && reader.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    if packed {
        let (mut file, mut sum) = (File::open(path).map_err(failed)?, [0; 4]);
        file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut sum)).map_err(failed)?;
        return Ok(u32::from_le_bytes(sum));
    }
    let mut summed = flate2::CrcReader::new(reader);
    std::io::copy(&mut summed, &mut std::io::sink()).map_err(failed)?;
    Ok(summed.crc().sum())
}
