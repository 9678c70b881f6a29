//! `maf-srl wgsl`: the kernels as complete WGSL modules, each with what a host in any language must know of
//! it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use naga::{Handle, ScalarKind, Type, TypeInner};
use serde::{Deserialize, Serialize};

use crate::{Global, table};
use maf_srl::error::{self, Error, Result};
use maf_srl::kernels::{KERNELS, Rule, Source};
use maf_srl::text::there_are;
use maf_srl_lab::data::save;

/// Write the kernels as WGSL modules with bindings and layouts as JSON
///
/// Every variant of every kernel becomes DIR/KERNEL/VARIANT.wgsl, one complete module, and
/// DIR/KERNEL/VARIANT.json: entry point, workgroup size, constants to override, bindings, layouts of the
/// structs that the host writes, and the rules by which it is dispatched. DIR/index.json lists them.
///
/// The same version writes the same bytes. A folder that holds other files is refused; one that this command
/// has written is written anew, and modules that are not written again stay.
#[derive(Args, Clone, Debug)]
pub struct Wgsl {
    /// Where to: a new folder, an empty one, or one that this command has written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only these kernels [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    kernels: Vec<String>,
    /// Write into a folder with other files too, over those of the same names
    #[arg(long)]
    force: bool,
}

/// What tells our index from another program's.
const GENERATOR: &str = "maf-srl wgsl";
const INDEX: &str = "index.json";

/// `index.json`, and what `--json` prints.
#[derive(Serialize)]
struct Index {
    generator: &'static str,
    version: &'static str,
    kernels: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    variants: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    name: String,
    /// From the folder on, with `/`.
    module: String,
    about: String,
}

/// What an index must say to be ours.
#[derive(Deserialize)]
struct Written {
    generator: String,
}

/// What stands beside a module.
#[derive(Serialize)]
struct Module<'a> {
    kernel: &'a str,
    variant: &'a str,
    entry_point: &'a str,
    workgroup_size: [u32; 3],
    overrides: Vec<Override<'a>>,
    bindings: Vec<Binding<'a>>,
    structs: Vec<Struct<'a>>,
    /// Text by subject.
    rules: serde_json::Map<String, serde_json::Value>,
}

/// A constant that the host sets when it makes the pipeline.
#[derive(Serialize)]
struct Override<'a> {
    name: &'a str,
    r#type: String,
    /// What the module has without.
    default: Option<u32>,
    /// What the library sets.
    value: u32,
}

#[derive(Serialize)]
struct Binding<'a> {
    group: u32,
    binding: u32,
    name: &'a str,
    address_space: &'static str,
    /// As WGSL has it.
    access: &'static str,
    /// WebGPU's `GPUBufferBindingType` of the bind group's layout.
    buffer_type: &'static str,
    r#type: String,
    /// Bytes from an element to the next, of an array.
    stride: Option<u32>,
}

/// A struct that the host writes.
#[derive(Serialize)]
struct Struct<'a> {
    name: &'a str,
    /// Without a last array that has no size.
    size: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    name: &'a str,
    offset: u32,
    /// None of an array without.
    size: Option<u32>,
    r#type: String,
    /// What the module says before it; it may go on to members behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
}

impl Wgsl {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let known = || KERNELS.iter().map(|kernel| kernel.name);
        if let Some(unknown) = self.kernels.iter().find(|name| !known().any(|known| known == *name)) {
            let reason = format!("no such kernel; {}", there_are(unknown, known()));
            return Err(Error::Text { place: "--kernels".into(), text: unknown.clone(), reason });
        }
        if !self.force {
            ours(&self.out)?;
        }
        let wanted = |name: &str| self.kernels.is_empty() || self.kernels.iter().any(|wanted| wanted == name);
        let kernels: Vec<_> = KERNELS
            .iter()
            .filter(|kernel| wanted(kernel.name))
            .map(|kernel| (kernel.name, (kernel.variants)()))
            .collect();
        let total = kernels.iter().map(|(_, variants)| variants.len() as u64).sum();
        let progress = global.progress(Some(total), "modules");
        let mut index =
            Index { generator: GENERATOR, version: env!("CARGO_PKG_VERSION"), kernels: Vec::new() };
        for (kernel, variants) in kernels {
            let mut listed = Listed { name: kernel, variants: Vec::new() };
            for source in &variants {
                let at = format!("{kernel}/{}", source.name);
                let (module, about) = (format!("{at}.wgsl"), format!("{at}.json"));
                let described = described(&at, kernel, source)?;
                write(&self.out, &module, source.wgsl.as_bytes())?;
                write(&self.out, &about, described.as_bytes())?;
                listed.variants.push(Place { name: source.name.clone(), module, about });
                progress.inc(1);
            }
            index.kernels.push(listed);
        }
        // last, so that a new folder with an index is complete
        write(&self.out, INDEX, json(&self.out.join(INDEX), &index)?.as_bytes())?;
        progress.finish_and_clear();
        global.print(&index, |index| self.table(index))
    }

    fn table(&self, index: &Index) -> String {
        let row = |kernel: &Listed| vec![kernel.name.to_owned(), kernel.variants.len().to_string()];
        let head = vec!["kernel".to_owned(), "modules".to_owned()];
        let rows: Vec<_> = std::iter::once(head).chain(index.kernels.iter().map(row)).collect();
        format!("{}\n{}", self.out.join(INDEX).display(), table(&rows))
    }
}

