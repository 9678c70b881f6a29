//! Tables of text.

use maf_srl::text::printable;

/// Lines of a table: the first column to the left, the others to the right, as wide as their widest cell. Names in it may be
/// foreign: what is not visible is escaped, so that a cell stays one.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let shown = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>();
    let rows: Vec<_> = rows.iter().map(shown).collect();
    let mut widths = Vec::new();
    for (column, cell) in rows.iter().flat_map(|row| row.iter().enumerate()) {
        widths.resize(widths.len().max(column + 1), 0);
        widths[column] = cell.chars().count().max(widths[column]);
    }
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        })
        .collect()
}
