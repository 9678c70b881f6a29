//! What AMD's compiler makes of each variant's loop, on record: `docs/instructions.json`, the table and the chart of
//! docs/PERFORMANCE.md, what an element may take, and what of it has grown.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde::{Deserialize, Serialize};

use super::radv::{Figures, Steady};

/// The family of the record.
pub const RECORDED: &str = "navi21";

/// `docs/instructions.json`.
#[derive(Serialize, Deserialize)]
pub struct Record {
    family: String,
    driver: String,
    variants: BTreeMap<String, Recorded>,
}

/// One variant: one turn of its loop by one invocation, see [`Steady`], and what it holds meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Recorded {
    /// Elements of the tensor that a turn works on, where the kernel has one tensor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    elements: Option<u64>,
    instructions: u64,
    cycles: u64,
    bytes: u64,
    barriers: u64,
    vgprs: u64,
    waves: u64,
    lds: u64,
}

impl Record {
    /// Of what a family's compiler said.
    pub fn of<'a>(family: &str, driver: &str, rows: impl Iterator<Item = (&'a str, &'a Figures)>) -> Self {
        let recorded = |(name, figures): (&str, &Figures)| {
            let steady = figures.steady?;
            let recorded = Recorded {
                elements: elements(name, &steady),
                instructions: steady.instructions,
                cycles: steady.cycles,
                bytes: steady.loaded + steady.stored,
                barriers: steady.barriers,
                vgprs: figures.vgprs,
                waves: figures.subgroups_per_simd,
                lds: figures.lds,
            };
            Some((name.to_owned(), recorded))
        };
        let variants = rows.filter_map(recorded).collect();
        Record { family: family.to_owned(), driver: driver.to_owned(), variants }
    }

    /// As JSON with a line for each variant, so that a change reads as one.
    fn text(&self) -> String {
        let line = |(name, of): (&String, &Recorded)| {
            format!("    {name:?}: {}", serde_json::to_string(of).expect("figures are plain data"))
        };
        let lines: Vec<_> = self.variants.iter().map(line).collect();
        format!(
            "{{\n  \"family\": {:?},\n  \"driver\": {:?},\n  \"variants\": {{\n{}\n  }}\n}}\n",
            self.family,
            self.driver,
            lines.join(",\n")
        )
    }
}

/// How many elements of a tensor a turn works on: those that it stores, of one array, or loads, where it stores none.
fn elements(name: &str, steady: &Steady) -> Option<u64> {
    let parts: Vec<&str> = name.split('/').collect();
    let has = |what: &str| parts.contains(&what);
    let states = match () {
        () if has("momentum") => 1,
        () if has("adam") || has("adam-metric") => 2,
        () => 0,
    };
    match parts[0] {
        _ if has("combine") => None,
        "step" | "group" | "solver" if steady.stored > 0 => {
            Some(steady.stored / 4 / (1 + states + u64::from(has("splitting"))))
        }
        "group" | "solver" | "norms" => Some(steady.loaded / 4),
        _ => None,
    }
}

/// Instructions per element of the loop: what was aimed at, and what is allowed. Where that is more, docs/PERFORMANCE.md says
/// what they are for.
const ALLOWED: [(&str, f64, f64); 26] = [
    ("step/gradient/none/vec4", 12.0, 21.0),
    ("step/gradient/l1/vec4", 16.0, 22.0),
    ("step/gradient/capped-l1/vec4", 50.0, 50.0),
    ("step/gradient/elastic-net/vec4", 50.0, 50.0),
    ("step/gradient/l0/vec4", 50.0, 50.0),
    ("step/gradient/l2sq/vec4", 50.0, 50.0),
    ("step/gradient/log/vec4", 50.0, 50.0),
    ("step/gradient/mcp/vec4", 50.0, 50.0),
    ("step/gradient/pwl/vec4", 50.0, 50.0),
    ("step/gradient/scad/vec4", 50.0, 50.0),
    ("step/gradient/etp/vec4", 50.0, 53.0),
    ("step/gradient/laplace/vec4", 50.0, 53.0),
    ("step/gradient/lp/vec4", 50.0, 55.0),
    ("step/gradient/tl1/vec4", 50.0, 68.0),
    ("step/gradient/geman/vec4", 50.0, 68.0),
    ("step/adam/l1/vec4", 80.0, 80.0),
    ("step/adam/log/vec4", 80.0, 80.0),
    ("step/adam/scad/vec4", 80.0, 80.0),
    ("step/adam/tl1/vec4", 80.0, 101.0),
    ("group/gradient/l1/lasso/vec4", 40.0, 46.0),
    ("group/gradient/l1/lasso/columns", 40.0, 67.0),
    ("group/gradient/l1/exclusive/vec4", 55.0, 60.0),
    ("group/gradient/l1/cges/vec4", 55.0, 76.0),
    ("solver/splitting/gradient/l1/vec4", 55.0, 67.0),
    ("norms/l2/vec4", 10.0, 10.0),
    ("norms/l2/part/vec4", 10.0, 10.0),
];

