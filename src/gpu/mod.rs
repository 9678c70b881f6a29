//! Adapters, devices, pipelines, views of buffers, readback and timing. Knows nothing of penalties.
//!
//! Everything here works on a *borrowed* device: no error handler is installed on it, and every call that may
//! fail runs in error scopes of our own. Only [`Context`] owns a device.

mod adapters;
mod context;
mod pipeline;
mod readback;
mod staging;
mod timing;
mod view;

pub use adapters::{AdapterFacts, HELP, adapters, choose, position};
pub use context::Context;
pub(crate) use pipeline::bind_group_layout;
pub use pipeline::{Pipeline, compute_pipeline};
pub use readback::Readback;
pub(crate) use readback::read_after;
pub(crate) use staging::Ring;
pub use timing::{Clock, Timer};
pub use view::View;

use crate::error::{Error, Result, refused};

/// Runs calls that create things on `device` and turns every error they cause into a typed one. `bytes` is the size
/// of the allocation, for the message of [`Error::OutOfMemory`].
///
/// The scopes are popped before this returns; nothing reaches the owner's handlers. On a lost device wgpu reports
/// nothing to a scope, only to the owner's callback, and makes invalid objects; [`buffer`] finds that out.
///
/// # Errors
/// [`Error::OutOfMemory`] or [`Error::Gpu`], naming `place`.
pub fn guarded<T>(device: &wgpu::Device, place: &str, bytes: u64, calls: impl FnOnce() -> T) -> Result<T> {
    let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation]
        .map(|filter| device.push_error_scope(filter));
    let made = calls();
    // Natively a scope is popped at once; no await is held open. In reverse order, as wgpu asks.
    let mut caught = None;
    for scope in scopes.into_iter().rev() {
        caught = pollster::block_on(scope.pop()).or(caught);
    }
    caught.map_or(Ok(made), |error| Err(typed(place, bytes, error)))
}

/// Records commands with `record`, submits them, and turns what wgpu says of either into an error.
///
/// # Errors
/// Those of `record`; those of [`guarded`].
pub fn submit<T>(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    place: &str,
    record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>,
) -> Result<T> {
    guarded(device, place, 0, || {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let made = record(&mut encoder)?;
        queue.submit([encoder.finish()]);
        Ok(made)
    })?
}

/// wgpu's error as one of ours.
pub(crate) fn typed(place: &str, bytes: u64, error: wgpu::Error) -> Error {
    let place = place.to_string();
    let typed = match &error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { place, bytes, source: None },
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            let reason = description.split_whitespace().collect::<Vec<_>>().join(" ");
            Error::Gpu { place, reason, source: None }
        }
    };
    typed.with_source(error)
}

/// Creates a buffer, checked against the device's limits first.
///
/// # Errors
/// [`Error::Limit`] where `size` exceeds `max_buffer_size`; [`Error::DeviceLost`]; the errors of [`guarded`]. On OpenGL
/// wgpu reports no lack of memory.
pub fn buffer(
    device: &wgpu::Device,
    place: &str,
    size: u64,
    usage: wgpu::BufferUsages,
    mapped_at_creation: bool,
) -> Result<wgpu::Buffer> {
    let limit = device.limits().max_buffer_size;
    if size > limit {
        return Err(Error::Limit { place: place.into(), name: "max_buffer_size", needed: size, limit });
    }
    let made = guarded(device, place, size, || {
        device.create_buffer(&wgpu::BufferDescriptor { label: Some(place), size, usage, mapped_at_creation })
    })?;
    if mapped_at_creation {
        made.get_mapped_range(..).map(drop).map_err(|e| lost(place, e))?;
    } else {
        // A creation on a lost device is not refused, it makes an invalid object, and recorded by us that would be an
        // error of the caller's submission. Only a mapping says so: that of a small buffer.
        buffer(device, place, 16, wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC, true)?;
    }
    Ok(made)
}

/// Creates a buffer that holds `contents`, padded to 16 bytes so that it can be bound even when empty.
///
/// # Errors
/// As [`buffer`].
pub fn buffer_with(
    device: &wgpu::Device,
    place: &str,
    contents: &[u8],
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer> {
    let made = buffer(device, place, (contents.len() as u64).max(16).next_multiple_of(4), usage, true)?;
    let mut view = made.get_mapped_range_mut(..).map_err(|e| lost(place, e))?;
    view.slice(..contents.len()).copy_from_slice(contents);
    drop(view);
    made.unmap();
    Ok(made)
}

/// Usages of a buffer that kernels bind and that is filled and read by copies, by the tests' interpreter if by nobody else.
pub(crate) const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Records copies of `block`, laid end to end over the bytes `range` of `buffer`.
pub(crate) fn lay(
    encoder: &mut wgpu::CommandEncoder,
    block: &wgpu::Buffer,
    buffer: &wgpu::Buffer,
    range: std::ops::Range<u64>,
) {
    for at in range.clone().step_by(block.size() as usize) {
        encoder.copy_buffer_to_buffer(block, 0, buffer, at, block.size().min(range.end - at));
    }
}

/// What befell a buffer of ours that was valid and mapped: only the loss of its device can.
pub(crate) fn lost(place: &str, reason: impl std::fmt::Display) -> Error {
    let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    Error::DeviceLost { place: place.into(), reason }
}

/// How long a callback may be late: another thread that polls or submits may have taken it from wgpu, so that it is about
/// to run there although the queue is empty.
pub(crate) const LATE: std::time::Duration = std::time::Duration::from_secs(2);

/// Waits until the device has done everything submitted so far, running the callbacks that are due
/// unless another thread runs them.
///
/// # Errors
/// [`Error::Gpu`] where wgpu cannot wait.
pub fn wait(device: &wgpu::Device, place: &str) -> Result<()> {
    device.poll(wgpu::PollType::wait_indefinitely()).map(drop).map_err(|e| refused(place, e))
}

/// Lays `(lead, bytes)` pieces out in buffers of at most `limit` bytes: each piece starts `lead` bytes past a multiple of
/// 16, in order, and in a new buffer where it does not fit. Returns the buffers' sizes and each piece's buffer and offset.
pub(crate) fn pack(limit: u64, pieces: impl Iterator<Item = (u64, u64)>) -> (Vec<u64>, Vec<(usize, u64)>) {
    const ALIGN: u64 = 16;
    let mut sizes = vec![0];
    let mut places = Vec::new();
    for (lead, bytes) in pieces {
        let span = (lead + bytes).next_multiple_of(ALIGN);
        if sizes[sizes.len() - 1] + span > limit {
            sizes.push(0);
        }
        let page = sizes.len() - 1;
        places.push((page, sizes[page] + lead));
        sizes[page] += span;
    }
    sizes.iter_mut().for_each(|size| *size = (*size).max(ALIGN));
    (sizes, places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn what_wgpu_says_is_the_source() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE;
        let error = buffer(&device, "wrong on purpose", 16, usage, false).unwrap_err();
        assert!(matches!(error, Error::Gpu { .. }), "{error:?}");
        let own = error.source().and_then(|e| e.downcast_ref::<wgpu::Error>());
        assert!(matches!(own, Some(wgpu::Error::Validation { .. })), "{own:?}");
        // wgpu's chain goes on
        assert!(own.is_some_and(|own| own.source().is_some()));

        let full = wgpu::Error::OutOfMemory { source: Box::new(std::fmt::Error) };
        let error = typed("page", 64, full);
        assert_eq!(error.to_string(), "page: out of device memory for 64 bytes");
        assert!(error.source().is_some_and(|e| e.is::<wgpu::Error>()), "{error:?}");
    }
}
