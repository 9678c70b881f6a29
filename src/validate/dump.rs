//! All that a case does on a device: dispatches with their shaders and what they read and wrote, and every number that was judged.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::gpu::{self, Context, Readback};
use crate::kernels::witness::collect;
use crate::kernels::{Case, Interpreted, Outcome, PipelineCache};

pub use crate::kernels::witness::Judged;

/// What one case did on an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Dump {
    /// What the judges found.
    pub outcome: Outcome,
    /// Every number that they judged, in their order.
    pub judged: Vec<Judged>,
    /// The dispatches in the order in which they ran. Most cases run twice, the first time on their arrays backwards, which is not
    /// judged.
    pub dispatches: Vec<DumpedDispatch>,
}

/// One dispatch, which ran in a submission of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct DumpedDispatch {
    /// `kernel/variant`.
    pub name: String,
    /// The complete WGSL.
    pub source: String,
    /// The entry point.
    pub entry: String,
    /// What the override constant `invocations` is set to: invocations of a workgroup.
    pub invocations: u32,
    /// Workgroups along x and y.
    pub workgroups: (u32, u32),
    /// What was bound in group 0: storage buffers all.
    pub bindings: Vec<DumpedBinding>,
}

/// One binding of a dispatch, and its words.
#[derive(Clone, Debug, PartialEq)]
pub struct DumpedBinding {
    /// `@binding`.
    pub binding: u32,
    /// Whether it is bound read-only.
    pub read_only: bool,
    /// Which buffer, counted as the case first binds them: parts of one may be bound at several places.
    pub buffer: usize,
    /// The binding's first byte in the buffer.
    pub offset: u64,
    /// Its words before.
    pub before: Vec<u32>,
    /// Its words after; empty where it is bound read-only.
    pub after: Vec<u32>,
}

/// Runs a case on an adapter, dispatch by dispatch, and keeps all of it.
///
/// # Errors
/// Those of [`Case::run`], and of reading back.
pub fn dump(adapter: wgpu::Adapter, case: &dyn Case) -> Result<Dump> {
    let context = Context::on(adapter)?;
    let (device, queue) = (&context.device, &context.queue);
    let kept = Arc::new(Mutex::new(Kept::default()));
    let (to, on) = (kept.clone(), (device.clone(), queue.clone()));
    let kernels = PipelineCache::new(device).interpreted(move |dispatch| {
        let mut kept = to.lock().unwrap_or_else(PoisonError::into_inner);
        // what follows a failure would come of it
        if kept.failed.is_none()
            && let Err(error) = kept.run(&on.0, &on.1, dispatch)
        {
            kept.failed = Some(error);
        }
    });
    let (outcome, judged) = collect(|| case.run(device, queue, &kernels))?;
    drop(kernels);
    let kept = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(error) = kept.failed {
        return Err(error);
    }
    let outcome = outcome?;
    context.check()?;
    Ok(Dump { outcome, judged, dispatches: kept.dispatches })
}

#[derive(Default)]
struct Kept {
    buffers: Vec<wgpu::Buffer>,
    dispatches: Vec<DumpedDispatch>,
    failed: Option<Error>,
}

impl Kept {
    /// Runs a dispatch by itself, and keeps it.
    fn run(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, one: &Interpreted<'_>) -> Result<()> {
        let read = || -> Result<Vec<Vec<u32>>> {
            let copies = gpu::submit(device, queue, one.name, |encoder| {
                let copy = |b: &crate::kernels::Binding| {
                    Readback::record(device, encoder, &b.buffer, b.offset, b.size)
                };
                one.bound.iter().map(copy).collect::<Result<Vec<_>>>()
            })?;
            copies.into_iter().map(|copy| copy.wait(device)).collect()
        };
        let before = read()?;
        let reads = |binding: u32| one.reads.contains(&binding);
        let layout: Vec<_> = one.bound.iter().map(|b| (b.binding, reads(b.binding))).collect();
        let pipeline =
            gpu::compute_pipeline(device, one.name, one.source, one.entry, one.invocations, &layout)?;
        gpu::submit(device, queue, one.name, |encoder| {
            let entries: Vec<_> = one.bound.iter().map(crate::kernels::Binding::entry).collect();
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(one.name),
                layout: &pipeline.layout,
                entries: &entries,
            });
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(one.workgroups.0, one.workgroups.1, 1);
            Ok(())
        })?;
        let after = read()?;
        let bindings = one.bound.iter().zip(before).zip(after).map(|((b, before), after)| DumpedBinding {
            binding: b.binding,
            read_only: reads(b.binding),
            buffer: self.number(&b.buffer),
            offset: b.offset,
            before,
            after: if reads(b.binding) { Vec::new() } else { after },
        });
        let bindings = bindings.collect();
        self.dispatches.push(DumpedDispatch {
            name: one.name.into(),
            source: one.source.into(),
            entry: one.entry.into(),
            invocations: one.invocations,
            workgroups: one.workgroups,
            bindings,
        });
        Ok(())
    }

    fn number(&mut self, buffer: &wgpu::Buffer) -> usize {
        self.buffers.iter().position(|one| one == buffer).unwrap_or_else(|| {
            self.buffers.push(buffer.clone());
            self.buffers.len() - 1
        })
    }
}
