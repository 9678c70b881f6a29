//! `maf-srl validate --dump`: a case as files that a driver's developer can run without this program.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use maf_srl::error::{self, Result};
use maf_srl::gpu::AdapterFacts;
use maf_srl::kernels::{Case, Outcome};
use maf_srl::validate::{Dump, DumpedBinding, DumpedDispatch, dump};
use maf_srl_lab::data::save;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use ndarray::Array1;
use ndarray_npy::{WritableElement, WriteNpyExt};
use serde::Serialize;

use crate::wgsl::{invalid, json, parsed};

/// `case.json`.
#[derive(Serialize)]
struct Described<'a> {
    case: String,
    version: &'static str,
    repeat: &'a str,
    adapter: &'a AdapterFacts,
    outcome: &'a Outcome,
    dispatches: Vec<Dispatch<'a>>,
}

#[derive(Serialize)]
struct Dispatch<'a> {
    /// Its files are in this folder.
    folder: String,
    kernel: &'a str,
    entry_point: &'a str,
    /// The override constant of this name.
    invocations: u32,
    workgroups: [u32; 3],
    bindings: Vec<Binding>,
}

#[derive(Serialize)]
struct Binding {
    group: u32,
    binding: u32,
    /// Its name in the WGSL; empty for what is bound and not used by this variant.
    name: String,
    buffer_type: &'static str,
    buffer: usize,
    offset: u64,
    size: u64,
    before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// Refuses a folder that holds something, before a case is run.
pub(super) fn check(folder: &Path) -> Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(error::file(folder, "write", "holds files; allowed: a new or empty folder")),
        Ok(false) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(error::io(folder, "read", e)),
    }
}

/// Runs a case dispatch by dispatch and writes all of it.
pub(super) fn write(folder: &Path, index: usize, adapter: wgpu::Adapter, case: &dyn Case) -> Result<()> {
    let facts = AdapterFacts::of(index, &adapter);
    let dump = dump(adapter, case)?;
    let repeat = format!(
        "maf-srl validate --device {index} --case '{}' --dump {}",
        case.name(),
        folder.file_name().unwrap_or_default().display()
    );
    let mut described = Described {
        case: case.name(),
        version: env!("CARGO_PKG_VERSION"),
        repeat: &repeat,
        adapter: &facts,
        outcome: &dump.outcome,
        dispatches: Vec::new(),
    };
    for (k, one) in dump.dispatches.iter().enumerate() {
        described.dispatches.push(dispatch(folder, k, one)?);
    }
    array(folder, "judged-gpu.npy", dump.judged.iter().map(|j| j.got))?;
    array(folder, "judged-reference.npy", dump.judged.iter().map(|j| j.expected))?;
    array(folder, "judged-bound.npy", dump.judged.iter().map(|j| j.bound))?;
    array(folder, "judged-right.npy", dump.judged.iter().map(|j| j.ok))?;
    let json = json(&folder.join("case.json"), &described)?;
    save(folder, "case.json", json.as_bytes())?;
    save(folder, "README.md", readme(&described, &dump).as_bytes())
}

/// Writes the files of one dispatch.
fn dispatch<'a>(folder: &Path, k: usize, one: &'a DumpedDispatch) -> Result<Dispatch<'a>> {
    let name = format!("dispatch-{k:02}");
    let inside = folder.join(&name);
    save(&inside, "shader.wgsl", one.source.as_bytes())?;
    let Compiled { words, names } = compiled(one)?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    save(&inside, "shader.spv", &bytes)?;
    let mut bindings = Vec::new();
    for b in &one.bindings {
        let DumpedBinding { binding, read_only, buffer, offset, .. } = *b;
        let file = |when: &str| format!("binding-{binding}-{when}.npy");
        array(&inside, &file("before"), b.before.iter().copied())?;
        if !read_only {
            array(&inside, &file("after"), b.after.iter().copied())?;
        }
        bindings.push(Binding {
            group: 0,
            binding,
            name: names.iter().find(|(k, _)| *k == binding).map(|(_, name)| name.clone()).unwrap_or_default(),
            buffer_type: if read_only { "read-only-storage" } else { "storage" },
            buffer,
            offset,
            size: 4 * b.before.len() as u64,
            before: format!("{name}/{}", file("before")),
            after: (!read_only).then(|| format!("{name}/{}", file("after"))),
        });
    }
    let (x, y) = one.workgroups;
    let (kernel, entry_point, invocations) = (&*one.name, &*one.entry, one.invocations);
    Ok(Dispatch { folder: name, kernel, entry_point, invocations, workgroups: [x, y, 1], bindings })
}