/// Refuses a folder with files that are not ours.
fn ours(folder: &Path) -> Result<()> {
    let unread = |e| error::io(folder, "read", e);
    match folder.try_exists() {
        Ok(false) => return Ok(()),
        Ok(true) if !folder.is_dir() => {
            return Err(error::file(folder, "write", "is not a folder; allowed: a new or empty folder"));
        }
        Ok(true) => {}
        Err(e) => return Err(unread(e)),
    }
    if fs::read_dir(folder).map_err(unread)?.next().is_none() {
        return Ok(());
    }
    let index = fs::read(folder.join(INDEX)).ok();
    let written = index.and_then(|bytes| serde_json::from_slice::<Written>(&bytes).ok());
    if written.is_some_and(|index| index.generator == GENERATOR) {
        return Ok(());
    }
    let allowed = format!("a new or empty folder, one with its {INDEX}, or --force");
    Err(error::file(
        folder,
        "write",
        format!("holds files that {GENERATOR} has not written; allowed: {allowed}"),
    ))
}

/// Writes a file below a folder, whole or not at all.
fn write(folder: &Path, at: &str, contents: &[u8]) -> Result<()> {
    let (parent, name) = at.rsplit_once('/').unwrap_or(("", at));
    save(&folder.join(parent), name, contents)
}

/// A document of the file `path`.
pub(super) fn json(path: &Path, value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|e| error::file(path, "write", &e).with_source(e))
}

/// What is wrong with a module that is no valid one of one entry point.
pub(super) fn invalid(place: &str, what: impl std::fmt::Display) -> Error {
    error::unsupported(place, what.to_string(), "valid modules of one entry point")
}

/// A module, and what of it is used; the tests read every one of them like this.
pub(super) fn parsed(place: &str, wgsl: &str) -> Result<(naga::Module, naga::valid::ModuleInfo)> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| invalid(place, e.emit_to_string(wgsl)))?;
    let (flags, features) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::default());
    let info = naga::valid::Validator::new(flags, features)
        .validate(&module)
        .map_err(|e| invalid(place, e.into_inner()))?;
    Ok((module, info))
}

/// What a module says of itself, and what the library says of it.
fn described<'a>(place: &str, kernel: &'a str, source: &'a Source) -> Result<String> {
    let (module, info) = parsed(place, &source.wgsl)?;
    let [entry] = module.entry_points.as_slice() else { return Err(invalid(place, "several entry points")) };
    let used = info.get_entry_point(0);

    let overrides = module.overrides.iter().map(|(_, constant)| Override {
        name: constant.name.as_deref().unwrap_or_default(),
        r#type: text(&module, constant.ty),
        default: constant.init.and_then(|init| match module.global_expressions[init] {
            naga::Expression::Literal(naga::Literal::U32(value)) => Some(value),
            _ => None,
        }),
        value: source.invocations,
    });
    // what the kernel does not use stays out of the layout, and may have the number of what it does use
    let variables = module.global_variables.iter().filter(|(handle, _)| !used[*handle].is_empty());
    let bindings = variables.filter_map(|(_, global)| {
        let at = global.binding.as_ref()?;
        let naga::AddressSpace::Storage { access } = global.space else { return None };
        let stride = match module.types[global.ty].inner {
            TypeInner::Array { stride, .. } => Some(stride),
            _ => None,
        };
        Some(Binding {
            group: at.group,
            binding: at.binding,
            name: global.name.as_deref().unwrap_or_default(),
            address_space: "storage",
            access: if access.contains(naga::StorageAccess::STORE) { "read_write" } else { "read" },
            buffer_type: if source.reads.contains(&at.binding) { "read-only-storage" } else { "storage" },
            r#type: text(&module, global.ty),
            stride,
        })
    });
    let mut bindings: Vec<_> = bindings.collect();
    bindings.sort_by_key(|binding| (binding.group, binding.binding));
    let described = Module {
        kernel,
        variant: &source.name,
        entry_point: &entry.name,
        workgroup_size: [source.invocations, 1, 1],
        overrides: overrides.collect(),
        bindings,
        structs: source.structs.iter().filter_map(|of| layout(&module, source, of)).collect(),
        rules: source
            .rules
            .iter()
            .map(|Rule { subject, text }| ((*subject).into(), (*text).into()))
            .collect(),
    };
    json(Path::new(place), &described)
}

