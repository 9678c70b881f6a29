//! What AMD's shader compiler makes of a kernel, without the hardware.
//!
//! With `RADV_FORCE_FAMILY` set, Mesa's RADV driver offers "null hardware": it runs nothing, but it compiles
//! pipelines with ACO, the compiler that AMD users run on Linux, and answers what came out of it. The figures
//! carry no noise: the same driver gives the same figures each time. wgpu opens no device on it, so this
//! speaks Vulkan; shaders are translated as wgpu translates them.

#![allow(unsafe_code, reason = "Vulkan has no safe interface that opens null hardware")]

use ash::vk;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use wgpu::naga;

/// One kernel to compile.
pub struct Kernel {
    pub name: String,
    /// Complete WGSL; `override` constants take their default values.
    pub wgsl: String,
    pub entry_point: String,
}

/// What the compiler answered for one kernel.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    pub vgprs: u64,
    pub sgprs: u64,
    /// Registers that did not fit, both kinds.
    pub spilled: u64,
    /// Bytes of memory per wave that hold what registers could not.
    pub scratch: u64,
    /// Bytes of workgroup memory.
    pub lds: u64,
    /// Waves that one SIMD unit holds at a time: more of them hide more memory latency.
    pub subgroups_per_simd: u64,
    /// `None` where the driver was built without a disassembler.
    pub accesses: Option<Accesses>,
    /// As [`Figures::accesses`].
    pub steady: Option<Steady>,
    /// Bytes.
    pub code_size: u64,
    pub instructions: u64,
    /// Estimated cycles of one wave alone.
    pub latency: u64,
    /// Estimated cycles per wave where many waves overlap.
    pub inverse_throughput: u64,
}

/// Vector memory instructions by kind; what all lanes read alike goes another way and is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accesses {
    pub loads: u64,
    pub stores: u64,
    pub atomics: u64,
}

impl Accesses {
    fn count(assembly: &str) -> Option<Self> {
        if !assembly.contains("s_endpgm") {
            return None;
        }
        let mut counted = Accesses::default();
        for operation in
            assembly.lines().filter_map(|line| line.split_whitespace().next()).filter_map(operation)
        {
            counted.loads += u64::from(operation.starts_with("load"));
            counted.stores += u64::from(operation.starts_with("store"));
            counted.atomics += u64::from(operation.starts_with("atomic"));
        }
        Some(counted)
    }
}

/// What an invocation does in one turn of the loop in which it spends its time: of the loops that read memory, the one that
/// reads most, without the loops inside it that read memory too; the whole program, where none does. Both sides of each
/// branch are counted, and loops inside that read no memory once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steady {
    pub instructions: u64,
    /// The same by what they keep their unit busy for: 4 for those that run at a quarter of the rate.
    pub cycles: u64,
    pub barriers: u64,
    /// Bytes by vector memory instructions.
    pub loaded: u64,
    pub stored: u64,
}

impl Steady {
    fn of(assembly: &str) -> Option<Self> {
        if !assembly.contains("s_endpgm") {
            return None;
        }
        let lines: Vec<&str> = assembly.lines().map(str::trim).collect();
        let labels: HashMap<&str, usize> =
            (0..).zip(&lines).filter_map(|(at, line)| Some((line.strip_suffix(':')?, at))).collect();
        let back = |(at, line): (usize, &&str)| {
            let mut words = line.split_whitespace();
            words.next().filter(|word| word.starts_with("s_branch") || word.starts_with("s_cbranch"))?;
            let target = *labels.get(words.next()?)?;
            (target < at).then_some((target, at))
        };
        // a loop with several branches back is one
        let mut loops: BTreeMap<usize, usize> = BTreeMap::new();
        for (from, to) in lines.iter().enumerate().filter_map(back) {
            let end = loops.entry(from).or_default();
            *end = to.max(*end);
        }
        let reads = |&(from, to): &(usize, usize)| Self::count(&lines[from..=to]).loaded > 0;
        let loops: Vec<(usize, usize)> = loops.into_iter().filter(reads).collect();
        let own = |&(from, to): &(usize, usize)| {
            let inside = |at: usize| loops.iter().any(|&(a, b)| from < a && b <= to && (a..=b).contains(&at));
            Self::count(&(from..=to).filter(|&at| !inside(at)).map(|at| lines[at]).collect::<Vec<_>>())
        };
        let most = loops.iter().map(own).max_by_key(|steady| steady.loaded);
        Some(most.unwrap_or_else(|| Self::count(&lines)))
    }

