//! The dispatches of one step of a solver over many tensors.

use super::{Row, Solver, Stage, Variant};
use crate::error::{Result, unsupported};
use crate::gpu::View;
use crate::kernels::packer::{Packer, Slot};
use crate::kernels::step::{Base, Width};
use crate::kernels::tiles::{self, Cut, HELD, IN_REGISTERS, Piece, Tile};
use crate::kernels::{Dispatches, Kernels};
use crate::penalty::group::Lasso;
use crate::penalty::{Group, GroupPenalty, Groups, Layout, Penalty};

/// One tensor's work.
#[derive(Clone, Debug)]
pub struct Job {
    /// The elementwise penalty.
    pub penalty: Penalty,
    /// The group lasso and the groups.
    pub group: Option<Group>,
    /// W, then G, then the states, then the copy V where the solver keeps one; all of one length and free of overlaps.
    pub views: Vec<View>,
    /// Index of its row of hyper-parameters.
    pub row: usize,
    /// Index of its status word.
    pub tensor: usize,
}

/// Words of 16 bytes that a large group's row takes in the scratch buffer, and one of its parts.
const ROW: u64 = size_of::<Row>() as u64 / 16;
const PARTIAL: u64 = 2;

/// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::Row)s, `status` the status words.
///
/// # Errors
/// [`crate::Error::Unsupported`] for a solver, base step or penalty that do not go together, and for groups with another
/// penalty than the group lasso; [`crate::Error::Shape`] naming the tensor whose views do not fit; [`crate::Error::Limit`], [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot
/// give.
pub fn bind(
    kernels: &Kernels,
    base: Base,
    solver: Solver,
    jobs: &[Job],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
) -> Result<Dispatches> {
    let limits = kernels.device().limits();
    let slots = slots(base, solver);
    let mut cuts: Vec<(Width, Cut)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let groups = job.group.as_ref().map(|group| &group.groups);
        tiles::check(job.tensor, groups, &job.views, slots.len())?;
        cuts.push(cut(job)?);
    }
    let splits: u64 = cuts.iter().map(|(_, cut)| cut.splits.len() as u64).sum();
    let parts: u64 = cuts.iter().map(|(_, cut)| cut.count).sum();
    let bytes = 16 * (ROW * splits + PARTIAL * parts).max(ROW);
    let scratch = tiles::scratch(kernels.device(), "scratch of large groups", bytes)?;

    // what reads the tensors' rows, and what reads those of large groups
    let mut first = Packer::new(super::ROOM.name, &limits);
    let mut last = Packer::new(super::ROOM.name, &limits);
    let (mut own_row, mut part) = (0, ROW * splits);
    for (job, (width, cut)) in jobs.iter().zip(&cuts) {
        let variant = |stage| Variant::new(stage, solver, base, job.penalty, *width);
        let views = |piece: &Piece| {
            let span = (piece.start, piece.end);
            slots.iter().zip(&job.views).map(|(&slot, view)| (slot, view, span)).collect::<Vec<_>>()
        };
        let whole = variant(if job.group.is_some() { Stage::Held } else { Stage::Elements })?;
        for piece in &cut.held {
            let tile = tiles::tile(piece, job.row, job.tensor);
            first.push(whole, &views(piece), job.tensor, tile, &piece.entries)?;
        }
        for (piece, first_split, first_part) in &cut.parts {
            let views = views(piece);
            let partials = (part + PARTIAL * first_part) as u32;
            let tile = Tile { extra: partials, ..tiles::tile(piece, job.row, job.tensor) };
            first.push(variant(Stage::Measure)?, &views[..1], job.tensor, tile, &piece.entries)?;
            let tile = tiles::tile(piece, (own_row + first_split) as usize, job.tensor);
            last.push(variant(Stage::Elements)?, &views, job.tensor, tile, &piece.entries)?;
        }
        for (number, split) in (own_row..).zip(&cut.splits) {
            let tile = Tile {
                extra: (part + PARTIAL * split.part) as u32,
                groups: 1,
                length: split.parts as u32,
                apart: (PARTIAL * split.apart) as u32,
                lanes: 1,
                row: job.row as u32,
                state: (ROW * number) as u32,
                ..bytemuck::Zeroable::zeroed()
            };
            first.push(variant(Stage::Combine)?, &[], job.tensor, tile, &[])?;
        }
        own_row += cut.splits.len() as u64;
        part += PARTIAL * cut.count;
    }
    let status = (2, status.as_entire_buffer_binding());
    let own = scratch.as_entire_buffer_binding();
    let mut first = first.close(kernels, &[(1, rows), status.clone(), (7, own.clone())])?;
    first.sort_by_key(|(variant, _)| match variant.stage {
        Stage::Held | Stage::Elements => 0,
        Stage::Measure => 1,
        Stage::Combine => 2,
    });
    let last = last.close(kernels, &[(1, own), status])?;
    Ok(first.into_iter().chain(last).map(|(_, dispatch)| dispatch).collect())
}

/// A tensor's tiles; one without groups is cut into blocks that have nothing in common.
fn cut(job: &Job) -> Result<(Width, Cut)> {
    let length = job.views.first().map_or(0, View::length);
    let blocks =
        || Ok(Group::new(Lasso::default().into(), 0.0, Groups::new(Layout::Blocks(HELD), &[length])?));
    let group = job.group.clone().map_or_else(blocks, Ok)?;
    let groups = &group.groups;
    if !matches!(group.penalty, GroupPenalty::Lasso(_)) {
        let what = format!("the group penalty {}", group.penalty.name());
        return Err(unsupported(super::ROOM.name, what, "lasso"));
    }
    let width = tiles::width(groups, &job.views);
    Ok((width, tiles::cut(&group, width, IN_REGISTERS)))
}

/// Where a tensor's views go.
fn slots(base: Base, solver: Solver) -> Vec<Slot> {
    base.slots().into_iter().chain(solver.has_copy().then_some(Slot::Extra)).collect()
}
