//! The order of the house: no circle of imports between files, and no import of a higher floor.
//!
//! A file may use what a module above it in the tree declares (`super::Variant` of its own `mod.rs`): that is its parent's
//! vocabulary, and counts as no import. Declaring a child, or handing its names on by `pub use`, counts as none either.
//! Tests are left out: they may look at everything.
//!
//! And the loops of the shaders, which end: naga is told so (`src/gpu/pipeline.rs`).

#[path = "support/files.rs"]
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use files::texts;
use syn::visit::Visit;

/// A package's modules from the ground up. Those of one floor do not import each other.
const LIBRARY: &[&[&str]] = &[
    &["error", "shape", "wgsl"],
    &["text", "accuracy", "matrix"],
    &["penalty", "gpu", "compact"],
    &["regulariser"],
    &["kernels"],
    &["schedule", "network"],
    &["validate", "bench"],
];
const LAB: &[&[&str]] = &[
    &["statistics", "table", "rate", "noise", "memory"],
    &["unfolded"],
    &["data", "chart"],
    &["train", "denoise", "cluster"],
];

type Module = Vec<String>;

/// A package's files by their modules.
struct Package {
    name: &'static str,
    files: BTreeMap<Module, (PathBuf, syn::File)>,
}

/// The paths that a file names, from the package's root; and of those the names that it hands on.
#[derive(Default)]
struct Names {
    module: Module,
    children: BTreeSet<String>,
    used: Vec<Module>,
    handed_on: BTreeMap<String, Module>,
}

fn of_tests(attributes: &[syn::Attribute]) -> bool {
    let test = |a: &syn::Attribute| {
        a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    };
    attributes.iter().any(test)
}

