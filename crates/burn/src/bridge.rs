//! From Burn's tensors to views of wgpu buffers and back, without a copy.

use burn::backend::Wgpu;
use burn::backend::wgpu::CubeTensor;
use burn::cubecl::wgpu::{AutoCompiler, WgpuServer};
use burn::tensor::{DType, Tensor};
use burn_backend::backend::BackendTypes;
use burn_cubecl::kernel::into_contiguous;
use maf_srl::error::{Result, unsupported};
use maf_srl::gpu::View;

/// A float tensor of Burn's wgpu backend.
pub(crate) type Float = <Wgpu as BackendTypes>::FloatTensorPrimitive;

/// Keeps an allocation alive and in place: cubecl moves what nobody holds by its address. It does not make the memory count as
/// shared, as another handle of the tensor would, so that the next step may still write it in place.
pub(crate) type Pin = Box<dyn std::any::Any + Send>;

/// The tensor's own primitive.
pub(crate) fn primitive<const D: usize>(path: &str, tensor: Tensor<D>) -> Result<Float> {
    tensor.try_into_primitive::<Wgpu>().map_err(|error| {
        unsupported(path, format!("a tensor of another backend: {error:?}"), "tensors on Burn's wgpu backend")
    })
}

/// The tensor of a primitive.
pub(crate) fn tensor<const D: usize>(primitive: Float) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(primitive)
}

/// A tensor whose memory is as its shape says, row by row: convolutions return gradients with other strides.
pub(crate) fn row_major(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// The view of a tensor's memory. What Burn has recorded is submitted then, so that a submission which follows comes after it. To
/// be called on the device's thread.
pub(crate) fn view(path: &str, tensor: &CubeTensor) -> Result<(View, Pin)> {
    if tensor.dtype != DType::F32 {
        return Err(unsupported(path, format!("weights in {:?}", tensor.dtype), "f32"));
    }
    let held =
        tensor.client.get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone()).map_err(|error| {
            unsupported(path, format!("memory that Burn does not show: {error:?}"), "tensors on wgpu")
        })?;
    let resource = held.resource();
    let view = View::new(path, &resource.buffer, resource.offset, tensor.meta.shape().num_elements() as u64)?;
    Ok((view, Box::new(held)))
}
