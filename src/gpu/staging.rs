//! How values that change from step to step reach the device: a ring of mapped slots.
//!
//! A step's values are written into a mapped slot, and a copy from that slot to the device buffer is recorded in the
//! step's own encoder. So two steps in one encoder each see their own values, which `Queue::write_buffer` could not
//! give. When the submission is done the slot maps itself again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{buffer, lost};
use crate::error::Result;

/// Mapped, ready to be written.
const FREE: u8 = 0;
/// In a command buffer, until its submission is done.
const BUSY: u8 = 1;
/// Its command buffer was dropped, or mapping failed: never mapped again.
const GONE: u8 = 2;

#[derive(Debug)]
struct Slot {
    buffer: wgpu::Buffer,
    state: Arc<AtomicU8>,
}

/// Gives the slot back, once: when the callback has run, or is dropped without that. From then on a thread that
/// records may have it busy again.
struct Return {
    state: Arc<AtomicU8>,
    to: u8,
}

impl Drop for Return {
    fn drop(&mut self) {
        self.state.store(self.to, Ordering::Release);
    }
}

/// The ring.
#[derive(Debug)]
pub(crate) struct Ring {
    device: wgpu::Device,
    name: &'static str,
    bytes: u64,
    slots: Vec<Slot>,
    next: usize,
}

impl Ring {
    /// Slots of so many bytes. `slots` copies may be recorded before the first of them is done; more make the ring grow.
    pub fn new(device: &wgpu::Device, name: &'static str, bytes: u64, slots: usize) -> Result<Self> {
        let bytes = bytes.max(16).next_multiple_of(4);
        let mut ring = Ring { device: device.clone(), name, bytes, slots: Vec::new(), next: 0 };
        for _ in 0..slots {
            let slot = ring.slot()?;
            ring.slots.push(slot);
        }
        Ok(ring)
    }

    fn slot(&self) -> Result<Slot> {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        let buffer = buffer(&self.device, self.name, self.bytes, usage, true)?;
        Ok(Slot { buffer, state: Arc::new(AtomicU8::new(FREE)) })
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Index of a mapped slot; a new one where none is free.
    fn free(&mut self) -> Result<usize> {
        let state = |k: usize| self.slots[k].state.load(Ordering::Acquire);
        let count = self.slots.len();
        let ready = (0..count).map(|k| (self.next + k) % count).find(|&k| state(k) != BUSY);
        let index = ready.unwrap_or(count);
        if ready.is_none() {
            self.slots.push(self.slot()?);
        } else if state(index) == GONE {
            self.slots[index] = self.slot()?;
        }
        Ok(index)
    }

    /// Has `write` put bytes into a slot, each at its offset, and records the slot's copy to `target`.
    pub fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::Buffer,
        write: impl FnOnce(&mut dyn FnMut(u64, &[u8])),
    ) -> Result<()> {
        let index = self.free()?;
        self.next = index + 1;
        let slot = &self.slots[index];
        {
            let mut view = slot.buffer.get_mapped_range_mut(..).map_err(|e| lost(self.name, e))?;
            write(&mut |offset, bytes| {
                let start = offset as usize;
                view.slice(start..start + bytes.len()).copy_from_slice(bytes);
            });
        }
        slot.buffer.unmap();
        slot.state.store(BUSY, Ordering::Release);
        encoder.copy_buffer_to_buffer(&slot.buffer, 0, target, 0, self.bytes.min(target.size()));
        let mut back = Return { state: slot.state.clone(), to: GONE };
        encoder.map_buffer_on_submit(&slot.buffer, wgpu::MapMode::Write, .., move |result| {
            if result.is_ok() {
                back.to = FREE;
            }
            drop(back);
        });
        Ok(())
    }
}
