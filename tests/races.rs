//! Every kernel on the host, its workgroups interpreted: no data race, no barrier that some invocations miss, no access outside a
//! binding, and results that the register's own cases judge. No GPU and no driver takes part.
//!
//! What finds nothing proves nothing: each barrier of each shader is left out, one at a time, and the interpreter must notice.

#[path = "support/interpreter/mod.rs"]
mod interpreter;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use interpreter::arithmetic::Rounding;
use interpreter::code::Program;
use interpreter::compile::compile;
use interpreter::host;
use interpreter::machine::{Finding, Setting};
use maf_srl::kernels::{Case, KERNELS, Kernel, Outcome, PipelineCache};
use rayon::prelude::*;

/// Cases with fewer elements leave most invocations without work: they are taken where no others do.
const ENOUGH: usize = 200;

/// The shader files by their paths from `shaders/`.
fn shaders() -> BTreeMap<String, String> {
    fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { walk(&entry, all) } else { all.push(entry) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut all = Vec::new();
    walk(&root, &mut all);
    let name = |path: &Path| path.strip_prefix(&root).expect("a file of the folder").display().to_string();
    all.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("a text"))).collect()
}

/// A line of a composed source as `file:line: text`.
fn place(files: &BTreeMap<String, String>, source: &str, line: u32) -> String {
    let text = source.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default().trim();
    for (name, file) in files {
        let Some(start) = source.find(file.as_str()) else { continue };
        let first = source[..start].matches('\n').count() as u32;
        if (first..first + file.lines().count() as u32).contains(&(line.saturating_sub(1))) {
            return format!("{name}:{}: {text}", line - first);
        }
    }
    format!("line {line}: {text}")
}

fn in_words(files: &BTreeMap<String, String>, name: &str, source: &str, finding: &Finding) -> String {
    let mut text = format!("{name}: {:?}", finding.what);
    for (line, variable) in &finding.lines {
        write!(text, "\n    {variable} at {}", place(files, source, *line)).expect("a String takes all");
    }
    text
}

/// A text in place of a shader file's.
#[derive(Clone)]
struct Edit {
    file: String,
    by: String,
}

/// How cases are run.
#[derive(Clone)]
struct Mode {
    setting: Setting,
    fuses: bool,
    edit: Option<Edit>,
}

const NEAREST: Mode = Mode {
    setting: Setting { rounding: Rounding::Nearest, seed: 1, hasty: false },
    fuses: false,
    edit: None,
};

/// A device that does nothing but copy, on which dispatches are interpreted.
struct Rig {
    device: wgpu::Device,
    queue: wgpu::Queue,
}

impl Rig {
    fn new() -> Self {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        Rig { device, queue }
    }

    /// The variants that a case dispatches, without running them.
    fn dispatched(&self, case: &dyn Case) -> BTreeSet<String> {
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let kernels = PipelineCache::new(&self.device).interpreted({
            let names = names.clone();
            move |dispatch| _ = locked(&names).insert(dispatch.name.to_owned())
        });
        // that the results are wrong is no surprise
        let _ = case.run(&self.device, &self.queue, &kernels);
        std::mem::take(&mut locked(&names))
    }

