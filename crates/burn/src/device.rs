//! Burn's device with the wgpu objects behind it.

use burn::tensor::Device;
use burn::tensor::wgpu::WgpuSetup;
#[cfg(doc)]
use maf_srl::error::Error;
use maf_srl::error::{Result, unsupported};

/// What Burn needs to make a device.
const UNUSED: &str = "an adapter, and a device that nothing has used before";

/// A device of Burn's and the wgpu device and queue that it runs on, which [`SparseOptimizer`](crate::SparseOptimizer) shares.
#[derive(Clone, Debug)]
pub struct Gpu {
    burn: Device,
    device: wgpu::Device,
    queue: wgpu::Queue,
    name: String,
}

impl Gpu {
    /// Burn's default wgpu device. To be called before anything uses that device, because Burn shows the wgpu objects behind it
    /// only as it makes them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where Burn finds no adapter, or its default device is in use already.
    pub fn init() -> Result<Self> {
        let (burn, setup) = Device::wgpu_options()
            .init_with_setup()
            .map_err(|error| unsupported("Burn's default device", error.to_string(), UNUSED))?;
        Ok(Self::with(burn, &setup))
    }

    /// A device of its own on the adapter of this name, or number in the list of [`maf_srl::gpu::adapters`]; None is the best one.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where there is none; [`Error::Unsupported`] where it gives no device.
    pub fn on(adapter: Option<&str>) -> Result<Self> {
        let adapter = maf_srl::gpu::choose(adapter)?;
        let features = adapter.features() - wgpu::Features::all_experimental_mask();
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("burn with maf-srl"),
            // buffers that are mapped and bound at once slow a card with memory of its own down
            required_features: features - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request).map_err(|error| {
            unsupported("a device for Burn", error.to_string(), "an adapter that gives one")
        })?;
        // the instance only keeps the adapter's backend alive, which the device does too
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let backend = adapter.get_info().backend;
        let setup = WgpuSetup { instance, adapter, device, queue, backend };
        let named = Self::with(Device::default(), &setup);
        let burn = Device::wgpu_options()
            .setup(setup)
            .init()
            .map_err(|error| unsupported("a device for Burn", error.to_string(), UNUSED))?;
        Ok(Gpu { burn, ..named })
    }

    /// A device that was made elsewhere, with the setup that Burn has it from.
    #[must_use]
    pub fn with(burn: Device, setup: &WgpuSetup) -> Self {
        let (device, queue) = (setup.device.clone(), setup.queue.clone());
        Gpu { burn, device, queue, name: setup.adapter.get_info().name }
    }

    /// The device for tensors and modules.
    #[must_use]
    pub fn burn(&self) -> &Device {
        &self.burn
    }

    /// The wgpu device.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The adapter's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