    fn count(lines: &[&str]) -> Self {
        let mut all = Steady { instructions: 0, cycles: 0, barriers: 0, loaded: 0, stored: 0 };
        let instructions = lines.iter().filter(|line| !line.ends_with(':') && !line.starts_with(';'));
        for name in instructions.filter_map(|line| line.split_whitespace().next()) {
            all.instructions += 1;
            all.cycles += if slow(name) { 4 } else { 1 };
            all.barriers += u64::from(name == "s_barrier");
            let (loaded, stored) = bytes(name);
            all.loaded += loaded;
            all.stored += stored;
        }
        all
    }
}

/// Whether a vector instruction runs at a quarter of the rate: transcendental functions and products of integers.
fn slow(name: &str) -> bool {
    const SLOW: [&str; 12] = [
        "v_rcp_f32",
        "v_rsq_f32",
        "v_sqrt_f32",
        "v_exp_f32",
        "v_log_f32",
        "v_sin_f32",
        "v_cos_f32",
        "v_rcp_iflag_f32",
        "v_mul_lo_u32",
        "v_mul_hi_u32",
        "v_mul_hi_i32",
        "v_mad_u64_u32",
    ];
    SLOW.iter().any(|slow| name.starts_with(slow))
}

/// What a vector instruction does to memory, if anything.
fn operation(name: &str) -> Option<&str> {
    let (space, operation) = name.split_once('_')?;
    ["buffer", "global", "flat", "scratch"].contains(&space).then_some(operation)
}

/// The bytes that an instruction reads from and writes to memory, per invocation.
fn bytes(name: &str) -> (u64, u64) {
    let Some(operation) = operation(name) else { return (0, 0) };
    let size = |what: &str| match what {
        "dword" => 4,
        "dwordx2" => 8,
        "dwordx3" => 12,
        "dwordx4" => 16,
        "short" | "ushort" | "sshort" | "short_d16" | "short_d16_hi" => 2,
        _ => 0,
    };
    let of = |kind: &str| operation.strip_prefix(kind).map_or(0, size);
    (of("load_"), of("store_"))
}

/// The manifest of the installed RADV driver.
pub fn manifest() -> Option<PathBuf> {
    let own = format!("radeon_icd.{}.json", std::env::consts::ARCH);
    ["/usr/share", "/usr/local/share", "/etc"].into_iter().find_map(|base| {
        let entries = std::fs::read_dir(format!("{base}/vulkan/icd.d")).ok()?;
        let mut found: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with("radeon_icd") && name.ends_with(".json"))
            })
            .collect();
        found.sort_by_key(|path| !path.ends_with(&own));
        found.into_iter().next()
    })
}

/// A device on null hardware.
pub struct NullDevice {
    instance: ash::Instance,
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    driver: String,
    /// Last, so that the library is unloaded last.
    _entry: ash::Entry,
}

impl NullDevice {
    /// Opens the null device of this process, which must have been started with `RADV_FORCE_FAMILY` and with
    /// `VK_DRIVER_FILES` naming RADV alone.
    pub fn open() -> Result<Self, String> {
        // SAFETY: the library is the system's Vulkan loader, whose initialisers have no preconditions.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| format!("no Vulkan loader: {error}"))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the create info is complete and lives through the call; `entry` outlives the instance,
        // as both are kept in `self`.
        let instance = unsafe { entry.create_instance(&create, None) }
            .map_err(|error| format!("no instance: {error}"))?;
        match open_device(&instance) {
            Ok((device, driver)) => Ok(NullDevice {
                executables: ash::khr::pipeline_executable_properties::Device::new(&instance, &device),
                driver,
                device,
                instance,
                _entry: entry,
            }),
            Err(error) => {
                // SAFETY: nothing made from the instance is left.
                unsafe { instance.destroy_instance(None) };
                Err(error)
            }
        }
    }

