//! The pipelines of every room on one device, compiled when first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::gpu::{self, Pipeline};

/// The kernels on one device, which stays its owner's.
#[derive(Debug)]
pub struct Kernels {
    device: wgpu::Device,
    edit: Option<fn(String) -> String>,
    pipelines: Mutex<HashMap<String, Arc<Pipeline>>>,
}

impl Kernels {
    /// Compiles nothing yet.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        Kernels { device: device.clone(), edit: None, pipelines: Mutex::default() }
    }

    /// The same, but `edit` rewrites every shader before it is compiled: for tests that plant faults, which the
    /// comparison must find.
    #[doc(hidden)]
    #[must_use]
    pub fn edited(device: &wgpu::Device, edit: fn(String) -> String) -> Self {
        Kernels { edit: Some(edit), ..Kernels::new(device) }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The pipeline of a room's variant: `source` is compiled at the first call, with the room's name as entry point
    /// and storage buffers `(binding, read only)`.
    ///
    /// # Errors
    /// Those of [`gpu::compute_pipeline`].
    pub(crate) fn pipeline(
        &self,
        room: &str,
        variant: &str,
        workgroup: u32,
        bindings: &[(u32, bool)],
        source: impl FnOnce() -> String,
    ) -> Result<Arc<Pipeline>> {
        let name = format!("{room}/{variant}");
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&name) {
            return Ok(pipeline.clone());
        }
        let source = self.edit.unwrap_or(std::convert::identity)(source());
        let pipeline = gpu::compute_pipeline(&self.device, &name, &source, room, workgroup, bindings)?;
        let pipeline = Arc::new(pipeline);
        pipelines.insert(name, pipeline.clone());
        Ok(pipeline)
    }
}
