//! STUB, replaced soon: the easy layer, weights and gradients in host memory.

use super::{Spec, Verification, Verify};
use crate::error::Result;
use crate::kernels::step::{Base, Hyper};

/// Where the steps run.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The float64 twins, on all cores.
    Cpu,
    // Gpu(Context)
}

impl Backend {
    /// `None`: the best adapter, else the CPU twins. `Some`: an index, part of an adapter's name, or `cpu`.
    pub fn choose(_device: Option<&str>) -> Result<Self> {
        todo!()
    }
    /// The adapter's name, or `cpu (float64 twins)`.
    pub fn name(&self) -> String {
        todo!()
    }
}

/// Many tensors held on the device and stepped with gradients from the host.
#[derive(Debug)]
pub struct HostSchedule {}

/// What one step found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Non-finite elements per tensor.
    pub nonfinite: Vec<u32>,
}

impl HostSchedule {
    /// Uploads `weights` (one slice per spec).
    pub fn new(
        _backend: &Backend,
        _specs: &[Spec],
        _weights: &[&[f32]],
        _base: Base,
        _verify: Verify,
    ) -> Result<Self> {
        todo!()
    }
    /// One step: `gradients` in (empty slice of slices for Base::Prox), new weights out. With verification on, a
    /// mismatch of an earlier or of this step is an error.
    pub fn step(
        &mut self,
        _hyper: Hyper,
        _gradients: &[&[f32]],
        _weights: &mut [&mut [f32]],
    ) -> Result<StepReport> {
        todo!()
    }
    /// Waits for outstanding checks and returns the totals; a mismatch is an error.
    pub fn finish(&mut self) -> Result<Verification> {
        todo!()
    }
}
