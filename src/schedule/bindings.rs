//! Tile tables and bind groups from one update to the next.
//!
//! Tables lie in buffers that are written once, when they are made: an update that needs other tables makes another buffer, so that
//! a recorded step finds its own, in whatever order it is submitted, and whatever becomes of other submissions. Buffers
//! and bind groups are kept for [`AGE`] updates after their last use: where views take turns between buffers of their own,
//! tables are the same and an update makes nothing.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::gpu;
use crate::kernels::tables::Tables;
use crate::kernels::{Dispatch, Dispatches, Unbound};

/// For so many further updates that is kept which no dispatch uses.
const AGE: u64 = 8;

/// Tables on the device, with the update that used them last.
#[derive(Debug)]
struct Written {
    buffer: wgpu::Buffer,
    bytes: Vec<u8>,
    used: u64,
}

/// What dispatches read, and the dispatches that were made.
#[derive(Debug)]
pub(super) struct Bindings {
    device: wgpu::Device,
    tables: Tables,
    written: Vec<Written>,
    /// By their hashes, with the update that used them last.
    made: HashMap<u64, Vec<(Dispatch, u64)>>,
    hasher: RandomState,
    /// Updates so far.
    updates: u64,
}

impl Bindings {
    pub fn new(device: &wgpu::Device) -> Self {
        Bindings {
            device: device.clone(),
            tables: Tables::new(&device.limits()),
            written: Vec::new(),
            made: HashMap::new(),
            hasher: RandomState::new(),
            updates: 0,
        }
    }

    /// Dispatches of what `lay` lays out; those of earlier updates stay right.
    pub fn update(&mut self, lay: impl FnOnce(&mut Tables) -> Result<Vec<Unbound>>) -> Result<Dispatches> {
        self.forget(AGE);
        self.updates += 1;
        self.tables.clear();
        let unbound = lay(&mut self.tables)?;
        let buffer = self.write()?;
        let now = self.updates;
        let mut dispatches = Vec::with_capacity(unbound.len());
        for one in unbound {
            let known = self.made.entry(one.hash(&buffer, &self.hasher)).or_default();
            let dispatch = match known.iter_mut().find(|(dispatch, _)| one.is(dispatch, &buffer)) {
                Some((dispatch, used)) => {
                    *used = now;
                    dispatch.clone()
                }
                None => {
                    let made = one.bind(&self.device, &buffer)?;
                    known.push((made.clone(), now));
                    made
                }
            };
            dispatches.push(dispatch);
        }
        Ok(dispatches.into_iter().collect())
    }

    /// A buffer that holds the tables: one that has them already, or a new one.
    fn write(&mut self) -> Result<wgpu::Buffer> {
        let bytes = self.tables.bytes();
        if let Some(same) = self.written.iter_mut().find(|written| written.bytes == *bytes) {
            same.used = self.updates;
            return Ok(same.buffer.clone());
        }
        let buffer = gpu::buffer_with(&self.device, "tile tables", bytes, wgpu::BufferUsages::STORAGE)?;
        let bytes = std::mem::take(bytes);
        self.written.push(Written { buffer: buffer.clone(), bytes, used: self.updates });
        Ok(buffer)
    }

    /// Drops what has not been used for more than `age` updates.
    fn forget(&mut self, age: u64) {
        let recent = |used: u64| used + age >= self.updates;
        self.made.retain(|_, known| {
            known.retain(|(_, used)| recent(*used));
            !known.is_empty()
        });
        self.written.retain(|written| recent(written.used));
    }

    /// Drops all that the dispatches of now do not use.
    pub fn trim(&mut self) {
        self.forget(0);
    }

    /// How many bind groups are kept, and the bytes of all buffers that they keep alive.
    pub fn pinned(&self) -> (usize, u64) {
        let made = || self.made.values().flatten().map(|(dispatch, _)| dispatch);
        let bound = made().flat_map(Dispatch::bound);
        #[expect(
            clippy::mutable_key_type,
            reason = "a buffer is hashed by its identity, which never changes"
        )]
        let buffers: HashSet<&wgpu::Buffer> = bound.map(|bound| &bound.buffer).collect();
        (made().count(), buffers.into_iter().map(wgpu::Buffer::size).sum())
    }
}
