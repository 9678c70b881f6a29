//! Cutting tensors into tiles, and tiles into dispatches.
//!
//! A tensor becomes tiles of at most four words per invocation. Tiles of equal variant and buffers form one
//! dispatch, as long as their bytes in each buffer fit one binding; what does not fit opens the next window. So a
//! tensor larger than a binding needs nothing special, and a thousand small ones take one dispatch.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Base, LANES, Tile, Variant, WORKGROUP, Width};
use crate::error::Result;
use crate::gpu::{self, Pipeline, View};
use crate::kernels::Kernels;
use crate::kernels::window::{ADDRESSABLE, within_binding};
use crate::penalty::Penalty;

/// Plans with at least this many elements use tiles of four words per invocation; smaller ones use one, so that few
/// elements still spread over many workgroups.
const LARGE: u64 = 1 << 22;

/// One tensor's work.
#[derive(Clone, Debug)]
pub struct Job {
    /// The penalty.
    pub penalty: Penalty,
    /// W, then G if the base step reads one, then the states; all of one length and free of overlaps.
    pub views: Vec<View>,
    /// Index of its row of hyper-parameters.
    pub row: usize,
    /// Index of its status word.
    pub tensor: usize,
}

/// One dispatch.
#[derive(Debug)]
struct Bucket {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    workgroups: (u32, u32),
}

/// A bucket while it is filled: tiles with their absolute offsets, in elements.
struct Draft {
    variant: Variant,
    views: [usize; 4],
    buffers: Vec<wgpu::Buffer>,
    /// First and last byte used of each buffer.
    ranges: Vec<(u64, u64)>,
    tiles: Vec<([u64; 4], Tile)>,
}

/// The dispatches of one step over many tensors, ready to be recorded.
#[derive(Debug)]
pub struct Dispatches {
    buckets: Vec<Bucket>,
}

impl Dispatches {
    /// Cuts, compiles what is missing, and binds. `rows` holds the jobs' [`Row`](super::Row)s, `status` the status words.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for a combination without a kernel, [`crate::Error::Limit`],
    /// [`crate::Error::OutOfMemory`] and [`crate::Error::Gpu`] for what the device cannot give.
    pub fn bind(
        kernels: &Kernels,
        base: Base,
        jobs: &[Job],
        rows: wgpu::BufferBinding<'_>,
        status: &wgpu::Buffer,
    ) -> Result<Self> {
        let limits = kernels.device().limits();
        let rows_size = rows.size.map_or(rows.buffer.size() - rows.offset, u64::from);
        for (place, size) in [("hyper-parameters", rows_size), ("status words", status.size())] {
            within_binding(place, size, &limits)?;
        }
        let drafts = cut(&limits, base, jobs)?;
        let close = |draft| close(kernels, draft, rows.clone(), status);
        Ok(Dispatches { buckets: drafts.into_iter().map(close).collect::<Result<_>>()? })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.buckets.len()
    }

    /// Records them.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        for bucket in &self.buckets {
            pass.set_pipeline(&bucket.pipeline.pipeline);
            pass.set_bind_group(0, &bucket.group, &[]);
            pass.dispatch_workgroups(bucket.workgroups.0, bucket.workgroups.1, 1);
        }
    }
}

/// Cuts the tensors into tiles and collects those of equal variant and buffers, window by window.
#[expect(clippy::mutable_key_type, reason = "a buffer is hashed by its identity, which never changes")]
fn cut(limits: &wgpu::Limits, base: Base, jobs: &[Job]) -> Result<Vec<Draft>> {
    let window = u64::from(limits.min_storage_buffer_offset_alignment).max(4 * LANES);
    let largest = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(ADDRESSABLE);
    let total: u64 = jobs.iter().map(|job| job.views[0].length).sum();
    let across = u64::from(limits.max_compute_workgroups_per_dimension);
    let tile_words = u64::from(WORKGROUP) * if total >= LARGE { 4 } else { 1 };

    let mut drafts: Vec<Draft> = Vec::new();
    let mut open: HashMap<(String, Vec<wgpu::Buffer>), usize> = HashMap::new();
    for job in jobs {
        let starts: Vec<u64> = job.views.iter().map(|v| v.offset / 4).collect();
        for (width, from, to) in pieces(&starts, job.views[0].length) {
            let variant = Variant::new(base, job.penalty, width)?;
            let buffers: Vec<_> = job.views.iter().map(|v| v.buffer.clone()).collect();
            let key = (variant.name(), buffers.clone());
            let step = tile_words * width.elements();
            let mut current = open.get(&key).copied();
            let mut at = from;
            while at < to {
                let elements = step.min(to - at);
                let ends: Vec<(u64, u64)> = starts
                    .iter()
                    .map(|s| (4 * (s + at) / window * window, 4 * (s + at + elements)))
                    .collect();
                let fits = |draft: &Draft| {
                    let count = draft.tiles.len() as u64 + 1;
                    let table = count * size_of::<Tile>() as u64;
                    let spans = draft.ranges.iter().zip(&ends);
                    count <= across * across
                        && table <= largest
                        && spans.fold(true, |ok, (a, b)| ok && a.1.max(b.1) - a.0.min(b.0) <= largest)
                };
                let draft = match current {
                    Some(k) if fits(&drafts[k]) => k,
                    _ => {
                        for (from, to) in &ends {
                            within_binding(&format!("step/{}", variant.name()), to - from, limits)?;
                        }
                        drafts.push(Draft {
                            variant,
                            views: slots(base),
                            buffers: buffers.clone(),
                            ranges: ends.clone(),
                            tiles: Vec::new(),
                        });
                        drafts.len() - 1
                    }
                };
                current = Some(draft);
                let draft = &mut drafts[draft];
                for (range, end) in draft.ranges.iter_mut().zip(&ends) {
                    *range = (range.0.min(end.0), range.1.max(end.1));
                }
                let absolute = draft.views.map(|v| starts[v] + at);
                let tile = Tile {
                    length: (elements / width.elements()) as u32,
                    row: job.row as u32,
                    tensor: job.tensor as u32,
                    ..bytemuck::Zeroable::zeroed()
                };
                draft.tiles.push((absolute, tile));
                at += elements;
            }
            if let Some(draft) = current {
                open.insert(key, draft);
            }
        }
    }
    Ok(drafts)
}

