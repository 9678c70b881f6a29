//! How the pattern and the columns are cut, and the dispatches.

use std::sync::Arc;

use super::{KERNEL, Path};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, same};
use crate::kernels::backward::{GradientTarget, SavedActivations, window};
use crate::kernels::matrix::occupied;
use crate::kernels::program::host_struct;
use crate::kernels::sums::{Fold, SPLITS, fold};
use crate::kernels::tables::scratch;
use crate::kernels::window::{Strided, Window};
use crate::kernels::{Dispatch, Dispatches, PipelineCache};
use crate::matrix::Pattern;

/// Where squares of 32 x 32 places that are not empty hold fewer entries than this share of theirs, entries are worked on one
/// by one: a square computes all its places, at a third to a fifth of the loads. An estimate from counts of loads.
const DENSE: f64 = 0.2;

/// Entries times columns up to which one dispatch, by entries, takes less time than tiles with a second one that puts their
/// splits together. 64 x 64 at a density of 0.4 with 64 columns is above: tiles take half of the time there, or less, on
/// lavapipe, llvmpipe and SwiftShader; on a GPU it has not been measured.
const SMALL: u64 = 1 << 14;

/// As many squares of 64 x 64 places keep a GPU busy.
const MANY: usize = 64;

/// Workgroups up to which columns are split.
const WANTED: u64 = 256;

/// The largest scratch, in bytes: as much is written and read once more.
const SCRATCH: u64 = 1 << 25;

host_struct! {
    /// WGSL's `Job` of `shaders/sddmm.wgsl`, where each field is explained; the structure follows.
    pub(super) struct SampledJob {
        x: Strided,
        data: Strided,
        grad_output: Strided,
        u: Strided,
        w: Strided,
        theta: u32,
        scale_at: u32,
        given: u32,
        rows: u32,
        columns: u32,
        pieces: u32,
        splits: u32,
        span: u32,
        lanes: u32,
        out: u32,
        apart: u32,
        add: u32,
    }
}

/// How the work is cut.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    pub path: Path,
    /// Runs of entries, or tiles.
    pub pieces: u32,
    /// Invocations to an entry.
    pub lanes: u32,
    /// Columns of a split, and how many splits.
    pub span: u32,
    pub splits: u32,
    /// The kernel's words on the pattern.
    pub structure: Vec<u32>,
}

impl Cut {
    /// By the path that is best, or the one named.
    pub fn new(pattern: &Pattern, columns: u32, path: Option<Path>) -> Self {
        let path = path.unwrap_or_else(|| best(pattern, columns));
        let average = pattern.nonzeros().div_ceil(pattern.rows());
        let lanes = (256 / average.next_power_of_two().min(256)).clamp(8, 64);
        // a split has at least so many columns, and whole multiples, so that it has some work
        let ((structure, pieces), least, whole) = match path {
            Path::Entries => (runs(pattern, 256 / lanes), 256, 256),
            Path::Tiles32 => (tiles(pattern, 32), 32, 16),
            Path::Tiles64 => (tiles(pattern, 64), 32, 16),
        };
        let most = (SCRATCH / (4 * u64::from(pattern.nonzeros().max(1)))).clamp(1, SPLITS);
        let m = u64::from(columns);
        let wanted = (WANTED / u64::from(pieces.max(1))).clamp(1, most).min(m.div_ceil(least));
        let span = m.div_ceil(wanted).next_multiple_of(whole).min(m);
        let splits = m.div_ceil(span) as u32;
        Cut { path, pieces, lanes, span: span as u32, splits, structure }
    }

    /// The longest chain of additions of an entry, products counted.
    pub fn chain(&self) -> f64 {
        let own = match self.path {
            Path::Entries => self.span.div_ceil(self.lanes) + 4 + self.lanes.ilog2(),
            Path::Tiles32 | Path::Tiles64 => 2 * self.span,
        };
        f64::from(own + self.splits + 3)
    }
}

/// The path for a pattern and a batch.
fn best(pattern: &Pattern, columns: u32) -> Path {
    let work = u64::from(pattern.nonzeros()) * u64::from(columns);
    let small = squares(pattern, 32).count();
    let fill = f64::from(pattern.nonzeros()) / (1024.0 * small.max(1) as f64);
    match () {
        () if work <= SMALL || fill < DENSE => Path::Entries,
        () if small >= 4 * MANY && squares(pattern, 64).count() >= MANY => Path::Tiles64,
        () => Path::Tiles32,
    }
}

