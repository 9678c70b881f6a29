//! `maf-srl bench`: time, bandwidth, and share of the adapter's own copy, kernel by kernel.

use std::path::PathBuf;

use clap::Args;

use crate::{Global, table};
use maf_srl::bench::{Measured, Options, Report, Way, run, run_references, steps};
use maf_srl::error::{Result, unsupported};
use maf_srl::gpu::Clock;
use maf_srl::schedule::Backend;
use maf_srl_lab::data::Output;

/// Measure every kernel against the adapter's copy bandwidth
///
/// Each kernel is compared with its float64 reference, then timed at several sizes beside a plain copy of as many
/// bytes. Beside that: fused kernels against separate passes, and a thousand small tensors in one schedule against a
/// thousand plans. With --device cpu the float64 references are timed instead.
#[derive(Args, Clone, Debug)]
pub struct Bench {
    /// Two sizes and few repeats
    #[arg(long)]
    quick: bool,
    /// Also write the tables as Markdown
    #[arg(long, value_name = "FILE.md", conflicts_with = "formats")]
    report: Option<PathBuf>,
    /// Time the formats of a sparse N x N matrix instead, against density and number of vectors
    #[arg(long, value_name = "N")]
    formats: Option<u32>,
    /// With --formats: also draw them
    #[arg(long, value_name = "FILE.svg", requires = "formats")]
    chart: Option<PathBuf>,
}

const SOFTWARE: &str = "A software adapter: these figures prove nothing about GPUs.";
const TWINS: &str = "The float64 references on this machine's cores: these figures prove nothing about GPUs.";

impl Bench {
    pub(super) fn run(&self, global: &Global) -> Result<()> {
        // found wanting now rather than after the work
        let [report, chart] =
            [&self.report, &self.chart].map(|path| path.as_ref().map(|p| Output::new(p, &[])));
        let (report_to, chart_to) = (report.transpose()?, chart.transpose()?);
        let backend = global.backend()?;
        let software = match &backend {
            Backend::Gpu(context) => context.is_software(),
            Backend::Cpu => true,
        };
        let options = Options::new(software, self.quick);
        if let Some(components) = self.formats {
            let Backend::Gpu(context) = &backend else {
                return Err(unsupported(
                    "--formats",
                    "the float64 references, which know no formats",
                    "an adapter",
                ));
            };
            return super::formats::run(global, context, components, &options.effort, chart_to);
        }
        let bar = global.progress(Some(steps(&options)), "bench");
        let mut progress = |step: &str| {
            bar.set_message(step.to_owned());
            bar.inc(1);
        };
        let report = match &backend {
            Backend::Gpu(context) => run(context, &options, &mut progress)?,
            Backend::Cpu => run_references(&options, &mut progress),
        };
        bar.finish_and_clear();
        if let Some(output) = report_to {
            output.commit(|file| file.write_all(markdown(&report).as_bytes()))?;
        }
        global.print(&report, plain)
    }
}

/// One table: a title, what to know of it, the head and the lines.
struct Section {
    title: String,
    note: &'static str,
    lines: Vec<Vec<String>>,
}

