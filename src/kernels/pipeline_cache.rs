//! The pipelines of every kernel on one device, compiled when first needed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::executable::{Executable, Interpreted, Interpreter};
use super::program::Program;
use crate::error::Result;
use crate::gpu;

/// What is done to the text of a shader before it is compiled.
struct Edit(Box<dyn Fn(String) -> String + Send + Sync>);

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edit")
    }
}

/// The kernels on one device, which stays its owner's.
#[derive(Debug)]
pub struct PipelineCache {
    device: wgpu::Device,
    edit: Option<Edit>,
    scale: f64,
    interpreter: Option<Interpreter>,
    pipelines: Mutex<HashMap<String, Arc<Executable>>>,
}

impl PipelineCache {
    /// Compiles nothing yet.
    #[must_use]
    pub fn new(device: &wgpu::Device) -> Self {
        let (device, pipelines) = (device.clone(), Mutex::default());
        PipelineCache { device, edit: None, scale: 1.0, interpreter: None, pipelines }
    }

    /// The same, but `edit` rewrites every shader before it is compiled: for tests that plant faults, which the
    /// comparison must find.
    #[doc(hidden)]
    #[must_use]
    pub fn edited(device: &wgpu::Device, edit: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        PipelineCache { edit: Some(Edit(Box::new(edit))), ..PipelineCache::new(device) }
    }

    /// The same, but cases multiply what the kernels return by `scale` before they judge it: for tests of how far off a result
    /// must be to be found.
    #[doc(hidden)]
    #[must_use]
    pub fn scaled(device: &wgpu::Device, scale: f64) -> Self {
        PipelineCache { scale, ..PipelineCache::new(device) }
    }

    /// What cases multiply results by: 1 but in such tests.
    pub(super) fn scale(&self) -> f64 {
        self.scale
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
        let source = match &self.edit {
            Some(Edit(edit)) => edit(program.source()),
            None => program.source(),
        };
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
