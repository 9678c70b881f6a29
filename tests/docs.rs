//! T1: what the documents say of penalties and base steps is what the code says, and their links lead
//! somewhere.

#[path = "support/documents.rs"]
mod documents;

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use documents::{code, documents, table, text};
use maf_srl::kernels::step::Optimizer;
use maf_srl::penalty::{Described, GroupPenalty, Layout, Penalty};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn penalties() -> String {
    text(&root().join("docs/PENALTIES.md"))
}

/// A table whose rows open with a text form: one row for each of `all`, in order, opening with the default's.
/// What else is in the first cell must be the same thing with other parameters, and `others` says what the other
/// cells must be, as far as the code knows them.
fn holds<T: Display + FromStr<Err = maf_srl::Error>>(
    rows: &[Vec<String>],
    all: &[T],
    name: impl Fn(&T) -> &'static str,
    others: impl Fn(&T) -> Vec<(usize, String)>,
) {
    let found: Vec<_> = rows.iter().map(|row| code(&row[0])[0]).collect();
    let expected: Vec<_> = all.iter().map(T::to_string).collect();
    assert_eq!(found, expected, "the rows, and what there is");
    for (row, one) in rows.iter().zip(all) {
        for form in code(&row[0]) {
            let read: T = form.parse().unwrap_or_else(|e| panic!("{form}: {e}"));
            assert_eq!((name(&read), read.to_string().as_str()), (name(one), form));
        }
        for (column, cell) in others(one) {
            assert_eq!(row[column], cell, "{one}, column {column}");
        }
    }
}

/// The shape parameters and where they may lie.
fn domains<F>(rule: &(impl Described<F> + ?Sized)) -> String {
    let one = |p: maf_srl::penalty::Parameter| format!("{} in {}", p.name, p.domain);
    rule.parameters().into_iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_table_of_penalties() {
    let rows = table(&penalties(), "## Penalties of single weights");
    holds(&rows, &Penalty::all(), Penalty::name, |penalty| {
        let rule = penalty.rule();
        vec![(1, rule.formula().into()), (2, domains(rule)), (3, rule.source().into())]
    });
}

#[test]
fn the_table_of_group_penalties() {
    let rows = table(&penalties(), "## Groups: neurons and filters that die as a whole");
    holds(&rows, &GroupPenalty::all(), GroupPenalty::name, |penalty| {
        vec![(1, penalty.rule().formula().into()), (3, penalty.rule().source().into())]
    });
    for (row, penalty) in rows.iter().zip(GroupPenalty::all()) {
        assert_eq!(!row[2].contains("not the prox"), penalty.rule().is_prox(), "{penalty}: {}", row[2]);
    }
}

/// The table in the source, whose rows are names alone.
#[test]
fn the_table_of_group_operators() {
    let source = text(&root().join("src/penalty/group/mod.rs"));
    let source = source.replace("//! ", "");
    let opening = source.lines().find(|line| line.starts_with("In the table t is")).expect("what t is");
    let rows = table(&source, opening);
    let names: Vec<_> = rows.iter().map(|row| code(&row[0])[0]).collect();
    let all = GroupPenalty::all();
    assert_eq!(names, all.iter().map(GroupPenalty::name).collect::<Vec<_>>());
}

#[test]
fn the_table_of_base_steps() {
    holds(&table(&penalties(), "## Base steps"), &Optimizer::all(), Optimizer::name, |base| {
        vec![(2, base.states().to_string())]
    });
}

/// The layouts' text forms are those that the parser names where it knows no other.
#[test]
fn the_table_of_layouts() {
    let rows = table(&penalties(), "### Layouts");
    let forms: Vec<_> = rows.iter().map(|row| code(&row[0])[0]).collect();
    let error = "no such layout".parse::<Layout>().expect_err("no such layout").to_string();
    assert!(error.ends_with(&format!("there are {}", forms.join(", "))), "{forms:?}: {error}");
    for form in forms {
        let form = form.replace('K', "16");
        assert_eq!(form.parse::<Layout>().unwrap_or_else(|e| panic!("{e}")).to_string(), form);
    }
}

#[test]
fn the_readme_counts_the_penalties() {
    let readme = text(&root().join("README.md")).replace('\n', " ");
    for count in [
        format!("for {} penalties of single weights", Penalty::all().len()),
        format!("and {} of whole neurons and filters", GroupPenalty::all().len()),
    ] {
        assert!(readme.contains(&count), "README.md does not say: {count}");
    }
}

/// The last part of a link to a heading, as GitHub makes it: lower case, `-` for blanks, no other
/// punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Lines outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for path in documents(root()) {
        let from = text(&path);
        let targets = prose(&from).flat_map(|line| line.split("](").skip(1));
        for target in targets.filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            assert!(to.exists(), "{}: no file for ({target})", path.display());
            if !heading.is_empty() {
                let headings = text(&to);
                let mut headings = prose(&headings).filter_map(|line| line.strip_prefix('#'));
                let there = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
                assert!(there, "{}: no heading for ({target})", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} links found");
}
