//! Data sets as text: one sample per line, whole numbers separated by commas, the class last. DIGITS and PENDIGITS.

use std::io::{BufRead, Read};

use ndarray::Array2;

use super::limits::{LINE, TEXT};
use super::{Bytes, Dataset, failed, trouble, unread};
use maf_srl::error::Result;

/// What a table must look like.
pub(super) struct Table {
    name: &'static str,
    width: usize,
    height: usize,
    /// The largest feature, scaled to 1.
    max: u8,
}

/// 8 x 8 grey values of 0..=16.
pub(super) const DIGITS: Table = Table { name: "digits", width: 8, height: 8, max: 16 };

/// 8 points of a pen's way, x and y in 0..=100.
pub(super) const PENDIGITS: Table = Table { name: "pendigits", width: 16, height: 1, max: 100 };

const CLASSES: usize = 10;

/// Reads the table, packed with gzip or not. Lines without anything are passed over.
pub(super) fn read(file: Bytes<'_>, table: &Table) -> Result<Dataset> {
    let Bytes { path, mut reader, .. } = file.unpacked()?;
    let path = path.as_path();
    let columns = table.width * table.height;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let (mut bytes, mut left, mut number) = (Vec::new(), TEXT, 0_u64);
    loop {
        number += 1;
        let place = format_args!("line {number}");
        bytes.clear();
        // one byte more than a line may have
        let read = (&mut reader).take(LINE + 1).read_until(b'\n', &mut bytes);
        let read = read.map_err(|e| unread(path, place, e))? as u64;
        if read == 0 {
            break;
        }
        if read > LINE {
            return Err(trouble(path, place, format_args!("more than {LINE} bytes in one line")));
        }
        left = left
            .checked_sub(read)
            .ok_or_else(|| trouble(path, place, format_args!("more than {TEXT} bytes of text")))?;
        let line = std::str::from_utf8(&bytes)
            .map_err(|e| trouble(path, place, format_args!("not text: {e}")).with_source(e))?;
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let fields = line.split(',').count();
        if fields != columns + 1 {
            let reason = format_args!("{fields} columns, expected {columns} values and the class");
            return Err(trouble(path, place, reason));
        }
        for (column, field) in line.split(',').map(str::trim).enumerate() {
            let (what, max) =
                if column < columns { ("value", table.max) } else { ("class", CLASSES as u8 - 1) };
            let found = field.parse::<u8>().ok().filter(|&found| found <= max).ok_or_else(|| {
                let reason = format_args!("{field:?} is no {what}: a whole number in 0..={max}");
                trouble(path, format_args!("line {number}, column {}", column + 1), reason)
            })?;
            if column < columns {
                values.push(f32::from(found) / f32::from(table.max));
            } else {
                labels.push(usize::from(found));
            }
        }
    }
    if labels.is_empty() {
        return Err(trouble(path, "line 1", "the file holds no sample"));
    }
    let features =
        Array2::from_shape_vec((labels.len(), columns), values).map_err(|e| failed(path, "table", e))?;
    let (name, width, height) = (table.name.into(), table.width, table.height);
    Ok(Dataset { name, features, labels, classes: CLASSES, width, height, channels: 1 })
}