    /// The driver with its version, on which the figures depend.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// Compiles a kernel.
    pub fn compile(&self, kernel: &Kernel) -> Result<Figures, String> {
        let (words, bindings) = translate(kernel)?;
        let entry_point = CString::new(kernel.entry_point.as_str()).map_err(text)?;
        let bindings: Vec<_> = bindings
            .into_iter()
            .map(|(binding, descriptor)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(descriptor)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let device = &self.device;
        let mut set = vk::DescriptorSetLayout::null();
        let mut layout = vk::PipelineLayout::null();
        let mut module = vk::ShaderModule::null();
        let mut pipeline = vk::Pipeline::null();
        // SAFETY: every create info is complete and refers to values that live through its call; the words
        // are SPIR-V of a validated module whose resources the layout declares.
        let figures = (|| unsafe {
            let create = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            set = device.create_descriptor_set_layout(&create, None).map_err(text)?;
            let sets = [set];
            let create = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            layout = device.create_pipeline_layout(&create, None).map_err(text)?;
            let create = vk::ShaderModuleCreateInfo::default().code(&words);
            module = device.create_shader_module(&create, None).map_err(text)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(&entry_point);
            let create = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(
                vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                    | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR,
            );
            pipeline = device
                .create_compute_pipelines(vk::PipelineCache::null(), &[create], None)
                .map_err(|(_, error)| text(error))?[0];
            self.figures(pipeline)
        })();
        // SAFETY: made from this device or null, which is ignored; nothing uses them any more.
        unsafe {
            device.destroy_pipeline(pipeline, None);
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(set, None);
        }
        figures
    }

    /// # Safety
    /// `pipeline` must be a live pipeline of this device, made with both capture flags.
    unsafe fn figures(&self, pipeline: vk::Pipeline) -> Result<Figures, String> {
        let executable = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the caller's promise; a compute pipeline has one executable.
        let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&executable) }
            .map_err(|error| format!("no statistics: {error}"))?;
        let mut by_name = BTreeMap::new();
        for one in &statistics {
            let name = one.name_as_c_str().map_err(text)?.to_string_lossy().into_owned();
            if one.format == vk::PipelineExecutableStatisticFormatKHR::UINT64 {
                // SAFETY: the format says which member of the union was written.
                by_name.insert(name, unsafe { one.value.u64 });
            }
        }
        // SAFETY: the caller's promise.
        let assembly = unsafe { self.assembly(&executable) }?;
        let get = |name: &str| {
            by_name
                .get(name)
                .copied()
                .ok_or_else(|| format!("the driver does not report '{name}', only {:?}", by_name.keys()))
        };
        Ok(Figures {
            vgprs: get("VGPRs")?,
            sgprs: get("SGPRs")?,
            spilled: get("Spilled VGPRs")? + get("Spilled SGPRs")?,
            scratch: get("Scratch size")?,
            lds: get("LDS size")?,
            subgroups_per_simd: get("Subgroups per SIMD")?,
            accesses: Accesses::count(&assembly),
            steady: Steady::of(&assembly),
            code_size: get("Code size")?,
            instructions: get("Instructions")?,
            latency: get("Latency")?,
            inverse_throughput: get("Inverse Throughput")?,
        })
    }

    /// # Safety
    /// As for [`NullDevice::figures`].
    unsafe fn assembly(&self, executable: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String, String> {
        let call = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let handle = self.device.handle();
        let mut count = 0;
        // SAFETY: the caller's promise; a null array asks for the number of representations.
        unsafe { call(handle, executable, &mut count, std::ptr::null_mut()) }.result().map_err(text)?;
        let mut parts = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
        // SAFETY: the array has `count` elements; null data asks for the sizes.
        unsafe { call(handle, executable, &mut count, parts.as_mut_ptr()) }.result().map_err(text)?;
        let mut texts: Vec<_> = parts.iter().map(|part| vec![0u8; part.data_size]).collect();
        for (part, bytes) in parts.iter_mut().zip(&mut texts) {
            part.p_data = bytes.as_mut_ptr().cast();
        }
        // SAFETY: each element points to `data_size` bytes, which live through the call.
        unsafe { call(handle, executable, &mut count, parts.as_mut_ptr()) }.result().map_err(text)?;
        for (part, bytes) in parts.iter().zip(&texts) {
            let name = part.name_as_c_str().map_err(text)?;
            if name == c"Assembly" {
                let assembly = CStr::from_bytes_until_nul(bytes).map_err(text)?;
                return Ok(assembly.to_string_lossy().into_owned());
            }
        }
        Err("the driver gives no assembly".to_owned())
    }
}

