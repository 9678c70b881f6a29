//! Dispatches of one job each.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::{self, Pipeline};

/// `groups` workgroups in two dimensions, of which the last row may be longer than it needs to be.
pub(super) fn folded(place: &str, groups: u64, limits: &wgpu::Limits) -> Result<(u32, u32)> {
    let limit = u64::from(limits.max_compute_workgroups_per_dimension);
    let down = groups.div_ceil(limit).max(1);
    if down > limit {
        let name = "max_compute_workgroups_per_dimension";
        return Err(Error::Limit { place: place.into(), name, needed: down, limit });
    }
    Ok((groups.div_ceil(down).max(1) as u32, down as u32))
}

/// One dispatch, ready to be recorded.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: (u32, u32),
}

impl Launch {
    /// The job is bound at 0, `buffers` where they say; `place` is used in messages.
    pub fn new(
        device: &wgpu::Device,
        place: &str,
        pipeline: Arc<Pipeline>,
        job: &[u8],
        buffers: &[(u32, wgpu::BufferBinding<'_>)],
        workgroups: (u32, u32),
    ) -> Result<Self> {
        let job = gpu::buffer_with(device, place, job, wgpu::BufferUsages::STORAGE)?;
        let entries: Vec<_> = std::iter::once((0, job.as_entire_buffer_binding()))
            .chain(buffers.iter().cloned())
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer),
            })
            .collect();
        let group = gpu::guarded(device, place, 0, || {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(place),
                layout: &pipeline.layout,
                entries: &entries,
            })
        })?;
        Ok(Launch { pipeline, group, workgroups })
    }

    /// Records it.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.workgroups.0, self.workgroups.1, 1);
    }
}
