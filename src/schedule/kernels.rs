//! Which kernel takes which tensor: the rows of hyper-parameters and the dispatches of all kernels together.

use std::ops::Range;

use super::operator::{Bound, Operator};
use super::verify;
use crate::error::Result;
use crate::gpu::{self, View};
use crate::kernels::operator::Tabled;
use crate::kernels::spmm::metric::{self, Matrices};
use crate::kernels::step::{self, Optimizer, StepParameters};
use crate::kernels::tables::Tables;
use crate::kernels::{Dispatches, PipelineCache, TensorJob, Unbound, group, solver};

/// The rows of one kernel.
#[derive(Debug, Default)]
struct Part {
    /// How many: one per tensor.
    rows: usize,
    /// Bytes of a row.
    each: u64,
    /// Where they lie in the buffer.
    bytes: Range<u64>,
}

impl Part {
    /// The next tensor's row, and room for it.
    fn next<O: Tabled>(&mut self) -> usize {
        self.each = size_of::<O::Row>() as u64;
        self.rows += 1;
        self.rows - 1
    }

    /// Takes a part of the buffer from a multiple of `alignment` bytes on, and returns where it ends.
    fn place(&mut self, at: u64, alignment: u64) -> u64 {
        let start = at.next_multiple_of(alignment.max(16));
        self.bytes = start..start + (self.rows as u64 * self.each).max(16);
        self.bytes.end
    }

    /// The rows in the buffer that has them.
    fn binding<'a>(&self, target: &'a wgpu::Buffer) -> wgpu::BufferBinding<'a> {
        let Range { start, end } = self.bytes;
        wgpu::BufferBinding { buffer: target, offset: start, size: wgpu::BufferSize::new(end - start) }
    }
}

/// The rows of hyper-parameters: one per tensor, kernel by kernel in one buffer, and the step's number behind them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    step: Part,
    group: Part,
    solver: Part,
    /// What tensors with a regulariser need beside their row of the step, in their order.
    regularised: Vec<metric::MetricRow>,
    /// Where the step's number follows them.
    pub number: u64,
    /// Bytes of all of it.
    pub bytes: u64,
}

/// Writes the rows of one kernel; those of neighbours that are alike are computed once.
struct Writer<'a, O: Tabled> {
    part: &'a Part,
    /// The operator of the latest row that was computed, and the numbers that went into it.
    last: Option<Written<'a, O>>,
}

/// An operator, its optimizer with the factor of the learning rate and the parameters of the step, and the row of both.
type Written<'a, O> = (&'a O, (Optimizer, f64, StepParameters), <O as Tabled>::Row);

impl<'a, O: Tabled> Writer<'a, O> {
    fn new(part: &'a Part) -> Self {
        Writer { part, last: None }
    }

    fn put(&mut self, bound: &Bound, of: &'a O, hyper: StepParameters, write: &mut dyn FnMut(u64, &[u8])) {
        let settings = bound.checked.settings();
        let at = self.part.bytes.start + self.part.each * bound.row as u64;
        if settings.rests {
            return write(at, bytemuck::bytes_of(&O::resting()));
        }
        let numbers = (bound.checked.base(), settings.lr_scale, hyper);
        let row = match &self.last {
            Some((like, known, row)) if *known == numbers && like.alike(of) => *row,
            _ => of.row(numbers.0, numbers.1, &hyper),
        };
        write(at, bytemuck::bytes_of(&row));
        self.last = Some((of, numbers, row));
    }
}

impl Rows {
    /// The next tensor's row among those of its kernel.
    pub fn next(&mut self, of: &Operator) -> usize {
        match of {
            Operator::Elementwise(_) => self.step.next::<step::Elementwise>(),
            Operator::Grouped(_) => self.group.next::<group::Grouped>(),
            Operator::Solved(_) => self.solver.next::<solver::Solved>(),
            Operator::Learned(of) => {
                self.regularised.push(metric::MetricRow::new(of.of()));
                self.step.next::<step::Elementwise>()
            }
        }
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
        self.number = at;
        self.bytes = at + verify::NUMBER;
    }

