//! T1: the register, the folders and the shader files say the same.

use std::collections::BTreeSet;
use std::path::Path;

use maf_srl::Penalty;
use maf_srl::gpu::compute_pipeline;
use maf_srl::kernels::{KERNELS, Kernel, Source};
use wgpu::naga;

/// The names, without extension, of a folder's files of one kind.
fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .map(|p| p.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_room_has_its_files_and_every_shader_its_room() {
    let rooms: BTreeSet<String> = KERNELS.iter().map(|room| room.name.to_owned()).collect();
    assert_eq!(stems("shaders", "wgsl"), rooms);
    for room in KERNELS {
        let files = stems(&format!("src/kernels/{}", room.name), "rs");
        for needed in ["mod", "reference", "cases", "bench"] {
            assert!(files.contains(needed), "{} lacks {needed}.rs", room.name);
        }
        for case in (room.cases)() {
            assert!(case.name().starts_with(&format!("{}/", room.name)), "{}", case.name());
        }
    }
}

/// A variant's module, valid without any feature, and what of it is used.
fn module(room: &Kernel, variant: &Source) -> (naga::Module, naga::valid::ModuleInfo) {
    let name = format!("{}/{}", room.name, variant.name);
    let module = naga::front::wgsl::parse_str(&variant.wgsl)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&variant.wgsl)));
    let (flags, features) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::default());
    let info = naga::valid::Validator::new(flags, features)
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {e:?}"));
    assert_eq!(module.entry_points.len(), 1, "{name}");
    assert_eq!(module.entry_points[0].name, room.name, "{name}: the entry point is the room's name");
    (module, info)
}

/// The storage buffers that the kernel uses: binding, whether it is only read, type.
fn storage(
    (module, info): &(naga::Module, naga::valid::ModuleInfo),
) -> Vec<(u32, bool, naga::Handle<naga::Type>)> {
    let globals = module.global_variables.iter();
    globals
        .filter(|(handle, _)| !info.get_entry_point(0)[*handle].is_empty())
        .filter_map(|(_, global)| match global.space {
            naga::AddressSpace::Storage { access } => {
                let binding = global.binding.as_ref().expect("a binding").binding;
                Some((binding, !access.contains(naga::StorageAccess::STORE), global.ty))
            }
            _ => None,
        })
        .collect()
}

/// The structs that a type is made of, by their names.
fn structs(module: &naga::Module, ty: naga::Handle<naga::Type>, found: &mut BTreeSet<String>) {
    match &module.types[ty].inner {
        naga::TypeInner::Array { base, .. } => structs(module, *base, found),
        naga::TypeInner::Struct { members, .. } => {
            found.insert(module.types[ty].name.clone().expect("a name"));
            members.iter().for_each(|member| structs(module, member.ty, found));
        }
        _ => {}
    }
}

/// The struct of a name as WGSL lays it out; arrays without a size take no bytes.
fn laid_out(module: &naga::Module, name: &str) -> Option<(Vec<(String, u32)>, u32)> {
    let (_, ty) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name))?;
    let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("{name} is a struct") };
    let open = members.last().is_some_and(|last| {
        let dynamic = naga::ArraySize::Dynamic;
        matches!(&module.types[last.ty].inner, naga::TypeInner::Array { size, .. } if *size == dynamic)
    });
    let size = if open { members.last().map_or(0, |last| last.offset) } else { *span };
    Some((members.iter().map(|m| (m.name.clone().expect("a name"), m.offset)).collect(), size))
}

