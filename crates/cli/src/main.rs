//! The command-line tool: one file per command.
//!
//! A command is a [`clap::Args`] struct with `run(&self, &Global) -> Result<()>`. What it prints goes through
//! [`Global::print`]; progress goes to stderr by [`Global::progress`]. Exit status: 0 done, 1 a check failed,
//! 2 the request was wrong, with one line on stderr.

mod bench;
mod cluster;
mod compact;
mod denoise;
mod devices;
mod formats;
mod interrupt;
mod norms;
mod prox;
mod train;
mod validate;
mod wgsl;

use std::collections::HashSet;
use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;

use maf_srl::error::{self, Error, Result, unsupported};
use maf_srl::penalty::{Groups, Layout, Penalty};
use maf_srl::schedule::Backend;
use maf_srl::text::{printable, visible};
use maf_srl_lab::data::{self, Select, Source, Tensor, Tensors};
use maf_srl_lab::table::table;
use maf_srl_lab::train::Folder;

use train::Train;

/// Exact zeros by proximal steps, on any GPU, checked against float64 on the CPU.
///
/// Without a command: train, on DIGITS. Exit status: 0 done, 1 a check failed, 2 the request was wrong.
#[derive(Debug, Parser)]
#[command(name = "maf-srl", version, max_term_width = 110)]
struct Tool {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Devices(devices::Devices),
    Prox(prox::Prox),
    Norms(norms::Norms),
    Compact(compact::Compact),
    Train(Box<Train>),
    Denoise(Box<denoise::Denoise>),
    Cluster(Box<cluster::Cluster>),
    Validate(validate::Validate),
    Bench(bench::Bench),
    Wgsl(wgsl::Wgsl),
}

/// The train command's own defaults, for a call without a command.
#[derive(Debug, Parser)]
struct Bare {
    #[command(flatten)]
    train: Train,
}

/// The options that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Print one JSON document on stdout instead of tables
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,
    /// Adapter: an index, part of its name, or "cpu" (float64, all cores) [default: the best one; for validate and devices:
    /// all]
    #[arg(long, global = true, value_name = "DEVICE", display_order = 100)]
    pub device: Option<String>,
    /// A line for each epoch, not for each run alone, where stderr is no terminal
    #[arg(long, short, global = true, display_order = 100)]
    pub verbose: bool,
}

impl Global {
    /// Where the steps run: what `--device` names, else the best adapter.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where nothing answers to `--device`.
    pub fn backend(&self) -> Result<Backend> {
        let backend = Backend::choose(self.device.as_deref())?;
        if self.device.is_none() && matches!(backend, Backend::Cpu) {
            note(&format!("no adapter found, running on the CPU; {}", maf_srl::gpu::HELP));
        }
        Ok(backend)
    }

    /// Whether `--device` names the CPU, as [`Backend::choose`] reads it.
    fn on_cpu(&self) -> bool {
        self.device.as_deref().is_some_and(|device| device.trim().eq_ignore_ascii_case("cpu"))
    }

    /// Refuses an adapter for what runs on none.
    fn no_adapter(&self, what: &str) -> Result<()> {
        match &self.device {
            Some(device) if !self.on_cpu() => {
                Err(unsupported("--device", format!("{device:?} for {what}, which runs on the CPU"), "cpu"))
            }
            _ => Ok(()),
        }
    }

