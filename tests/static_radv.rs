//! Every kernel variant, compiled by AMD's shader compiler: none may spill registers or use scratch memory.
//!
//! Needs no GPU, only Mesa's RADV driver. The driver takes the GPU family from the environment when its
//! library is loaded, so each family has its own child process: this test program again, told by
//! [`CHILD`] to compile instead of to compare. `MAF_SRL_RADV_REPORT=<file>` writes the figures as Markdown.
//!
//! What navi21 makes of each variant's loop is on record, `docs/instructions.json`, and none may grow unsaid;
//! `MAF_SRL_INSTRUCTIONS=write` writes the record anew. [`ALLOWED`] says how many instructions an element may take.

#[path = "support/radv.rs"]
mod radv;

use radv::{Figures, Kernel, NullDevice, Steady};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// One family per generation of AMD's instruction set: GCN 5, RDNA 1, RDNA 2.
const FAMILIES: [&str; 3] = ["vega10", "navi10", "navi21"];

/// Set in the child process: the file that takes the answers: the driver, then a line of JSON per kernel.
const CHILD: &str = "MAF_SRL_RADV_CHILD";

/// Every kernel of the library: the register's kernels, whose entry points are named as they are.
fn kernels() -> Vec<Kernel> {
    let of_room = |room: &maf_srl::kernels::Kernel| {
        let entry_point = room.name.to_owned();
        (room.variants)().into_iter().map(move |variant| Kernel {
            name: format!("{entry_point}/{}", variant.name),
            wgsl: variant.wgsl,
            entry_point: entry_point.clone(),
        })
    };
    maf_srl::kernels::KERNELS.iter().flat_map(of_room).collect()
}

/// A kernel that no compiler can keep in registers: it shows that the figures tell.
fn kernel_with_scratch() -> Kernel {
    Kernel {
        name: "scratch".to_owned(),
        wgsl: "
            @group(0) @binding(0) var<storage, read_write> x: array<u32>;
            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                var held: array<u32, 512>;
                for (var i = 0u; i < 512u; i++) { held[x[i] % 512u] += i * id.x; }
                for (var i = 0u; i < 512u; i++) { x[i] = held[x[i + id.x] % 512u]; }
            }"
        .to_owned(),
        entry_point: "main".to_owned(),
    }
}