/// A draft with its windows fixed: offsets become relative, the table goes to the device.
fn close(
    kernels: &Kernels,
    draft: Draft,
    rows: wgpu::BufferBinding<'_>,
    status: &wgpu::Buffer,
) -> Result<Bucket> {
    let per_word = draft.variant.width().elements();
    let tiles: Vec<Tile> = draft
        .tiles
        .iter()
        .map(|(absolute, tile)| {
            let word = |k: usize| ((absolute[k] - draft.ranges[draft.views[k]].0 / 4) / per_word) as u32;
            Tile { w: word(0), g: word(1), m: word(2), v: word(3), ..*tile }
        })
        .collect();
    let device = kernels.device();
    let pipeline = draft.variant.pipeline(kernels)?;
    let table = bytemuck::cast_slice(&tiles);
    let table = gpu::buffer_with(device, "tile table", table, wgpu::BufferUsages::STORAGE)?;
    let tables = [table.as_entire_buffer_binding(), rows, status.as_entire_buffer_binding()];
    let windows = draft.views.map(|view| {
        let (start, end) = draft.ranges[view];
        let size = std::num::NonZeroU64::new(end - start);
        wgpu::BufferBinding { buffer: &draft.buffers[view], offset: start, size }
    });
    let used = windows.into_iter().zip(draft.variant.tensors()).enumerate().filter(|(_, (_, used))| *used);
    let bindings = tables.into_iter().enumerate().chain(used.map(|(k, (window, _))| (3 + k, window)));
    let entries: Vec<_> = bindings
        .map(|(k, buffer)| wgpu::BindGroupEntry {
            binding: k as u32,
            resource: wgpu::BindingResource::Buffer(buffer),
        })
        .collect();
    let group = gpu::guarded(device, "step: bind group", 0, || {
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("maf-srl step"),
            layout: &pipeline.layout,
            entries: &entries,
        })
    })?;
    let most = u64::from(device.limits().max_compute_workgroups_per_dimension);
    let count = tiles.len() as u64;
    // `cut` opens a new draft before there are more rows than columns
    let across = count.min(most);
    let down = count.div_ceil(across);
    Ok(Bucket { pipeline, group, workgroups: (across as u32, down as u32) })
}

/// Where W, G, M and V stand in a tensor's views; what the base step lacks falls back to W and is never bound.
fn slots(base: Base) -> [usize; 4] {
    let g = usize::from(base.has_gradient());
    let m = if base.states() > 0 { g + 1 } else { 0 };
    let v = if base.states() > 1 { g + 2 } else { 0 };
    [0, g, m, v]
}

/// The pieces of a tensor, as (width, first element, end): one vec4 body with a scalar head and tail where all offsets
/// agree modulo four, one scalar piece where they do not.
fn pieces(starts: &[u64], length: u64) -> Vec<(Width, u64, u64)> {
    let lead = starts[0] % LANES;
    if starts.iter().any(|s| s % LANES != lead) {
        return vec![(Width::Scalar, 0, length)];
    }
    let head = ((LANES - lead) % LANES).min(length);
    let body = head + (length - head) / LANES * LANES;
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
                    for (width, from, to) in pieces(&[lead, other], length) {
                        if width == Width::Vec4 && to > from {
                            assert_eq!((lead + from) % LANES, 0);
                            assert_eq!((to - from) % LANES, 0);
                        }
                        (from..to).for_each(|k| seen[k as usize] += 1);
                    }
                    assert!(seen.iter().all(|&n| n == 1), "{lead} {other} {length}: {seen:?}");
                }
            }
        }
    }
}
