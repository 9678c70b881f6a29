//! The dispatches of one step over many grouped tensors.

use super::{Grouped, Stage, Variant};
use crate::error::Result;
use crate::kernels::operator::Operator;
use crate::kernels::packer::Packer;
use crate::kernels::step::Optimizer;
use crate::kernels::tables::Tables;
use crate::kernels::tiles::{self, Cut, IN_REGISTERS, Scratch, TilePlan};
use crate::kernels::word::Reach;
use crate::kernels::{Dispatches, PipelineCache, TensorJob, Unbound};

/// Words of 16 bytes that the state of a large group takes in the scratch buffer.
const STATE: u64 = 3;

/// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::GroupRow)s, `status` the status words.
///
/// # Errors
/// [`crate::Error::Unsupported`] for Adam's metric, in which groups have no closed form; [`crate::Error::Shape`] naming the tensor whose
/// views do not fit its groups; [`crate::Error::Limit`], [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
pub fn bind(
    kernels: &PipelineCache,
    base: Optimizer,
    jobs: &[TensorJob<'_, Grouped>],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
) -> Result<Dispatches> {
    Tables::alone(kernels, |tables| lay(kernels, base, jobs, rows, status, tables))
}

/// The same with the tables among others.
pub(crate) fn lay(
    kernels: &PipelineCache,
    base: Optimizer,
    jobs: &[TensorJob<'_, Grouped>],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
    tables: &mut Tables,
) -> Result<Vec<Unbound>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let limits = kernels.device().limits();
    let slots = base.slots();
    let mut cuts: Vec<(Reach, Cut)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let Grouped { group, .. } = job.operator;
        let groups = &group.groups;
        job.operator.check(base, super::KERNEL.name)?;
        tiles::check(job.tensor, Some(groups), job.views, slots.len())?;
        let reach = tiles::reach(groups, job.views);
        cuts.push((reach, tiles::cut(group, reach, IN_REGISTERS)));
    }
    let (scratch, mut places) = Scratch::new(kernels.device(), super::KERNEL.name, tables, STATE, &cuts)?;

    let mut packer = Packer::new(super::KERNEL.name, &limits);
    for (job, (reach, cut)) in jobs.iter().zip(&cuts) {
        let Grouped { first, group } = job.operator;
        let measurements = group.penalty.rule().measurements();
        let variant = |stage| Variant::new(stage, base, first.penalty(), group.penalty, *reach);
        let mut push = |stage, views: usize, piece: &TilePlan, tile| {
            let span = (piece.start, piece.end);
            let views: Vec<_> = slots.iter().zip(job.views).take(views).map(|(&s, v)| (s, v, span)).collect();
            packer.push(variant(stage), &views, job.tensor, tile, &piece.entries)
        };
        for piece in &cut.held {
            push(Stage::Held, slots.len(), piece, tiles::tile(piece, job.row, job.tensor))?;
        }
        for part in &cut.parts {
            let (piece, tile) = (&part.0, places.part(part, job.row, job.tensor));
            push(Stage::Begin, slots.len(), piece, tile)?;
            if measurements > 1 {
                push(Stage::Measure, 1, piece, tile)?;
            }
            push(Stage::Apply, 1, piece, tile)?;
        }
        for tile in places.combine(cut, job.row) {
            packer.push(variant(Stage::Combine), &[], job.tensor, tile, &[])?;
        }
        places.advance(cut);
    }
    let scratch = scratch.as_entire_buffer_binding();
    let fixed = [(1, rows), (2, status.as_entire_buffer_binding()), (7, scratch)];
    Ok(order(&packer.close(kernels, tables, &fixed)?))
}

/// Groups that are held, then the parts of larger ones: begun, combined, measured and combined as often as the penalty
/// takes, applied.
fn order(closed: &[(Variant, Unbound)]) -> Vec<Unbound> {
    let of = |stage| closed.iter().filter(move |(variant, _)| variant.stage == stage);
    let measurements = |variant: &Variant| variant.group.rule().measurements();
    let rounds = of(Stage::Combine).map(|(variant, _)| measurements(variant)).max().unwrap_or(0);
    let again = (1..rounds).flat_map(|round| {
        let combine = of(Stage::Combine).filter(move |(variant, _)| measurements(variant) > round);
        of(Stage::Measure).chain(combine)
    });
    let first = of(Stage::Held).chain(of(Stage::Begin)).chain(of(Stage::Combine));
    first.chain(again).chain(of(Stage::Apply)).map(|(_, unbound)| unbound.clone()).collect()
}
