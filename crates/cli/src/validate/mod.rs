//! `maf-srl validate`: every kernel, every case, every adapter.

mod dump;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::wgsl::json;
use crate::{Global, note, table};
use maf_srl::error::{Error, Result, unsupported};
use maf_srl::gpu::{adapters, choose, position};
use maf_srl::kernels::Case;
use maf_srl::text::{nearest, printable};
use maf_srl::validate::{Report, cases, quick, run};
use maf_srl_lab::data::{prepare, save};

/// Run every case of every kernel on the adapters and judge the results by float64 references
///
/// Exit status 1 on any mismatch. --device all stands for every adapter, as no --device does.
#[derive(Args, Clone, Debug)]
pub struct Validate {
    /// Write report.json and report.md into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Only the cases whose name contains this, for example step/adam/tl1
    #[arg(long, value_name = "TEXT")]
    cases: Option<String>,
    /// Exactly the one case of this name, as --list prints it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["cases", "quick"])]
    case: Option<String>,
    /// A part of the smaller ones: the first of each kind, and every ninth
    #[arg(long)]
    quick: bool,
    /// Run the cases so many times, one time after another, and not once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    /// Print the names of the cases, and run none
    #[arg(long)]
    list: bool,
    /// Write all of the one case into this new folder: shaders, what they read and wrote, what is right
    #[arg(long, value_name = "DIR", requires = "case", conflicts_with = "list")]
    dump: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document {
    adapters: Vec<Report>,
}

impl Validate {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        let cases = self.chosen()?;
        if self.list {
            let names: Vec<String> = cases.iter().map(|case| case.name()).collect();
            return global.print(&names, |names| names.join("\n"));
        }
        let chosen: Vec<(usize, wgpu::Adapter)> = match global.device.as_deref() {
            Some(_) if global.on_cpu() => {
                return Err(unsupported(
                    "--device",
                    "cpu is the reference itself",
                    "all, or an adapter of `maf-srl devices`",
                ));
            }
            None | Some("all") => adapters().into_iter().enumerate().collect(),
            Some(name) => {
                let mut all = adapters();
                let index = position(&all, Some(name))?;
                vec![(index, all.swap_remove(index))]
            }
        };
        if chosen.is_empty() {
            choose(None)?;
        }
        self.report.as_deref().map_or(Ok(()), |folder| prepare(folder, "report.json"))?;
        if let Some(folder) = &self.dump {
            let [(index, adapter)] = chosen.as_slice() else {
                let reason = "it takes one adapter; --device names it".into();
                return Err(Error::Text {
                    place: "--dump".into(),
                    text: folder.display().to_string(),
                    reason,
                });
            };
            dump::check(folder)?;
            dump::write(folder, *index, adapter.clone(), &*cases[0])?;
        }
        let times = self.repeat.unwrap_or(1);
        let all = chosen.len() as u64 * cases.len() as u64 * u64::from(times);
        let bar = global.progress(Some(all), "validating");
        let mut document = Document { adapters: Vec::new() };
        let mut broken = Vec::new();
        for (_, adapter) in chosen {
            let info = adapter.get_info();
            bar.set_message(printable(&info.name));
            match run(adapter, &cases, times, || bar.inc(1)) {
                Ok(report) => document.adapters.push(report),
                // one driver that fails must not hide what the others do
                Err(error) => broken.push((format!("{} ({:?})", info.name, info.backend), error)),
            }
        }
        bar.finish_and_clear();
        if let Some(folder) = &self.report {
            let json = json(&folder.join("report.json"), &document)?;
            save(folder, "report.json", json.trim_end().as_bytes())?;
            save(folder, "report.md", markdown(&document).as_bytes())?;
        }
        global.print(&document, text)?;
        let mismatches: u64 = document.adapters.iter().map(|a| a.mismatches).sum();
        for (adapter, error) in broken.iter().skip(usize::from(mismatches == 0)) {
            note(&format!("{adapter}: {error}"));
        }
        match (mismatches, broken.into_iter().next()) {
            (0, None) => Ok(()),
            (0, Some((_, error))) => Err(error),
            (n, _) => Err(Error::Mismatch(format!("{n} mismatches"))),
        }
    }