    /// Prints `document` as JSON under `--json`, else what `table` makes of it.
    ///
    /// # Errors
    /// [`Error::File`] where stdout cannot be written. A reader that has gone away is no error.
    pub fn print<T: Serialize>(&self, document: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
        let text = if self.json {
            let failed = |e| error::file("stdout", "write", &e).with_source(e);
            serde_json::to_string_pretty(document).map_err(failed)?
        } else {
            table(document)
        };
        // What is foreign in it must do nothing to a terminal. In JSON all of that is inside strings.
        let mut shown = String::with_capacity(text.len());
        for c in text.trim_end().chars() {
            match visible(c) || c == '\n' {
                true => shown.push(c),
                false if self.json => {
                    shown.extend(c.encode_utf16(&mut [0; 2]).iter().map(|word| format!("\\u{word:04x}")));
                }
                false => shown.extend(c.escape_debug()),
            }
        }
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{shown}").and_then(|()| stdout.flush()) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(error::io("stdout", "write", e)),
            _ => Ok(()),
        }
    }

    /// A progress bar of `length` steps on stderr, or a spinner; hidden where stderr is no terminal.
    #[must_use]
    pub fn progress(&self, length: Option<u64>, message: &str) -> ProgressBar {
        let bar = match length {
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::new_spinner(),
        };
        // Cleared when dropped as well, so that an error stands on a line of its own.
        let bar = bar.with_finish(ProgressFinish::AndClear);
        let template = match length {
            Some(_) => "{msg} {wide_bar} {pos}/{len} {eta}",
            None => "{spinner} {msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// A line on how far the work is: beside the bar, or on a line of its own where stderr is no terminal, there with
    /// `--verbose` or as the last of its run.
    fn tell(&self, bar: &ProgressBar, last: bool, line: &str) {
        if io::stderr().is_terminal() {
            bar.set_message(printable(line));
        } else if last || self.verbose {
            // A closed stderr is no reason to stop.
            let _ = writeln!(io::stderr(), "{}", printable(line));
        }
    }
}

/// One line on stderr, however many there were.
fn note(message: &str) {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // A closed stderr is no reason to stop.
    let _ = writeln!(io::stderr(), "maf-srl: {}", printable(&line));
}

/// Says what a run has removed that an earlier one left in its folder.
fn note_removed(folder: &Folder) {
    match folder.removed() {
        0 => {}
        1 => note(&format!("a file of an earlier run is removed from {}", folder.path().display())),
        n => note(&format!("{n} files of an earlier run are removed from {}", folder.path().display())),
    }
}

/// Says which files of a data set are those of another one.
fn note_mistaken(source: Source, folder: Option<&Path>) -> Result<()> {
    let mistaken = source.mistaken(folder)?;
    if let Some((_, other)) = mistaken.first() {
        let files: Vec<_> = mistaken.iter().map(|(path, _)| path.display().to_string()).collect();
        note(&format!("{}: by the published checksums of {other}, not of {source}", files.join(", ")));
    }
    Ok(())
}

/// Refuses an option that has no effect on what was asked for, where it was given; `with` has one.
fn idle(given: bool, option: &str, with: &str) -> Result<()> {
    if given { Err(unsupported(option, "it has no effect here", with)) } else { Ok(()) }
}

/// Every penalty of the register with what `about` says of it, for a long help.
fn penalties(about: impl Fn(&Penalty) -> String) -> String {
    let rows: Vec<_> = Penalty::all().iter().map(|p| (format!("  {p}"), about(p))).collect();
    let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
    rows.iter().map(|(penalty, about)| format!("{penalty:<width$}  {about}\n")).collect()
}

/// The tensors of a file and their groups.
struct Grouped {
    /// Those whose shape has such groups.
    tensors: Tensors,
    /// The groups of each; none where no layout was asked for.
    groups: Vec<Groups>,
    /// Names and shapes of the others, which are carried over.
    left: Vec<(String, Vec<usize>)>,
}

impl Grouped {
    /// Reads a file. What `--select` names must have such groups; without it one tensor must, and the others are left out.
    fn read(path: &Path, select: Option<&Select>, layout: Option<&Layout>) -> Result<Self> {
        let tensors = Tensors::read(path, select)?;
        let Some(layout) = layout else {
            return Ok(Grouped { tensors, groups: Vec::new(), left: Vec::new() });
        };
        let found: Vec<Result<Groups>> = tensors.iter().map(|tensor| grouped(tensor, layout)).collect();
        let fits = |groups: &Result<Groups>| !matches!(groups, Err(Error::Shape { .. }));
        if select.is_some() || !found.iter().any(fits) {
            let groups = found.into_iter().collect::<Result<_>>()?;
            return Ok(Grouped { tensors, groups, left: Vec::new() });
        }
        let (mut names, mut left) = (HashSet::new(), Vec::new());
        for (tensor, groups) in tensors.iter().zip(&found) {
            let name = tensor.name().to_owned();
            if fits(groups) {
                names.insert(name);
            } else {
                left.push((name, tensor.shape().to_vec()));
            }
        }
        // Read again, so that the others are carried over as bytes, whatever their type.
        let tensors =
            if left.is_empty() { tensors } else { Tensors::read(path, Some(&Select::Named(names)))? };
        let groups = found.into_iter().filter(fits).collect::<Result<_>>()?;
        Ok(Grouped { tensors, groups, left })
    }
}

/// Says on stderr which tensors have no such groups, if any, and what became of them.
fn tell_left(left: &[(String, Vec<usize>)], layout: &Layout, became: &str) {
    if left.is_empty() {
        return;
    }
    let left: Vec<_> = left.iter().map(|(name, shape)| format!("{} {shape:?}", printable(name))).collect();
    let _ = writeln!(
        io::stderr(),
        "maf-srl: no {layout} in {}: {became}; --select names the tensors to be taken",
        left.join(", ")
    );
}
/// The most groups of a tensor without elements.
const EMPTY: u64 = 1 << 20;

/// The groups of a tensor of a file, whose values are in row-major order; where its shape has none such, the error says how
/// to leave it out.
fn grouped(tensor: &Tensor, layout: &Layout) -> Result<Groups> {
    let shape: Vec<u64> = tensor.shape().iter().map(|&axis| axis as u64).collect();
    // without elements the axes may be of any length: 2^40 empty rows are in a file of a hundred bytes
    let few = |groups: Groups| match groups.count() {
        count if groups.is_empty() && count > EMPTY => {
            let expected = format!("at most {EMPTY} in a tensor without elements");
            Err(error::shape(format!("groups {layout}"), "number of groups", count, expected))
        }
        _ => Ok(groups),
    };
    Groups::new(layout.clone(), &shape).and_then(few).map_err(|error| match error {
        Error::Shape { name, got, expected, .. } => Error::Shape {
            place: format!("tensor {:?} with --groups {layout}", tensor.name()),
            name,
            got,
            expected: format!("{expected}; --select names the tensors to be taken"),
        },
        other => other,
    })
}

/// The command line. Every value may be a number below zero: what it is wrong for says so, with its range.
fn command() -> clap::Command {
    fn numbers(arg: Arg) -> Arg {
        let values = arg.get_action().takes_values();
        arg.allow_negative_numbers(values)
    }
    Tool::command().mut_args(numbers).mut_subcommands(|command| command.mut_args(numbers))
}

/// Reads the process's arguments, runs the command and returns the exit status.
fn main() -> ExitCode {
    interrupt::watch();
    let parsed = command().try_get_matches().and_then(|found| Tool::from_arg_matches(&found));
    let outcome = match parsed {
        Ok(tool) => run(&tool),
        Err(asked) if !asked.use_stderr() => {
            // Help and version; a reader that has gone away is no error.
            let _ = asked.print();
            return ExitCode::SUCCESS;
        }
        Err(wrong) => return fail(2, &usage(&wrong)),
    };
    for path in data::removed() {
        let path = printable(&path.display().to_string());
        let _ = writeln!(io::stderr(), "maf-srl: removed {path}, which an interrupted run had left");
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Mismatch(_)) => fail(1, &said(&error)),
        Err(error) => fail(2, &said(&error)),
    }
}