impl Drop for NullDevice {
    fn drop(&mut self) {
        // SAFETY: `compile` leaves no object of the device in use, and the device goes before its instance.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A device with the features that wgpu would switch on and that change the code of a kernel, and the name
/// of its driver.
fn open_device(instance: &ash::Instance) -> Result<(ash::Device, String), String> {
    // SAFETY: the instance is live.
    let devices =
        unsafe { instance.enumerate_physical_devices() }.map_err(|error| format!("no adapter: {error}"))?;
    let [physical] = devices[..] else {
        return Err(format!("{} adapters, where null hardware alone was asked for", devices.len()));
    };
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    let extensions =
        [ash::khr::pipeline_executable_properties::NAME.as_ptr(), ash::ext::robustness2::NAME.as_ptr()];
    let base = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
    let mut statistics =
        vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
    let mut storage = vk::PhysicalDevice16BitStorageFeatures::default().storage_buffer16_bit_access(true);
    let mut half = vk::PhysicalDeviceShaderFloat16Int8Features::default().shader_float16(true);
    let mut zeroed = vk::PhysicalDeviceZeroInitializeWorkgroupMemoryFeatures::default()
        .shader_zero_initialize_workgroup_memory(true);
    let create = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&extensions)
        .enabled_features(&base)
        .push_next(&mut statistics)
        .push_next(&mut robust)
        .push_next(&mut storage)
        .push_next(&mut half)
        .push_next(&mut zeroed);
    // SAFETY: the create info is complete and all it refers to lives through the call.
    let device = unsafe { instance.create_device(physical, &create, None) }
        .map_err(|error| format!("no device: {error}"))?;
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
    // SAFETY: the instance is live and has API version 1.3, where both structs are in the core.
    unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
    let info = driver.driver_info_as_c_str().map_or_else(|_| "?".into(), CStr::to_string_lossy);
    Ok((device, info.into_owned()))
}

type Bindings = Vec<(u32, vk::DescriptorType)>;

/// SPIR-V for one entry point with the options that wgpu takes on a driver with `robustBufferAccess2`, and
/// the bindings that the shader declares.
fn translate(kernel: &Kernel) -> Result<(Vec<u32>, Bindings), String> {
    use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};

    let module = naga::front::wgsl::parse_str(&kernel.wgsl)
        .map_err(|error| error.emit_to_string_with_path(&kernel.wgsl, &kernel.name))?;
    let info =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all())
            .validate(&module)
            .map_err(|error| error.emit_to_string_with_path(&kernel.wgsl, &kernel.name))?;
    let entry = (naga::ShaderStage::Compute, kernel.entry_point.as_str());
    let (module, info) = naga::back::pipeline_constants::process_overrides(
        &module,
        &info,
        Some(entry),
        &naga::back::PipelineConstants::default(),
    )
    .map_err(text)?;
    let mut options = naga::back::spv::Options {
        lang_version: (1, 6),
        flags: naga::back::spv::WriterFlags::empty(),
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: naga::back::spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..Default::default()
    };
    let mut bindings = Bindings::new();
    for (_, global) in module.global_variables.iter() {
        let Some(place) = global.binding else { continue };
        let descriptor = match global.space {
            naga::AddressSpace::Storage { .. } => vk::DescriptorType::STORAGE_BUFFER,
            naga::AddressSpace::Uniform => vk::DescriptorType::UNIFORM_BUFFER,
            other => return Err(format!("{:?} is bound in address space {other:?}", global.name)),
        };
        if place.group != 0 {
            return Err(format!("{:?} is bound in group {}, kernels use group 0", global.name, place.group));
        }
        options.binding_map.insert(
            place,
            naga::back::spv::BindingInfo {
                descriptor_set: 0,
                binding: place.binding,
                binding_array_size: None,
            },
        );
        bindings.push((place.binding, descriptor));
    }
    let pipeline = naga::back::spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: kernel.entry_point.clone(),
    };
    let words = naga::back::spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(text)?;
    Ok((words, bindings))
}