    /// Writes the values of one step, each row at its offset, and its number. Allocates nothing.
    pub fn write(
        &self,
        tensors: &[Bound],
        hyper: &StepParameters,
        number: u64,
        write: &mut dyn FnMut(u64, &[u8]),
    ) {
        write(self.number, &number.to_ne_bytes());
        let mut steps = Writer::new(&self.step);
        let mut groups = Writer::new(&self.group);
        let mut solvers = Writer::new(&self.solver);
        let mut learned = self.regularised.iter();
        for bound in tensors {
            let hyper = bound.checked.hyper(hyper);
            match bound.checked.operator() {
                Operator::Elementwise(of) => steps.put(bound, of, hyper, write),
                Operator::Grouped(of) => groups.put(bound, of, hyper, write),
                Operator::Solved(of) => solvers.put(bound, of, hyper, write),
                Operator::Learned(of) => {
                    // the zeros that stay are those of the coefficients
                    steps.put(bound, of.first(), hyper.with_frozen_zeros(false), write);
                    if let Some(row) = learned.next() {
                        row.write(of.first().lambda(), bound.checked.settings().lr_scale, &hyper, write);
                    }
                }
            }
        }
    }
}

/// Lays out every tensor for its kernels: the dispatches of one step, but for those of regularisers. `target` holds the rows,
/// `status` one u32 per tensor.
pub(super) fn lay(
    kernels: &PipelineCache,
    base: Optimizer,
    tensors: &[Bound],
    rows: &Rows,
    (target, status): (&wgpu::Buffer, &wgpu::Buffer),
    tables: &mut Tables,
) -> Result<Vec<Unbound>> {
    fn job<'a, O>(operator: &'a O, views: &'a [View], row: usize, tensor: usize) -> TensorJob<'a, O> {
        TensorJob { operator, views, row, tensor }
    }
    let (mut steps, mut groups, mut solvers) = (Vec::new(), Vec::new(), Vec::new());
    for (tensor, Bound { checked, views, row }) in tensors.iter().enumerate() {
        match checked.operator() {
            Operator::Elementwise(of) => steps.push(job(of, views, *row, tensor)),
            Operator::Grouped(of) => groups.push(job(of, views, *row, tensor)),
            Operator::Solved(of) => solvers.push(job(of, views, *row, tensor)),
            // the coefficients are the regulariser's own
            Operator::Learned(of) => steps.push(job(of.first(), &views[..views.len() - 1], *row, tensor)),
        }
    }
    let mut all = step::lay(kernels, base, &steps, rows.step.binding(target), status, tables)?;
    all.extend(group::lay(kernels, base, &groups, rows.group.binding(target), status, tables)?);
    all.extend(solver::lay(kernels, base, &solvers, rows.solver.binding(target), status, tables)?);
    Ok(all)
}

/// What goes before and after the base step of a tensor with a learned regulariser.
#[derive(Clone, Debug)]
pub(super) struct Learned {
    /// The tensor.
    pub tensor: usize,
    /// Its weights and coefficients, as they are bound.
    views: [View; 2],
    /// What is made of the weights before the base step.
    scratch: View,
    /// The dispatches before the base steps and after them, which read no gradient.
    pub dispatches: [Dispatches; 2],
}

/// Binds what goes before and after the base steps; `known` are those of an earlier binding, of which what lies where it did is
/// taken, and the scratch memory in any case.
pub(super) fn bind_learned(
    kernels: &PipelineCache,
    tensors: &[Bound],
    rows: &Rows,
    target: &wgpu::Buffer,
    matrices: &mut Matrices,
    known: &[Learned],
) -> Result<Vec<Learned>> {
    let mut all = Vec::with_capacity(rows.regularised.len());
    for (tensor, Bound { checked, views, .. }) in tensors.iter().enumerate() {
        let Operator::Learned(of) = checked.operator() else { continue };
        let views = [0, views.len() - 1].map(|k| views[k].clone());
        let number = all.len();
        let before = known.get(number);
        if let Some(same) = before.filter(|one| one.views == views) {
            all.push(same.clone());
            continue;
        }
        let [weights, coefficients] = views.clone();
        let scratch = match before {
            Some(before) => before.scratch.clone(),
            None => {
                let (place, length) = ("regulariser", weights.len());
                let usage = wgpu::BufferUsages::STORAGE;
                let buffer = gpu::buffer(kernels.device(), place, (4 * length).max(16), usage, false)?;
                View::new(place, &buffer, 0, length)?
            }
        };
        let row = rows.regularised[number].at;
        let job = metric::MetricJob {
            name: checked.name().into(),
            of: of.of().clone(),
            weights,
            coefficients,
            scratch: scratch.clone(),
            row,
        };
        let dispatches = metric::bind(kernels, &job, matrices, target)?;
        all.push(Learned { tensor, views, scratch, dispatches });
    }
    Ok(all)
}
