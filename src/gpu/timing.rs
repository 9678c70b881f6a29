//! How long kernels take: timestamps where the device has them, else the wall clock, and which of the two.

use std::time::Instant;

use super::{Readback, buffer, guarded, wait};
use crate::error::Result;

/// What measured a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// Timestamps written by the device at the begin and end of a compute pass.
    Device,
    /// The host's clock, from submission to completion, the overhead of both included.
    Wall,
}

/// Times compute passes on a device.
#[derive(Debug)]
pub struct Timer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    stamps: Option<(wgpu::QuerySet, wgpu::Buffer)>,
}

impl Timer {
    /// Uses timestamps if the device was created with `TIMESTAMP_QUERY`.
    ///
    /// # Errors
    /// Those of creating a query set and a buffer of 16 bytes.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        let mut timer = Timer::wall(device, queue);
        if device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let set = guarded(device, "timer", 16, || {
                device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("maf-srl timer"),
                    ty: wgpu::QueryType::Timestamp,
                    count: 2,
                })
            })?;
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            timer.stamps = Some((set, buffer(device, "timer", 16, usage, false)?));
        }
        Ok(timer)
    }

    /// Uses the wall clock, whatever the device offers: for drivers whose timestamps cannot be believed.
    #[must_use]
    pub fn wall(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Timer { device: device.clone(), queue: queue.clone(), stamps: None }
    }

    /// What measures.
    #[must_use]
    pub fn clock(&self) -> Clock {
        if self.stamps.is_some() { Clock::Device } else { Clock::Wall }
    }

    /// Nanoseconds that the dispatches which `record` writes into one compute pass take. `before` may record
    /// preparations that are not timed.
    ///
    /// # Errors
    /// Those of submitting and reading back.
    pub fn time(
        &self,
        before: impl FnOnce(&mut wgpu::CommandEncoder),
        record: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<f64> {
        let mut encoder = self.start(before)?;
        record(&mut self.pass(&mut encoder, Some(0), Some(1)));
        self.finish(encoder)
    }

    /// Nanoseconds that the commands which `record` writes take: copies, say, which no compute pass can hold. Empty
    /// passes on both sides carry the timestamps.
    ///
    /// # Errors
    /// Those of submitting and reading back.
    pub fn time_commands(
        &self,
        before: impl FnOnce(&mut wgpu::CommandEncoder),
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<f64> {
        let mut encoder = self.start(before)?;
        if self.stamps.is_some() {
            drop(self.pass(&mut encoder, None, Some(0)));
        }
        record(&mut encoder);
        if self.stamps.is_some() {
            drop(self.pass(&mut encoder, Some(1), None));
        }
        self.finish(encoder)
    }

    /// An encoder that holds the preparations, unless the wall clock measures: then they go first and alone.
    fn start(&self, before: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<wgpu::CommandEncoder> {
        wait(&self.device, "timer")?;
        let new = || self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut encoder = new();
        before(&mut encoder);
        if self.stamps.is_none() {
            self.queue.submit([encoder.finish()]);
            wait(&self.device, "timer")?;
            encoder = new();
        }
        Ok(encoder)
    }

    /// A compute pass that writes these timestamps at its begin and end.
    fn pass<'a>(
        &self,
        encoder: &'a mut wgpu::CommandEncoder,
        begin: Option<u32>,
        end: Option<u32>,
    ) -> wgpu::ComputePass<'a> {
        let writes = self.stamps.as_ref().map(|(set, _)| wgpu::ComputePassTimestampWrites {
            query_set: set,
            beginning_of_pass_write_index: begin,
            end_of_pass_write_index: end,
        });
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("maf-srl timed"),
            timestamp_writes: writes,
        })
    }

    /// Submits, waits, and reads the time.
    fn finish(&self, mut encoder: wgpu::CommandEncoder) -> Result<f64> {
        let Some((set, resolved)) = &self.stamps else {
            let start = Instant::now();
            self.queue.submit([encoder.finish()]);
            wait(&self.device, "timer")?;
            return Ok(start.elapsed().as_nanos() as f64);
        };
        encoder.resolve_query_set(set, 0..2, resolved, 0);
        let stamps = Readback::record(&self.device, &mut encoder, resolved, 0, 16)?;
        self.queue.submit([encoder.finish()]);
        let stamps: Vec<u64> = stamps.wait(&self.device)?;
        Ok(stamps[1].saturating_sub(stamps[0]) as f64 * f64::from(self.queue.get_timestamp_period()))
    }
}
