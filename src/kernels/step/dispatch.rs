//! Cutting tensors into tiles of at most four words per invocation.

use std::collections::HashMap;

use super::{Elementwise, Optimizer, Tile, VECTOR_WIDTH, Variant, WORKGROUP, Width};
use crate::error::Result;
use crate::kernels::operator::Operator;
use crate::kernels::packer::Packer;
use crate::kernels::tables::Tables;
use crate::kernels::window::within_binding;
use crate::kernels::{Dispatches, PipelineCache, TensorJob, Unbound};
use crate::penalty::Penalty;

/// Plans with at least this many elements use tiles of four words per invocation; smaller ones use one, so that few
/// elements still spread over many workgroups.
const LARGE: u64 = 1 << 22;

/// Runs of at most so many words are small: where a kernel has many of them, they take workgroups of that many invocations, so
/// that few stand idle.
const SMALL: u32 = 32;

/// Fewer small ones are not worth a dispatch of their own.
const MANY: usize = 256;

/// Cuts, compiles what is missing, and binds one step over many tensors. `rows` holds the jobs' [`Row`](super::StepRow)s, `status`
/// the status words.
///
/// # Errors
/// [`crate::Error::Unsupported`] for a combination without a kernel, [`crate::Error::Limit`],
/// [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
pub fn bind(
    kernels: &PipelineCache,
    base: Optimizer,
    jobs: &[TensorJob<'_, Elementwise>],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
) -> Result<Dispatches> {
    Tables::alone(kernels, |tables| lay(kernels, base, jobs, rows, status, tables))
}

/// The same with the tables among others.
pub(crate) fn lay(
    kernels: &PipelineCache,
    base: Optimizer,
    jobs: &[TensorJob<'_, Elementwise>],
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
    tables: &mut Tables,
) -> Result<Vec<Unbound>> {
    let limits = kernels.device().limits();
    let rows_size = rows.size.map_or(rows.buffer.size() - rows.offset, u64::from);
    for (place, size) in [("hyper-parameters", rows_size), ("status words", status.size())] {
        within_binding(place, size, &limits)?;
    }
    let total: u64 = jobs.iter().map(|job| job.views[0].length).sum();
    let tile_words = u64::from(WORKGROUP) * if total >= LARGE { 4 } else { 1 };
    let cuts: Vec<_> =
        jobs.iter().map(|job| pieces(job.views.iter().map(|v| v.offset / 4), job.views[0].length)).collect();
    let small = |width: Width, from: u64, to: u64| (to - from) / width.elements() <= u64::from(SMALL);
    let mut few: HashMap<(&str, Width), usize> = HashMap::new();
    for (job, cut) in jobs.iter().zip(&cuts) {
        let runs = cut.iter().filter(|&&(width, from, to)| from < to && small(width, from, to));
        runs.for_each(|(width, ..)| *few.entry((job.operator.penalty.name(), *width)).or_default() += 1);
    }
    let many = |penalty: Penalty, width| few.get(&(penalty.name(), width)).is_some_and(|&n| n >= MANY);
    let slots = base.slots();
    let mut packer = Packer::new(super::KERNEL.name, &limits);
    for (job, cut) in jobs.iter().zip(&cuts) {
        job.operator.check(base, super::KERNEL.name)?;
        let starts = job.views.iter().map(|v| v.offset / 4);
        for &(width, from, to) in cut {
            if from == to {
                continue;
            }
            let alone = small(width, from, to) && many(job.operator.penalty, width);
            let invocations = if alone { SMALL } else { WORKGROUP };
            let variant = Variant { base, penalty: job.operator.penalty, width, invocations };
            let lane = packer.lane(variant, slots.iter().copied().zip(job.views));
            let step = tile_words * width.elements();
            let mut at = from;
            while at < to {
                let elements = step.min(to - at);
                let tile = Tile {
                    length: (elements / width.elements()) as u32,
                    row: job.row as u32,
                    tensor: job.tensor as u32,
                    ..bytemuck::Zeroable::zeroed()
                };
                let spans = starts.clone().map(|start| (start + at, start + at + elements));
                packer.push_to(lane, spans, job.tensor, tile, &[])?;
                at += elements;
            }
        }
    }
    let closed = packer.close(kernels, tables, &[(1, rows), (2, status.as_entire_buffer_binding())])?;
    Ok(closed.into_iter().map(|(_, unbound)| unbound).collect())
}

/// The pieces of a tensor, as (width, first element, end): one vec4 body with a scalar head and tail where all offsets
/// agree modulo four, one scalar piece where they do not.
fn pieces(mut starts: impl Iterator<Item = u64>, length: u64) -> Vec<(Width, u64, u64)> {
    let lead = starts.next().map_or(0, |start| start % VECTOR_WIDTH);
    if starts.any(|start| start % VECTOR_WIDTH != lead) {
        return vec![(Width::Scalar, 0, length)];
    }
    let head = ((VECTOR_WIDTH - lead) % VECTOR_WIDTH).min(length);
    let body = head + (length - head) / VECTOR_WIDTH * VECTOR_WIDTH;
    vec![(Width::Vec4, head, body), (Width::Scalar, 0, head), (Width::Scalar, body, length)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_element_once() {
        for lead in 0..4 {
            for length in 0..40 {
                for other in [lead, lead + 4, lead + 1] {
                    let mut seen = vec![0; length as usize];
                    for (width, from, to) in pieces([lead, other].into_iter(), length) {
                        if width == Width::Vec4 && to > from {
                            assert_eq!((lead + from) % VECTOR_WIDTH, 0);
                            assert_eq!((to - from) % VECTOR_WIDTH, 0);
                        }
                        (from..to).for_each(|k| seen[k as usize] += 1);
                    }
                    assert!(seen.iter().all(|&n| n == 1), "{lead} {other} {length}: {seen:?}");
                }
            }
        }
    }
}
