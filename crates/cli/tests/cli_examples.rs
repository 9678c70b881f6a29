//! Every command line of the documents is run, word for word, in the order of its document and in one folder per document:
//! a line reads what those before it wrote, and nothing else but the data sets in `DIR`, which are made here in the formats
//! of their publishers.
//!
//! A line that would take long is run twice ([`run_of`] lists them and says why): as it stands up to the choice of the
//! device, which comes when every word has been understood, every value checked and every data set read; and to its end
//! with fewer epochs, runs and cases. All others are run to their end as they stand.

#[path = "../../../tests/support/documents.rs"]
#[allow(dead_code, reason = "tables are another test's")]
mod documents;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

use documents::{documents, text};
use support::Place;

/// What stands for something else in a document, and what it is here. `DIR`, the folder of the data sets, is a folder of that
/// name.
const PLACEHOLDERS: [(&str, &str, &str); 3] = [
    // the penalty that the document adds
    ("ADDING.md", "rational", "tl1"),
    ("ADDING.md", "<name>", "lasso"),
    ("ADDING.md", "<kernel>", "chain"),
];

/// How far a line is run.
enum Run {
    /// As it stands, to its end.
    Whole,
    /// As it stands to the choice of the device; with other options to its end.
    Shorter(Vec<String>),
    /// As it stands to the choice of the device.
    ToTheDevice,
}

/// What is not run whole, and why.
fn run_of(words: &[String]) -> Run {
    let has = |option: &str| words.iter().any(|word| word == option);
    let mut options = vec![("--device", "cpu")];
    match words.first().map(String::as_str) {
        // Without a command there are no options: it is `train`, six methods with three seeds and 100 epochs.
        None => return run_of(&["train".to_owned()]),
        // 10 to 100 epochs of each method with each lambda and three seeds.
        Some("train") => {
            options.extend([("--epochs", "1"), ("--repeats", "1")]);
            // dozens of methods and lambdas
            if has("--preset") {
                options.push(("--hidden", "4"));
            }
            // an epoch that there is no more
            if has("--freeze-after") {
                options.push(("--freeze-after", "1"));
            }
        }
        // 30 epochs of two methods with three seeds.
        Some("denoise") => options.extend([("--epochs", "1"), ("--seeds", "1"), ("--test", "20")]),
        // Up to 100 epochs with three seeds, for one to eight depths, and ten runs of k-means each.
        Some("cluster") => {
            options.extend([("--epochs", "1"), ("--repeats", "1")]);
            // refused where no training is random
            let dsrl = words.windows(2).any(|pair| pair == ["--method", "dsrl"]);
            if !has("--labelled") && !dsrl {
                options.push(("--seeds", "1"));
            }
        }
        // Hundreds to thousands of cases on every adapter.
        Some("validate") if !has("--case") => options = vec![("--cases", "chain/")],
        // Minutes of timing; the formats need an adapter.
        Some("bench") if has("--formats") => options = vec![("--quick", ""), ("--formats", "16")],
        // Minutes, and half of one when quick: `cli_bench` runs that to its end.
        Some("bench") => return Run::ToTheDevice,
        _ => return Run::Whole,
    }
    let set = |words: Vec<String>, (option, value): (&str, &str)| with(words, option, value);
    Run::Shorter(options.into_iter().fold(words.to_vec(), set))
}