fn run(tool: &Tool) -> Result<()> {
    let global = &tool.global;
    match &tool.command {
        Some(Command::Devices(command)) => command.run(global),
        Some(Command::Prox(command)) => command.run(global),
        Some(Command::Norms(command)) => command.run(global),
        Some(Command::Compact(command)) => global.no_adapter("compact").and_then(|()| command.run(global)),
        Some(Command::Train(command)) => command.run(global),
        Some(Command::Denoise(command)) => command.run(global),
        Some(Command::Cluster(command)) => command.run(global),
        Some(Command::Validate(command)) => command.run(global),
        Some(Command::Bench(command)) => command.run(global),
        Some(Command::Wgsl(command)) => global.no_adapter("wgsl").and_then(|()| command.run(global)),
        None => {
            let none: [OsString; 1] = ["maf-srl".into()];
            let bare = Bare::try_parse_from(none).map_err(|e| Error::Text {
                place: "command line".into(),
                text: String::new(),
                reason: usage(&e),
            })?;
            bare.train.run(global)
        }
    }
}

/// What is wrong, in the words of the command line: the library and the experiments name `fields` in backticks, which here
/// are flags.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let tool = Tool::command();
    let commands = std::iter::once(&tool).chain(tool.get_subcommands());
    let flags: HashSet<&str> =
        commands.flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long).collect();
    let mut line = String::new();
    let mut rest = text.as_str();
    while let Some((before, field, after)) = quoted(rest) {
        let flag = if field == "rate" { "lr".into() } else { field.replace('_', "-") };
        if flags.contains(flag.as_str()) {
            line += &format!("{before}--{flag}");
            rest = after;
        } else {
            line += &format!("{before}`");
            rest = &rest[before.len() + 1..];
        }
    }
    line + rest
}

/// What stands before the first pair of backticks, in it, and after it.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (field, after) = rest.split_once('`')?;
    Some((before, field, after))
}

fn fail(status: u8, message: &str) -> ExitCode {
    note(message);
    ExitCode::from(status)
}

/// What clap has to say, without its drawing of the usage.
fn usage(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\nUsage:").next().unwrap_or_default();
    let said = said.split("\nFor more information").next().unwrap_or_default();
    let parts = said.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut said = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    // the standard library's words for what is no number say neither that nor what would be one
    if let Some(source) = error.source() {
        let words = match (source.downcast_ref::<ParseIntError>(), source.is::<ParseFloatError>()) {
            (Some(e), _) if *e.kind() == IntErrorKind::PosOverflow => "the number is too large",
            (Some(_), _) => "expected a whole number, 0 or above",
            (None, true) => "expected a number",
            (None, false) => "",
        };
        if let (false, Some(before)) = (words.is_empty(), said.strip_suffix(&source.to_string())) {
            said = format!("{before}{words}");
        }
    }
    format!("{}; see --help", said.trim_start_matches("error: "))
}
