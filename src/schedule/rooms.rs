//! Which room takes which tensor: the rows of hyper-parameters and the dispatches of all rooms together.

use std::mem::discriminant;
use std::ops::Range;

use super::Spec;
use super::bound::Bound;
use super::regularised;
use crate::error::Result;
use crate::kernels::solver::Solver;
use crate::kernels::step::{Base, Hyper};
use crate::kernels::{Dispatches, Kernels, group, solver, step};

/// The rows of hyper-parameters: one per distinct setting, room by room in one buffer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Tensors without groups; penalties' parameters are rounded to f32, so that recording allocates nothing.
    step: Vec<Spec>,
    /// Tensors with groups.
    group: Vec<Spec>,
    /// Tensors with another solver.
    solver: Vec<Spec>,
    /// What tensors with a regulariser need beside their row of the step.
    pub regularised: Vec<regularised::Row>,
    /// Where the rows of each room lie in the buffer.
    step_part: Range<u64>,
    group_part: Range<u64>,
    solver_part: Range<u64>,
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
            regulariser: None,
            ..spec.clone()
        };
        if let Some(of) = &spec.regulariser {
            let (lambda, rate_scale) = (spec.lambda, spec.rate_scale);
            if !self.regularised.iter().any(|row| row.fits(of, lambda, rate_scale)) {
                self.regularised.push(regularised::Row::new(of, lambda, rate_scale));
            }
        }
        let rows = match (&spec.group, spec.solver) {
            (None, Solver::Proximal) => &mut self.step,
            (Some(_), Solver::Proximal) => &mut self.group,
            _ => &mut self.solver,
        };
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
        self.solver_part = part(&self.solver, size_of::<solver::Row>());
        for row in &mut self.regularised {
            row.at = at;
            at += row.bytes();
        }
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
        at = self.solver_part.start;
        for s in &self.solver {
            let (group, rate_scale) = (s.group.as_ref(), s.rate_scale);
            let twin =
                solver::Reference::of_rounded(s.solver, base, s.penalty, s.lambda, group, rate_scale, hyper);
            write(at, bytemuck::bytes_of(&twin.row()));
            at += size_of::<solver::Row>() as u64;
        }
        self.regularised.iter().for_each(|row| row.write(hyper, write));
    }
}

/// Binds every tensor to its room's kernels: the dispatches of one step. `target` holds the rows, `status` one u32 per tensor.
pub(super) fn bind(
    kernels: &Kernels,
    base: Base,
    tensors: &[Bound],
    rows: &Rows,
    target: &wgpu::Buffer,
    status: &wgpu::Buffer,
) -> Result<Dispatches> {
    let (mut plain, mut grouped) = (Vec::new(), Vec::new());
    let mut others: Vec<(Solver, Vec<solver::Job>)> = Vec::new();
    for (tensor, Bound { spec, views, row }) in tensors.iter().enumerate() {
        let (penalty, group, views, row) = (spec.penalty, spec.group.clone(), views.clone(), *row);
        match (group, spec.solver) {
            (None, Solver::Proximal) => plain.push(step::Job { penalty, views, row, tensor }),
            (Some(group), Solver::Proximal) => {
                grouped.push(group::Job { penalty, group, views, row, tensor });
            }
            (group, solver) => {
                let job = solver::Job { penalty, group, views, row, tensor };
                match others.iter_mut().find(|(s, _)| discriminant(s) == discriminant(&solver)) {
                    Some((_, jobs)) => jobs.push(job),
                    None => others.push((solver, vec![job])),
                }
            }
        }
    }
    let part = |range: &Range<u64>| wgpu::BufferBinding {
        buffer: target,
        offset: range.start,
        size: std::num::NonZeroU64::new(range.end - range.start),
    };
    let mut all = step::bind(kernels, base, &plain, part(&rows.step_part), status)?;
    all.extend(group::bind(kernels, base, &grouped, part(&rows.group_part), status)?);
    // what a solver is changes the code
    for (solver, jobs) in others {
        all.extend(solver::bind(kernels, base, solver, &jobs, part(&rows.solver_part), status)?);
    }
    Ok(all)
}
