//! What the backend's tensors are: allocations, or, with Burn's feature `fusion`, promises of a stream of operations.

use std::sync::{Arc, Mutex};

use crate::engine::{Engine, Job};

/// Tensors that the engine steps.
#[diagnostic::on_unimplemented(
    message = "Burn's feature `fusion` and that of maf-srl-burn differ",
    note = "turn both on, as they are by default, or both off"
)]
pub(crate) trait Backing: Sized {
    /// Steps weights by gradients, now or, where tensors are promises, when their stream comes to it.
    fn step(engine: &Arc<Mutex<Engine>>, job: Job, weights: Vec<Self>, gradients: Vec<Self>) -> Vec<Self>;
}

#[cfg(not(feature = "fusion"))]
impl Backing for burn::backend::wgpu::CubeTensor {
    fn step(engine: &Arc<Mutex<Engine>>, job: Job, weights: Vec<Self>, gradients: Vec<Self>) -> Vec<Self> {
        Engine::lock(engine).step(&job, weights, gradients)
    }
}
