//! Views in their bindings.

use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::Batch;
use super::program::host_struct;
use crate::error::{Error, Result, within};
use crate::gpu::View;

/// Shaders address a binding by 32 bits, some backends byte by byte.
pub(super) const ADDRESSABLE: u64 = u32::MAX as u64;

/// Refuses what one binding cannot hold.
pub(super) fn within_binding(place: &str, needed: u64, limits: &wgpu::Limits) -> Result<()> {
    let limit = limits.max_storage_buffer_binding_size.min(ADDRESSABLE);
    within(place, "max_storage_buffer_binding_size", needed, limit)
}

/// Refuses that what is written shares memory with anything else.
pub(crate) fn refuse_overlap(read: &[(&str, &View)], written: &[(&str, &View)]) -> Result<()> {
    for (k, (first, a)) in written.iter().enumerate() {
        for (second, b) in read.iter().chain(&written[..k]) {
            if let Some(shared) = a.overlap(b) {
                let (first, second) = ((*first).into(), (*second).into());
                return Err(Error::Overlap { first, second, start: shared.start, end: shared.end });
            }
        }
    }
    Ok(())
}

/// Refuses that any of many views, each said to be written or read only, shares memory with another, but for two that are
/// read only.
pub(crate) fn refuse_overlap_among<'a, I: Copy>(
    views: impl Iterator<Item = (I, &'a View, bool)>,
    name: impl Fn(I) -> String,
) -> Result<()> {
    // by a number of each buffer first: to compare the buffers themselves is to look into both
    let state = RandomState::new();
    let mut last: Option<(&wgpu::Buffer, u64)> = None;
    let mut number = |buffer: &'a wgpu::Buffer| {
        let known = last.filter(|(known, _)| std::ptr::eq(*known, buffer) || *known == buffer);
        let number = known.map_or_else(|| state.hash_one(buffer), |(_, number)| number);
        last = Some((buffer, number));
        number
    };
    let some = views.filter(|(_, view, _)| !view.is_empty());
    let mut all: Vec<_> =
        some.map(|(id, view, written)| (number(view.buffer()), view.offset(), id, view, written)).collect();
    all.sort_unstable_by(|a, b| {
        let buffers = || if a.0 == b.0 { a.3.buffer().cmp(b.3.buffer()) } else { Ordering::Equal };
        a.0.cmp(&b.0).then_with(buffers).then(a.1.cmp(&b.1))
    });
    // the view that is read and the one that is written which reach furthest, of those that start before
    let mut furthest: [Option<(I, &View)>; 2] = [None; 2];
    for (_, _, id, view, written) in all {
        for (k, other) in furthest.iter().enumerate() {
            let Some((other, before)) = other.filter(|_| written || k == 1) else { continue };
            if let Some(shared) = before.overlap(view) {
                let (first, second) = (name(other), name(id));
                return Err(Error::Overlap { first, second, start: shared.start, end: shared.end });
            }
        }
        let slot = &mut furthest[usize::from(written)];
        if slot.is_none_or(|(_, before)| before.buffer() != view.buffer() || before.end() < view.end()) {
            *slot = Some((id, view));
        }
    }
    Ok(())
}

host_struct! {
    /// A batch in its binding: WGSL's `Strided`, of `shaders/shared/place.wgsl`.
    #[derive(Default)]
    pub(super) struct Strided {
        first: u32,
        pub down: u32,
        across: u32,
    }
}

/// A view in its binding, which starts at the alignment boundary below.
#[derive(Clone, Debug)]
pub(super) struct Window {
    buffer: wgpu::Buffer,
    offset: u64,
    size: u64,
    /// The view's first element in the binding.
    pub first: u32,
}

impl Window {
    /// Refuses what a binding cannot hold; `place` is used in the message. Of an empty view some word is bound, which no
    /// kernel reads.
    pub fn new(place: &str, view: &View, limits: &wgpu::Limits) -> Result<Self> {
        let buffer = view.buffer().clone();
        if view.is_empty() {
            return Ok(Window { buffer, offset: 0, size: 4, first: 0 });
        }
        let offset = view.offset() - view.offset() % u64::from(limits.min_storage_buffer_offset_alignment);
        let size = view.end() - offset;
        within_binding(place, size, limits)?;
        Ok(Window { buffer, offset, size, first: ((view.offset() - offset) / 4) as u32 })
    }

    /// A batch that lies in the window.
    pub fn strided(&self, batch: &Batch) -> Strided {
        let (down, across) = batch.strides();
        let first = batch.view.offset().saturating_sub(self.offset) / 4;
        Strided { first: first as u32, down, across }
    }

    /// The binding.
    pub fn binding(&self) -> wgpu::BufferBinding<'_> {
        let size = wgpu::BufferSize::new(self.size);
        wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size }
    }
}
