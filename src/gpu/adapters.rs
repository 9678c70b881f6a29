//! The adapters of every backend, by index or name.

use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};

use crate::error::{Error, Result};

/// How to get an adapter where there is none.
pub const HELP: &str = "install a Vulkan, Metal or DX12 driver; without a GPU, Debian and Ubuntu have software ones: \
                        apt-get install mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri";

/// What `devices` prints of an adapter.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AdapterFacts {
    /// Position in the list, by which users choose it.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// Vulkan, Metal, Dx12, Gl.
    pub backend: String,
    /// Discrete GPU, integrated GPU, CPU ...
    pub kind: String,
    /// The driver and its version.
    pub driver: String,
    /// Largest binding, bytes; larger tensors are windowed.
    pub max_storage_buffer_binding_size: u64,
    /// Largest buffer, bytes.
    pub max_buffer_size: u64,
    /// Storage buffers per shader stage; Adam needs 7.
    pub max_storage_buffers_per_shader_stage: u32,
    /// Invocations per workgroup; 256 are needed.
    pub max_compute_invocations_per_workgroup: u32,
    /// Alignment of storage bindings, bytes.
    pub min_storage_buffer_offset_alignment: u32,
    /// Whether kernels can be timed on the device.
    pub timestamps: bool,
    /// Whether subgroup operations are there.
    pub subgroups: bool,
    /// Whether shaders have f16.
    pub f16: bool,
}

impl AdapterFacts {
    /// The facts of one adapter.
    #[must_use]
    pub fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        AdapterFacts {
            index,
            name: info.name,
            backend: format!("{:?}", info.backend),
            kind: format!("{:?}", info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            f16: features.contains(wgpu::Features::SHADER_F16),
        }
    }
}

/// Every adapter that can run compute, best first: hardware before software, native APIs before GL. `WGPU_BACKEND`
/// narrows the backends.
#[must_use]
pub fn adapters() -> Vec<wgpu::Adapter> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let backends = descriptor.backends;
    let mut all = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    all.retain(|a| a.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS));
    all.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind =
            [DiscreteGpu, IntegratedGpu, VirtualGpu, Other, Cpu].iter().position(|k| *k == info.device_type);
        // of the software adapters lavapipe is several times faster than SwiftShader
        (kind, info.backend == wgpu::Backend::Gl, info.name.contains("SwiftShader"))
    });
    all
}

/// The adapter with an index of [`adapters`], or the first whose name, backend or driver contains `wanted`
/// (without regard to case); the best one for `None`.
///
/// # Errors
/// [`Error::NoAdapter`] with the adapters found and how to get a driver.
pub fn choose(wanted: Option<&str>) -> Result<wgpu::Adapter> {
    let mut all = adapters();
    let index = position(&all, wanted)?;
    Ok(all.swap_remove(index))
}

/// The index of the adapter that [`choose`] takes from these.
///
/// # Errors
/// As [`choose`].
pub fn position(all: &[wgpu::Adapter], wanted: Option<&str>) -> Result<usize> {
    let names: Vec<String> = all
        .iter()
        .enumerate()
        .map(|(k, a)| {
            let info = a.get_info();
            let driver =
                [info.driver, info.driver_info].into_iter().find(|d| !d.is_empty()).unwrap_or_default();
            format!("{k}: {} ({:?}, {driver})", info.name, info.backend)
        })
        .collect();
    let named = |text: &str| names.iter().position(|name| name.to_lowercase().contains(text));
    let found = wanted.map_or(Some(0), |text| {
        // every name contains the empty one
        let text = Some(text.trim().to_lowercase()).filter(|text| !text.is_empty())?;
        text.parse().ok().or_else(|| named(&text))
    });
    found.filter(|&index| index < all.len()).ok_or_else(|| Error::NoAdapter {
        wanted: wanted.map_or("the request for any".into(), |text| format!("{text:?}")),
        found: if names.is_empty() { "none".into() } else { names.join("; ") },
        help: HELP,
    })
}
