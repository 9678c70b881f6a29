//! The dispatches of the norms of many grouped tensors.

use super::{Norm, Stage, Variant};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, same, within};
use crate::gpu::View;
use crate::kernels::packer::{Packer, Slot};
use crate::kernels::step::{VECTOR_WIDTH, WORKGROUP, Width};
use crate::kernels::tables::{Tables, scratch};
use crate::kernels::tiles::{self, Cut, PART, Tile, TilePolicy};
use crate::kernels::word::Reach;
use crate::kernels::{Dispatches, PipelineCache, Unbound, refuse_overlap_among};
use crate::penalty::group::Lasso;
use crate::penalty::{Group, Groups};

/// One tensor's work.
#[derive(Clone, Debug)]
pub struct NormsJob {
    /// The groups; their weights are not used.
    pub groups: Groups,
    /// The tensor.
    pub input: View,
    /// One word per group: f32, or u32 for [`Norm::L0`].
    pub output: View,
}

/// Few invocations to a group, so that few wait for each other, none at best; as many as read whole sectors of memory at a
/// time.
fn grain(reach: Reach) -> TilePolicy {
    let alone = match reach.width() {
        Width::Vec4 => 4 * VECTOR_WIDTH,
        Width::Scalar => 3 * VECTOR_WIDTH,
    };
    TilePolicy { held: PART, column: PART / 32, alone, sharing: 8 }
}

/// Groups of one element are worked on like a vector from this number on.
const VECTOR: u64 = 32;

/// The most empty groups of a tile.
const EMPTY: u64 = 4096;

/// Cuts, compiles what is missing, and binds.
///
/// # Errors
/// [`Error::Shape`] where a view's length is not that of its groups; [`Error::Overlap`] where an output shares memory
/// with another view; [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot give.
pub fn bind(kernels: &PipelineCache, norm: Norm, jobs: &[NormsJob]) -> Result<Dispatches> {
    Tables::alone(kernels, |tables| lay(kernels, norm, jobs, tables))
}

fn lay(kernels: &PipelineCache, norm: Norm, jobs: &[NormsJob], tables: &mut Tables) -> Result<Vec<Unbound>> {
    jobs.iter().enumerate().try_for_each(|(k, job)| job.check(k))?;
    refuse_overlap(jobs)?;
    let limits = kernels.device().limits();
    let cuts: Vec<(Reach, Cut)> = jobs
        .iter()
        .map(|job| {
            let reach = tiles::reach(&job.groups, std::slice::from_ref(&job.input));
            // any penalty without weights of its own: the tiles' weights are not used
            let group = Group::new(Lasso::default().into(), 1.0, job.groups.clone());
            (reach, tiles::cut(&group, reach, grain(reach)))
        })
        .collect();
    let parts: u64 = cuts.iter().map(|(_, cut)| cut.count).sum();
    let bytes = 16 * parts.max(1);
    let scratch = scratch(kernels.device(), "sums of parts of groups", bytes)?;

    let mut packer = Packer::new(super::KERNEL.name, &limits);
    let mut base = 0;
    for (number, (job, (reach, cut))) in jobs.iter().zip(&cuts).enumerate() {
        let variant = |stage| Variant::new(stage, norm, *reach);
        for piece in &cut.held {
            let vector =
                piece.length == 1 && piece.entries.is_empty() && piece.groups >= VECTOR && piece.stride == 1;
            let stage = if vector { Stage::Each } else { Stage::Whole };
            let last = piece.entries.last().map_or(piece.groups, |entry| u64::from(entry.number) + 1);
            let views = [
                (Slot::W, &job.input, (piece.start, piece.end)),
                (Slot::Extra, &job.output, (piece.group, piece.group + last)),
            ];
            packer.push(variant(stage), &views, number, tiles::tile(piece, 0, 0), &piece.entries)?;
        }
        for (piece, _, part) in &cut.parts {
            let tile = Tile { state: (base + part) as u32, ..tiles::tile(piece, 0, 0) };
            let views = [(Slot::W, &job.input, (piece.start, piece.end))];
            packer.push(variant(Stage::Part), &views, number, tile, &piece.entries)?;
        }
        for (first, groups, tile) in combined(cut, base).into_iter().chain(empty(&job.groups)) {
            let views = [(Slot::Extra, &job.output, (first, first + groups))];
            packer.push(variant(Stage::Combine), &views, number, tile, &[])?;
        }
        base += cut.count;
    }
    let mut closed = packer.close(kernels, tables, &[(1, scratch.as_entire_buffer_binding())])?;
    closed.sort_by_key(|(variant, _)| variant.stage == Stage::Combine);
    Ok(closed.into_iter().map(|(_, unbound)| unbound).collect())
}

impl NormsJob {
    fn check(&self, number: usize) -> Result<()> {
        let groups = &self.groups;
        let place = format!("norms of tensor {number}, groups {}", groups.layout());
        same(&place, "length of the tensor", self.input.len(), groups.len())?;
        same(&place, "length of the output", self.output.len(), groups.count())?;
        within(&place, "number of groups", groups.count(), u64::from(u32::MAX))?;
        within(&place, "elements of one group", groups.largest(), u64::from(u32::MAX))
    }
}

/// Outputs share memory with nothing.
fn refuse_overlap(jobs: &[NormsJob]) -> Result<()> {
    let views = jobs.iter().enumerate().flat_map(|(k, NormsJob { input, output, .. })| {
        [((k, false), input, false), ((k, true), output, true)]
    });
    refuse_overlap_among(views, |(k, written)| match written {
        true => format!("the norms of tensor {k}"),
        false => format!("tensor {k}"),
    })
}

/// Tiles that put parts together: neighbouring groups of equally many parts, with the first group and their number.
fn combined(cut: &Cut, base: u64) -> Vec<(u64, u64, Tile)> {
    let alike = |a: &tiles::Split, b: &tiles::Split| {
        (b.group, b.part, b.parts, b.stride) == (a.group + 1, a.part + 1, a.parts, a.stride)
    };
    let mut tiles = Vec::new();
    for run in cut.splits.chunk_by(alike) {
        let lanes = run[0].parts.div_ceil(8).next_power_of_two().min(u64::from(WORKGROUP));
        for side_by_side in run.chunks((u64::from(WORKGROUP) / lanes) as usize) {
            let first = &side_by_side[0];
            let tile = Tile {
                groups: side_by_side.len() as u32,
                length: first.parts as u32,
                run_stride: first.stride as u32,
                stride: 1,
                lanes: lanes as u32,
                across: 1,
                entry: tiles::NONE,
                state: (base + first.part) as u32,
                ..bytemuck::Zeroable::zeroed()
            };
            tiles.push((first.group, side_by_side.len() as u64, tile));
        }
    }
    tiles
}

/// Tiles of empty groups: there are no parts to be put together, which gives 0.
fn empty(groups: &Groups) -> Vec<(u64, u64, Tile)> {
    let mut tiles: Vec<(u64, u64, Tile)> = Vec::new();
    for g in (0..groups.count()).filter(|&g| groups.size(g) == 0) {
        match tiles.last_mut() {
            Some((first, count, tile)) if *first + *count == g && *count < EMPTY => {
                *count += 1;
                tile.groups += 1;
            }
            _ => {
                let tile = Tile { groups: 1, lanes: 1, entry: tiles::NONE, ..bytemuck::Zeroable::zeroed() };
                tiles.push((g, 1, tile));
            }
        }
    }
    tiles
}
