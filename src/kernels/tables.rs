//! The tile tables of many dispatches, laid out in one buffer, and what else they keep from one binding to the next.

use std::ops::Range;

use super::window::within_binding;
use super::word::VECTOR_WIDTH;
use super::{Dispatches, PipelineCache, Unbound};
use crate::error::Result;
use crate::gpu;

/// Tables while they are laid out.
#[derive(Debug)]
pub(crate) struct Tables {
    bytes: Vec<u8>,
    alignment: usize,
    /// What larger groups are measured into, kernel by kernel: a later binding that needs no more takes it again.
    scratch: Vec<(&'static str, wgpu::Buffer)>,
}

impl Tables {
    /// Empty ones for a device with these limits.
    pub fn new(limits: &wgpu::Limits) -> Self {
        let alignment = limits.min_storage_buffer_offset_alignment.max(4 * VECTOR_WIDTH as u32) as usize;
        Tables { bytes: Vec::new(), alignment, scratch: Vec::new() }
    }

    /// Begins anew; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What they hold by now.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Lays out a table of two parts and returns where it lies.
    pub(super) fn push(&mut self, parts: [&[u8]; 2]) -> Range<u64> {
        self.bytes.resize(self.bytes.len().next_multiple_of(self.alignment), 0);
        let start = self.bytes.len() as u64;
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        start..self.bytes.len() as u64
    }

    /// Scratch memory of a kernel, of at least so many bytes. Dispatches take effect one after another, so that all may share it.
    pub(super) fn scratch(
        &mut self,
        device: &wgpu::Device,
        room: &'static str,
        bytes: u64,
    ) -> Result<wgpu::Buffer> {
        if let Some((_, buffer)) =
            self.scratch.iter().find(|(of, buffer)| *of == room && buffer.size() >= bytes)
        {
            return Ok(buffer.clone());
        }
        let buffer = scratch(device, "scratch of large groups", bytes)?;
        self.scratch.retain(|(of, _)| *of != room);
        self.scratch.push((room, buffer.clone()));
        Ok(buffer)
    }

    /// Dispatches with tables of their own: `lay` puts the tables here.
    pub(super) fn alone(
        kernels: &PipelineCache,
        lay: impl FnOnce(&mut Tables) -> Result<Vec<Unbound>>,
    ) -> Result<Dispatches> {
        let device = kernels.device();
        let mut tables = Tables::new(&device.limits());
        let unbound = lay(&mut tables)?;
        let buffer = gpu::buffer_with(device, "tile tables", &tables.bytes, gpu::USAGE)?;
        unbound.into_iter().map(|one| one.bind(device, &buffer)).collect()
    }
}

/// Memory that only the device reads and writes.
pub(super) fn scratch(device: &wgpu::Device, place: &str, bytes: u64) -> Result<wgpu::Buffer> {
    within_binding(place, bytes, &device.limits())?;
    gpu::buffer(device, place, bytes, gpu::USAGE, false)
}
