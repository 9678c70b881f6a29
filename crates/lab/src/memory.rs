//! What a run takes of the machine's memory, known from its options and its data before any of it is taken.

use std::fmt::Display;

use maf_srl::error::{Result, unsupported};

/// The most bytes that a run may take beside its data: 8 GiB.
pub const MEMORY: u64 = 8 << 30;

/// `Ok` where what is asked for takes no more than [`MEMORY`], else the error that names it, what it would take, and
/// what is allowed; `smaller` are the options that make it less.
pub(crate) fn memory(place: &str, what: impl Display, bytes: u64, smaller: &str) -> Result<()> {
    if bytes <= MEMORY {
        return Ok(());
    }
    let gib = bytes as f64 / f64::from(1_u32 << 30);
    let what = format!("{what} would take about {gib:.1} GiB of memory");
    Err(unsupported(place, what, format!("{} GiB: smaller {smaller}", MEMORY >> 30)))
}

/// The product of sizes; the largest number where it is beyond that.
pub(crate) fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |n, &size| n.saturating_mul(size as u64))
}

/// Bytes of the training of an unfolded network of so many layers of n components on batches: in float64 five numbers
/// of each layer are kept, and about ten more whatever their number. On a device it takes less.
pub(crate) fn unfolded(layers: u32, components: usize, batch: usize) -> u64 {
    product(&[40, layers as usize + 2, components, batch])
}
