//! The one way a compute pipeline is made: limits checked by us first, then built inside error scopes.

use super::guarded;
use crate::error::{Error, Result};

/// A compute pipeline with the layout of its bind group 0.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The pipeline.
    pub pipeline: wgpu::ComputePipeline,
    /// The layout of bind group 0.
    pub layout: wgpu::BindGroupLayout,
}

/// Builds `entry` of `source` with the override constant `invocations` (`workgroup` would hide the address space of that
/// name) and storage buffers `(binding, read only)` in bind group 0. wgpu does not check workgroup sizes that come from
/// override constants, so this does.
///
/// # Errors
/// [`Error::Limit`] naming the limit; [`Error::Gpu`] where the shader is refused.
pub fn compute_pipeline(
    device: &wgpu::Device,
    place: &str,
    source: &str,
    entry: &str,
    workgroup: u32,
    bindings: &[(u32, bool)],
) -> Result<Pipeline> {
    let limits = device.limits();
    for (name, needed, limit) in [
        ("max_compute_invocations_per_workgroup", workgroup, limits.max_compute_invocations_per_workgroup),
        ("max_compute_workgroup_size_x", workgroup, limits.max_compute_workgroup_size_x),
        (
            "max_storage_buffers_per_shader_stage",
            bindings.len() as u32,
            limits.max_storage_buffers_per_shader_stage,
        ),
    ] {
        if needed > limit {
            let (needed, limit) = (u64::from(needed), u64::from(limit));
            return Err(Error::Limit { place: place.into(), name, needed, limit });
        }
    }
    let layout = bind_group_layout(device, place, bindings)?;
    guarded(device, place, 0, || {
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(place),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let module = module(device, place, source);
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(place),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("invocations", f64::from(workgroup))],
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    })
}

/// A module of `shaders/`, without the counter that naga puts into every loop: 2 instructions per element of a plain step, and
/// a quarter of a dense product, whose loops it keeps from being unrolled. Accesses and divisions stay checked.
#[expect(unsafe_code, reason = "the one place: wgpu cannot see that loops end")]
fn module(device: &wgpu::Device, place: &str, source: &str) -> wgpu::ShaderModule {
    let descriptor =
        wgpu::ShaderModuleDescriptor { label: Some(place), source: wgpu::ShaderSource::Wgsl(source.into()) };
    let checks =
        wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: every loop ends. All text comes from `shaders/`, where a loop counts by a constant, by the number of
    // invocations or workgroups, or by a count that the host writes and that is never 0, up to a bound that is fixed before
    // it begins and that the host keeps far below 2^32 (elements of a binding, members of a group, layers, entries of a
    // matrix); halves a number down to 0; or clears the bits of one word. No loop depends on a weight, a gradient or a
    // state: searches stop after a constant number of rounds. `tests/house.rs` holds every loop to these forms.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}

/// The layout of a bind group 0 of storage buffers `(binding, read only)`.
///
/// # Errors
/// Those of [`guarded`].
pub(crate) fn bind_group_layout(
    device: &wgpu::Device,
    place: &str,
    bindings: &[(u32, bool)],
) -> Result<wgpu::BindGroupLayout> {
    let entries: Vec<_> = bindings
        .iter()
        .map(|&(binding, read_only)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let entries = &wgpu::BindGroupLayoutDescriptor { label: Some(place), entries: &entries };
    guarded(device, place, 0, || device.create_bind_group_layout(entries))
}