/// The words with an option set; a flag where the value is empty.
fn with(mut words: Vec<String>, option: &str, value: &str) -> Vec<String> {
    let value = Some(value.to_owned()).filter(|value| !value.is_empty());
    match (words.iter().position(|word| word == option), value) {
        (Some(at), Some(value)) => words[at + 1] = value,
        (Some(_), None) => {}
        (None, value) => words.extend([option.to_owned()].into_iter().chain(value)),
    }
    words
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents that say what to type; the changelog says what was.
fn guides() -> Vec<PathBuf> {
    let mut guides = documents(&root());
    guides.retain(|path| !path.ends_with("CHANGELOG.md"));
    guides.push(root().join("examples/javascript/README.md"));
    guides
}

fn tool(at: &Path, words: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maf-srl"))
        .args(words)
        .current_dir(at)
        .stdin(Stdio::null())
        .output()
        .expect("the tool starts")
}

/// The names of the commands, from clap's list.
fn commands() -> BTreeSet<String> {
    let help = String::from_utf8(tool(Path::new("."), &["--help".into()]).stdout).expect("a text");
    let list =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = list.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    let names = named.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help");
    names.map(String::from).collect()
}

/// The tool's command lines of a document, without the tool's name: lines of `sh` blocks, and what stands in backticks with
/// more than a command's name.
fn lines(path: &Path, commands: &BTreeSet<String>) -> Vec<Vec<String>> {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let text = text(path).replace("\\\n", " ");
    let split = |line: &str| -> Vec<String> {
        let mut line = line.to_owned();
        for (_, from, to) in PLACEHOLDERS.iter().filter(|(document, ..)| *document == name) {
            line = line.replace(from, to);
        }
        shlex::split(&line).unwrap_or_else(|| panic!("{name}: {line}"))
    };
    let mut found = Vec::new();
    let mut block: Option<&str> = None;
    let mut prose = String::new();
    let mut spoken = |prose: &mut String| {
        let said = std::mem::take(prose);
        for code in said.split('`').skip(1).step_by(2) {
            let Some(rest) = code.strip_prefix("maf-srl ").filter(|rest| !rest.starts_with('=')) else {
                continue;
            };
            let words = split(rest);
            assert!(commands.contains(&words[0]), "{name}: `{code}`");
            // a command's name alone is its name, not a call
            if words.len() > 1 {
                found.push(words);
            }
        }
    };
    let mut called = Vec::new();
    for line in text.lines().map(str::trim) {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) => {
                let is = |word: &str| {
                    line.strip_prefix(word).filter(|rest| rest.is_empty() || rest.starts_with(' '))
                };
                if let Some(rest) = is("maf-srl") {
                    called.push(split(rest));
                } else if let Some(rest) = is("cargo run") {
                    let words = split(rest);
                    match words.iter().position(|word| word == "--") {
                        Some(at) => called.push(words[at + 1..].to_vec()),
                        None if words.iter().all(|word| word == "--release") => called.push(Vec::new()),
                        // another program
                        None => {}
                    }
                }
            }
            (None, Some(language)) => {
                let command = line.strip_prefix("maf-srl ").and_then(|rest| rest.split(' ').next());
                let called = command.is_some_and(|command| commands.contains(command));
                assert!(!called, "{name}: {line:?} is in a block of {language:?}; expected sh");
            }
            (None, None) if line.is_empty() => spoken(&mut prose),
            (None, None) => prose += &format!("{line} "),
        }
    }
    spoken(&mut prose);
    called.extend(found);
    called
}

/// Runs the lines of a document.
fn follow(path: &Path, lines: &[Vec<String>]) {
    let place = Place::new();
    data(&place);
    let run = |words: &[String]| {
        let start = Instant::now();
        let output = tool(&place.at(""), words);
        // for whoever looks for the slow ones
        println!("{:5.1} s  maf-srl {}", start.elapsed().as_secs_f64(), words.join(" "));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), format!("{}: maf-srl {}: {said}", path.display(), words.join(" ")))
    };
    for words in lines {
        let run_of = run_of(words);
        if !matches!(run_of, Run::Whole) {
            let (status, said) = run(&with(words.clone(), "--device", "nowhere"));
            assert!(status == Some(2) && said.contains("no adapter matches \"nowhere\""), "{said}");
        }
        let words = match run_of {
            Run::Whole => words.clone(),
            Run::Shorter(words) => words,
            Run::ToTheDevice => continue,
        };
        let (status, said) = run(&words);
        assert_eq!(status, Some(0), "{said}");
        for pair in
            words.windows(2).filter(|pair| ["--out", "--chart", "--report"].contains(&pair[0].as_str()))
        {
            assert!(place.at(&pair[1]).exists(), "no {} after {said}", pair[1]);
        }
    }
}

