//! The binary batches of CIFAR-10: rows of one class byte and 3 x 32 x 32 pixels, red, green, blue.

use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::{Dataset, failed, open_packed, trouble, unread};
use maf_srl::error::Result;

const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;
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
pub(super) fn read(
    name: &str,
    files: &[&str],
    at: &dyn Fn(&str) -> Result<PathBuf>,
) -> Result<(Dataset, Dataset)> {
    let all = |files: &[&str]| files.iter().map(|file| at(file)).collect::<Result<Vec<_>>>();
    let mut paths = all(files).or_else(|missing| all(&CUT).map_err(|_| missing))?;
    let test = paths.split_off(paths.len().saturating_sub(1));
    let (mut train, mut test) = (batches(&paths)?, batches(&test)?);
    let name = if (train.len(), test.len()) == FULL { name } else { SUBSET };
    (train.name, test.name) = (name.into(), name.into());
    Ok((train, test))
}

fn batches(paths: &[PathBuf]) -> Result<Dataset> {
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        rows(path, &mut values, &mut labels)?;
    }
    let place = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let features =
        Array2::from_shape_vec((labels.len(), PIXELS), values).map_err(|e| failed(place, "pictures", e))?;
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

fn rows(path: &Path, values: &mut Vec<f32>, labels: &mut Vec<usize>) -> Result<()> {
    let mut file = open_packed(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| unread(path, format!("byte {}", bytes.len()), e))?;
    if bytes.is_empty() || bytes.len() % (PIXELS + 1) != 0 {
        let reason = format!("{} bytes are no whole number of rows of {} bytes", bytes.len(), PIXELS + 1);
        return Err(trouble(path, "length", reason));
    }
    for (k, row) in bytes.chunks_exact(PIXELS + 1).enumerate() {
        let class = usize::from(row[0]);
        if class >= CLASSES {
            let reason = format!("class {class} is outside 0..={}", CLASSES - 1);
            return Err(trouble(path, format!("row {k}"), reason));
        }
        labels.push(class);
        values.extend(row[1..].iter().map(|&p| f32::from(p) / 255.0));
    }
    Ok(())
}