#[test]
fn every_variant_stays_in_registers() {
    let kernels = kernels();
    if std::env::var_os(CHILD).is_some() {
        return answer(&kernels);
    }
    let Some(answers) = ask("every_variant_stays_in_registers", &kernels) else { return };
    report(&answers);
    let mut faults = Vec::new();
    for Answers { family, rows, .. } in &answers {
        for (name, row) in rows {
            match row {
                Err(error) => faults.push(format!("{family}: {name}: {error}")),
                Ok(figures) if figures.spilled > 0 || figures.scratch > 0 => faults.push(format!(
                    "{family}: {name}: {} registers spilled, {} bytes of scratch",
                    figures.spilled, figures.scratch
                )),
                Ok(_) => {}
            }
        }
    }
    if let Some(of_navi21) = answers.iter().find(|answers| answers.family == RECORDED) {
        faults.extend(compared(&Record::of(of_navi21)));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The family of the record.
const RECORDED: &str = "navi21";

/// `docs/instructions.json`.
#[derive(Serialize, Deserialize)]
struct Record {
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
    fn of(answers: &Answers) -> Self {
        let recorded = |(name, row): &(String, Result<Figures, String>)| {
            let figures = row.as_ref().ok()?;
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
            Some((name.clone(), recorded))
        };
        let variants = answers.rows.iter().filter_map(recorded).collect();
        Record { family: answers.family.to_owned(), driver: answers.driver.clone(), variants }
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

/// How many times over the instructions of each of [`ALLOWED`] fit into the time that its bytes take on each of [`GPUS`].
fn margins(record: &Record) -> String {
    let names: Vec<_> = GPUS.iter().map(|(name, ..)| *name).collect();
    let mut text = format!("| loop | instructions | cycles | bytes | {} |\n", names.join(" | "));
    text += &format!("|---|--:|--:|--:|{}\n", "--:|".repeat(names.len()));
    for (name, ..) in ALLOWED {
        let Some(Recorded { elements: Some(n), instructions, cycles, bytes, .. }) = record.variants.get(name)
        else {
            continue;
        };
        let each = |what: &u64| *what as f64 / *n as f64;
        text += &format!("| {name} | {:.1} | {:.1} | {:.1} |", each(instructions), each(cycles), each(bytes));
        for (_, bandwidth, units, lanes, clock) in GPUS {
            let budget = units * lanes * clock / bandwidth;
            text += &format!(" {:.1} |", budget * *bytes as f64 / *cycles as f64);
        }
        text += "\n";
    }
    text
}

/// Puts a text between two marks of a document.
fn put(path: &std::path::Path, marks: [&str; 2], text: &str) {
    let document = std::fs::read_to_string(path).expect("a document");
    let (before, rest) = document.split_once(marks[0]).expect("the first mark");
    let (_, after) = rest.split_once(marks[1]).expect("the second mark");
    std::fs::write(path, format!("{before}{}\n{text}{}{after}", marks[0], marks[1]))
        .expect("the document is written");
}

/// What speaks against the figures of today: a variant that grew, one without a record, one above what it is allowed.
fn compared(now: &Record) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/instructions.json");
    if std::env::var_os("MAF_SRL_INSTRUCTIONS").is_some_and(|value| value == "write") {
        let text = serde_json::to_string_pretty(now).expect("figures are plain data");
        std::fs::write(&path, one_line_each(&text)).expect("the record is written");
        let marks = ["<!-- margins: generated -->", "<!-- end of margins -->"];
        put(&path.with_file_name("PERFORMANCE.md"), marks, &margins(now));
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

/// JSON with a line for each variant, so that a change reads as one.
fn one_line_each(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let inner = line.starts_with("      ") || line == "    }" || line == "    },";
        if inner {
            out.push_str(line.trim_start());
            out.push_str(if line.ends_with(',') && line.starts_with("      ") { " " } else { "" });
        } else {
            out.push_str(line);
        }
        if !(inner && line.starts_with("      ") || line.ends_with(": {") && line.starts_with("    ")) {
            out.push('\n');
        }
    }
    out
}

#[test]
fn a_kernel_that_needs_scratch_is_seen() {
    let kernels = [kernel_with_scratch()];
    if std::env::var_os(CHILD).is_some() {
        return answer(&kernels);
    }
    let Some(answers) = ask("a_kernel_that_needs_scratch_is_seen", &kernels) else { return };
    for Answers { family, rows, .. } in &answers {
        let figures = rows[0].1.as_ref().unwrap_or_else(|error| panic!("{family}: {error}"));
        assert!(figures.scratch > 0, "{family}: {figures:?}");
    }
}

/// The figures of each kernel, or why there are none.
type Rows = Vec<(String, Result<Figures, String>)>;

/// What one child found out.
struct Answers {
    family: &'static str,
    driver: String,
    rows: Rows,
}

/// Compiles in the child, one line per kernel as soon as it is done, so that a crash of the driver names its
/// kernel.
fn answer(kernels: &[Kernel]) {
    let path = std::env::var_os(CHILD).expect("only the child calls this");
    let mut file = std::fs::File::create(path).expect("the answers' file opens");
    let device = NullDevice::open().unwrap_or_else(|error| panic!("null hardware: {error}"));
    writeln!(file, "{}", device.driver()).expect("the answers are written");
    for kernel in kernels {
        let line = serde_json::to_string(&device.compile(kernel)).expect("figures are plain data");
        writeln!(file, "{line}").expect("the answers are written");
    }
}

/// Has a child per family compile the kernels. `None` where RADV is not installed and nobody demands it.
fn ask(test: &str, kernels: &[Kernel]) -> Option<Vec<Answers>> {
    let Some(manifest) = radv::manifest() else {
        let demanded = std::env::var_os("MAF_SRL_REQUIRE_RADV").is_some_and(|value| value != "0");
        assert!(!demanded, "Mesa's RADV driver is missing (Debian: mesa-vulkan-drivers)");
        // Past the test harness, which keeps the output of a test that passes.
        let _ = writeln!(std::io::stderr(), "{test}: NOT RUN, Mesa's RADV driver is not installed");
        return None;
    };
    let children = FAMILIES.map(|family| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("radv-{family}-{test}.jsonl"));
        let _ = std::fs::remove_file(&path);
        let child = Command::new(std::env::current_exe().expect("the path of this program"))
            .args([test, "--exact", "--nocapture"])
            .env(CHILD, &path)
            .env("RADV_FORCE_FAMILY", family)
            .env("VK_DRIVER_FILES", &manifest)
            .env("VK_ICD_FILENAMES", &manifest)
            .env("VK_LOADER_LAYERS_DISABLE", "*")
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        (family, path, child)
    });
    Some(children.map(|(family, path, child)| collect(family, path, child, kernels)).into())
}

fn collect(family: &'static str, path: PathBuf, child: Child, kernels: &[Kernel]) -> Answers {
    let output = child.wait_with_output().expect("the child ends");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let driver = lines.next().unwrap_or_default().to_owned();
    let rows: Rows = lines
        .zip(kernels)
        .map(|(line, kernel)| (kernel.name.clone(), serde_json::from_str(line).expect("a line of figures")))
        .collect();
    assert!(
        output.status.success() && rows.len() == kernels.len(),
        "{family}: the compiling process ended with {} at kernel '{}':\n{}{}",
        output.status,
        kernels.get(rows.len()).map_or("(after the last)", |kernel| &kernel.name),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Answers { family, driver, rows }
}

/// Prints the figures as Markdown, and writes them to the file that `MAF_SRL_RADV_REPORT` names.
fn report(answers: &[Answers]) {
    let mut text = String::new();
    for Answers { family, driver, rows } in answers {
        text += &format!(
            "### {family}, {driver}\n\n\
             | variant | VGPRs | SGPRs | waves per SIMD | loads | stores | atomics | LDS bytes | code bytes | \
             instructions | latency | inverse throughput |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        );
        for (name, row) in rows {
            let Ok(f) = row else { continue };
            let accesses = match f.accesses {
                Some(a) => format!("{} | {} | {}", a.loads, a.stores, a.atomics),
                None => "? | ? | ?".to_owned(),
            };
            text += &format!(
                "| {name} | {} | {} | {} | {accesses} | {} | {} | {} | {} | {} |\n",
                f.vgprs,
                f.sgprs,
                f.subgroups_per_simd,
                f.lds,
                f.code_size,
                f.instructions,
                f.latency,
                f.inverse_throughput
            );
        }
        text += "\n";
    }
    println!("{text}");
    if let Some(path) = std::env::var_os("MAF_SRL_RADV_REPORT") {
        std::fs::write(&path, &text)
            .unwrap_or_else(|error| panic!("MAF_SRL_RADV_REPORT={}: {error}", path.display()));
    }
}
