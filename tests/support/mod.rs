//! What several test programs share: the adapters that tests run on.
//!
//! Without an adapter a test of a kernel proves nothing, so a missing one is a failure that says how to get
//! it, never a silent skip.

#![allow(dead_code, reason = "each test program compiles its own copy and uses a part of it")]

pub mod work;

use wgpu::Backend;

/// The adapters that tests run on, unless `MAF_SRL_TEST_ADAPTERS` names others.
pub const SOFTWARE: [&str; 3] = ["lavapipe", "swiftshader", "llvmpipe"];

/// An adapter with the name by which reports call it.
pub struct TestAdapter {
    /// `lavapipe`, `swiftshader`, `llvmpipe`, or for others their own name and backend.
    pub label: String,
    pub adapter: wgpu::Adapter,
}

impl TestAdapter {
    /// A device with the default limits and no optional feature.
    ///
    /// # Panics
    /// Where the driver refuses, which no adapter that we test on may do.
    pub fn device(&self) -> (wgpu::Device, wgpu::Queue) {
        self.device_with(&wgpu::DeviceDescriptor { label: Some(&self.label), ..Default::default() })
    }

    /// A device as described.
    ///
    /// # Panics
    /// Where the driver refuses.
    pub fn device_with(&self, descriptor: &wgpu::DeviceDescriptor<'_>) -> (wgpu::Device, wgpu::Queue) {
        match pollster::block_on(self.adapter.request_device(descriptor)) {
            Ok(pair) => pair,
            Err(error) => panic!("{}: no device: {error}", self.label),
        }
    }
}

/// The adapters to test on: the three software adapters, or those that the comma-separated list in
/// `MAF_SRL_TEST_ADAPTERS` names by a part of their name or backend.
///
/// Each call makes a new instance. OpenGL adapters of one instance share one context, and a thread that
/// waits more than 6 seconds for it panics; tests run on several threads, so they do not share instances.
///
/// # Panics
/// Where one that is named, or that `MAF_SRL_REQUIRE_ADAPTERS` demands, is missing.
pub fn software_adapters() -> Vec<TestAdapter> {
    let wanted = list("MAF_SRL_TEST_ADAPTERS").unwrap_or_else(|| SOFTWARE.map(String::from).to_vec());
    let found = select(&wanted);
    for required in list("MAF_SRL_REQUIRE_ADAPTERS").unwrap_or_default() {
        assert!(
            found.iter().any(|one| matches(&required, &one.adapter.get_info())),
            "MAF_SRL_REQUIRE_ADAPTERS demands '{required}', but the tests run on {wanted:?} only"
        );
    }
    found
}

/// The one adapter that `name` selects, for tests of what a single driver does.
///
/// # Panics
/// Where it is missing.
pub fn adapter(name: &str) -> TestAdapter {
    select(&[name.to_owned()]).swap_remove(0)
}

fn select(wanted: &[String]) -> Vec<TestAdapter> {
    let backends = wgpu::Backends::all();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut present: Vec<_> =
        pollster::block_on(instance.enumerate_adapters(backends)).into_iter().map(Some).collect();
    let seen: Vec<_> = present.iter().flatten().map(|adapter| describe(&adapter.get_info())).collect();

    let mut found = Vec::new();
    for name in wanted {
        let before = found.len();
        for slot in &mut present {
            if let Some(adapter) = slot.take_if(|adapter| matches(name, &adapter.get_info())) {
                let label = match SOFTWARE.contains(&name.as_str()) {
                    true => name.clone(),
                    false => describe(&adapter.get_info()),
                };
                found.push(TestAdapter { label, adapter });
            }
        }
        assert!(
            found.len() > before,
            "the adapter '{name}' is missing (present: {}).\n\
             Run `bash tests/run.sh`: it installs or fetches the software adapters and shows them to the tests.\n\
             To test on a GPU of this machine, name it: MAF_SRL_TEST_ADAPTERS=<part of its name>. \
             See docs/TESTING.md.",
            if seen.is_empty() { "none".to_owned() } else { seen.join(", ") },
        );
    }
    found
}

/// Whether `wanted` means this adapter. Mesa calls its Vulkan and its OpenGL driver for the CPU `llvmpipe`
/// both, so the backend tells them apart.
fn matches(wanted: &str, info: &wgpu::AdapterInfo) -> bool {
    let name = info.name.to_lowercase();
    match wanted {
        "lavapipe" => info.backend == Backend::Vulkan && name.starts_with("llvmpipe"),
        "llvmpipe" => info.backend == Backend::Gl && name.starts_with("llvmpipe"),
        "swiftshader" => info.backend == Backend::Vulkan && name.starts_with("swiftshader"),
        other => name.contains(other) || info.backend.to_str().contains(other),
    }
}

fn describe(info: &wgpu::AdapterInfo) -> String {
    format!("{} [{}]", info.name, info.backend.to_str())
}

/// The lower-case entries of a comma-separated environment variable; `None` where it is unset or empty.
fn list(variable: &str) -> Option<Vec<String>> {
    let text = std::env::var(variable).ok()?;
    let entries: Vec<_> =
        text.split(',').map(|entry| entry.trim().to_lowercase()).filter(|entry| !entry.is_empty()).collect();
    (!entries.is_empty()).then_some(entries)
}