#[test]
fn every_command_line_of_the_documents_runs() {
    let commands = commands();
    let all: Vec<_> = guides().into_iter().map(|path| (lines(&path, &commands), path)).collect();
    let count: usize = all.iter().map(|(lines, _)| lines.len()).sum();
    assert!(count > 40, "only {count} command lines found");
    let called: BTreeSet<_> =
        all.iter().flat_map(|(lines, _)| lines.iter().filter_map(|l| l.first())).collect();
    assert_eq!(called, commands.iter().collect(), "each command has an example");
    thread::scope(|scope| {
        for (lines, path) in &all {
            scope.spawn(|| follow(path, lines));
        }
    });
}

/// The data sets that the documents name, small, in `DIR`.
fn data(place: &Place) {
    fs::create_dir(place.at("DIR")).expect("made");
    let write = |name: &str, bytes: &[u8]| fs::write(place.at("DIR").join(name), bytes).expect("written");
    for (part, count) in [("train", 200_u32), ("t10k", 50)] {
        let words = |words: &[u32]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let pixels: Vec<u8> =
            (0..count * 784).map(|i| if i % 784 / 78 == i / 784 % 10 { 200 } else { 10 }).collect();
        let classes: Vec<u8> = (0..count).map(|k| (k % 10) as u8).collect();
        write(&format!("{part}-images-idx3-ubyte"), &[words(&[0x803, count, 28, 28]), pixels].concat());
        write(&format!("{part}-labels-idx1-ubyte"), &[words(&[0x801, count]), classes].concat());
    }
    for (name, count) in [("pendigits.tra", 200), ("pendigits.tes", 50)] {
        let stroke = |k: usize| {
            let values: Vec<_> = (0..16).map(|i| ((7 * i + 9 * k) % 101).to_string()).collect();
            format!("{},{}\n", values.join(","), k % 10)
        };
        write(name, (0..count).map(stroke).collect::<String>().as_bytes());
    }
    // three classes: strong edges inside of each, weak ones between
    let vertices = 30;
    let weight = |i: usize, j: usize| match (i == j, i % 3 == j % 3) {
        (true, _) => 0.0,
        (_, true) => 1.0 - 0.05 * ((i * j) % 7) as f64,
        (_, false) => {
            if (i + j).is_multiple_of(5) {
                0.2
            } else {
                0.0
            }
        }
    };
    let graph: Vec<f64> = (0..vertices * vertices).map(|k| weight(k / vertices, k % vertices)).collect();
    let classes: Vec<f64> = (0..vertices).map(|i| (i % 3 + 1) as f64).collect();
    for name in ["ALOI", "MSRC-v1", "ORL"] {
        write(&format!("{name}W.mat"), &mat("W", vertices as u32, &graph));
        write(&format!("{name}.mat"), &mat("Y", 1, &classes));
    }
}

/// A MATLAB file with one matrix of that many columns.
fn mat(name: &str, columns: u32, values: &[f64]) -> Vec<u8> {
    fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
        let mut all = [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
        all.extend_from_slice(bytes);
        all.resize(all.len().next_multiple_of(8), 0);
        all
    }
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    let numbers: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let rows = values.len() as u32 / columns;
    let parts = [
        element(6, &words(&[6, 0])),
        element(5, &words(&[rows, columns])),
        element(1, name.as_bytes()),
        element(9, &numbers),
    ];
    let mut file = b"MATLAB 5.0 MAT-file, by a test".to_vec();
    file.resize(124, b' ');
    file.extend(b"\x00\x01IM");
    file.extend(element(14, &parts.concat()));
    file
}
