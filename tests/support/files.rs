//! The files of a folder.

use std::path::{Path, PathBuf};

/// Every file below a folder, with its text.
///
/// # Panics
/// Where they cannot be read.
pub fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let (mut open, mut all) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let inside = std::fs::read_dir(&path).expect("a folder");
            open.extend(inside.map(|entry| entry.expect("an entry").path()));
        } else {
            let text = std::fs::read_to_string(&path).expect("a text");
            all.push((path, text));
        }
    }
    all
}
