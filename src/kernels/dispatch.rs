//! What every kernel's `bind` returns: dispatches that hold what they bind as data, in the order in which they run.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::PipelineCache;
use super::binding::Binding;
use super::executable::Executable;
use super::program::Program;
use crate::error::{Error, Result};
use crate::gpu;

/// A dispatch whose first binding is a table that has a place among [`Tables`](super::tables::Tables), and no buffer yet.
#[derive(Clone, Debug)]
pub(crate) struct Unbound {
    room: &'static str,
    pipeline: Arc<Executable>,
    /// First and last byte of the table.
    table: Range<u64>,
    others: Vec<Binding>,
    workgroups: (u32, u32),
}

impl Unbound {
    pub(super) fn new(
        room: &'static str,
        pipeline: Arc<Executable>,
        table: Range<u64>,
        others: Vec<Binding>,
        workgroups: (u32, u32),
    ) -> Self {
        Unbound { room, pipeline, table, others, workgroups }
    }

    fn table(&self, tables: &wgpu::Buffer) -> Binding {
        let Range { start, end } = self.table;
        Binding { binding: 0, buffer: tables.clone(), offset: start, size: end - start }
    }

    /// A number that equal dispatches share.
    pub fn hash(&self, tables: &wgpu::Buffer, state: &impl BuildHasher) -> u64 {
        let others = self.others.iter().map(|b| (&b.buffer, b.offset, b.size));
        let mut hasher = state.build_hasher();
        (Arc::as_ptr(&self.pipeline), tables, self.table.start, self.table.end).hash(&mut hasher);
        others.for_each(|one| one.hash(&mut hasher));
        hasher.finish()
    }

    /// Whether a dispatch is this one, with its table in this buffer.
    pub fn is(&self, dispatch: &Dispatch, tables: &wgpu::Buffer) -> bool {
        let Some((table, others)) = dispatch.bound.split_first() else { return false };
        let Range { start, end } = self.table;
        Arc::ptr_eq(&self.pipeline, &dispatch.pipeline)
            && self.workgroups == dispatch.workgroups
            && (&table.buffer, table.offset, table.size) == (tables, start, end - start)
            && *others == *self.others
    }

    /// Makes the bind group.
    pub fn bind(self, device: &wgpu::Device, tables: &wgpu::Buffer) -> Result<Dispatch> {
        let bound = std::iter::once(self.table(tables)).chain(self.others).collect();
        Dispatch::bound_to(device, self.room, self.pipeline, bound, self.workgroups)
    }
}

/// One dispatch, ready to be recorded. A clone shares everything.
#[derive(Clone, Debug)]
pub struct Dispatch {
    pipeline: Arc<Executable>,
    group: wgpu::BindGroup,
    bound: Arc<[Binding]>,
    workgroups: (u32, u32),
}

impl Dispatch {
    /// Compiles what is missing, and makes the bind group.
    pub(super) fn new<P: Program>(
        kernels: &PipelineCache,
        program: &P,
        bound: Vec<Binding>,
        workgroups: (u32, u32),
    ) -> Result<Self> {
        let pipeline = kernels.pipeline(program, bound.iter().map(|b| b.binding))?;
        Self::bound_to(kernels.device(), P::KERNEL, pipeline, bound, workgroups)
    }

    fn bound_to(
        device: &wgpu::Device,
        room: &'static str,
        pipeline: Arc<Executable>,
        bound: Vec<Binding>,
        workgroups: (u32, u32),
    ) -> Result<Self> {
        let entries: Vec<_> = bound.iter().map(Binding::entry).collect();
        let group = gpu::guarded(device, room, 0, || {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(room),
                layout: pipeline.layout(),
                entries: &entries,
            })
        })?;
        Ok(Dispatch { pipeline, group, bound: bound.into(), workgroups })
    }

    /// The same of a kernel that reads a job: it gets a buffer of its own, bound at 0.
    pub(super) fn of_job<P: Program>(
        kernels: &PipelineCache,
        program: &P,
        job: &[u8],
        buffers: &[(u32, wgpu::BufferBinding<'_>)],
        workgroups: (u32, u32),
    ) -> Result<Self> {
        let job = gpu::buffer_with(kernels.device(), P::KERNEL, job, gpu::USAGE)?;
        let first = Binding::new(0, &job.as_entire_buffer_binding());
        let others = buffers.iter().map(|(binding, buffer)| Binding::new(*binding, buffer));
        Dispatch::new(kernels, program, std::iter::once(first).chain(others).collect(), workgroups)
    }

    /// The same with so many workgroups, in rows where the device cannot have them side by side.
    pub(super) fn of_groups<P: Program>(
        kernels: &PipelineCache,
        program: &P,
        job: &[u8],
        buffers: &[(u32, wgpu::BufferBinding<'_>)],
        groups: u64,
    ) -> Result<Self> {
        let place = format!("{}/{}", P::KERNEL, program.name());
        let workgroups = folded(&place, groups, &kernels.device().limits())?;
        Dispatch::of_job(kernels, program, job, buffers, workgroups)
    }

    /// What is bound.
    #[must_use]
    pub fn bound(&self) -> &[Binding] {
        &self.bound
    }

    /// Workgroups along x and y.
    #[must_use]
    pub fn workgroups(&self) -> (u32, u32) {
        self.workgroups
    }

    /// Records it, or has it interpreted at once: see `PipelineCache::interpreted`.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.pipeline.record(pass, &self.group, &self.bound, self.workgroups);
    }
}

/// Dispatches in the order in which they run. A clone shares everything.
#[derive(Clone, Debug, Default)]
pub struct Dispatches(Vec<Dispatch>);

impl Dispatches {
    /// Records them.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.0.iter().for_each(|dispatch| dispatch.record(pass));
    }
}

impl Deref for Dispatches {
    type Target = [Dispatch];

    fn deref(&self) -> &[Dispatch] {
        &self.0
    }
}

impl FromIterator<Dispatch> for Dispatches {
    fn from_iter<I: IntoIterator<Item = Dispatch>>(dispatches: I) -> Self {
        Dispatches(dispatches.into_iter().collect())
    }
}

impl From<Dispatch> for Dispatches {
    fn from(one: Dispatch) -> Self {
        Dispatches(vec![one])
    }
}

impl Extend<Dispatch> for Dispatches {
    fn extend<I: IntoIterator<Item = Dispatch>>(&mut self, dispatches: I) {
        self.0.extend(dispatches);
    }
}

impl IntoIterator for Dispatches {
    type Item = Dispatch;
    type IntoIter = std::vec::IntoIter<Dispatch>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

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
