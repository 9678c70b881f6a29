//! Tile tables and bind groups from one update to the next.
//!
//! Tables lie in regions that are written once: an update that needs other tables takes another region, so that a recorded
//! step finds its own, in whatever order it is submitted. A region that no recorded step waits for is written again, by a copy
//! that each step records until one of these copies is done. Bind groups are kept for [`AGE`] updates: where buffers take turns,
//! or stay and their offsets change, an update makes none.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::gpu::{self, Ring};
use crate::kernels::tables::Tables;
use crate::kernels::{Dispatch, Dispatches, Unbound};

/// For so many further updates a bind group is kept that no dispatch uses.
const AGE: u64 = 8;

/// Free regions that are kept.
const SPARE: usize = 3;

/// A buffer of tables.
#[derive(Debug)]
struct Region {
    buffer: wgpu::Buffer,
    bytes: Vec<u8>,
    /// Whether the bytes are on the device.
    there: Arc<AtomicBool>,
    /// Held by each recorded step until it is done.
    users: Arc<()>,
}

/// What dispatches read, and the dispatches that were made.
#[derive(Debug)]
pub(super) struct Bindings {
    device: wgpu::Device,
    tables: Tables,
    regions: Vec<Region>,
    /// The region of the dispatches of now.
    current: usize,
    ring: Option<Ring>,
    made: HashMap<u64, Vec<(Dispatch, u64)>>,
    hasher: RandomState,
    /// Updates so far.
    updates: u64,
}

/// A step's hold on its region.
pub(super) type Hold = Arc<()>;

impl Bindings {
    pub fn new(device: &wgpu::Device) -> Self {
        Bindings {
            device: device.clone(),
            tables: Tables::new(&device.limits()),
            regions: Vec::new(),
            current: 0,
            ring: None,
            made: HashMap::new(),
            hasher: RandomState::new(),
            updates: 0,
        }
    }

    /// Dispatches of what `lay` lays out. On an error all is as it was.
    pub fn update(&mut self, lay: impl FnOnce(&mut Tables) -> Result<Vec<Unbound>>) -> Result<Dispatches> {
        self.tables.clear();
        let unbound = lay(&mut self.tables)?;
        let region = self.region()?;
        let buffer = &self.regions[region].buffer;
        self.updates += 1;
        let now = self.updates;
        let mut dispatches = Vec::with_capacity(unbound.len());
        for one in unbound {
            let known = self.made.entry(one.hash(buffer, &self.hasher)).or_default();
            let dispatch = match known.iter_mut().find(|(dispatch, _)| one.is(dispatch, buffer)) {
                Some((dispatch, used)) => {
                    *used = now;
                    dispatch.clone()
                }
                None => {
                    let made = one.bind(&self.device, buffer)?;
                    known.push((made.clone(), now));
                    made
                }
            };
            dispatches.push(dispatch);
        }
        self.current = region;
        self.made.retain(|_, known| {
            known.retain(|(_, used)| used + AGE >= now);
            !known.is_empty()
        });
        Ok(dispatches.into_iter().collect())
    }

    /// The region that holds the tables: one that has them already, a free one, or a new one.
    fn region(&mut self) -> Result<usize> {
        let bytes = self.tables.bytes();
        let same = |region: &Region| region.bytes == *bytes;
        if let Some(known) = self.regions.iter().position(same) {
            return Ok(known);
        }
        let current = self.current;
        let free = |k: usize, region: &Region| k != current && Arc::strong_count(&region.users) == 1;
        let size = bytes.len() as u64;
        let fits = |(k, region): (usize, &Region)| free(k, region) && region.buffer.size() >= size;
        if let Some(again) = self.regions.iter().enumerate().position(fits) {
            let region = &mut self.regions[again];
            std::mem::swap(&mut region.bytes, bytes);
            region.there = Arc::default();
            return Ok(again);
        }
        // with room to spare, so that tables a little longer fit as well
        let room = (size + size / 4).next_multiple_of(16).max(16);
        let room = room.min(self.device.limits().max_buffer_size).max(size);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu::buffer(&self.device, "tile tables", room, usage, true)?;
        let mut view = buffer.get_mapped_range_mut(..).map_err(|e| gpu::lost("tile tables", e))?;
        view.slice(..bytes.len()).copy_from_slice(bytes);
        drop(view);
        buffer.unmap();
        let bytes = std::mem::take(bytes);
        let region = Region { buffer, bytes, there: Arc::new(AtomicBool::new(true)), users: Arc::default() };
        // what is free and too small, or too many, goes
        let mut spare = 0;
        let mut place = 0;
        let keep = |k: usize, region: &Region, spare: &mut usize| {
            let kept = !free(k, region) || (region.buffer.size() >= size && *spare < SPARE);
            *spare += usize::from(kept && free(k, region));
            kept
        };
        let kept: Vec<bool> =
            self.regions.iter().enumerate().map(|(k, region)| keep(k, region, &mut spare)).collect();
        self.current = kept.iter().take(self.current).filter(|kept| **kept).count();
        self.regions.retain(|_| {
            place += 1;
            kept[place - 1]
        });
        self.regions.push(region);
        Ok(self.regions.len() - 1)
    }

    /// Records that the tables reach the device, where they have not, and returns the step's hold on them.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<Hold> {
        let Some(Region { buffer, bytes, there, users }) = self.regions.get(self.current) else {
            return Ok(Hold::default());
        };
        if !there.load(Ordering::Acquire) {
            let size = bytes.len() as u64;
            if self.ring.as_ref().is_none_or(|ring| ring.bytes() < size) {
                self.ring = Some(Ring::new(&self.device, "tile tables", buffer.size(), 0)?);
            }
            if let Some(ring) = &mut self.ring {
                let done = |(there, _): &(Arc<AtomicBool>, Hold)| there.store(true, Ordering::Release);
                let kept = (there.clone(), users.clone());
                ring.record(encoder, (buffer, size), |write| write(0, bytes), kept, done)?;
            }
        }
        Ok(users.clone())
    }

    /// How many bind groups are kept, and the bytes of all buffers that they keep alive.
    pub fn pinned(&self) -> (usize, u64) {
        #[expect(
            clippy::mutable_key_type,
            reason = "a buffer is hashed by its identity, which never changes"
        )]
        let buffers: std::collections::HashSet<&wgpu::Buffer> =
            self.made.values().flatten().flat_map(|(d, _)| d.bound()).map(|bound| &bound.buffer).collect();
        let groups = self.made.values().map(Vec::len).sum();
        (groups, buffers.into_iter().map(wgpu::Buffer::size).sum())
    }
}
