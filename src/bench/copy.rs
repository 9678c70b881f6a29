//! The yardstick: how fast the same adapter copies as many bytes, by the same clock.

use super::measure::{ANY_MEMORY, Effort, Measured, Stopwatch, measure_host};
use crate::error::{Error, Result};
use crate::gpu::{self, Context, View};
use crate::kernels::numbers;
use crate::wgsl::compose;

use rayon::prelude::*;

/// Invocations per workgroup of the copy kernel, and the number of words from which each of them copies four.
const WORKGROUP: u32 = 256;
const LARGE: u64 = 1 << 20;

/// What copying `bytes` takes, half of them read and half written.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct CopySpeed {
    /// Bytes read and written together.
    pub bytes: u64,
    /// Gigabytes per second of the faster way, by its median.
    pub gb_s: f64,
    /// The same by its fastest repeat.
    pub best_gb_s: f64,
    /// The copy command from buffer to buffer.
    pub command: Option<Measured>,
    /// A WGSL kernel that copies vec4 words.
    pub kernel: Option<Measured>,
}

impl CopySpeed {
    fn of(bytes: u64, command: Option<Measured>, kernel: Option<Measured>) -> Option<Self> {
        let faster = command.into_iter().chain(kernel).min_by(|a, b| a.ns.total_cmp(&b.ns))?;
        Some(CopySpeed {
            bytes,
            gb_s: faster.gb_s(bytes),
            best_gb_s: faster.best_gb_s(bytes),
            command,
            kernel,
        })
    }
}

/// Copies `bytes / 2` bytes with the copy command and with a kernel, rotating buffers as the timed kernels do.
/// `None` where no clock gave a time that can be true.
///
/// # Errors
/// [`Error::Mismatch`] where the kernel's copy differs; the errors of buffers and pipelines.
pub fn copy_bandwidth(
    context: &Context,
    stopwatch: &Stopwatch,
    effort: &Effort,
    bytes: u64,
) -> Result<Option<CopySpeed>> {
    let device = &context.device;
    let half = (bytes / 2).next_multiple_of(16).max(16);
    let moved = 2 * half;
    let block = numbers(half.min(4 << 20) / 4, 1, 1.0);
    let block = gpu::buffer_with(device, "random block", bytemuck::cast_slice(&block), gpu::USAGE)?;
    let new = |place| gpu::buffer(device, place, half, gpu::USAGE, false);
    let both = |_| Ok((new("copy source")?, new("copy destination")?));
    let sets = (0..effort.sets(moved)).map(both).collect::<Result<Vec<_>>>()?;
    context.submit("copy source", |encoder| {
        sets.iter().for_each(|(source, _)| gpu::lay(encoder, &block, source, 0..half));
        Ok(())
    })?;
    let most = 4 * sets.len();

    let command = stopwatch.measure(effort, (moved, ANY_MEMORY), most, |timer, turns| {
        let record = |encoder: &mut wgpu::CommandEncoder| {
            for (source, destination) in sets.iter().cycle().take(turns) {
                encoder.copy_buffer_to_buffer(source, 0, destination, 0, half);
            }
        };
        timer.time_commands(|_| {}, record)
    })?;
    let limits = device.limits();
    if half > limits.max_storage_buffer_binding_size {
        return Ok(CopySpeed::of(moved, command, None));
    }

    // Like the step's status words, a buffer bound by all dispatches makes wgpu put them in order.
    let order = gpu::buffer_with(device, "copy order", &[0; 16], gpu::USAGE)?;
    let source = compose(&["bench/copy"]);
    let bindings = [(0, true), (1, false), (2, false)];
    let pipeline = gpu::compute_pipeline(device, "bench/copy", &source, "copy", WORKGROUP, &bindings)?;
    let groups = sets
        .iter()
        .map(|(source, destination)| {
            gpu::guarded(device, "bench/copy", 0, || {
                device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("bench/copy"),
                    layout: &pipeline.layout,
                    entries: &[
                        wgpu::BindGroupEntry { binding: 0, resource: source.as_entire_binding() },
                        wgpu::BindGroupEntry { binding: 1, resource: destination.as_entire_binding() },
                        wgpu::BindGroupEntry { binding: 2, resource: order.as_entire_binding() },
                    ],
                })
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let words = half / 16;
    let each = u64::from(WORKGROUP) * if words >= LARGE { 4 } else { 1 };
    let most_groups = u64::from(limits.max_compute_workgroups_per_dimension);
    let workgroups = words.div_ceil(each).clamp(1, most_groups) as u32;
    let dispatch = |pass: &mut wgpu::ComputePass<'_>, turns: usize| {
        pass.set_pipeline(&pipeline.pipeline);
        for group in groups.iter().cycle().take(turns) {
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(workgroups, 1, 1);
        }
    };

    // checked at both ends on a destination wiped before
    let sample = half.min(4096);
    let ends = |buffer: &wgpu::Buffer| [0, half - sample].map(|offset| View::own(buffer, offset, sample / 4));
    let (source, destination) = &sets[0];
    let seen = [ends(source), ends(destination)].concat();
    let read = gpu::read_after::<u32>((device, &context.queue), "bench/copy", &seen, |encoder| {
        encoder.clear_buffer(destination, 0, None);
        dispatch(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 1);
    })?;
    context.check()?;
    if read[..2] != read[2..] {
        return Err(Error::Mismatch(format!("bench/copy: the copy of {half} bytes differs from its source")));
    }
    let kernel = stopwatch.measure(effort, (moved, ANY_MEMORY), most, |timer, turns| {
        timer.time(|_| {}, |pass| dispatch(pass, turns))
    })?;
    Ok(CopySpeed::of(moved, command, kernel))
}

/// The same for the host's memory, on all cores.
pub fn copy_bandwidth_host(effort: &Effort, bytes: u64) -> Option<CopySpeed> {
    const PIECE: usize = 1 << 16;
    let words = (bytes / 2).div_ceil(8).max(1) as usize;
    let source: Vec<u64> = (1..=words as u64).map(|k| k.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let mut destination = vec![0u64; words];
    let measured = measure_host(effort, || {
        destination
            .par_chunks_mut(PIECE)
            .zip(source.par_chunks(PIECE))
            .for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&destination);
    });
    CopySpeed::of(16 * words as u64, measured, None)
}
