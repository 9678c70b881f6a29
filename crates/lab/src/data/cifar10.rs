//! The binary batches of CIFAR-10: rows of one class byte and 3 x 32 x 32 pixels, red, green, blue.

use std::path::PathBuf;

use ndarray::Array2;

use super::limits::PICTURES;
use super::{Bytes, Dataset, failed, trouble};
use maf_srl::error::Result;

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;
/// Bytes of a row.
const ROW: u64 = 1 + PIXELS as u64;
const CLASSES: usize = 10;
const FULL: (usize, usize) = (50_000, 10_000);

/// The name of everything that is not the whole of CIFAR-10.
pub(super) const SUBSET: &str = "cifar10-subset";

/// The files of a cut that is small enough to be handed round: the first rows of one batch and of the test.
const CUT: [&str; 2] = ["data_batch_1_first4000.bin", "test_batch_first1000.bin"];

/// Training and test part of the published batches, which `files` names, or of a cut of them. `at` finds a file.
///
/// Fewer samples than published make it a subset, which the name says, so that no figure is taken for one of
/// CIFAR-10.
pub(super) fn read<'a>(
    name: &str,
    files: &[&str],
    at: &dyn Fn(&str) -> Result<Bytes<'a>>,
) -> Result<(Dataset, Dataset)> {
    let all = |files: &[&str]| files.iter().map(|file| at(file)).collect::<Result<Vec<_>>>();
    let mut train = all(files).or_else(|missing| all(&CUT).map_err(|_| missing))?;
    let test = train.split_off(train.len().saturating_sub(1));
    let (mut train, mut test) = (batches(train)?, batches(test)?);
    let name = if (train.len(), test.len()) == FULL { name } else { SUBSET };
    (train.name, test.name) = (name.into(), name.into());
    Ok((train, test))
}

fn batches(files: Vec<Bytes<'_>>) -> Result<Dataset> {
    let files = files.into_iter().map(Bytes::unpacked).collect::<Result<Vec<_>>>()?;
    let place = files.first().map_or(PathBuf::new(), |file| file.path.clone());
    // room for all that can come, so that nothing is moved
    let most = |file: &Bytes<'_>| (file.length / ROW).min(PICTURES as u64) as usize;
    let most: usize = files.iter().map(most).sum();
    let (mut values, mut labels) = (Vec::with_capacity(most * PIXELS), Vec::with_capacity(most));
    for file in files {
        rows(file, &mut values, &mut labels)?;
    }
    let features =
        Array2::from_shape_vec((labels.len(), PIXELS), values).map_err(|e| failed(&place, "pictures", e))?;
    Ok(Dataset {
        name: String::new(),
        features,
        labels,
        classes: CLASSES,
        width: SIDE,
        height: SIDE,
        channels: 3,
    })
}

/// Reads the rows one after the other: a batch is never in memory beside its pixels.
fn rows(mut file: Bytes<'_>, values: &mut Vec<f32>, labels: &mut Vec<usize>) -> Result<()> {
    for count in 0.. {
        let place = format_args!("row {count}");
        let row = file.next(ROW, place)?;
        let Some((&class, pixels)) = row.split_first().filter(|_| row.len() as u64 == ROW) else {
            let bytes = count as u64 * ROW + row.len() as u64;
            if bytes == 0 || !row.is_empty() {
                let reason = format_args!("{bytes} bytes are no whole number of rows of {ROW} bytes");
                return Err(trouble(&file.path, "length", reason));
            }
            break;
        };
        if count == PICTURES {
            return Err(trouble(&file.path, place, format_args!("more than {PICTURES} rows")));
        }
        if usize::from(class) >= CLASSES {
            let reason = format_args!("class {class} is outside 0..={}", CLASSES - 1);
            return Err(trouble(&file.path, place, reason));
        }
        labels.push(usize::from(class));
        values.extend(pixels.iter().map(|&p| f32::from(p) / 255.0));
    }
    Ok(())
}