    /// The cases that the options name.
    fn chosen(&self) -> Result<Vec<Box<dyn Case>>> {
        let nothing = |option: &str, text: &str, reason| {
            Err(Error::Text { place: option.into(), text: text.into(), reason })
        };
        if let Some(name) = &self.case {
            let one: Vec<_> = cases(Some(name)).into_iter().filter(|case| case.name() == *name).collect();
            if one.is_empty() {
                let all: Vec<String> = cases(None).iter().map(|case| case.name()).collect();
                let near = nearest(name, all.iter().map(String::as_str));
                let near = near.map_or_else(String::new, |near| format!(", did you mean {near}?"));
                return nothing(
                    "--case",
                    name,
                    format!("no case has this name{near}; --list prints them all"),
                );
            }
            return Ok(one);
        }
        let some = cases(self.cases.as_deref());
        match &self.cases {
            Some(text) if some.is_empty() => {
                let near = meant(text);
                let reason = "names begin with the kernel, for example step/";
                nothing("--cases", text, format!("no case's name contains it; {near}{reason}"))
            }
            _ => Ok(if self.quick { quick(some) } else { some }),
        }
    }
}

/// The question whether a text like it was meant that is as many parts of a case's name, a penalty's without its numbers.
fn meant(text: &str) -> String {
    let parts = text.split('/').count();
    let mut known = BTreeSet::new();
    for case in cases(None) {
        let name = case.name();
        let stems: Vec<&str> = name.split('/').filter_map(|part| part.split('(').next()).collect();
        known.extend(stems.windows(parts).map(|stems| stems.join("/")));
    }
    let near = nearest(text, known.iter().map(String::as_str));
    near.map_or_else(String::new, |name| format!("did you mean {name}? "))
}

const HEAD: [&str; 10] = [
    "adapter",
    "backend",
    "driver",
    "cases",
    "mismatches",
    "skipped",
    "elements",
    "max ULP",
    "of its bound",
    "seconds",
];

fn row(report: &Report) -> Vec<String> {
    vec![
        report.name.clone(),
        report.backend.clone(),
        report.driver.clone(),
        report.cases.to_string(),
        report.mismatches.to_string(),
        report.skipped.to_string(),
        report.checked.to_string(),
        format!("{:.2}", report.max_ulps),
        format!("{:.2}", report.max_share),
        format!("{:.1}", report.seconds),
    ]
}

/// How many remarks the terminal shows of each adapter.
const SHOWN: usize = 20;

/// What did not hold or was not run, one line each.
fn remarks(report: &Report) -> Vec<String> {
    let failures =
        report.failures.iter().flat_map(|f| f.what.iter().map(|what| format!("{}: {what}", f.case)));
    let leaning = report.kernels.iter().filter(|kernel| kernel.leans).map(|kernel| {
        format!(
            "{}: results lean to one side, by {:+.2} ULP in the mean of {} ({:.0} deviations), which WGSL permits; rounding \
             to nearest does not",
            kernel.name, kernel.bias_ulps, kernel.bias_elements, kernel.bias_deviations
        )
    });
    let failures = failures.chain(leaning);
    let skipped = report.skip_reason.iter().map(|reason| format!("{} skipped: {reason}", report.skipped));
    failures.chain(skipped).collect()
}

fn text(document: &Document) -> String {
    let mut rows = vec![HEAD.map(String::from).to_vec()];
    rows.extend(document.adapters.iter().map(row));
    let mut out = table(&rows);
    for report in &document.adapters {
        let remarks = remarks(report);
        for remark in remarks.iter().take(SHOWN) {
            let _ = writeln!(out, "{} ({}): {remark}", report.name, report.backend);
        }
        if remarks.len() > SHOWN {
            let rest = remarks.len() - SHOWN;
            let _ =
                writeln!(out, "{} ({}): and {rest} more; --report writes all", report.name, report.backend);
        }
    }
    out
}

fn markdown(document: &Document) -> String {
    let mut out = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for report in &document.adapters {
        let _ = writeln!(out, "| {} |", row(report).join(" | "));
    }
    for report in &document.adapters {
        for remark in remarks(report) {
            let _ = writeln!(out, "\n- {}: {remark}", report.name);
        }
    }
    out
}
