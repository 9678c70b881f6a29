//! The easy layer: tensors in host memory in, norms out.

use super::{Norm, NormsJob, bind};
use crate::error::{Result, same};
use crate::gpu::{self, Context, Readback, View};
use crate::kernels::PipelineCache;
use crate::penalty::Groups;

/// A norm of each group of each tensor, computed on a GPU: the words that the kernels write, which [`Norm::value`] reads.
/// Values are in row-major order.
///
/// ```no_run
/// use maf_srl::gpu::Context;
/// use maf_srl::kernels::norms::{Norm, norms};
/// use maf_srl::penalty::{Groups, Layout};
///
/// let rows = Groups::new(Layout::Rows, &[2, 3])?;
/// let words = norms(&Context::new(None)?, Norm::L1, &[(&[1.0, -2.0, 0.0, 0.5, 0.5, 0.5], &rows)])?;
/// let values: Vec<f64> = words[0].iter().map(|&word| Norm::L1.value(word)).collect();
/// assert_eq!(values, [3.0, 1.5]);
/// # Ok::<(), maf_srl::Error>(())
/// ```
///
/// # Errors
/// [`crate::Error::Shape`] where a tensor's length is not that of its groups; those of [`bind`] and of the device.
pub fn norms(context: &Context, norm: Norm, tensors: &[(&[f32], &Groups)]) -> Result<Vec<Vec<u32>>> {
    for (k, (values, groups)) in tensors.iter().enumerate() {
        let place = format!("norms of tensor {k}");
        same(place, "length of the tensor", values.len() as u64, groups.len())?;
    }
    let device = &context.device;
    let limit = device.limits().max_buffer_size;
    let lay_out = |place: &str, lengths: Vec<u64>| -> Result<(Vec<wgpu::Buffer>, Vec<View>)> {
        let (sizes, places) = gpu::pack(limit, lengths.iter().map(|n| (0, 4 * n)));
        let pages: Result<Vec<_>> =
            sizes.iter().map(|&bytes| gpu::buffer(device, place, bytes, gpu::USAGE, false)).collect();
        let pages = pages?;
        let view = |(&(page, offset), &n): (&(usize, u64), &u64)| View::new(place, &pages[page], offset, n);
        let views: Result<Vec<_>> = places.iter().zip(&lengths).map(view).collect();
        Ok((pages, views?))
    };
    let (_, inputs) = lay_out("tensors", tensors.iter().map(|(_, groups)| groups.len()).collect())?;
    let (_, outputs) = lay_out("norms", tensors.iter().map(|(_, groups)| groups.count()).collect())?;
    let job = |((tensor, input), output): ((&(&[f32], &Groups), &View), &View)| NormsJob {
        groups: tensor.1.clone(),
        input: input.clone(),
        output: output.clone(),
    };
    let jobs: Vec<NormsJob> = tensors.iter().zip(&inputs).zip(&outputs).map(job).collect();
    let dispatches = bind(&PipelineCache::new(device), norm, &jobs)?;
    let bytes = inputs.iter().map(|view| 4 * view.len()).sum();
    gpu::guarded(device, "upload", bytes, || {
        for (view, (values, _)) in inputs.iter().zip(tensors).filter(|(view, _)| !view.is_empty()) {
            context.queue.write_buffer(view.buffer(), view.offset(), bytemuck::cast_slice(values));
        }
    })?;
    let read: Vec<Readback> = context.submit("norms", |encoder| {
        dispatches.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        let read =
            |view: &View| Readback::record(device, encoder, view.buffer(), view.offset(), 4 * view.len());
        outputs.iter().map(read).collect()
    })?;
    let words = read.into_iter().map(|readback| readback.wait(device)).collect();
    context.check()?;
    words
}