/// A module as SPIR-V, and the names of its bindings.
struct Compiled {
    words: Vec<u32>,
    names: Vec<(u32, String)>,
}

/// A module as naga writes it for wgpu.
fn compiled(one: &DumpedDispatch) -> Result<Compiled> {
    let (module, info) = parsed(&one.name, &one.source)?;
    let entry = (naga::ShaderStage::Compute, one.entry.as_str());
    let constants = [("invocations".to_owned(), f64::from(one.invocations))].into_iter().collect();
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, Some(entry), &constants)
            .map_err(|e| invalid(&one.name, e))?;
    let places = module.global_variables.iter().filter_map(|(_, global)| global.binding);
    let place = |at: naga::ResourceBinding| {
        let (descriptor_set, binding) = (at.group, at.binding);
        (at, spv::BindingInfo { descriptor_set, binding, binding_array_size: None })
    };
    // what wgpu-hal 30 asks of naga for a Vulkan device without robustBufferAccess2
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::DEBUG,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Restrict,
            image_load: BoundsCheckPolicy::Restrict,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: true,
        binding_map: places.map(place).collect(),
        ..spv::Options::default()
    };
    let pipeline =
        spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: one.entry.clone() };
    let words =
        spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|e| invalid(&one.name, e))?;
    let used = info.get_entry_point(0);
    let handles = module.global_variables.iter().filter(|(handle, _)| !used[*handle].is_empty());
    let names = handles
        .filter_map(|(_, global)| Some((global.binding?.binding, global.name.clone().unwrap_or_default())));
    Ok(Compiled { words, names: names.collect() })
}

/// Writes numbers as NumPy's `.npy`.
fn array<T: WritableElement>(folder: &Path, name: &str, numbers: impl Iterator<Item = T>) -> Result<()> {
    let mut bytes = Vec::new();
    Array1::from_iter(numbers)
        .write_npy(&mut bytes)
        .map_err(|e| error::file(folder.join(name), "write", &e).with_source(e))?;
    save(folder, name, &bytes)
}

/// What lies in the folder, in words.
fn readme(described: &Described<'_>, dump: &Dump) -> String {
    let Described { case, repeat, adapter, outcome, .. } = described;
    let mut out = format!(
        "# {case}\n\n{} ({}, {}), maf-srl {}: {} of {} numbers are wrong.\n\n    {repeat}\n\n",
        adapter.name, adapter.backend, adapter.driver, described.version, outcome.mismatches, outcome.checked
    );
    for what in &outcome.mismatched {
        let _ = writeln!(out, "- {what}");
    }
    let _ = write!(
        out,
        "\nEvery dispatch ran in a submission of its own. Most cases run twice, the first time on their arrays backwards, which \
         nobody judges.\n\n\
         - `case.json`: the adapter, what was found, and each dispatch: entry point, workgroups, the value of the override \
         constant `invocations`, what is bound at which offset of which buffer.\n\
         - `dispatch-NN/`, {} in order: `shader.wgsl`; `shader.spv`, which is naga's SPIR-V 1.3 of it with `invocations` set; the \
         words of each binding before and after as u32 (`numpy.load(..).view('f4')` for numbers).\n\
         - `judged-gpu.npy`, `judged-reference.npy`, `judged-bound.npy`, `judged-right.npy`: the {} numbers that were judged, in \
         the judge's order: what the GPU made, what the float64 reference makes, how far off it may be (for an operator the \
         backward distance), and whether it holds.\n",
        dump.dispatches.len(),
        dump.judged.len()
    );
    out
}
