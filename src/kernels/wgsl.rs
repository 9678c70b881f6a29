//! What the rooms' tests ask of a kernel's WGSL: that naga takes it, and how its structs are laid out.

use wgpu::naga;

/// A kernel's source, parsed and validated.
pub(super) fn module(variant: &str, source: &str, entry: &str) -> naga::Module {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| panic!("{variant}: {}", e.emit_to_string(source)));
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::default())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{variant}: {e:?}"));
    assert_eq!(module.entry_points[0].name, entry);
    module
}

/// The members of a struct with their offsets, and its size; none where the module has no such struct.
pub(super) fn members(module: &naga::Module, name: &str) -> Option<(Vec<(String, u32)>, u32)> {
    let (_, ty) = module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name))?;
    let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("{name} is a struct") };
    Some((members.iter().map(|m| (m.name.clone().unwrap(), m.offset)).collect(), *span))
}

/// Names at offsets of `stride` bytes each.
pub(super) fn spaced(names: &[&str], stride: u32) -> Vec<(String, u32)> {
    names.iter().zip(0..).map(|(name, k)| ((*name).to_owned(), stride * k)).collect()
}