/// GPUs by what limits a kernel that moves memory: invocations' instructions per byte, from bandwidth in bytes, units, lanes of
/// each and clock, as the vendors' data sheets have them; what Apple and Qualcomm do not publish is estimated.
const GPUS: [(&str, f64, f64, f64, f64); 8] = [
    ("H200", 4.8e12, 132.0, 128.0, 1.98e9),
    ("H100 SXM", 3.35e12, 132.0, 128.0, 1.98e9),
    ("RTX 4090", 1.008e12, 128.0, 128.0, 2.52e9),
    ("RX 7900 XTX", 0.96e12, 96.0, 64.0, 2.5e9),
    ("RX 6900 XT", 0.512e12, 80.0, 64.0, 2.25e9),
    ("M3 Max", 0.4e12, 40.0, 128.0, 1.4e9),
    ("Arc B580", 0.456e12, 20.0, 128.0, 2.67e9),
    ("Adreno 750", 0.0768e12, 6.0, 256.0, 0.9e9),
];

/// What an element takes, and how many times over that fits into the time that its bytes take on each of [`GPUS`].
struct Row {
    name: &'static str,
    instructions: f64,
    cycles: f64,
    bytes: f64,
    margins: [f64; GPUS.len()],
}

/// Of those of [`ALLOWED`].
fn rows(record: &Record) -> Vec<Row> {
    let row = |&(name, ..): &(&'static str, f64, f64)| {
        let of = record.variants.get(name)?;
        let each = |what: u64| what as f64 / of.elements.map_or(f64::NAN, |n| n as f64);
        let (cycles, bytes) = (each(of.cycles), each(of.bytes));
        let margin = |(_, bandwidth, units, lanes, clock)| units * lanes * clock / bandwidth * bytes / cycles;
        let margins = GPUS.map(margin);
        Some(Row { name, instructions: each(of.instructions), cycles, bytes, margins })
    };
    ALLOWED.iter().filter_map(row).collect()
}

/// The rows as a table.
fn table(rows: &[Row]) -> String {
    let names = GPUS.map(|(name, ..)| name);
    let mut text = format!("| loop | instructions | cycles | bytes | {} |\n", names.join(" | "));
    text += &format!("|---|--:|--:|--:|{}\n", "--:|".repeat(names.len()));
    for Row { name, instructions, cycles, bytes, margins } in rows {
        let margins = margins.map(|margin| format!("{margin:.1}")).join(" | ");
        text += &format!("| {name} | {instructions:.1} | {cycles:.1} | {bytes:.1} | {margins} |\n");
    }
    text
}

