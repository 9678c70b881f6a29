//! Binding views from any offset, and recording a dispatch.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::{self, Pipeline, View};
use crate::kernels::step::within_binding;

/// A view, bound from the alignment boundary below it.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Window<'a> {
    view: &'a View,
    start: u64,
}

impl<'a> Window<'a> {
    /// `place` is used in the message of an error.
    ///
    /// # Errors
    /// [`Error::Limit`] where no binding holds the view.
    pub fn new(place: &str, view: &'a View, limits: &wgpu::Limits) -> Result<Self> {
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment).max(4);
        let start = view.offset() / alignment * alignment;
        within_binding(place, view.end() - start, limits)?;
        // shaders address a binding by 32 bits, some backends byte by byte
        let (needed, limit) = (view.end() - start, u64::from(u32::MAX));
        if needed > limit {
            return Err(Error::Limit {
                place: place.into(),
                name: "bytes addressed by 32 bits",
                needed,
                limit,
            });
        }
        Ok(Window { view, start })
    }

    /// The view's first element within the binding.
    pub fn lead(&self) -> u32 {
        ((self.view.offset() - self.start) / 4) as u32
    }

    /// The binding.
    pub fn binding(&self) -> wgpu::BufferBinding<'a> {
        let size = std::num::NonZeroU64::new(self.view.end() - self.start);
        wgpu::BufferBinding { buffer: self.view.buffer(), offset: self.start, size }
    }
}

/// One dispatch.
#[derive(Debug)]
pub(in crate::kernels) struct Launch {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: (u32, u32),
}

impl Launch {
    /// Binds buffers to a kernel.
    ///
    /// # Errors
    /// Those of [`gpu::guarded`].
    pub fn new(
        device: &wgpu::Device,
        place: &str,
        pipeline: Arc<Pipeline>,
        bindings: &[(u32, wgpu::BufferBinding<'_>)],
        workgroups: (u32, u32),
    ) -> Result<Self> {
        let entries: Vec<_> = bindings
            .iter()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: *binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
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

/// All of a buffer.
pub(in crate::kernels) fn whole(buffer: &wgpu::Buffer) -> wgpu::BufferBinding<'_> {
    wgpu::BufferBinding { buffer, offset: 0, size: None }
}

/// Refuses views of which one that is `written` shares memory with another.
///
/// # Errors
/// [`Error::Overlap`].
pub(in crate::kernels) fn refuse_overlap(views: &[(&str, &View, bool)]) -> Result<()> {
    for (k, (first, a, written)) in views.iter().enumerate() {
        for (second, b, also) in &views[..k] {
            if let Some(shared) = a.overlap(b).filter(|_| *written || *also) {
                let (first, second) = ((*first).into(), (*second).into());
                return Err(Error::Overlap { first, second, start: shared.start, end: shared.end });
            }
        }
    }
    Ok(())
}
