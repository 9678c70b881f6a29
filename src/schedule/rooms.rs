//! Which kernel takes which tensor: the rows of hyper-parameters and the dispatches of all kernels together.

use std::mem::discriminant;
use std::ops::Range;

use super::bound::Bound;
use super::operator::{Checked, Kernel, Operator, Weighted};
use crate::error::Result;
use crate::kernels::product::metric;
use crate::kernels::solver::Solver;
use crate::kernels::step::{Base, Hyper};
use crate::kernels::{Dispatches, Kernels, group, solver, step};
use crate::penalty::NoPenalty;

/// The rows of one kernel.
#[derive(Debug, Default)]
struct Part {
    /// One row per distinct setting: operator, rounded, and factor of the rate.
    rows: Vec<(Operator, f64)>,
    /// Where they lie in the buffer.
    bytes: Range<u64>,
}

/// The rows of hyper-parameters: one per distinct setting, kernel by kernel in one buffer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    parts: [Part; Kernel::ALL.len()],
    /// What tensors with a regulariser need beside their row of the step.
    regularised: Vec<metric::Row>,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Rows {
    /// The row of a tensor among those of its kernel, a new one where none is like it.
    pub fn row_of(&mut self, of: &Checked) -> usize {
        let scale = of.rate_scale();
        if let Operator::Learned(regulariser, lambda) = of.operator()
            && self.learned(of).is_none()
        {
            self.regularised.push(metric::Row::new(regulariser, *lambda, scale));
        }
        let rounded = of.operator().rounded();
        let rows = &mut self.parts[rounded.kernel() as usize].rows;
        rows.iter().position(|(row, s)| *s == scale && row.alike(&rounded)).unwrap_or_else(|| {
            rows.push((rounded, scale));
            rows.len() - 1
        })
    }

    /// The row of a tensor's learned regulariser, if it has one.
    fn learned(&self, of: &Checked) -> Option<&metric::Row> {
        let Operator::Learned(regulariser, lambda) = of.operator() else { return None };
        self.regularised.iter().find(|row| row.fits(regulariser, *lambda, of.rate_scale()))
    }

    /// Gives each kernel its part of the buffer, from a multiple of `alignment` bytes on.
    pub fn place(&mut self, alignment: u64) {
        let mut at = 0_u64;
        for (kernel, part) in Kernel::ALL.into_iter().zip(&mut self.parts) {
            let start = at.next_multiple_of(alignment.max(16));
            at = start + ((part.rows.len() * kernel.row()) as u64).max(16);
            part.bytes = start..at;
        }
        for row in &mut self.regularised {
            row.at = at;
            at += row.bytes();
        }
        self.bytes = at;
    }

    /// Writes the values of one step, each row at its offset.
    pub fn write(&self, base: Base, hyper: &Hyper, write: &mut dyn FnMut(u64, &[u8])) {
        for part in &self.parts {
            let mut at = part.bytes.start;
            for (operator, scale) in &part.rows {
                operator.write(base, *scale, hyper, &mut |row| {
                    write(at, row);
                    at += row.len() as u64;
                });
            }
        }
        self.regularised.iter().for_each(|row| row.write(hyper, write));
    }

    /// The rows of a kernel in the buffer that has them.
    fn part<'a>(&self, kernel: Kernel, target: &'a wgpu::Buffer) -> wgpu::BufferBinding<'a> {
        let Range { start, end } = self.parts[kernel as usize].bytes;
        wgpu::BufferBinding { buffer: target, offset: start, size: wgpu::BufferSize::new(end - start) }
    }
}

/// Binds every tensor to its kernels: the dispatches of one step. `target` holds the rows, `status` one u32 per tensor.
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
    for (tensor, Bound { checked, views, row }) in tensors.iter().enumerate() {
        let (views, row) = (views.clone(), *row);
        match checked.operator() {
            Operator::Elementwise(Weighted { penalty, .. }) => {
                plain.push(step::Job { penalty: *penalty, views, row, tensor });
            }
            Operator::Learned(..) => {
                plain.push(step::Job { penalty: NoPenalty.into(), views, row, tensor });
            }
            Operator::Grouped(Weighted { penalty, .. }, group) => {
                grouped.push(group::Job { penalty: *penalty, group: group.clone(), views, row, tensor });
            }
            Operator::Solved(Weighted { penalty, .. }, solver, group) => {
                let job = solver::Job { penalty: *penalty, group: group.clone(), views, row, tensor };
                match others.iter_mut().find(|(s, _)| discriminant(s) == discriminant(solver)) {
                    Some((_, jobs)) => jobs.push(job),
                    None => others.push((*solver, vec![job])),
                }
            }
        }
    }
    let mut all = step::bind(kernels, base, &plain, rows.part(Kernel::Step, target), status)?;
    all.extend(group::bind(kernels, base, &grouped, rows.part(Kernel::Group, target), status)?);
    // what a solver is changes the code
    for (solver, jobs) in others {
        let rows = rows.part(Kernel::Solver, target);
        all.extend(solver::bind(kernels, base, solver, &jobs, rows, status)?);
    }
    Ok(all)
}

/// Binds what follows the base step of tensors with a learned regulariser; no gradient is read there.
pub(super) fn bind_learned(
    kernels: &Kernels,
    tensors: &[Bound],
    rows: &Rows,
    target: &wgpu::Buffer,
) -> Result<Dispatches> {
    let job = |Bound { checked, views, .. }: &Bound| {
        let (Operator::Learned(of, _), Some(row)) = (checked.operator(), rows.learned(checked)) else {
            return None;
        };
        let (name, weights) = (checked.name().into(), views[0].clone());
        Some(metric::Job { name, of: of.clone(), weights, row: row.at })
    };
    metric::bind(kernels, &tensors.iter().filter_map(job).collect::<Vec<_>>(), target)
}
