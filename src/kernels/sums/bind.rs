//! Views as bindings, and dispatches of one job each.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{self, Pipeline, View};
use crate::kernels::{Batch, Kernels};

/// Shaders address a binding by 32 bits, some backends byte by byte.
const ADDRESSABLE: u64 = u32::MAX as u64;

/// WGSL's `Strided`: a batch in its binding.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(in crate::kernels) struct Strided {
    pub first: u32,
    pub down: u32,
    pub across: u32,
}

/// A view in its binding, which starts at the alignment boundary below.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct Window {
    buffer: wgpu::Buffer,
    offset: u64,
    size: u64,
    /// The view's first element in the binding.
    pub first: u32,
}

impl Window {
    /// Refuses what a binding cannot hold.
    pub fn new(place: &str, view: &View, limits: &wgpu::Limits) -> Result<Self> {
        let offset = view.offset() - view.offset() % u64::from(limits.min_storage_buffer_offset_alignment);
        let size = view.end() - offset;
        let limit = limits.max_storage_buffer_binding_size.min(ADDRESSABLE);
        if size > limit {
            let name = "max_storage_buffer_binding_size";
            return Err(Error::Limit { place: place.into(), name, needed: size, limit });
        }
        let first = ((view.offset() - offset) / 4) as u32;
        Ok(Window { buffer: view.buffer().clone(), offset, size, first })
    }

    /// A batch, whose shape must be `components` x `vectors`, with at least one vector.
    pub fn of_batch(
        place: &str,
        batch: &Batch,
        (components, vectors): (u32, u32),
        limits: &wgpu::Limits,
    ) -> Result<(Self, Strided)> {
        if (batch.components, batch.vectors) != (components, vectors) || vectors == 0 {
            return Err(Error::Shape {
                place: place.into(),
                name: "shape".into(),
                got: format!("{} components of {} vectors", batch.components, batch.vectors),
                expected: format!("{components} components of {} vectors", vectors.max(1)),
            });
        }
        let window = Window::new(place, &batch.view, limits)?;
        let (down, across) = batch.strides();
        let strided = Strided { first: window.first, down, across };
        Ok((window, strided))
    }

    /// The binding.
    pub fn binding(&self) -> wgpu::BufferBinding<'_> {
        let size = std::num::NonZeroU64::new(self.size);
        wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size }
    }
}

/// Refuses that `written` shares memory with one of the others.
pub(in crate::kernels) fn refuse_overlap(written: (&str, &View), others: &[(&str, &View)]) -> Result<()> {
    for (name, view) in others {
        if let Some(shared) = written.1.overlap(view) {
            let (first, second) = (written.0.into(), (*name).into());
            return Err(Error::Overlap { first, second, start: shared.start, end: shared.end });
        }
    }
    Ok(())
}

/// One dispatch, ready to be recorded.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct Dispatch {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: (u32, u32),
}

impl Dispatch {
    /// `groups` workgroups of `invocations` of a room's variant, with the job at binding 0 and the buffers behind it. These
    /// are bound for reading and writing all of them, so that they may lie in one buffer.
    pub fn new(
        kernels: &Kernels,
        (room, variant, invocations): (&str, &str, u32),
        source: impl FnOnce() -> String,
        job: &[u8],
        buffers: &[wgpu::BufferBinding<'_>],
        groups: u64,
    ) -> Result<Self> {
        let device = kernels.device();
        let limit = u64::from(device.limits().max_compute_workgroups_per_dimension);
        let down = groups.div_ceil(limit).max(1);
        if down > limit {
            let (name, needed) = ("max_compute_workgroups_per_dimension", down);
            return Err(Error::Limit { place: format!("{room}/{variant}"), name, needed, limit });
        }
        let across = groups.div_ceil(down).max(1);
        let layout: Vec<(u32, bool)> = (0..=buffers.len() as u32).map(|k| (k, k == 0)).collect();
        let pipeline = kernels.pipeline(room, variant, invocations, &layout, source)?;
        let job = gpu::buffer_with(device, "job", job, wgpu::BufferUsages::STORAGE)?;
        let bindings = std::iter::once(job.as_entire_buffer_binding()).chain(buffers.iter().cloned());
        let entries: Vec<_> = (0..)
            .zip(bindings)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer),
            })
            .collect();
        let group = gpu::guarded(device, room, 0, || {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(room),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })?;
        Ok(Dispatch { pipeline, group, workgroups: (across as u32, down as u32) })
    }

    /// Records it.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.workgroups.0, self.workgroups.1, 1);
    }
}