/// Row, first entry and length of runs of up to `most` entries, then the entries' columns; and how many runs.
fn runs(pattern: &Pattern, most: u32) -> (Vec<u32>, u32) {
    let mut words = Vec::new();
    for i in 0..pattern.rows() {
        let row = pattern.row(i);
        for first in row.clone().step_by(most as usize) {
            words.extend([i, first as u32, (row.end - first).min(most as usize) as u32]);
        }
    }
    let count = words.len() as u32 / 3;
    words.extend_from_slice(pattern.indices());
    (words, count)
}

/// The squares with an entry, by their first rows and columns, in order.
fn squares(pattern: &Pattern, side: u32) -> impl Iterator<Item = (u32, u32)> {
    let rows = (0..).zip(occupied(pattern, side, side));
    rows.flat_map(move |(down, row)| row.into_iter().map(move |across| (down * side, across * side)))
}

/// Of each square with an entry: its first row and column; per row the number of the first entry in the square, and bits.
fn tiles(pattern: &Pattern, side: u32) -> (Vec<u32>, u32) {
    let (mut words, mut count) = (Vec::new(), 0);
    for (top, left) in squares(pattern, side) {
        count += 1;
        words.extend([top, left]);
        for i in top..top + side {
            let mut bits = [0u32; 2];
            let mut first = 0;
            if i < pattern.rows() {
                let row = pattern.row(i);
                let columns = &pattern.indices()[row.clone()];
                let start = columns.partition_point(|&j| j < left);
                first = (row.start + start) as u32;
                for j in columns[start..].iter().take_while(|&&j| j < left + side) {
                    bits[((j - left) / 32) as usize] |= 1 << ((j - left) % 32);
                }
            }
            words.push(first);
            words.extend(&bits[..side as usize / 32]);
        }
    }
    (words, count)
}

/// Cuts, compiles what is missing, and binds the derivatives by the entries of Â of one layer. Writes the values' places of the gradient's layer, and nothing else.
///
/// # Errors
/// [`Error::Shape`] where shapes, layers or the pattern do not fit; [`Error::Overlap`] where the gradient shares memory
/// with what is read; [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot give.
pub fn bind(
    kernels: &PipelineCache,
    pattern: &Arc<Pattern>,
    passed: &SavedActivations,
    into: &GradientTarget,
) -> Result<Dispatches> {
    let cut = Cut::new(pattern, passed.x.vectors.max(1), None);
    bind_cut(kernels, pattern, passed, into, &cut)
}

