//! Reading device memory without stalling: a future, with a blocking form beside it.

use std::time::{Duration, Instant};

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::{LATE, View, buffer, buffer_with, lost, submit, wait};
use crate::error::{Error, Result};

/// Bytes on their way from the device: resolves when the submission that holds the copy is done and the device is
/// polled. On dropping it the copy is forgotten.
#[derive(Debug)]
pub struct Readback {
    staging: wgpu::Buffer,
    mapped: OneshotReceiver<std::result::Result<(), wgpu::BufferAsyncError>>,
}

/// What follows the values once the copy has run: a submission that is refused maps its buffers all the same.
const RAN: [u8; 4] = [0xff; 4];

impl Readback {
    /// Records a copy of `size` bytes (a multiple of 4) from byte `offset` of `source`, whose usage includes
    /// `COPY_SRC`.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] or [`crate::Error::OutOfMemory`] where the staging buffer cannot be had.
    pub fn record(
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        source: &wgpu::Buffer,
        offset: u64,
        size: u64,
    ) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let word = RAN.len() as u64;
        let staging = buffer(device, "readback", size + word, usage, false)?;
        if size > 0 {
            encoder.copy_buffer_to_buffer(source, offset, &staging, 0, size);
        }
        let ran = buffer_with(device, "readback", &RAN, wgpu::BufferUsages::COPY_SRC)?;
        encoder.copy_buffer_to_buffer(&ran, 0, &staging, size, word);
        let (sender, mapped) = oneshot_channel();
        encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, .., move |result| {
            // nobody waits for it any more: nothing to do
            let _ = sender.send(result);
        });
        Ok(Readback { staging, mapped })
    }

    /// The values, once somebody polls the device.
    ///
    /// # Errors
    /// [`crate::Error::DeviceLost`] where the mapping failed or the commands were never submitted; [`crate::Error::Gpu`] where
    /// their submission was refused.
    pub async fn values<T: bytemuck::Pod>(self) -> Result<Vec<T>> {
        match self.mapped.receive().await {
            None => return Err(lost("readback", "the copy was never submitted, or the device is gone")),
            Some(Err(error)) => return Err(lost("readback", error)),
            Some(Ok(())) => {}
        }
        let view = self.staging.get_mapped_range(..).map_err(|e| lost("readback", e))?;
        let (bytes, word) = view.split_at(view.len() - RAN.len());
        let values = if *word == RAN {
            Ok(bytemuck::pod_collect_to_vec(bytes))
        } else {
            let reason = "the submission that holds the copy was refused".into();
            Err(Error::Gpu { place: "readback".into(), reason, source: None })
        };
        drop(view);
        self.staging.unmap();
        values
    }

    /// The values; polls `device` until they are there. The commands must have been submitted.
    ///
    /// # Errors
    /// As [`Readback::values`].
    pub fn wait<T: bytemuck::Pod>(self, device: &wgpu::Device) -> Result<Vec<T>> {
        wait(device, "readback")?;
        let mut values = std::pin::pin!(self.values());
        let waker = std::task::Waker::noop();
        let start = Instant::now();
        loop {
            // bounded, so that neither a lost device nor commands that nobody submits can hang us
            match values.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
                std::task::Poll::Ready(values) => return values,
                std::task::Poll::Pending if start.elapsed() < LATE => {
                    std::thread::sleep(Duration::from_micros(50));
                }
                std::task::Poll::Pending => {
                    return Err(lost("readback", "the copy never completed; was it submitted?"));
                }
            }
        }
    }
}

/// Submits what `record` writes, and returns what each view holds after it.
///
/// # Errors
/// Those of [`submit`] and of [`Readback`].
pub(crate) fn read_after<T: bytemuck::Pod>(
    (device, queue): (&wgpu::Device, &wgpu::Queue),
    place: &str,
    views: &[View],
    record: impl FnOnce(&mut wgpu::CommandEncoder),
) -> Result<Vec<Vec<T>>> {
    let copies = submit(device, queue, place, |encoder| {
        record(encoder);
        let copy = |v: &View| Readback::record(device, encoder, v.buffer(), v.offset(), 4 * v.len());
        views.iter().map(copy).collect::<Result<Vec<_>>>()
    })?;
    copies.into_iter().map(|copy| copy.wait(device)).collect()
}