    /// What a case finds, and what its dispatches do that none may.
    fn run(&self, files: &BTreeMap<String, String>, case: &dyn Case, mode: &Mode) -> (Outcome, BTreeSet<String>) {
        let found = Arc::new(Mutex::new(BTreeSet::new()));
        let programs: Mutex<HashMap<String, Arc<Program>>> = Mutex::default();
        let kernels = PipelineCache::new(&self.device).interpreted({
            let (device, queue) = (self.device.clone(), self.queue.clone());
            let (found, files, mode) = (found.clone(), files.clone(), mode.clone());
            move |dispatch| {
                let mut found = locked(&found);
                if mode.setting.hasty && !found.is_empty() {
                    return;
                }
                let source = match &mode.edit {
                    Some(edit) => dispatch.source.replacen(&edit.file, &edit.by, 1),
                    None => dispatch.source.to_owned(),
                };
                let mut programs = locked(&programs);
                let program = programs.entry(dispatch.name.to_owned()).or_insert_with(|| {
                    Arc::new(compile(&source, dispatch.entry, dispatch.invocations, mode.fuses))
                });
                let findings = host::run(&device, &queue, program, dispatch, mode.setting);
                found.extend(findings.iter().map(|one| in_words(&files, dispatch.name, dispatch.source, one)));
            }
        });
        let outcome = case.run(&self.device, &self.queue, &kernels).expect("a device that copies");
        (outcome, std::mem::take(&mut locked(&found)))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A kernel's cases, those that are preferred first: the smallest that have enough to do.
fn cases(kernel: &Kernel) -> Vec<Box<dyn Case>> {
    let mut all = (kernel.cases)();
    all.sort_by_cached_key(|case| (case.elements() < ENOUGH, case.elements(), case.name()));
    all
}

/// Some cases of a kernel that together dispatch all its variants.
fn covering(kernel: &Kernel) -> Vec<Box<dyn Case>> {
    let rig = Rig::new();
    let mut left: BTreeSet<String> =
        (kernel.variants)().into_iter().map(|variant| format!("{}/{}", kernel.name, variant.name)).collect();
    let mut chosen = Vec::new();
    for case in cases(kernel) {
        let before = left.len();
        rig.dispatched(&*case).iter().for_each(|name| _ = left.remove(name));
        if left.len() < before {
            chosen.push(case);
        }
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty(), "no case dispatches {left:?}");
    chosen
}

/// Runs cases of every variant; what is wrong, in words.
fn sweep(mode: &Mode) -> Vec<String> {
    let files = shaders();
    let chosen: Vec<_> = KERNELS.par_iter().flat_map(covering).collect();
    println!("{} cases", chosen.len());
    let wrong = chosen.par_iter().map_init(Rig::new, |rig, case| {
        let (outcome, found) = rig.run(&files, &**case, mode);
        let mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", case.name()));
        mismatch.into_iter().chain(found).collect::<Vec<_>>()
    });
    wrong.flatten_iter().collect()
}

#[test]
fn every_variant_runs_without_races_and_right() {
    let wrong = sweep(&NEAREST);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn truncated() {
    let setting = Setting { rounding: Rounding::Truncated, ..NEAREST.setting };
    let wrong = sweep(&Mode { setting, fuses: true, ..NEAREST });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any() {
    let setting = Setting { rounding: Rounding::Any, ..NEAREST.setting };
    let wrong = sweep(&Mode { setting, fuses: true, ..NEAREST });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each barrier of a file, left out: the line, and the edit.
fn barriers(file: &str) -> Vec<(usize, Edit)> {
    let mut all = Vec::new();
    for (call, by) in [("workgroupBarrier()", ""), ("storageBarrier()", ""), ("workgroupUniformLoad(&", "(")] {
        for (at, _) in file.match_indices(call) {
            let edited = format!("{}{by}{}", &file[..at], &file[at + call.len()..]);
            let line = 1 + file[..at].matches('\n').count();
            all.push((line, Edit { file: file.to_owned(), by: edited }));
        }
    }
    all
}

/// A case in which the interpreter notices an edit, and what it says.
fn noticed(files: &BTreeMap<String, String>, edit: &Edit) -> Option<(String, String)> {
    let rig = Rig::new();
    let setting = Setting { hasty: true, ..NEAREST.setting };
    let mode = Mode { setting, edit: Some(edit.clone()), ..NEAREST };
    for kernel in KERNELS {
        let touched: BTreeSet<String> = (kernel.variants)()
            .into_iter()
            .filter(|variant| variant.wgsl.contains(&edit.file))
            .map(|variant| format!("{}/{}", kernel.name, variant.name))
            .collect();
        if touched.is_empty() {
            continue;
        }
        let mut tried = 0;
        for case in cases(kernel) {
            if rig.dispatched(&*case).is_disjoint(&touched) {
                continue;
            }
            tried += 1;
            let (_, found) = rig.run(files, &*case, &mode);
            if let Some(first) = found.into_iter().next() {
                return Some((format!("{tried} {}", case.name()), first));
            }
            if tried > 200 {
                break;
            }
        }
    }
    None
}

#[test]
fn no_barrier_is_left_out_unnoticed() {
    let files = shaders();
    let all: Vec<_> = files
        .iter()
        .filter(|(name, _)| !name.starts_with("bench/"))
        .flat_map(|(name, file)| barriers(file).into_iter().map(move |(line, edit)| (format!("{name}:{line}"), edit)))
        .collect();
    assert!(all.len() > 30, "{}", all.len());
    let superfluous: Vec<_> = all
        .par_iter()
        .filter_map(|(place, edit)| {
            let start = std::time::Instant::now();
            let found = noticed(&files, edit);
            println!("{place} {:?}: {found:?}", start.elapsed());
            found.is_none().then_some(place)
        })
        .collect();
    assert!(superfluous.is_empty(), "nothing shows that these barriers are needed: {superfluous:?}");
}
