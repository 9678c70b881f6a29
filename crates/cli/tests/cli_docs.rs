//! What the documents say of commands, methods and data sets is what the program says.

#[path = "../../../tests/support/documents.rs"]
#[allow(dead_code, reason = "the list of documents is another test's")]
mod documents;

use std::path::PathBuf;
use std::process::{Command, Output};

use documents::{code, table, text};
use maf_srl::bench::LARGEST;
use maf_srl::compact::Probe;
use maf_srl::network::Family;
use maf_srl::regulariser::file;
use maf_srl_lab::MEMORY;
use maf_srl_lab::data::{Source, limits};
use maf_srl_lab::train::method::{DENSE, MAF, NAMED, ROWS, SOLVERS, learned_lambda};
use maf_srl_lab::train::{Choices, Method};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn commands() -> String {
    text(&root().join("docs/COMMANDS.md"))
}

fn tool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maf-srl")).args(arguments).output().expect("the tool starts")
}

fn help(arguments: &[&str]) -> String {
    let output = tool(arguments);
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("a text")
}

/// clap's list of the commands, with what each says of itself in one line.
fn subcommands() -> Vec<[String; 2]> {
    let help = help(&["--help"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let mut found = Vec::<[String; 2]>::new();
    for line in list.take_while(|line| !line.is_empty()) {
        // what is further in goes on with the line before
        match (line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')), found.last_mut()) {
            (Some(rest), _) => {
                let (name, about) = rest.split_once(' ').expect("a name and what it does");
                found.push([name.to_owned(), about.trim().to_owned()]);
            }
            (None, Some([_, about])) => *about += &format!(" {}", line.trim()),
            (None, None) => panic!("{line:?}"),
        }
    }
    found.retain(|[name, _]| name != "help");
    found
}

/// The first cells of a table, without their backticks.
fn first(rows: &[Vec<String>]) -> Vec<&str> {
    rows.iter().map(|row| code(&row[0])[0]).collect()
}

#[test]
fn the_table_of_commands() {
    let rows = table(&commands(), "# Commands");
    let rows: Vec<_> = rows.iter().map(|row| [code(&row[0])[0].to_owned(), row[1].clone()]).collect();
    assert_eq!(rows, subcommands());
}

#[test]
fn the_table_of_methods() {
    let rows = table(&commands(), "### Methods");
    let named = NAMED.iter().map(|named| (named.text(), named.lambda.to_string()));
    let learned = Family::ALL.map(|family| (family.name().to_owned(), learned_lambda(family).to_string()));
    let expected = std::iter::once((DENSE.to_owned(), "0".to_owned())).chain(named).chain(learned);
    let expected: Vec<_> = expected.collect();
    // the last one's lambda depends on its file
    let (maf, others) = rows.split_last().expect("rows");
    assert_eq!(code(&maf[0])[0], MAF);
    let found: Vec<_> = others.iter().map(|row| (code(&row[0])[0].to_owned(), row[1].clone())).collect();
    assert_eq!(found, expected);
    for named in NAMED {
        let text = named.text();
        let row = others.iter().find(|row| code(&row[0])[0] == text).expect("its row");
        assert_eq!(row[2], named.about, "{text}");
    }
    // and the parser reads each of them
    let list = first(others).join(",");
    let methods = Method::parse_list(&list, &Choices::default()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(methods.iter().map(|method| method.name.as_str()).collect::<Vec<_>>(), first(others));
}

#[test]
fn the_tables_of_solvers_presets_and_data_sets() {
    assert_eq!(first(&table(&commands(), "### Solvers")), SOLVERS);

    let wrong = tool(&["train", "--preset", "no-such-preset"]);
    let message = String::from_utf8(wrong.stderr).expect("a text");
    let presets = table(&commands(), "### Presets");
    let values = format!("[possible values: {}]", first(&presets).join(", "));
    assert!(message.contains(&values), "{values} in: {message}");

    let rows = table(&commands(), "### Data sets");
    assert_eq!(first(&rows), Source::ALL.map(Source::name));
    for (row, source) in rows.iter().zip(Source::ALL) {
        assert_eq!(code(&row[1]), source.files(), "{source}");
    }
}

#[test]
fn the_table_of_limits() {
    let limits: [u64; 17] = [
        MEMORY,
        ROWS,
        Probe::MOST as u64,
        LARGEST.into(),
        limits::PIXELS as u64,
        limits::SIDE as u64,
        limits::PICTURES as u64,
        limits::TEXT,
        limits::LINE,
        limits::MAT,
        limits::ENTRIES as u64,
        limits::VARIABLES as u64,
        limits::NPY_HEADER as u64,
        limits::SAFETENSORS_HEADER,
        limits::TENSORS as u64,
        file::BYTES,
        file::HEADER,
    ];
    let found: Vec<u64> =
        table(&commands(), "## Limits").iter().map(|row| row[1].parse().expect("a number")).collect();
    assert_eq!(found, limits);
}
