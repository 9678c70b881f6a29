//! Every kernel variant, compiled by AMD's shader compiler: none may spill registers or use scratch memory.
//!
//! Needs no GPU, only Mesa's RADV driver. The driver takes the GPU family from the environment when its
//! library is loaded, so each family has its own child process: this test program again, told by
//! [`CHILD`] to compile instead of to compare. `MAF_SRL_RADV_REPORT=<file>` writes the figures as Markdown.
//!
//! What navi21 makes of each variant's loop is on record, `docs/instructions.json`, and none may grow unsaid;
//! `MAF_SRL_INSTRUCTIONS=write` writes the record anew. [`instructions::ALLOWED`] says how many instructions an element may take.

#[path = "support/instructions.rs"]
mod instructions;
#[path = "support/radv.rs"]
mod radv;

use instructions::{RECORDED, Record};
use radv::{Figures, Kernel, NullDevice};
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
        let rows = of_navi21.rows.iter().filter_map(|(name, row)| Some((name.as_str(), row.as_ref().ok()?)));
        faults.extend(instructions::compared(&Record::of(of_navi21.family, &of_navi21.driver, rows)));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
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
