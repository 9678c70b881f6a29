//! A step as one operation of Burn's stream.

use std::sync::{Arc, Mutex};

use burn::backend::wgpu::CubeBackend;
use burn_cubecl::fusion::FusionCubeRuntime;
use burn_fusion::FusionTensor;
use burn_fusion::custom::{CustomOpIr, HandleContainer, OperationFn, OperationIr, StreamId, TensorIr};

use crate::backing::Backing;
use crate::engine::{Engine, Job};

impl Backing for FusionTensor<FusionCubeRuntime> {
    fn step(engine: &Arc<Mutex<Engine>>, job: Job, weights: Vec<Self>, gradients: Vec<Self>) -> Vec<Self> {
        let Some(client) = weights.first().map(|tensor| tensor.client.clone()) else { return Vec::new() };
        let stepped = |tensor: &Self| {
            TensorIr::uninit(client.create_empty_handle(), tensor.shape.clone(), tensor.dtype)
        };
        let outputs: Vec<TensorIr> = weights.iter().map(stepped).collect();
        let inputs = |tensors: Vec<Self>| tensors.into_iter().map(FusionTensor::into_ir).collect::<Vec<_>>();
        let (weights, gradients) = (inputs(weights), inputs(gradients));
        let operation = CustomOpIr::new("maf-srl", &[&weights[..], &gradients[..]].concat(), &outputs);
        let engine = engine.clone();
        let run = move |handles: &mut HandleContainer<_>| {
            let mut take = |tensors: &[TensorIr]| {
                tensors.iter().map(|ir| handles.get_float_tensor::<CubeBackend>(ir)).collect()
            };
            let (w, g) = (take(&weights), take(&gradients));
            let stepped = Engine::lock(&engine).step(&job, w, g);
            for (output, tensor) in outputs.iter().zip(stepped) {
                handles.register_float_tensor::<CubeBackend>(&output.id, tensor);
            }
            Ok(())
        };
        client.register(StreamId::current(), OperationIr::Custom(operation), OperationFn(run))
    }
}
