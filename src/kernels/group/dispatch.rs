//! The dispatches of one step over many grouped tensors.

use super::{Stage, Variant};
use crate::error::{Error, Result};
use crate::gpu::View;
use crate::kernels::Kernels;
use crate::kernels::step::{Base, Width};
use crate::kernels::tiles::{self, Bucket, Cut, Drafts, IN_REGISTERS, Slot, Tile};
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

/// The dispatches, ready to be recorded.
#[derive(Debug, Default)]
pub struct Dispatches {
    held: Vec<Bucket>,
    begin: Vec<Bucket>,
    /// With the number of measurements that their penalty takes.
    combine: Vec<(u32, Bucket)>,
    measure: Vec<Bucket>,
    apply: Vec<Bucket>,
}

impl Dispatches {
    /// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::Row)s, `status` the status words.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for Adam's metric, in which groups have no closed form; [`Error::Shape`] naming the tensor whose
    /// views do not fit its groups; [`Error::Limit`], [`Error::OutOfMemory`] and [`Error::Gpu`] for what the device cannot give.
    pub fn bind(
        kernels: &Kernels,
        base: Base,
        jobs: &[Job],
        rows: wgpu::BufferBinding<'_>,
        status: &wgpu::Buffer,
    ) -> Result<Self> {
        if matches!(base, Base::AdamMetric(_)) && !jobs.is_empty() {
            return Err(Error::Unsupported {
                place: super::ROOM.name.into(),
                what: format!("groups after {}", base.name()),
                allowed: "adam, or another base step".into(),
            });
        }
        let limits = kernels.device().limits();
        let mut cuts: Vec<(Width, Cut)> = Vec::with_capacity(jobs.len());
        for job in jobs {
            let groups = &job.group.groups;
            tiles::check(job.tensor, Some(groups), &job.views, slots(base).len())?;
            let width = tiles::width(groups, &job.views);
            cuts.push((width, tiles::cut(&job.group, width, IN_REGISTERS)));
        }
        let splits: u64 = cuts.iter().map(|(_, cut)| cut.splits.len() as u64).sum();
        let parts: u64 = cuts.iter().map(|(_, cut)| cut.count).sum();
        let bytes = 16 * (STATE * splits + PARTIAL * parts).max(1);
        let scratch = tiles::scratch(kernels.device(), "scratch of large groups", bytes)?;

        let mut drafts = Drafts::new(super::ROOM.name, &limits);
        let (mut state, mut part) = (0, STATE * splits);
        for (job, (width, cut)) in jobs.iter().zip(&cuts) {
            let measurements = job.group.penalty.rule().measurements();
            let variant = |stage| Variant::new(stage, base, job.penalty, job.group.penalty, *width);
            let slots = slots(base);
            let views: Vec<(Slot, &View)> = slots.iter().copied().zip(&job.views).collect();
            for piece in &cut.held {
                let tile = tiles::tile(piece, job.row, job.tensor);
                let span = (piece.start, piece.end);
                drafts.push(variant(Stage::Held), &views, tile, span, &piece.entries)?;
            }
            for (piece, first_split, first_part) in &cut.parts {
                let tile = Tile {
                    extra: (part + PARTIAL * first_part) as u32,
                    state: (state + STATE * first_split) as u32,
                    ..tiles::tile(piece, job.row, job.tensor)
                };
                let span = (piece.start, piece.end);
                drafts.push(variant(Stage::Begin), &views, tile, span, &piece.entries)?;
                if measurements > 1 {
                    drafts.push(variant(Stage::Measure), &views[..1], tile, span, &piece.entries)?;
                }
                drafts.push(variant(Stage::Apply), &views[..1], tile, span, &piece.entries)?;
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
                drafts.push(variant(Stage::Combine), &[], tile, (0, 0), &[])?;
            }
            state += STATE * cut.splits.len() as u64;
            part += PARTIAL * cut.count;
        }
        let fixed =
            [(1, rows), (2, status.as_entire_buffer_binding()), (7, scratch.as_entire_buffer_binding())];
        let mut dispatches = Dispatches::default();
        for (variant, bucket) in drafts.close(kernels, &fixed)? {
            match variant.stage {
                Stage::Held => dispatches.held.push(bucket),
                Stage::Begin => dispatches.begin.push(bucket),
                Stage::Combine => {
                    dispatches.combine.push((variant.group.rule().measurements(), bucket));
                }
                Stage::Measure => dispatches.measure.push(bucket),
                Stage::Apply => dispatches.apply.push(bucket),
            }
        }
        Ok(dispatches)
    }

    /// Those that are recorded, in order.
    fn order(&self) -> impl Iterator<Item = &Bucket> {
        let rounds = self.combine.iter().map(|(measurements, _)| *measurements).max().unwrap_or(0);
        let again = (1..rounds).flat_map(|round| {
            let combine = self.combine.iter().filter(move |(m, _)| *m > round).map(|(_, b)| b);
            self.measure.iter().chain(combine)
        });
        let first = self.combine.iter().map(|(_, b)| b);
        self.held.iter().chain(&self.begin).chain(first).chain(again).chain(&self.apply)
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

/// Where a tensor's views go.
fn slots(base: Base) -> Vec<Slot> {
    let mut slots = vec![Slot::W];
    if base.has_gradient() {
        slots.push(Slot::G);
    }
    slots.extend([Slot::M, Slot::V].into_iter().take(base.states()));
    slots
}
