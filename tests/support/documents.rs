//! The documents as text, for the tests that hold them against the code.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Markdown file for readers, from the repository's root: those of the root and of `docs/`.
pub fn documents(root: &Path) -> Vec<PathBuf> {
    let folders = [root.to_owned(), root.join("docs")];
    let inside = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let mut found: Vec<_> = inside.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.sort();
    found
}

/// The text of a file.
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rows of the first table after the line `heading`, cell by cell, without the head.
pub fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "no line {heading:?}");
    let lines = lines.skip_while(|line| !line.starts_with('|'));
    let rows: Vec<_> = lines.take_while(|line| line.starts_with('|')).skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "no table after {heading:?}");
    rows
}

/// The cells of a row. A `|` within a cell is written `\|`.
fn cells(row: &str) -> Vec<String> {
    let row = row.replace(r"\|", "\0");
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// What stands in backticks.
pub fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}
