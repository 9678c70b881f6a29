//! Data sets as text: one sample per line, whole numbers, the class last. DIGITS and PENDIGITS.

use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use super::{Dataset, failed, trouble, why};
use maf_srl::error::{Error, Result};

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

/// Reads the table; `path` is for messages.
pub(super) fn read(path: &Path, reader: Box<dyn Read + '_>, table: &Table) -> Result<Dataset> {
    let columns = table.width * table.height;
    let mut rows =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(reader);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let mut row = csv::StringRecord::new();
    loop {
        let next = rows.position().line();
        if !rows.read_record(&mut row).map_err(|e| unread(path, next, e))? {
            break;
        }
        let line = row.position().map_or(next, csv::Position::line);
        if row.len() != columns + 1 {
            let reason = format!("{} columns, expected {columns} values and the class", row.len());
            return Err(trouble(path, format!("line {line}"), reason));
        }
        let number = |column: usize, what: &str, max: u8| match row[column].parse::<u8>() {
            Ok(number) if number <= max => Ok(number),
            _ => {
                let place = format!("line {line}, column {}", column + 1);
                Err(trouble(
                    path,
                    place,
                    format!("{:?} is no {what}: a whole number in 0..={max}", &row[column]),
                ))
            }
        };
        for column in 0..columns {
            values.push(f32::from(number(column, "value", table.max)?) / f32::from(table.max));
        }
        labels.push(usize::from(number(columns, "class", CLASSES as u8 - 1)?));
    }
    if labels.is_empty() {
        return Err(trouble(path, "line 1", "the file holds no sample"));
    }
    let features =
        Array2::from_shape_vec((labels.len(), columns), values).map_err(|e| failed(path, "table", e))?;
    let (name, width, height) = (table.name.into(), table.width, table.height);
    Ok(Dataset { name, features, labels, classes: CLASSES, width, height, channels: 1 })
}

/// What went wrong, without the library's own count of lines.
fn unread(path: &Path, line: u64, error: csv::Error) -> Error {
    let reason = match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => format!("not text: {err}"),
        csv::ErrorKind::Io(e) => why(e),
        _ => error.to_string(),
    };
    trouble(path, format!("line {line}"), reason).with_source(error)
}
