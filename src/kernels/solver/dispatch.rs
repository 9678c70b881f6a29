//! The dispatches of one step of a solver over many tensors.

use super::{Solved, Solver, SolverRow, Stage, Variant};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::operator::Operator;
use crate::kernels::packer::{Packer, Slot};
use crate::kernels::step::Optimizer;
use crate::kernels::tables::Tables;
use crate::kernels::tiles::{self, Cut, HELD, IN_REGISTERS, Scratch, TilePlan};
use crate::kernels::word::Reach;
use crate::kernels::{Dispatches, PipelineCache, TensorJob, Unbound};
use crate::penalty::group::Lasso;
use crate::penalty::{Group, Groups, Layout};

/// Words of 16 bytes that a large group's row takes in the scratch buffer.
const ROW: u64 = size_of::<SolverRow>() as u64 / 16;

/// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::SolverRow)s, `status` the status words.
///
/// # Errors
/// [`crate::Error::Unsupported`] for a base step without a gradient, and for Adam's metric; [`crate::Error::Shape`] naming the tensor whose views do not fit; [`crate::Error::Limit`], [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot
/// give.
pub fn bind(
    kernels: &PipelineCache,
    base: Optimizer,
    jobs: &[TensorJob<'_, Solved>],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
) -> Result<Dispatches> {
    Tables::alone(kernels, |tables| lay(kernels, base, jobs, rows, status, tables))
}

/// The same with the tables among others.
pub(crate) fn lay(
    kernels: &PipelineCache,
    base: Optimizer,
    jobs: &[TensorJob<'_, Solved>],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
    tables: &mut Tables,
) -> Result<Vec<Unbound>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let limits = kernels.device().limits();
    let mut cuts: Vec<(Reach, Cut)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        job.operator.check(base, super::KERNEL.name)?;
        let wanted = slots(base, job.operator.solver).len();
        tiles::check(job.tensor, job.operator.groups(), job.views, wanted)?;
        cuts.push(cut(job)?);
    }
    let (scratch, mut places) = Scratch::new(kernels.device(), super::KERNEL.name, tables, ROW, &cuts)?;

    // what reads the tensors' rows, and what reads those of large groups
    let mut first = Packer::new(super::KERNEL.name, &limits);
    let mut last = Packer::new(super::KERNEL.name, &limits);
    for (job, (reach, cut)) in jobs.iter().zip(&cuts) {
        let slots = slots(base, job.operator.solver);
        let variant = |stage| Variant::new(stage, job.operator, base, *reach);
        let views = |piece: &TilePlan| {
            let span = (piece.start, piece.end);
            slots.iter().zip(job.views).map(|(&slot, view)| (slot, view, span)).collect::<Vec<_>>()
        };
        let whole = variant(if job.operator.lasso.is_some() { Stage::Held } else { Stage::Elements });
        for piece in &cut.held {
            let tile = tiles::tile(piece, job.row, job.tensor);
            first.push(whole, &views(piece), job.tensor, tile, &piece.entries)?;
        }
        for part in &cut.parts {
            let (piece, views) = (&part.0, views(&part.0));
            let tile = places.part(part, job.row, job.tensor);
            first.push(variant(Stage::Measure), &views[..1], job.tensor, tile, &piece.entries)?;
            let own_row = u64::from(tile.state) / ROW;
            let tile = tiles::tile(piece, own_row as usize, job.tensor);
            last.push(variant(Stage::Elements), &views, job.tensor, tile, &piece.entries)?;
        }
        for tile in places.combine(cut, job.row) {
            first.push(variant(Stage::Combine), &[], job.tensor, tile, &[])?;
        }
        places.advance(cut);
    }
    let status = (2, status.as_entire_buffer_binding());
    let own = scratch.as_entire_buffer_binding();
    let mut first = first.close(kernels, tables, &[(1, rows), status.clone(), (7, own.clone())])?;
    first.sort_by_key(|(variant, _)| match variant.stage {
        Stage::Held | Stage::Elements => 0,
        Stage::Measure => 1,
        Stage::Combine => 2,
    });
    let last = last.close(kernels, tables, &[(1, own), status])?;
    Ok(first.into_iter().chain(last).map(|(_, unbound)| unbound).collect())
}

/// A tensor's tiles; one without groups is cut into blocks that have nothing in common.
fn cut(job: &TensorJob<'_, Solved>) -> Result<(Reach, Cut)> {
    let length = job.views.first().map_or(0, View::len);
    let blocks =
        || Ok(Group::new(Lasso::default().into(), 0.0, Groups::new(Layout::Blocks(HELD), &[length])?));
    let group = job.operator.lasso.clone().map_or_else(blocks, Ok)?;
    let reach = tiles::reach(&group.groups, job.views);
    Ok((reach, tiles::cut(&group, reach, IN_REGISTERS)))
}

/// Where a tensor's views go.
fn slots(base: Optimizer, solver: Solver) -> Vec<Slot> {
    base.slots().into_iter().chain(solver.has_copy().then_some(Slot::Extra)).collect()
}