#[test]
fn every_variant_is_valid_and_reads_the_structs_that_the_host_writes() {
    for room in KERNELS {
        let (mut known, mut met) = (BTreeSet::new(), BTreeSet::new());
        for variant in (room.variants)() {
            let name = format!("{}/{}", room.name, variant.name);
            let module = module(room, &variant);
            let mut read = BTreeSet::new();
            for (_, _, ty) in storage(&module).into_iter().filter(|(_, only_read, _)| *only_read) {
                structs(&module.0, ty, &mut read);
            }
            for host in &variant.structs {
                known.insert(host.name);
                read.remove(host.name);
                let Some((members, size)) = laid_out(&module.0, host.name) else { continue };
                met.insert(host.name);
                let ours: Vec<_> = host.members.iter().map(|&(name, at)| (name.to_owned(), at)).collect();
                assert_eq!((ours, host.size), (members, size), "{name}: {}", host.name);
            }
            assert!(read.is_empty(), "{name} reads structs that the host does not know: {read:?}");
        }
        assert_eq!(known, met, "{}: no variant has all of these", room.name);
    }
}

#[test]
fn every_variant_compiles_on_the_default_limits() {
    let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    for room in KERNELS {
        for variant in (room.variants)() {
            let bindings: Vec<_> = storage(&module(room, &variant))
                .into_iter()
                .map(|(k, only_read, _)| (k, only_read))
                .collect();
            let name = format!("{}/{}", room.name, variant.name);
            compute_pipeline(&device, &name, &variant.wgsl, room.name, 256, &bindings)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn case_and_variant_names_are_unique() {
    for room in KERNELS {
        let cases = (room.cases)().iter().map(|case| case.name()).collect::<Vec<_>>();
        let variants = (room.variants)().into_iter().map(|v| v.name);
        let mut seen = BTreeSet::new();
        for name in cases.into_iter().chain(variants.map(|name| format!("variant {name}"))) {
            assert!(seen.insert(name.clone()), "{name} twice");
        }
    }
}

#[test]
fn every_penalty_has_its_two_files_and_every_file_its_penalty() {
    let names: BTreeSet<String> = Penalty::all().iter().map(|p| p.name().replace('-', "_")).collect();
    assert_eq!(stems("shaders/penalty", "wgsl"), names);
    let modules = stems("src/penalty", "rs");
    assert!(names.is_subset(&modules), "{:?}", names.difference(&modules));
}

#[test]
fn every_shared_shader_is_used() {
    let sources: String = KERNELS.iter().flat_map(|room| (room.variants)()).map(|v| v.wgsl).collect();
    for name in stems("shaders/shared", "wgsl") {
        let says = [format!("fn {name}("), format!("const {} =", name.to_uppercase())];
        assert!(
            says.iter().any(|it| sources.contains(it)),
            "shaders/shared/{name}.wgsl is used by no kernel"
        );
    }
}

/// The numbers of a WGSL text that are written with a point or an exponent, in decimals.
fn decimals(wgsl: &str) -> Vec<&str> {
    let code = wgsl.lines().map(|line| line.split("//").next().unwrap_or_default());
    let tokens = code.flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c))));
    let number = |token: &&str| token.starts_with(|c: char| c.is_ascii_digit()) && !token.starts_with("0x");
    // what has a negative exponent is small
    tokens.filter(number).filter(|token| token.contains(['.', 'e']) && !token.ends_with('e')).collect()
}

/// naga rounds a number beyond the largest f32 down to it; Tint refuses the module, as the specification asks.
#[test]
fn every_number_of_the_shaders_is_one_of_f32() {
    let beyond = |wgsl: &str| -> Vec<String> {
        let value = |token: &str| token.trim_end_matches('f').parse::<f64>().unwrap_or(f64::NAN);
        let wrong = |token: &&str| value(token).is_nan() || value(token) > f64::from(f32::MAX);
        decimals(wgsl).into_iter().filter(wrong).map(String::from).collect()
    };
    assert_eq!(beyond("const A = 3.40282347e38; const B = 3.4028234e38f; // 1e99"), ["3.40282347e38"]);
    for room in KERNELS {
        for variant in (room.variants)() {
            assert_eq!(beyond(&variant.wgsl), [""; 0], "{}/{}", room.name, variant.name);
        }
    }
}