/// The same by a cut of choice.
pub(super) fn bind_cut(
    kernels: &PipelineCache,
    pattern: &Pattern,
    passed: &SavedActivations,
    into: &GradientTarget,
    cut: &Cut,
) -> Result<Dispatches> {
    let gradient = passed.check("sddmm", into)?;
    let limits = kernels.device().limits();
    let (rows, columns) = passed.shape();
    let places = passed.learned.places;
    let said = |n: u32, m: u32, entries: u32| format!("{n} x {m} with {entries} entries");
    let got = said(pattern.rows(), pattern.columns(), pattern.nonzeros());
    same(KERNEL.name, "pattern", got, said(rows, rows, places.nonzeros))?;
    let batch = |name: &str, batch| window(name, batch, (rows, columns), &limits);
    let (x, x_at) = batch("sampled: x", &passed.x)?;
    let (data, data_at) = batch("sampled: the data", passed.data.batch())?;
    let (grad_output, grad_output_at) = batch("sampled: ȳ", &passed.grad_output)?;
    let (u, u_at) = batch("sampled: u", &passed.u)?;
    let (w, w_at) = batch("sampled: w̄", &passed.w)?;
    let learned = Window::new("sampled: the learned numbers", &passed.learned.view, &limits)?;
    if places.nonzeros == 0 {
        return Ok(Dispatches::default());
    }
    let first = gradient.offset() + 4 * places.values().start as u64;
    let values = gradient.part(first, u64::from(places.nonzeros));
    let result = Window::new("sampled: the gradient", &values, &limits)?;

    let split = cut.splits > 1;
    let bytes = if split { 4 * u64::from(places.nonzeros) * u64::from(cut.splits) } else { 0 };
    let parts = scratch(kernels.device(), "partial sums of entries", bytes.next_multiple_of(16).max(16))?;
    let job = SampledJob {
        x: x_at,
        data: data_at,
        grad_output: grad_output_at,
        u: u_at,
        w: w_at,
        theta: passed.theta(&learned),
        scale_at: passed.scale_at(&learned),
        given: u32::from(passed.data.is_given()),
        rows,
        columns,
        pieces: cut.pieces,
        splits: cut.splits,
        span: cut.span,
        lanes: cut.lanes,
        out: if split { 0 } else { result.first },
        apart: places.nonzeros,
        add: u32::from(into.add && !split),
    };
    let job = [bytemuck::bytes_of(&job), bytemuck::cast_slice(&cut.structure)].concat();
    let to = if split { parts.as_entire_buffer_binding() } else { result.binding() };
    let bound = [&x, &data, &grad_output, &u, &w, &learned].map(Window::binding);
    let buffers: Vec<_> = (1..).zip(bound.into_iter().chain([to])).collect();
    let groups = u64::from(cut.pieces) * u64::from(cut.splits);
    let mut order: Dispatches = Dispatch::of_groups(kernels, &cut.path, &job, &buffers, groups)?.into();
    if split {
        let (add, numbers, splits) = (u32::from(into.add), places.nonzeros, cut.splits);
        let job = Fold { add, numbers, splits, apart: numbers, ..Fold::default() };
        order.extend([fold(kernels, job, &parts, &result)?]);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry is in one piece, once, under its number.
    #[test]
    fn pieces_hold_every_entry_once() {
        for pattern in [
            Pattern::random(65, 0.3, 1).unwrap(),
            Pattern::neighbourhood(20, 7, 1).unwrap(),
            Pattern::diagonal(200).unwrap(),
            Pattern::new(70, 70, [(0, 0), (69, 69), (3, 64), (3, 31), (3, 32)]).unwrap(),
        ] {
            let expected: Vec<_> = pattern.entries().collect();
            for path in Path::ALL {
                let cut = Cut::new(&pattern, 100, Some(path));
                let mut found = vec![(u32::MAX, 0); expected.len()];
                let words = &cut.structure;
                let side: usize = if path == Path::Tiles64 { 64 } else { 32 };
                for piece in 0..cut.pieces as usize {
                    if path == Path::Entries {
                        let [i, first, count] = words[3 * piece..3 * piece + 3] else { panic!() };
                        for k in first as usize..(first + count) as usize {
                            found[k] = (i, words[3 * cut.pieces as usize + k]);
                        }
                        assert!(count <= 256 / cut.lanes);
                        continue;
                    }
                    let per_row = 1 + side / 32;
                    let at = piece * (2 + side * per_row);
                    for row in 0..side {
                        let row_at = at + 2 + row * per_row;
                        let mut k = words[row_at] as usize;
                        for j in 0..side {
                            if words[row_at + 1 + j / 32] >> (j % 32) & 1 == 1 {
                                found[k] = (words[at] + row as u32, words[at + 1] + j as u32);
                                k += 1;
                            }
                        }
                    }
                }
                assert_eq!(found, expected, "{path:?}");
            }
        }
    }

    #[test]
    fn the_path_follows_fill_and_size() {
        let path = |pattern: Pattern, columns| best(&pattern, columns);
        assert_eq!(path(Pattern::random(64, 0.4, 0).unwrap(), 8), Path::Entries);
        assert_eq!(path(Pattern::random(64, 0.4, 0).unwrap(), 128), Path::Tiles32);
        assert_eq!(path(Pattern::random(512, 0.4, 0).unwrap(), 1000), Path::Tiles64);
        assert_eq!(path(Pattern::random(1000, 0.05, 0).unwrap(), 1000), Path::Entries);
        // the band is filled although the matrix is not
        assert_eq!(path(Pattern::neighbourhood(1000, 1, 16).unwrap(), 1000), Path::Tiles32);
    }
}