/// The rows as a picture: a line for each loop, a dot for each GPU, and where memory ceases to be the limit.
fn chart(rows: &[Row]) -> String {
    const HEIGHT: i32 = 20;
    // those of Okabe and Ito, which colour-blind readers tell apart
    const COLOURS: [(u8, u8, u8); GPUS.len()] = [
        (0, 0, 0),
        (0, 114, 178),
        (213, 94, 0),
        (0, 158, 115),
        (204, 121, 167),
        (230, 159, 0),
        (86, 180, 233),
        (160, 160, 160),
    ];
    let colour = |k: usize| RGBColor(COLOURS[k].0, COLOURS[k].1, COLOURS[k].2);
    let text = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40));
    let (top, left, right) = (86, 280, 20);
    let (width, height) = (900, top + HEIGHT * rows.len() as i32 + 50);
    // from a half to 32
    let x =
        |margin: f64| left + ((margin.log2() + 1.0) / 6.0 * f64::from(width - left - right)).round() as i32;
    let y = |row: usize| top + HEIGHT * row as i32 + HEIGHT / 2;
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
    let draw = || -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        area.fill(&WHITE)?;
        area.draw(&Text::new(
            "How many times over a loop's instructions fit into the time of its bytes",
            (20, 12),
            text(18),
        ))?;
        area.draw(&Text::new(
            "predicted from navi21's instructions; left of 1 instructions are the limit",
            (20, 36),
            text(13),
        ))?;
        for (k, (name, ..)) in GPUS.iter().enumerate() {
            let at = 20 + 108 * k as i32;
            area.draw(&Circle::new((at + 6, 67), 5, colour(k).filled()))?;
            area.draw(&Text::new(*name, (at + 15, 60), text(13)))?;
        }
        let bottom = top + HEIGHT * rows.len() as i32;
        for power in -1..=5 {
            let margin = 2.0_f64.powi(power);
            let line = RGBColor(200, 200, 200).stroke_width(if power == 0 { 3 } else { 1 });
            area.draw(&PathElement::new([(x(margin), top), (x(margin), bottom)], line))?;
            let middle = text(13).pos(Pos::new(HPos::Center, VPos::Top));
            area.draw(&Text::new(margin.to_string(), (x(margin), bottom + 8), middle))?;
        }
        for (r, row) in rows.iter().enumerate() {
            let end = text(13).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(row.name, (left - 10, y(r)), end))?;
            for (k, margin) in row.margins.iter().enumerate() {
                area.draw(&Circle::new((x(margin.clamp(0.5, 32.0)), y(r)), 5, colour(k).mix(0.8).filled()))?;
            }
        }
        area.present()
    };
    draw().expect("a string takes every picture");
    drop(area);
    svg
}

/// Puts a text between two marks of a document.
fn put(path: &Path, marks: [&str; 2], text: &str) {
    let document = std::fs::read_to_string(path).expect("a document");
    let (before, rest) = document.split_once(marks[0]).expect("the first mark");
    let (_, after) = rest.split_once(marks[1]).expect("the second mark");
    std::fs::write(path, format!("{before}{}\n{text}{}{after}", marks[0], marks[1]))
        .expect("the document is written");
}

/// What speaks against the figures of today: a variant that grew, one without a record, one above what it is allowed.
pub fn compared(now: &Record) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/instructions.json");
    if std::env::var_os("MAF_SRL_INSTRUCTIONS").is_some_and(|value| value == "write") {
        std::fs::write(&path, now.text()).expect("the record is written");
        let marks = ["<!-- margins: generated -->", "<!-- end of margins -->"];
        let rows = rows(now);
        put(&path.with_file_name("PERFORMANCE.md"), marks, &table(&rows));
        std::fs::write(path.with_file_name("margins.svg"), chart(&rows)).expect("the chart is written");
    }
    let text = std::fs::read_to_string(&path).expect("the record is there");
    let record: Record = serde_json::from_str(&text).expect("the record is what this test wrote");
    let mut faults = Vec::new();
    let same = (&record.family, &record.driver) == (&now.family, &now.driver);
    if !same {
        let _ = writeln!(
            std::io::stderr(),
            "not compared: the record is of {}, this is {}",
            record.driver,
            now.driver
        );
    }
    for (name, is) in &now.variants {
        match record.variants.get(name) {
            None => faults.push(format!("{name}: not in docs/instructions.json: MAF_SRL_INSTRUCTIONS=write")),
            Some(was) if same && (is.instructions > was.instructions || is.waves < was.waves) => {
                faults.push(format!("{name}: {was:?} became {is:?}"));
            }
            Some(_) => {}
        }
    }
    let gone = record.variants.keys().filter(|name| !now.variants.contains_key(*name));
    faults.extend(gone.map(|name| format!("{name}: in docs/instructions.json, and no variant")));
    for (name, _, most) in ALLOWED {
        let each = now.variants.get(name).and_then(|is| Some(is.instructions as f64 / is.elements? as f64));
        match each {
            Some(each) if each <= most => {}
            Some(each) => {
                faults.push(format!("{name}: {each:.1} instructions per element, allowed are {most}"))
            }
            None => faults.push(format!("{name}: no variant with elements")),
        }
    }
    faults
}
