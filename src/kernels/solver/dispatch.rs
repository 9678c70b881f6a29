//! The dispatches of one step of a solver over many tensors.

use super::{Row, Solver, Stage, Variant};
use crate::error::{Error, Result};
use crate::gpu::View;
use crate::kernels::Kernels;
use crate::kernels::step::{Base, Width};
use crate::kernels::tiles::{self, Bucket, Cut, Drafts, HELD, IN_REGISTERS, Slot, Tile};
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

/// The dispatches, ready to be recorded.
#[derive(Debug, Default)]
pub struct Dispatches {
    /// Small groups and tensors without groups.
    whole: Vec<Bucket>,
    measure: Vec<Bucket>,
    combine: Vec<Bucket>,
    update: Vec<Bucket>,
}

impl Dispatches {
    /// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::Row)s, `status` the status words.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a solver, base step or penalty that do not go together, and for groups with another
    /// penalty than the group lasso; [`Error::Shape`] naming the tensor whose views do not fit; [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot
    /// give.
    pub fn bind(
        kernels: &Kernels,
        base: Base,
        solver: Solver,
        jobs: &[Job],
        rows: wgpu::BufferBinding<'_>,
        status: &wgpu::Buffer,
    ) -> Result<Self> {
        let limits = kernels.device().limits();
        let mut cuts: Vec<(Width, Cut)> = Vec::with_capacity(jobs.len());
        for job in jobs {
            let groups = job.group.as_ref().map(|group| &group.groups);
            tiles::check(job.tensor, groups, &job.views, slots(base, solver).len())?;
            cuts.push(cut(job)?);
        }
        let splits: u64 = cuts.iter().map(|(_, cut)| cut.splits.len() as u64).sum();
        let parts: u64 = cuts.iter().map(|(_, cut)| cut.count).sum();
        let bytes = 16 * (ROW * splits + PARTIAL * parts).max(ROW);
        let scratch = tiles::scratch(kernels.device(), "scratch of large groups", bytes)?;

        // what reads the tensors' rows, and what reads those of large groups
        let mut first = Drafts::new(super::ROOM.name, &limits);
        let mut last = Drafts::new(super::ROOM.name, &limits);
        let (mut own_row, mut part) = (0, ROW * splits);
        for (job, (width, cut)) in jobs.iter().zip(&cuts) {
            let variant = |stage| Variant::new(stage, solver, base, job.penalty, *width);
            let views: Vec<(Slot, &View)> = slots(base, solver).into_iter().zip(&job.views).collect();
            let whole = variant(if job.group.is_some() { Stage::Held } else { Stage::Elements })?;
            for piece in &cut.held {
                let tile = tiles::tile(piece, job.row, job.tensor);
                first.push(whole, &views, tile, (piece.start, piece.end), &piece.entries)?;
            }
            for (piece, first_split, first_part) in &cut.parts {
                let span = (piece.start, piece.end);
                let partials = (part + PARTIAL * first_part) as u32;
                let tile = Tile { extra: partials, ..tiles::tile(piece, job.row, job.tensor) };
                first.push(variant(Stage::Measure)?, &views[..1], tile, span, &piece.entries)?;
                let tile = tiles::tile(piece, (own_row + first_split) as usize, job.tensor);
                last.push(variant(Stage::Elements)?, &views, tile, span, &piece.entries)?;
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
                first.push(variant(Stage::Combine)?, &[], tile, (0, 0), &[])?;
            }
            own_row += cut.splits.len() as u64;
            part += PARTIAL * cut.count;
        }
        let mut dispatches = Dispatches::default();
        let status = (2, status.as_entire_buffer_binding());
        let own = scratch.as_entire_buffer_binding();
        for (variant, bucket) in first.close(kernels, &[(1, rows), status.clone(), (7, own.clone())])? {
            match variant.stage {
                Stage::Held | Stage::Elements => dispatches.whole.push(bucket),
                Stage::Measure => dispatches.measure.push(bucket),
                Stage::Combine => dispatches.combine.push(bucket),
            }
        }
        for (_, bucket) in last.close(kernels, &[(1, own), status])? {
            dispatches.update.push(bucket);
        }
        Ok(dispatches)
    }

    /// Those that are recorded, in order.
    fn order(&self) -> impl Iterator<Item = &Bucket> {
        self.whole.iter().chain(&self.measure).chain(&self.combine).chain(&self.update)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order().count()
    }

    /// Records them.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.order().for_each(|bucket| bucket.record(pass));
    }
}

/// A tensor's tiles; one without groups is cut into blocks that have nothing in common.
fn cut(job: &Job) -> Result<(Width, Cut)> {
    let length = job.views.first().map_or(0, View::length);
    let blocks =
        || Ok(Group::new(Lasso::default().into(), 0.0, Groups::new(Layout::Blocks(HELD), &[length])?));
    let group = job.group.clone().map_or_else(blocks, Ok)?;
    let groups = &group.groups;
    if !matches!(group.penalty, GroupPenalty::Lasso(_)) {
        return Err(Error::Unsupported {
            place: super::ROOM.name.into(),
            what: format!("the group penalty {}", group.penalty.name()),
            allowed: "lasso".into(),
        });
    }
    let width = tiles::width(groups, &job.views);
    Ok((width, tiles::cut(&group, width, IN_REGISTERS)))
}

/// Where a tensor's views go.
fn slots(base: Base, solver: Solver) -> Vec<Slot> {
    let states = [Slot::M, Slot::V].into_iter().take(base.states());
    [Slot::W, Slot::G].into_iter().chain(states).chain(solver.has_copy().then_some(Slot::Extra)).collect()
}
