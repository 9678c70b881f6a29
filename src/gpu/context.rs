//! A device of our own, for the easy layer and the command-line tool.

use std::sync::{Arc, Mutex, PoisonError};

use super::{choose, submit, typed};
use crate::error::{Error, Result, refused};

/// An adapter with a device and a queue that this crate owns. Errors that no scope caught and the loss of the device
/// are kept and returned by [`Context::check`] instead of ending the process.
#[derive(Clone, Debug)]
pub struct Context {
    /// The adapter.
    pub adapter: wgpu::Adapter,
    /// The device, with the adapter's limits.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    trouble: Arc<Mutex<Option<Error>>>,
}

impl Context {
    /// A device on the adapter that [`choose`] finds.
    ///
    /// # Errors
    /// [`Error::NoAdapter`], or [`Error::Gpu`] where the driver gives no device.
    pub fn new(wanted: Option<&str>) -> Result<Self> {
        Self::on(choose(wanted)?)
    }

    /// A device on this adapter, with all of its limits and, where there are any, timestamps.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the driver gives no device.
    pub fn on(adapter: wgpu::Adapter) -> Result<Self> {
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("maf-srl"),
            required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            required_limits: adapter.limits(),
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request).map_err(|e| refused(adapter.get_info().name, e))?;
        let trouble: Arc<Mutex<Option<Error>>> = Arc::default();
        let keep = |trouble: &Arc<Mutex<Option<Error>>>, error| {
            trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        };
        let kept = trouble.clone();
        device.on_uncaptured_error(Arc::new(move |e| keep(&kept, typed("device", 0, e))));
        let kept = trouble.clone();
        device.set_device_lost_callback(move |reason, message| {
            let reason = format!("{reason:?} {message}").trim().to_string();
            keep(&kept, Error::DeviceLost { place: "device".into(), reason });
        });
        Ok(Context { adapter, device, queue, trouble })
    }

    /// The adapter's name and backend.
    #[must_use]
    pub fn name(&self) -> String {
        let info = self.adapter.get_info();
        format!("{} ({:?})", info.name, info.backend)
    }

    /// Whether it computes on the CPU, as lavapipe, SwiftShader and llvmpipe do: right for tests, meaningless for speed.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.adapter.get_info().device_type == wgpu::DeviceType::Cpu
    }

    /// The first error since the last call that no other call returned.
    ///
    /// # Errors
    /// That error.
    pub fn check(&self) -> Result<()> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// Submits what `record` writes into a fresh encoder.
    ///
    /// # Errors
    /// Those of `record`; [`Error::DeviceLost`], [`Error::OutOfMemory`] or [`Error::Gpu`] where wgpu refuses the
    /// commands.
    pub fn submit<T>(
        &self,
        place: &str,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>,
    ) -> Result<T> {
        let made = submit(&self.device, &self.queue, place, record)?;
        self.check().map(|()| made)
    }
}