/// The report as tables, for the terminal and for Markdown alike.
fn sections(report: &Report) -> Vec<Section> {
    let line = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_string()).collect::<Vec<String>>();
    let mut rooms: Vec<&str> = report.rows.iter().map(|row| row.room).collect();
    rooms.dedup();
    let mut sections = Vec::new();
    for room in rooms {
        let head =
            ["variant", "dtype", "elements", "time", "spread", "GB/s", "copy GB/s", "of copy", "clock"];
        let mut lines = vec![line(&head)];
        for row in report.rows.iter().filter(|row| row.room == room) {
            lines.push(vec![
                row.variant.clone(),
                row.dtype.into(),
                row.elements.to_string(),
                nanoseconds(row.time.ns),
                format!("{:.0} %", 100.0 * row.time.spread),
                format!("{:.2}", row.gb_s),
                format!("{:.2}", row.copy_gb_s),
                format!("{:.0} %", 100.0 * row.share_of_copy),
                clock(row.time.clock).into(),
            ]);
        }
        let note = "Medians; the spread is that of the middle half of the repeats. Each is held against a copy of as \
                    many bytes.";
        sections.push(Section { title: room.to_string(), note, lines });
    }
    if !report.copies.is_empty() {
        let mut lines = vec![line(&["bytes", "command", "kernel", "GB/s", "best GB/s"])];
        for copy in &report.copies {
            let way = |m: Option<Measured>| m.map_or("-".into(), |m| nanoseconds(m.ns));
            lines.push(vec![
                copy.bytes.to_string(),
                way(copy.command),
                way(copy.kernel),
                format!("{:.2}", copy.gb_s),
                format!("{:.2}", copy.best_gb_s),
            ]);
        }
        let note = "Half of the bytes read, half written; the faster of copy command and copy kernel counts.";
        sections.push(Section { title: "copy".into(), note, lines });
    }
    if !report.instead.is_empty() {
        let mut lines = vec![line(&["fused", "separate passes", "elements", "fused", "separate", "speedup"])];
        for pair in &report.instead {
            lines.push(vec![
                format!("{}/{}", pair.room, pair.variant),
                pair.instead.clone(),
                pair.elements.to_string(),
                nanoseconds(pair.ns),
                nanoseconds(pair.instead_ns),
                format!("{:.2}", pair.speedup),
            ]);
        }
        let note = "What the same work takes without the fused kernel.";
        sections.push(Section { title: "fused against separate passes".into(), note, lines });
    }
    if let Some(many) = &report.many {
        let mut lines = vec![line(&["plans", "dispatches", "host records", "in all", "dispatches alone"])];
        let mut add = |plans: usize, way: &Way| {
            let alone = way.pass.map_or("-".into(), |pass| nanoseconds(pass.ns));
            lines.push(vec![
                plans.to_string(),
                way.dispatches.to_string(),
                nanoseconds(way.record_ns),
                nanoseconds(way.total_ns),
                alone,
            ]);
        };
        add(1, &many.batched);
        add(many.tensors, &many.looped);
        let (least, most) = many.lengths;
        sections.push(Section {
            title: format!(
                "{} tensors of {least} to {most} elements, {}: one schedule takes 1/{:.1} of the loop's time",
                many.tensors, many.variant, many.speedup
            ),
            note: "Host and total by the wall clock, the dispatches alone by the device's.",
            lines,
        });
    }
    sections
}

/// The line that says what the figures are of.
fn heading(report: &Report) -> String {
    let driver = if report.driver.is_empty() { String::new() } else { format!(", {}", report.driver) };
    let copy = format!("copy {:.2} GB/s at the largest volume", report.copy_gb_s);
    format!("{}{driver}; {copy}; clock: {}", report.adapter, report.clock)
}

/// What a reader must know before the figures, and what is missing among them.
fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    if report.references {
        remarks.push(TWINS.to_string());
    } else if report.software {
        remarks.push(SOFTWARE.to_string());
    }
    if report.clock != "device" && !report.references {
        remarks.push("Times by the wall clock include what submission and waiting take.".into());
    }
    remarks.extend(report.left_out.iter().map(|left| format!("Left out: {left}")));
    remarks
}

fn plain(report: &Report) -> String {
    let mut text = heading(report) + "\n";
    for remark in remarks(report) {
        text += &(remark + "\n");
    }
    for section in sections(report) {
        text += &format!("\n{}\n{}\n{}", section.title, section.note, table(&section.lines));
    }
    text
}

fn markdown(report: &Report) -> String {
    let mut text = format!("## {}\n\n", heading(report));
    for remark in remarks(report) {
        text += &format!("{remark}\n\n");
    }
    for section in sections(report) {
        text += &format!("### {}\n\n{}\n\n", section.title, section.note);
        for (k, cells) in section.lines.iter().enumerate() {
            text += &format!("| {} |\n", cells.join(" | "));
            if k == 0 {
                text += &format!("|---|{}\n", "--:|".repeat(cells.len() - 1));
            }
        }
        text += "\n";
    }
    text.trim_end().to_string() + "\n"
}

fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Device => "device",
        Clock::Wall => "wall",
    }
}

/// A time with three digits and a unit.
fn nanoseconds(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        assert_eq!(nanoseconds(7.0), "7.00 ns");
        assert_eq!(nanoseconds(71_234.0), "71.2 us");
        assert_eq!(nanoseconds(712_345_678.0), "712 ms");
        assert_eq!(nanoseconds(2.5e9), "2.50 s");
    }
}
