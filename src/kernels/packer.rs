//! Tiles into dispatches: those of one kernel and the same buffers fall into one, as long as what they touch of each buffer
//! fits one binding; what does not opens the next window.
//!
//! So a tensor larger than a binding needs nothing special, and a thousand small ones take one dispatch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use super::binding::Binding;
use super::dispatch::folded;
use super::executable::Executable;
use super::program::Program;
use super::tables::Tables;
use super::window::ADDRESSABLE;
use super::word::VECTOR_WIDTH;
use super::{PipelineCache, Unbound};
use crate::error::{Error, Result};
use crate::gpu::View;

/// Which binding a view has, and which field of a tile its offset: the order of W, G, M, V and what else there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slot {
    W,
    G,
    M,
    V,
    Extra,
}

const SLOTS: usize = 5;

impl Slot {
    fn binding(self) -> u32 {
        3 + self as u32
    }
}

/// A kernel that works on tiles.
pub(super) trait Tiled: Program + Copy {
    /// What tells its variants apart, without their parameters.
    type Key: Copy + Eq + Hash;
    /// What of a tensor a workgroup works on.
    type Tile: Tile;

    /// The variant's key.
    fn key(&self) -> Self::Key;
    /// Whether it binds what all dispatches share at `binding`.
    fn uses(&self, binding: u32) -> bool;
    /// Elements of what tiles count starts in.
    fn unit(&self) -> u64 {
        1
    }
}

/// A struct of the tile table.
pub(super) trait Tile: bytemuck::Pod {
    /// What messages call it.
    const NAME: &'static str;
    /// What a group of a tile has in the table behind all tiles, where groups differ.
    type Entry: bytemuck::Pod;

    /// One that no workgroup has work with: such fill the last row of workgroups.
    fn empty() -> Self;

    /// The field that says where its elements of a slot start, if it has one.
    fn start(&mut self, slot: Slot) -> Option<&mut u32>;

    /// Says where its entries start in the table, counted in entries.
    fn enter(&mut self, at: u32);
}

/// A dispatch while it is filled.
struct Draft<T: Tile> {
    lane: usize,
    /// First and last byte used of each buffer.
    ranges: [(u64, u64); SLOTS],
    /// Each with where it starts in each buffer, in elements, and its entries: the first and how many.
    tiles: Vec<([u64; SLOTS], T, usize, usize)>,
    entries: Vec<T::Entry>,
}

impl<T: Tile> Draft<T> {
    /// Bytes of the table.
    fn bytes(&self, tiles: usize, entries: usize) -> u64 {
        let (tiles, entries) = (self.tiles.len() + tiles, self.entries.len() + entries);
        (tiles * size_of::<T>() + entries * size_of::<T::Entry>()) as u64
    }
}

/// One kernel on the same buffers, whatever the window.
struct Lane<K> {
    kind: K,
    slots: Vec<Slot>,
    buffers: Vec<wgpu::Buffer>,
    /// The draft that is filled.
    open: Option<usize>,
}

/// Dispatches while they are filled.
pub(super) struct Packer<K: Tiled> {
    room: &'static str,
    most: u64,
    largest: u64,
    alignment: u64,
    numbers: HashMap<wgpu::Buffer, usize>,
    keys: HashMap<(K::Key, [usize; SLOTS]), usize>,
    lanes: Vec<Lane<K>>,
    drafts: Vec<Draft<K::Tile>>,
}

impl<K: Tiled> Packer<K> {
    pub fn new(room: &'static str, limits: &wgpu::Limits) -> Self {
        Packer {
            room,
            most: u64::from(limits.max_compute_workgroups_per_dimension),
            largest: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(ADDRESSABLE),
            alignment: u64::from(limits.min_storage_buffer_offset_alignment).max(4 * VECTOR_WIDTH),
            numbers: HashMap::new(),
            keys: HashMap::new(),
            lanes: Vec::new(),
            drafts: Vec::new(),
        }
    }