/// A struct of the host, if this module has it.
fn layout<'a>(
    module: &naga::Module,
    source: &'a Source,
    of: &'a maf_srl::kernels::Struct,
) -> Option<Struct<'a>> {
    let (_, ty) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(of.name))?;
    let TypeInner::Struct { members: inside, .. } = &ty.inner else { return None };
    let (about, said) = comments(&source.wgsl, of.name);
    let members = of.members.iter().filter_map(|&(name, offset)| {
        let member = inside.iter().find(|member| member.name.as_deref() == Some(name))?;
        let inner = &module.types[member.ty].inner;
        let open = matches!(inner, TypeInner::Array { size: naga::ArraySize::Dynamic, .. });
        Some(Member {
            name,
            offset,
            size: inner.try_size(module.to_ctx()).filter(|_| !open),
            r#type: text(module, member.ty),
            about: said.iter().find(|(of, _)| of == name).map(|(_, said)| said.clone()),
        })
    });
    Some(Struct { name: of.name, size: of.size, about, members: members.collect() })
}

/// A type as WGSL writes it.
fn text(module: &naga::Module, ty: Handle<Type>) -> String {
    let scalar = |scalar: naga::Scalar| match scalar.kind {
        ScalarKind::Float => format!("f{}", 8 * scalar.width),
        ScalarKind::Sint => format!("i{}", 8 * scalar.width),
        ScalarKind::Uint => format!("u{}", 8 * scalar.width),
        _ => "bool".into(),
    };
    let ty = &module.types[ty];
    match ty.inner {
        TypeInner::Scalar(of) => scalar(of),
        TypeInner::Atomic(of) => format!("atomic<{}>", scalar(of)),
        TypeInner::Vector { size, scalar: of } => format!("vec{}<{}>", size as u8, scalar(of)),
        TypeInner::Array { base, size: naga::ArraySize::Constant(n), .. } => {
            format!("array<{}, {n}>", text(module, base))
        }
        TypeInner::Array { base, .. } => format!("array<{}>", text(module, base)),
        _ => ty.name.clone().unwrap_or_default(),
    }
}

/// What a module's comments say of a struct, and of its members by their names.
fn comments(wgsl: &str, name: &str) -> (Option<String>, Vec<(String, String)>) {
    let opening = format!("struct {name} {{");
    let (mut said, mut lines) = (Vec::new(), wgsl.lines().map(str::trim));
    let comment = |line: &str| line.strip_prefix("//").map(|text| text.trim().to_owned());
    let joined = |said: &[String]| Some(said.join(" ")).filter(|text| !text.is_empty());
    for line in lines.by_ref() {
        match comment(line) {
            // which files are composed is no matter to a host
            Some(text) if text.starts_with("needs: ") => {}
            Some(text) => said.push(text),
            None if line == opening => break,
            None => said.clear(),
        }
    }
    // what follows an empty line of the comment is about how the module is put together
    let about = said.split(String::is_empty).next().and_then(joined);
    let mut members = Vec::new();
    said.clear();
    for line in lines.take_while(|line| *line != "}") {
        match (comment(line), line.split_once(':')) {
            (Some(text), _) => said.push(text),
            (None, Some((member, _))) => {
                members.extend(joined(&said).map(|text| (member.to_owned(), text)));
                said.clear();
            }
            (None, None) => {}
        }
    }
    (about, members)
}
