//! Which room takes which tensor: the rows of hyper-parameters and the dispatches of all rooms together.

use std::ops::Range;

use super::Spec;
use super::plan::Bound;
use crate::error::Result;
use crate::kernels::solver::Solver;
use crate::kernels::step::{Base, Hyper};
use crate::kernels::{Kernels, group, step};

/// The rows of hyper-parameters: one per distinct setting, room by room in one buffer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Tensors without groups; penalties' parameters are rounded to f32, so that recording allocates nothing.
    step: Vec<Spec>,
    /// Tensors with groups.
    group: Vec<Spec>,
    /// Where the rows of each room lie in the buffer.
    step_part: Range<u64>,
    group_part: Range<u64>,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Whether two tensors can share a row.
fn alike(a: &Spec, b: &Spec) -> bool {
    let group = |s: &Spec| s.group.as_ref().map(|g| (g.penalty, g.lambda));
    (a.penalty, a.lambda, a.rate_scale, a.solver, group(a))
        == (b.penalty, b.lambda, b.rate_scale, b.solver, group(b))
}

impl Rows {
    /// The row of a tensor among those of its room, a new one where none is like it.
    pub fn row_of(&mut self, spec: &Spec) -> usize {
        let rounded = Spec {
            penalty: step::rounded(spec.penalty),
            group: spec.group.as_ref().map(group::rounded),
            ..spec.clone()
        };
        let rows = if spec.group.is_some() { &mut self.group } else { &mut self.step };
        rows.iter().position(|row| alike(row, &rounded)).unwrap_or_else(|| {
            rows.push(rounded);
            rows.len() - 1
        })
    }

    /// Gives each room its part of the buffer, from a multiple of `alignment` bytes on.
    pub fn place(&mut self, alignment: u64) {
        let mut at = 0_u64;
        let mut part = |rows: &[Spec], row: usize| {
            let start = at.next_multiple_of(alignment.max(16));
            at = start + ((rows.len() * row) as u64).max(16);
            start..at
        };
        self.step_part = part(&self.step, size_of::<step::Row>());
        self.group_part = part(&self.group, size_of::<group::Row>());
        self.bytes = at;
    }

    /// Writes the values of one step, each row at its offset.
    pub fn write(&self, base: Base, hyper: &Hyper, write: &mut dyn FnMut(u64, &[u8])) {
        let mut at = self.step_part.start;
        for s in &self.step {
            let row = step::Reference::of_rounded(base, s.penalty, s.lambda, s.rate_scale, hyper).row();
            write(at, bytemuck::bytes_of(&row));
            at += size_of::<step::Row>() as u64;
        }
        at = self.group_part.start;
        for s in &self.group {
            let Some(group) = &s.group else { continue };
            let twin = group::Reference::of_rounded(base, s.penalty, s.lambda, group, s.rate_scale, hyper);
            write(at, bytemuck::bytes_of(&twin.row()));
            at += size_of::<group::Row>() as u64;
        }
    }
}

/// The dispatches of one step.
#[derive(Debug)]
pub(super) struct Dispatches {
    step: step::Dispatches,
    group: group::Dispatches,
}

impl Dispatches {
    /// Binds every tensor to its room's kernels. `target` holds the rows, `status` one u32 per tensor.
    pub fn bind(
        kernels: &Kernels,
        base: Base,
        tensors: &[Bound],
        rows: &Rows,
        target: &wgpu::Buffer,
        status: &wgpu::Buffer,
    ) -> Result<Self> {
        let (mut plain, mut grouped) = (Vec::new(), Vec::new());
        for (tensor, Bound { spec, views, row }) in tensors.iter().enumerate() {
            let (penalty, views, row) = (spec.penalty, views.clone(), *row);
            match (&spec.group, spec.solver) {
                (Some(group), Solver::Proximal) => {
                    let group = group.clone();
                    grouped.push(group::Job { penalty, group, views, row, tensor });
                }
                _ => plain.push(step::Job { penalty, views, row, tensor }),
            }
        }
        let part = |range: &Range<u64>| wgpu::BufferBinding {
            buffer: target,
            offset: range.start,
            size: std::num::NonZeroU64::new(range.end - range.start),
        };
        let step = step::Dispatches::bind(kernels, base, &plain, part(&rows.step_part), status)?;
        let group = group::Dispatches::bind(kernels, base, &grouped, part(&rows.group_part), status)?;
        Ok(Dispatches { step, group })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.step.count() + self.group.count()
    }

    /// Records them.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.step.record(pass);
        self.group.record(pass);
    }
}
