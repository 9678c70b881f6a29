//! The pipelines of every kernel on one device, compiled when first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::executable::{Executable, Interpreted, Interpreter};
use super::program::Program;
use crate::error::Result;
use crate::gpu;

/// The kernels on one device, which stays its owner's.
#[derive(Debug)]
pub struct PipelineCache {
    device: wgpu::Device,
    edit: Option<fn(String) -> String>,
    interpreter: Option<Interpreter>,
    pipelines: Mutex<HashMap<String, Arc<Executable>>>,
}

impl PipelineCache {
    /// Compiles nothing yet.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        PipelineCache { device: device.clone(), edit: None, interpreter: None, pipelines: Mutex::default() }
    }

    /// The same, but `edit` rewrites every shader before it is compiled: for tests that plant faults, which the
    /// comparison must find.
    #[doc(hidden)]
    #[must_use]
    pub fn edited(device: &wgpu::Device, edit: fn(String) -> String) -> Self {
        PipelineCache { edit: Some(edit), ..PipelineCache::new(device) }
    }

    /// The same, but nothing is compiled: a dispatch that is recorded is handed to `run`, which has then to do at once what
    /// the device would do later, and goes into no pass. For tests with an interpreter of WGSL; all that an encoder holds
    /// before its passes comes too late for it.
    #[doc(hidden)]
    #[must_use]
    pub fn interpreted(self, run: impl Fn(&Interpreted<'_>) + Send + Sync + 'static) -> Self {
        PipelineCache { interpreter: Some(Interpreter(Arc::new(run))), ..self }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// A program's pipeline with these bindings, compiled at the first call.
    ///
    /// # Errors
    /// Those of [`gpu::compute_pipeline`].
    pub(super) fn pipeline<P: Program>(
        &self,
        program: &P,
        bindings: impl Iterator<Item = u32>,
    ) -> Result<Arc<Executable>> {
        let name = format!("{}/{}", P::KERNEL, program.name());
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&name) {
            return Ok(pipeline.clone());
        }
        let source = self.edit.unwrap_or(std::convert::identity)(program.source());
        let layout: Vec<_> = bindings.map(|k| (k, program.reads().contains(&k))).collect();
        let (device, entry, invocations) = (&self.device, P::KERNEL, program.invocations());
        let executable = Arc::new(match &self.interpreter {
            None => Executable::Compiled(gpu::compute_pipeline(
                device,
                &name,
                &source,
                entry,
                invocations,
                &layout,
            )?),
            Some(interpreter) => Executable::Interpreted {
                layout: gpu::bind_group_layout(device, &name, &layout)?,
                name: name.clone(),
                source,
                entry,
                invocations,
                reads: program.reads(),
                interpreter: interpreter.clone(),
            },
        });
        pipelines.insert(name, executable.clone());
        Ok(executable)
    }
}
