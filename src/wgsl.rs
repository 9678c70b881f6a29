//! All WGSL of the library, and how a complete module is made of its files.
//!
//! A file names in its first line the others that it cannot do without, `// needs: shared/tile_at, group/row`; what fills its
//! variation points (a penalty, a base step, a width) is chosen by who composes.

use include_dir::{Dir, include_dir};

static SHADERS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// The text of a file, named without its ending.
fn text(name: &str) -> Option<&'static str> {
    SHADERS.get_file(format!("{name}.wgsl"))?.contents_utf8()
}

/// What a file names in its first line.
fn needs(text: &str) -> impl Iterator<Item = &str> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("// needs: "));
    line.into_iter().flat_map(|line| line.split(',').map(str::trim))
}

/// Whether a file defines a function.
pub(crate) fn defines(name: &str, function: &str) -> bool {
    text(name).is_some_and(|text| text.contains(&format!("fn {function}(")))
}

/// The files and all that they need, each once, the needed before those that need them. A name without a file becomes a line
/// that no compiler takes; the tests compose every variant.
pub(crate) fn compose(files: &[&str]) -> String {
    fn add<'a>(name: &'a str, seen: &mut Vec<&'a str>, all: &mut String) {
        if seen.contains(&name) {
            return;
        }
        seen.push(name);
        let Some(text) = text(name) else {
            all.push_str(&format!("there is no file {name}\n"));
            return;
        };
        needs(text).for_each(|name| add(name, seen, all));
        all.push_str(text);
        all.push('\n');
    }
    let (mut seen, mut all) = (Vec::new(), String::new());
    files.iter().for_each(|name| add(name, &mut seen, &mut all));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &'static Dir<'static>) -> Vec<String> {
        let own = folder.files().map(|file| file.path().with_extension("").display().to_string());
        own.chain(folder.dirs().flat_map(names)).collect()
    }

    #[test]
    fn what_is_needed_is_there_without_circles() {
        fn depth(name: &str, left: usize) -> usize {
            assert!(left > 0, "{name} needs itself");
            let text = text(name).unwrap_or_else(|| panic!("there is no file {name}"));
            needs(text).map(|name| 1 + depth(name, left - 1)).max().unwrap_or(0)
        }
        let all = names(&SHADERS);
        assert!(all.len() > 80, "{all:?}");
        assert!(all.iter().map(|name| depth(name, 8)).max().unwrap() > 1);
    }

    #[test]
    fn every_file_is_composed_once_into_some_variant() {
        let sources: Vec<String> = crate::kernels::KERNELS
            .iter()
            .flat_map(|room| (room.variants)().into_iter().map(|variant| variant.wgsl))
            .collect();
        for name in names(&SHADERS).iter().filter(|name| !name.starts_with("bench")) {
            let text = text(name).unwrap();
            let count = |source: &String| source.matches(text).count();
            assert_eq!(sources.iter().map(count).max(), Some(1), "{name}");
        }
    }

    #[test]
    fn a_missing_file_is_no_module() {
        let source = compose(&["shared/place", "penalty/none_such"]);
        assert!(source.contains("there is no file penalty/none_such"));
        assert!(wgpu::naga::front::wgsl::parse_str(&source).is_err());
    }
}
