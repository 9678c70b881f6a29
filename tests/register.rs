//! T1: the register, the folders and the shader files say the same.

use std::collections::BTreeSet;
use std::path::Path;

use maf_srl::Penalty;
use maf_srl::kernels::ROOMS;

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
    let rooms: BTreeSet<String> = ROOMS.iter().map(|room| room.name.to_owned()).collect();
    assert_eq!(stems("shaders", "wgsl"), rooms);
    for room in ROOMS {
        let files = stems(&format!("src/kernels/{}", room.name), "rs");
        for needed in ["mod", "reference", "cases", "bench"] {
            assert!(files.contains(needed), "{} lacks {needed}.rs", room.name);
        }
        for case in (room.cases)() {
            assert!(case.name().starts_with(&format!("{}/", room.name)), "{}", case.name());
        }
        for (name, wgsl) in (room.variants)() {
            assert!(
                wgsl.contains(&format!("fn {}(", room.name)),
                "{name}: the entry point is not the room's name"
            );
        }
    }
}

#[test]
fn case_and_variant_names_are_unique() {
    for room in ROOMS {
        let cases = (room.cases)().iter().map(|case| case.name()).collect::<Vec<_>>();
        let variants = (room.variants)().into_iter().map(|(name, _)| name);
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
    let sources: String = ROOMS.iter().flat_map(|room| (room.variants)()).map(|(_, wgsl)| wgsl).collect();
    for name in stems("shaders/shared", "wgsl") {
        assert!(sources.contains(&format!("fn {name}(")), "shaders/shared/{name}.wgsl is used by no kernel");
    }
}