impl Names {
    /// The module path from the root, if the path leads into this package.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let up = path.iter().take_while(|part| *part == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&self.module, &path[1..]].concat()),
            "super" => {
                let base = self.module.len().checked_sub(up)?;
                Some([&self.module[..base], &path[up..]].concat())
            }
            first if self.children.contains(first) => Some([&self.module, path].concat()),
            _ => None,
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, mut path: Module, public: bool) {
        match tree {
            syn::UseTree::Path(next) => {
                path.push(next.ident.to_string());
                self.tree(&next.tree, path, public);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, path.clone(), public));
            }
            syn::UseTree::Name(_) | syn::UseTree::Rename(_) | syn::UseTree::Glob(_) => {
                let (name, known) = match tree {
                    syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
                    syn::UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
                    _ => (String::new(), String::new()),
                };
                if !name.is_empty() && name != "self" {
                    path.push(name);
                }
                let Some(path) = self.absolute(&path) else { return };
                match public {
                    true => drop(self.handed_on.insert(known, path)),
                    false => self.used.push(path),
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !of_tests(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, Vec::new(), !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Module = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if parts.len() > 1 {
            self.used.extend(self.absolute(&parts));
        }
        syn::visit::visit_path(self, path);
    }
}

impl Package {
    /// Reads the package whose sources lie in `src`, but its tests.
    fn read(name: &'static str, src: &Path) -> Self {
        let mut package = Package { name, files: BTreeMap::new() };
        package.folder(src, &Vec::new());
        assert!(package.files.len() > 5, "{} has {} files", src.display(), package.files.len());
        package
    }

    fn folder(&mut self, folder: &Path, module: &Module) {
        for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            let inner = || [&module[..], std::slice::from_ref(&stem)].concat();
            if stem == "tests" {
                continue;
            } else if path.is_dir() {
                self.folder(&path, &inner());
            } else if path.extension().is_some_and(|e| e == "rs") {
                let of = if ["mod", "lib", "main"].contains(&&*stem) { module.clone() } else { inner() };
                let text = std::fs::read_to_string(&path).expect("a text");
                let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                self.files.insert(of, (path, parsed));
            }
        }
    }

    /// What every file names.
    fn names(&self) -> BTreeMap<&Module, Names> {
        let read = |(module, (_, file)): (_, &(PathBuf, syn::File))| {
            let module: &Module = module;
            let inside = |other: &&Module| other.len() == module.len() + 1 && other.starts_with(module);
            let children = self.files.keys().filter(inside).filter_map(|m| m.last().cloned()).collect();
            let mut names = Names { module: module.clone(), children, ..Names::default() };
            names.visit_file(file);
            (module, names)
        };
        self.files.iter().map(read).collect()
    }

    /// The module of the file that declares what a path names.
    fn declares<'a>(&'a self, names: &BTreeMap<&'a Module, Names>, path: &Module) -> &'a Module {
        let mut path = path.clone();
        // as many handings-on as there can be
        for _ in 0..8 {
            let longest = (0..=path.len()).rev().find_map(|n| self.files.get_key_value(&path[..n]));
            let module = longest.expect("every package has a root").0;
            let next = path.get(module.len()).and_then(|name| names[module].handed_on.get(name));
            match next {
                Some(further) if *further != path => {
                    path = [further, &path[module.len() + 1..]].concat();
                }
                _ => return module,
            }
        }
        panic!("{}: {path:?} is handed on in a circle", self.name)
    }

    /// The files that each file imports.
    fn imports(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let names = self.names();
        let of = |(module, own): (&&Module, &Names)| {
            let module: &Module = self.files.get_key_value(*module).expect("it was read").0;
            let all = own.used.iter().map(|path| self.declares(&names, path));
            (module, all.filter(|other| !module.starts_with(other)).collect())
        };
        names.iter().map(of).collect()
    }

    fn no_circles(&self) {
        let imports = self.imports();
        let mut circles = BTreeSet::new();
        'files: for start in imports.keys() {
            // the way back to the start, if there is one
            let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
            let mut open = std::collections::VecDeque::from([*start]);
            while let Some(module) = open.pop_front() {
                for next in &imports[module] {
                    if next == start {
                        let mut way = vec![start.join("::"), module.join("::")];
                        let mut at = module;
                        while at != *start {
                            at = came_from[at];
                            way.push(at.join("::"));
                        }
                        way.reverse();
                        circles.insert(way.join(" -> "));
                        continue 'files;
                    }
                    if !came_from.contains_key(next) {
                        came_from.insert(next, module);
                        open.push_back(next);
                    }
                }
            }
        }
        let circles: Vec<_> = circles.into_iter().collect();
        assert!(circles.is_empty(), "{}: circles of imports:\n{}", self.name, circles.join("\n"));
    }

    fn downwards(&self, floors: &[&[&str]]) {
        let floor = |module: &Module| {
            let name = module.first()?;
            let at = floors.iter().position(|floor| floor.contains(&name.as_str()));
            Some(at.unwrap_or_else(|| panic!("{}: no floor has {name}", self.name)))
        };
        let mut wrong = Vec::new();
        for (module, others) in self.imports() {
            for other in others.into_iter().filter(|other| other.first() != module.first()) {
                // the root hands on what it likes
                let (Some(from), Some(to)) = (floor(module), floor(other)) else { continue };
                if to >= from {
                    wrong.push(format!("{} imports {}", module.join("::"), other.join("::")));
                }
            }
        }
        assert!(wrong.is_empty(), "{}: not below:\n{}", self.name, wrong.join("\n"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_library_has_no_circles_and_imports_downwards() {
    let library = Package::read("maf-srl", &root().join("src"));
    library.downwards(LIBRARY);
    library.no_circles();
}

#[test]
fn the_experiments_the_command_and_burns_optimiser_have_no_circles() {
    let lab = Package::read("maf-srl-lab", &root().join("crates/lab/src"));
    lab.downwards(LAB);
    lab.no_circles();
    Package::read("maf-srl-cli", &root().join("crates/cli/src")).no_circles();
    Package::read("maf-srl-burn", &root().join("crates/burn/src")).no_circles();
}

/// What is below the command knows no flag of it.
#[test]
fn flags_stand_in_the_command_alone() {
    for src in ["src", "crates/lab/src"] {
        for (path, text) in texts(&root().join(src)) {
            for (number, line) in text.lines().enumerate() {
                let flag = line.match_indices("--").any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + 2..].chars().next();
                    before.is_some_and(|c| "\" (`".contains(c))
                        && after.is_some_and(|c| c.is_ascii_lowercase())
                });
                assert!(!flag, "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}

/// A circle and an import upwards are found.
#[test]
fn what_is_wrong_is_found() {
    let package = |files: &[(&str, &str)]| {
        let module = |name: &str| -> Module {
            name.split("::").filter(|part| !part.is_empty()).map(String::from).collect()
        };
        let files = files
            .iter()
            .map(|(name, text)| (module(name), (PathBuf::from(name), syn::parse_file(text).expect("Rust"))));
        Package { name: "made up", files: files.collect() }
    };
    let found = |check: &(dyn Fn() + std::panic::RefUnwindSafe)| std::panic::catch_unwind(check).is_err();
    let circle = package(&[
        ("", "mod a; mod b;"),
        ("a", "mod c; pub use c::C;"),
        ("a::c", "pub struct C; fn f() { crate::b::g(); }"),
        ("b", "use crate::a::C; pub fn g() {}"),
    ]);
    assert!(found(&|| circle.no_circles()));
    assert!(found(&|| circle.downwards(&[&["a"], &["b"]])));
    let fine = package(&[
        ("", "mod a; mod b;"),
        ("a", "mod c; pub use c::C; pub struct D;"),
        ("a::c", "use super::D; pub struct C; #[cfg(test)] mod tests { use crate::b::g; }"),
        ("b", "use crate::a::{C, D}; pub fn g() {}"),
    ]);
    fine.no_circles();
    fine.downwards(&[&["a"], &["b"]]);
    assert!(found(&|| fine.downwards(&[&["b"], &["a"]])));
}

/// What is wrong with a loop of WGSL, if anything is: it must count to a bound by a step that is never 0.
fn endless(line: &str) -> Option<&'static str> {
    let line = line.trim();
    let line = line.split("//").next().unwrap_or_default();
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    if words.contains(&"loop") {
        return Some("a loop without a bound");
    }
    if words.contains(&"while") {
        // the bits of one word, the lowest of which is cleared in each turn
        return (line != "while bits != 0u {").then_some("a loop whose bound nobody knows");
    }
    let Some(head) = line.strip_prefix("for (").and_then(|rest| rest.strip_suffix(") {")) else {
        return words.contains(&"for").then_some("a loop over several lines");
    };
    let [_, condition, step] = head.split(';').map(str::trim).collect::<Vec<_>>()[..] else {
        return Some("a loop of another form");
    };
    // a bit for each round, the lowest of which is cleared
    if (condition, step) == ("left != 0u", "left &= left - 1u") {
        return None;
    }
    // bounded in its body by MEASUREMENTS
    if (condition, step) == ("", "i++") {
        return None;
    }
    let ways = [" += ", "++", " *= 2u", "--", " /= 2u"];
    let [up, down] = [&ways[..3], &ways[3..]].map(|ways| ways.iter().any(|way| step.contains(way)));
    let bounded = condition.contains(" < ") || condition.contains(" <= ");
    match () {
        () if step.contains("+= 0") || step.contains(" - ") => Some("a step that may be nothing"),
        () if up && bounded || down && condition.contains(" > ") => None,
        () => Some("a loop that counts away from its bound"),
    }
}

#[test]
fn every_loop_of_the_shaders_ends() {
    let (mut loops, mut faults, mut searches) = (0, Vec::new(), Vec::new());
    for (path, text) in texts(&root().join("shaders")) {
        for (number, line) in (1..).zip(text.lines()) {
            loops += usize::from(line.trim().starts_with("for ("));
            faults.extend(endless(line).map(|fault| format!("{}:{number}: {fault}", path.display())));
        }
        if text.contains("; ; i++)") {
            searches.push(text);
        }
    }
    assert!(loops > 50, "only {loops} loops");
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(searches.len(), 1);
    assert!(searches[0].contains("if i >= MEASUREMENTS {\n                    break;"));
    for wrong in [
        "loop {",
        "while x > 0.0 {",
        "for (var i = 0u; i < n; i -= 1u) {",
        "for (var i = n; i > 0u; i++) {",
        "for (var i = 0u; i != n; i += 2u) {",
        "for (var i = 0u; i < n;",
    ] {
        assert!(endless(wrong).is_some(), "{wrong}");
    }
}
