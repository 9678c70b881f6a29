//! What a dispatch runs: a pipeline of the device, or a text for the tests' interpreter of WGSL.

use std::fmt;
use std::sync::Arc;

use super::binding::Binding;
use crate::gpu::Pipeline;

/// A dispatch that is to be interpreted.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Interpreted<'a> {
    /// `kernel/variant`.
    pub name: &'a str,
    /// The complete WGSL.
    pub source: &'a str,
    /// The entry point.
    pub entry: &'a str,
    /// What the constant `invocations` is overridden with.
    pub invocations: u32,
    /// The bindings that are bound read-only.
    pub reads: &'a [u32],
    /// What is bound.
    pub bound: &'a [Binding],
    /// Workgroups along x and y.
    pub workgroups: (u32, u32),
}

/// What interprets.
#[derive(Clone)]
pub(super) struct Interpreter(pub Arc<dyn Fn(&Interpreted<'_>) + Send + Sync>);

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interpreter")
    }
}

/// One variant, ready to run.
#[derive(Debug)]
pub(super) enum Executable {
    Compiled(Pipeline),
    Interpreted {
        layout: wgpu::BindGroupLayout,
        name: String,
        source: String,
        entry: &'static str,
        invocations: u32,
        reads: &'static [u32],
        interpreter: Interpreter,
    },
}

impl Executable {
    /// The layout of bind group 0.
    pub fn layout(&self) -> &wgpu::BindGroupLayout {
        match self {
            Executable::Compiled(pipeline) => &pipeline.layout,
            Executable::Interpreted { layout, .. } => layout,
        }
    }

    /// Records a dispatch, or has it interpreted.
    pub fn record(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        group: &wgpu::BindGroup,
        bound: &[Binding],
        workgroups: (u32, u32),
    ) {
        match self {
            Executable::Compiled(pipeline) => {
                pass.set_pipeline(&pipeline.pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(workgroups.0, workgroups.1, 1);
            }
            Executable::Interpreted { name, source, entry, invocations, reads, interpreter, .. } => {
                let invocations = *invocations;
                (interpreter.0)(&Interpreted { name, source, entry, invocations, reads, bound, workgroups });
            }
        }
    }
}
