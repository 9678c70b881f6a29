//! The dispatches of one step over many grouped tensors.

use super::{Stage, Variant};
use crate::error::{Result, unsupported};
use crate::gpu::View;
use crate::kernels::packer::Packer;
use crate::kernels::step::{Base, Width};
use crate::kernels::tiles::{self, Cut, IN_REGISTERS, Piece, Tile};
use crate::kernels::{Dispatch, Dispatches, Kernels};
use crate::penalty::{Group, Penalty};

/// One tensor's work.
#[derive(Clone, Debug)]
pub struct Job {
    /// The elementwise penalty.
    pub penalty: Penalty,
    /// The group penalty and the groups.
    pub group: Group,
    /// W, then G if the base step reads one, then the states; all of one length and free of overlaps.
    pub views: Vec<View>,
    /// Index of its row of hyper-parameters.
    pub row: usize,
    /// Index of its status word.
    pub tensor: usize,
}

/// Words of 16 bytes that the state of a large group takes in the scratch buffer, and one of its parts.
const STATE: u64 = 3;
const PARTIAL: u64 = 2;

/// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::Row)s, `status` the status words.
///
/// # Errors
/// [`crate::Error::Unsupported`] for Adam's metric, in which groups have no closed form; [`crate::Error::Shape`] naming the tensor whose
/// views do not fit its groups; [`crate::Error::Limit`], [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
pub fn bind(
    kernels: &Kernels,
    base: Base,
    jobs: &[Job],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
) -> Result<Dispatches> {
    if matches!(base, Base::AdamMetric(_)) && !jobs.is_empty() {
        let what = format!("groups after {}", base.name());
        return Err(unsupported(super::ROOM.name, what, "adam, or another base step"));
    }
    let limits = kernels.device().limits();
    let slots = base.slots();
    let mut cuts: Vec<(Width, Cut)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        let groups = &job.group.groups;
        tiles::check(job.tensor, Some(groups), &job.views, slots.len())?;
        let width = tiles::width(groups, &job.views);
        cuts.push((width, tiles::cut(&job.group, width, IN_REGISTERS)));
    }
    let splits: u64 = cuts.iter().map(|(_, cut)| cut.splits.len() as u64).sum();
    let parts: u64 = cuts.iter().map(|(_, cut)| cut.count).sum();
    let bytes = 16 * (STATE * splits + PARTIAL * parts).max(1);
    let scratch = tiles::scratch(kernels.device(), "scratch of large groups", bytes)?;

    let mut packer = Packer::new(super::ROOM.name, &limits);
    let (mut state, mut part) = (0, STATE * splits);
    for (job, (width, cut)) in jobs.iter().zip(&cuts) {
        let measurements = job.group.penalty.rule().measurements();
        let variant = |stage| Variant::new(stage, base, job.penalty, job.group.penalty, *width);
        let mut push = |stage, views: usize, piece: &Piece, tile| {
            let span = (piece.start, piece.end);
            let views: Vec<_> =
                slots.iter().zip(&job.views).take(views).map(|(&s, v)| (s, v, span)).collect();
            packer.push(variant(stage), &views, job.tensor, tile, &piece.entries)
        };
        for piece in &cut.held {
            push(Stage::Held, slots.len(), piece, tiles::tile(piece, job.row, job.tensor))?;
        }
        for (piece, first_split, first_part) in &cut.parts {
            let tile = Tile {
                extra: (part + PARTIAL * first_part) as u32,
                state: (state + STATE * first_split) as u32,
                ..tiles::tile(piece, job.row, job.tensor)
            };
            push(Stage::Begin, slots.len(), piece, tile)?;
            if measurements > 1 {
                push(Stage::Measure, 1, piece, tile)?;
            }
            push(Stage::Apply, 1, piece, tile)?;
        }
        for (number, split) in (0_u64..).zip(&cut.splits) {
            let tile = Tile {
                extra: (part + PARTIAL * split.part) as u32,
                groups: 1,
                length: split.parts as u32,
                apart: (PARTIAL * split.apart) as u32,
                lanes: 1,
                row: job.row as u32,
                weight: split.weight,
                state: (state + STATE * number) as u32,
                ..bytemuck::Zeroable::zeroed()
            };
            packer.push(variant(Stage::Combine), &[], job.tensor, tile, &[])?;
        }
        state += STATE * cut.splits.len() as u64;
        part += PARTIAL * cut.count;
    }
    let scratch = scratch.as_entire_buffer_binding();
    let fixed = [(1, rows), (2, status.as_entire_buffer_binding()), (7, scratch)];
    Ok(order(packer.close(kernels, &fixed)?))
}

/// Groups that are held, then the parts of larger ones: begun, combined, measured and combined as often as the penalty
/// takes, applied.
fn order(closed: Vec<(Variant, Dispatch)>) -> Dispatches {
    let of = |stage| closed.iter().filter(move |(variant, _)| variant.stage == stage);
    let measurements = |variant: &Variant| variant.group.rule().measurements();
    let rounds = of(Stage::Combine).map(|(variant, _)| measurements(variant)).max().unwrap_or(0);
    let again = (1..rounds).flat_map(|round| {
        let combine = of(Stage::Combine).filter(move |(variant, _)| measurements(variant) > round);
        of(Stage::Measure).chain(combine)
    });
    let first = of(Stage::Held).chain(of(Stage::Begin)).chain(of(Stage::Combine));
    first.chain(again).chain(of(Stage::Apply)).map(|(_, dispatch)| dispatch.clone()).collect()
}