    /// The lane of a kernel on these views' buffers.
    pub fn lane<'a>(&mut self, kind: K, views: impl Iterator<Item = (Slot, &'a View)> + Clone) -> usize {
        let mut numbers = [usize::MAX; SLOTS];
        for (number, (_, view)) in numbers.iter_mut().zip(views.clone()) {
            *number = self.numbers.get(&view.buffer).copied().unwrap_or(self.numbers.len());
            if *number == self.numbers.len() {
                self.numbers.insert(view.buffer.clone(), *number);
            }
        }
        let next = self.lanes.len();
        let lane = *self.keys.entry((kind.key(), numbers)).or_insert(next);
        if lane == next {
            let slots = views.clone().map(|(slot, _)| slot).collect();
            let buffers = views.map(|(_, view)| view.buffer.clone()).collect();
            self.lanes.push(Lane { kind, slots, buffers, open: None });
        }
        lane
    }

    /// Adds a tile of the tensor of this number; `views` are those of it that the kernel uses, with their slots and the
    /// elements that the tile touches: the first one and where they end.
    pub fn push(
        &mut self,
        kind: K,
        views: &[(Slot, &View, (u64, u64))],
        tensor: usize,
        tile: K::Tile,
        entries: &[<K::Tile as Tile>::Entry],
    ) -> Result<()> {
        let lane = self.lane(kind, views.iter().map(|(slot, view, _)| (*slot, *view)));
        let spans =
            views.iter().map(|(_, view, (start, end))| (view.offset / 4 + start, view.offset / 4 + end));
        self.push_to(lane, spans, tensor, tile, entries)
    }

    /// The same in a lane that is known; spans are from the buffers' starts.
    pub fn push_to(
        &mut self,
        lane: usize,
        spans: impl Iterator<Item = (u64, u64)>,
        tensor: usize,
        tile: K::Tile,
        entries: &[<K::Tile as Tile>::Entry],
    ) -> Result<()> {
        let (mut starts, mut ends) = ([0; SLOTS], [(0, 0); SLOTS]);
        let mut used = 0;
        for (start, end) in spans.take(SLOTS) {
            starts[used] = start;
            ends[used] = (4 * start / self.alignment * self.alignment, 4 * end);
            used += 1;
        }
        let fits = |draft: &Draft<K::Tile>| {
            (draft.tiles.len() as u64) < self.most * self.most
                && draft.bytes(1, entries.len()) <= self.largest
                && draft.ranges[..used]
                    .iter()
                    .zip(&ends)
                    .all(|(a, b)| a.1.max(b.1) - a.0.min(b.0) <= self.largest)
        };
        let draft = match self.lanes[lane].open {
            Some(k) if fits(&self.drafts[k]) => k,
            _ => {
                if let Some((from, to)) = ends[..used].iter().find(|(from, to)| to - from > self.largest) {
                    let name = self.lanes[lane].kind.name();
                    return Err(Error::Limit {
                        place: format!(
                            "tensor {tensor}, {}/{name}: the span of {}",
                            self.room,
                            K::Tile::NAME
                        ),
                        name: "max_storage_buffer_binding_size",
                        needed: to - from,
                        limit: self.largest,
                    });
                }
                self.drafts.push(Draft { lane, ranges: ends, tiles: Vec::new(), entries: Vec::new() });
                self.lanes[lane].open = Some(self.drafts.len() - 1);
                self.drafts.len() - 1
            }
        };
        let draft = &mut self.drafts[draft];
        for (range, end) in draft.ranges.iter_mut().zip(&ends) {
            *range = (range.0.min(end.0), range.1.max(end.1));
        }
        draft.tiles.push((starts, tile, draft.entries.len(), entries.len()));
        draft.entries.extend_from_slice(entries);
        Ok(())
    }

    /// Fixes the windows, lays out the tables, and compiles what is missing. `fixed` are the bindings that all share.
    pub fn close(
        self,
        kernels: &PipelineCache,
        tables: &mut Tables,
        fixed: &[(u32, wgpu::BufferBinding<'_>)],
    ) -> Result<Vec<(K, Unbound)>> {
        let limits = kernels.device().limits();
        let mut pipelines: HashMap<K::Key, Arc<Executable>> = HashMap::new();
        let close = |draft: Draft<K::Tile>| {
            let Lane { kind, slots, buffers, .. } = &self.lanes[draft.lane];
            let workgroups = folded(self.room, draft.tiles.len() as u64, &limits)?;
            let padded = workgroups.0 as usize * workgroups.1 as usize;
            let first = padded * size_of::<K::Tile>() / size_of::<<K::Tile as Tile>::Entry>();
            let mut tiles: Vec<K::Tile> = Vec::with_capacity(padded);
            for (starts, mut tile, entry, count) in draft.tiles {
                for ((slot, at), range) in slots.iter().zip(starts).zip(&draft.ranges) {
                    if let Some(start) = tile.start(*slot) {
                        *start = ((at - range.0 / 4) / kind.unit()) as u32;
                    }
                }
                if count > 0 {
                    tile.enter((first + entry) as u32);
                }
                tiles.push(tile);
            }
            tiles.resize(padded, K::Tile::empty());
            let table = tables.push([bytemuck::cast_slice(&tiles), bytemuck::cast_slice(&draft.entries)]);
            let mut bound = Vec::with_capacity(fixed.len() + SLOTS);
            let shared = fixed.iter().filter(|(binding, _)| kind.uses(*binding));
            bound.extend(shared.map(|(binding, buffer)| Binding::new(*binding, buffer)));
            for ((slot, buffer), &(offset, end)) in slots.iter().zip(buffers).zip(&draft.ranges) {
                let (binding, buffer) = (slot.binding(), buffer.clone());
                bound.push(Binding { binding, buffer, offset, size: end - offset });
            }
            let pipeline = match pipelines.entry(kind.key()) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => {
                    let bindings = std::iter::once(0).chain(bound.iter().map(|b| b.binding));
                    new.insert(kernels.pipeline(kind, bindings)?).clone()
                }
            };
            Ok((*kind, Unbound::new(self.room, pipeline, table, bound, workgroups)))
        };
        self.drafts.into_iter().map(close).collect()
    }
}
