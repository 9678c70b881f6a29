//! Which kernel takes which tensor: the rows of hyper-parameters and the dispatches of all kernels together.

use std::ops::Range;

use super::operator::{Bound, Checked, Operator};
use crate::error::Result;
use crate::gpu::View;
use crate::kernels::group::{self, Grouped};
use crate::kernels::operator::Tabled;
use crate::kernels::product::metric::{self, Weighed};
use crate::kernels::solver::{self, Solved};
use crate::kernels::step::{self, Base, Elementwise, Hyper};
use crate::kernels::{Dispatches, Job, Kernels};
use crate::penalty::NoPenalty;

/// The rows of one kernel.
#[derive(Debug)]
struct Part<O> {
    /// One row per distinct setting: operator, and factor of the rate.
    rows: Vec<(O, f64)>,
    /// Where they lie in the buffer.
    bytes: Range<u64>,
}

impl<O> Default for Part<O> {
    fn default() -> Self {
        Part { rows: Vec::new(), bytes: 0..0 }
    }
}

impl<O: Tabled> Part<O> {
    /// The row of a tensor, a new one where none is like it.
    fn row_of(&mut self, operator: &O, scale: f64) -> usize {
        self.rows.iter().position(|(row, s)| *s == scale && row.alike(operator)).unwrap_or_else(|| {
            self.rows.push((operator.clone(), scale));
            self.rows.len() - 1
        })
    }

    /// Takes a part of the buffer from a multiple of `alignment` bytes on, and returns where it ends.
    fn place(&mut self, at: u64, alignment: u64) -> u64 {
        let start = at.next_multiple_of(alignment.max(16));
        self.bytes = start..start + ((self.rows.len() * size_of::<O::Row>()) as u64).max(16);
        self.bytes.end
    }

    /// Writes the values of one step, each row at its offset.
    fn write(&self, base: Base, hyper: &Hyper, write: &mut dyn FnMut(u64, &[u8])) {
        for (at, (operator, scale)) in (self.bytes.start..).step_by(size_of::<O::Row>()).zip(&self.rows) {
            write(at, bytemuck::bytes_of(&operator.row(base, *scale, hyper)));
        }
    }

    /// The rows in the buffer that has them.
    fn binding<'a>(&self, target: &'a wgpu::Buffer) -> wgpu::BufferBinding<'a> {
        let Range { start, end } = self.bytes;
        wgpu::BufferBinding { buffer: target, offset: start, size: wgpu::BufferSize::new(end - start) }
    }
}

/// The rows of hyper-parameters: one per distinct setting, kernel by kernel in one buffer.
#[derive(Debug, Default)]
pub(super) struct Rows {
    step: Part<Elementwise>,
    group: Part<Grouped>,
    solver: Part<Solved>,
    /// What tensors with a regulariser need beside their row of the step.
    regularised: Vec<metric::Row>,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// The step of a tensor with a learned regulariser, before its operator.
fn plain(of: &Weighed) -> Elementwise {
    Elementwise::new(NoPenalty.into(), of.lambda)
}

impl Rows {
    /// The row of a tensor among those of its kernel, a new one where none is like it.
    pub fn row_of(&mut self, of: &Checked) -> usize {
        let scale = of.rate_scale();
        match of.operator() {
            Operator::Elementwise(of) => self.step.row_of(of, scale),
            Operator::Grouped(of) => self.group.row_of(of, scale),
            Operator::Solved(of) => self.solver.row_of(of, scale),
            Operator::Learned(of) => {
                if self.learned(of, scale).is_none() {
                    self.regularised.push(metric::Row::new(&of.of, of.lambda, scale));
                }
                self.step.row_of(&plain(of), scale)
            }
        }
    }

    /// The row of a learned regulariser.
    fn learned(&self, of: &Weighed, scale: f64) -> Option<&metric::Row> {
        self.regularised.iter().find(|row| row.fits(&of.of, of.lambda, scale))
    }

    /// Gives each kernel its part of the buffer, from a multiple of `alignment` bytes on.
    pub fn place(&mut self, alignment: u64) {
        let mut at = self.step.place(0, alignment);
        at = self.group.place(at, alignment);
        at = self.solver.place(at, alignment);
        for row in &mut self.regularised {
            row.at = at;
            at += row.bytes();
        }
        self.bytes = at;
    }

    /// Writes the values of one step, each row at its offset.
    pub fn write(&self, base: Base, hyper: &Hyper, write: &mut dyn FnMut(u64, &[u8])) {
        self.step.write(base, hyper, write);
        self.group.write(base, hyper, write);
        self.solver.write(base, hyper, write);
        self.regularised.iter().for_each(|row| row.write(hyper, write));
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
    fn job<O>(operator: O, views: &[View], row: usize, tensor: usize) -> Job<O> {
        Job { operator, views: views.to_vec(), row, tensor }
    }
    let (mut steps, mut groups, mut solvers) = (Vec::new(), Vec::new(), Vec::new());
    for (tensor, Bound { checked, views, row }) in tensors.iter().enumerate() {
        match checked.operator() {
            Operator::Elementwise(of) => steps.push(job(*of, views, *row, tensor)),
            Operator::Grouped(of) => groups.push(job(of.clone(), views, *row, tensor)),
            Operator::Solved(of) => solvers.push(job(of.clone(), views, *row, tensor)),
            Operator::Learned(of) => steps.push(job(plain(of), views, *row, tensor)),
        }
    }
    let mut all = step::bind(kernels, base, &steps, rows.step.binding(target), status)?;
    all.extend(group::bind(kernels, base, &groups, rows.group.binding(target), status)?);
    all.extend(solver::bind(kernels, base, &solvers, rows.solver.binding(target), status)?);
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
        let Operator::Learned(of) = checked.operator() else { return None };
        let row = rows.learned(of, checked.rate_scale())?;
        let (name, weights) = (checked.name().into(), views[0].clone());
        Some(metric::Job { name, of: of.of.clone(), weights, row: row.at })
    };
    metric::bind(kernels, &tensors.iter().filter_map(job).collect::<Vec<_>>(), target)
}
