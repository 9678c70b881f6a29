//! Every kernel on the host, its workgroups interpreted: no data race, no barrier that some invocations miss, no access outside a
//! binding, and results that the register's own cases judge. No GPU and no driver takes part.
//!
//! What finds nothing proves nothing: each barrier of each shader is left out, one at a time, and the interpreter must notice.

#[path = "support/interpreter/mod.rs"]
mod interpreter;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use interpreter::arithmetic::Rounding;
use interpreter::machine::Setting;
use interpreter::rig::{Edit, Rig, Shaders};
use maf_srl::kernels::{Case, KERNELS, Kernel};
use rayon::prelude::*;

/// Cases with fewer elements leave most invocations without work: they are taken where no others do.
const ENOUGH: usize = 200;

/// Of cases with no more elements than this, every so many-th is run beside those that some variant needs.
const FEW: usize = 20_000;
const SAMPLE: usize = 40;

/// As many cases of a kernel are tried at most for each barrier that is left out, beside those of [`SHOWN`].
const PATIENCE: usize = 30;

/// Rows in several rounds, some of them not finite.
const ROUNDS: &str = "group/layout/gradient/l1/lasso(weight=sqrt-size)/rows/shape=2100x17/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0";

/// Cases that show what a barrier of a file is for, where none of the smallest does: groups in several rounds, columns in
/// several blocks.
const SHOWN: [(&str, &str); 5] = [
    ("norms.wgsl", "norms/l2/filters/shape=700x12x4x3/offsets=3-1/one-buffer"),
    ("sddmm/entries.wgsl", "sddmm/chosen/n=3/m=20000/density=0.7/ccc/offset=0"),
    ("group.wgsl", ROUNDS),
    (
        "solver.wgsl",
        "solver/layout/subgradient/gradient/l1/rows/shape=2100x20/rate=0.1/step=5/lambda=0.2+0.4/offsets=0-0-0-0-0",
    ),
    ("measure/peak.wgsl", ROUNDS),
];

const NEAREST: Setting = Setting { rounding: Rounding::Nearest, seed: 1, hasty: false };

/// A kernel's cases, those that are preferred first: the smallest that have enough to do.
fn cases(kernel: &Kernel) -> Vec<Box<dyn Case>> {
    let mut all = (kernel.cases)();
    all.sort_by_cached_key(|case| (case.elements() < ENOUGH, case.elements(), case.name()));
    all
}

/// Some cases of a kernel that together dispatch all its variants.
fn covering(shaders: &Arc<Shaders>, kernel: &Kernel) -> Vec<Box<dyn Case>> {
    let rig = Rig::new(shaders);
    let names = (kernel.variants)().into_iter().map(|variant| format!("{}/{}", kernel.name, variant.name));
    let mut left: BTreeSet<String> = names.collect();
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

/// What is wrong with cases, in words.
fn wrong(shaders: &Arc<Shaders>, cases: &[&dyn Case], setting: Setting) -> Vec<String> {
    let of = |rig: &mut Rig, case: &&dyn Case| {
        let (outcome, found) = rig.run(*case, setting, None);
        let mismatch = outcome.first_mismatch().map(|what| format!("{}: {what}", case.name()));
        mismatch.into_iter().chain(found).collect::<Vec<_>>()
    };
    cases.par_iter().map_init(|| Rig::new(shaders), of).flatten_iter().collect()
}

/// Every variant, and beside it some of the cases that no variant needs; in every arithmetic.
#[test]
fn every_variant_is_free_of_races_and_right() {
    let shaders = Arc::new(Shaders::load());
    let mut chosen: Vec<_> = KERNELS.par_iter().flat_map(|kernel| covering(&shaders, kernel)).collect();
    println!("{} cases dispatch every variant", chosen.len());
    let others = KERNELS.iter().flat_map(|kernel| (kernel.cases)()).filter(|case| case.elements() <= FEW);
    chosen.extend(others.step_by(SAMPLE));
    let all: Vec<&dyn Case> = chosen.iter().map(|case| &**case).collect();
    for (seed, rounding) in (1..).zip([Rounding::Nearest, Rounding::Truncated, Rounding::Any]) {
        let found = wrong(&shaders, &all, Setting { rounding, seed, hasty: false });
        assert!(found.is_empty(), "{rounding:?}: {}", found.join("\n"));
    }
}

/// Each barrier of a file left out: its line, and the edit.
fn without_barriers(file: &str) -> Vec<(usize, Edit)> {
    let mut all = Vec::new();
    for (call, by) in [("workgroupBarrier()", ""), ("storageBarrier()", ""), ("workgroupUniformLoad(&", "(")]
    {
        for (at, _) in file.match_indices(call) {
            let edited = format!("{}{by}{}", &file[..at], &file[at + call.len()..]);
            let line = 1 + file[..at].matches('\n').count();
            all.push((line, Edit { file: file.to_owned(), by: edited }));
        }
    }
    all
}

/// How an edit shows in a case: by what the interpreter finds, or, of atomics, which race with none of their kind, by
/// results that depend on the order in which invocations run.
fn shows(rig: &Rig, case: &dyn Case, edit: &Edit) -> Option<String> {
    let (outcome, found) = rig.run(case, Setting { hasty: true, ..NEAREST }, Some(edit));
    found.into_iter().next().or(outcome.first_mismatch().map(String::from))
}

/// What shows that a file is edited, and the case in which it does.
fn noticed(shaders: &Arc<Shaders>, name: &str, edit: &Edit) -> Option<String> {
    let rig = Rig::new(shaders);
    for kernel in KERNELS {
        let variants = (kernel.variants)().into_iter().filter(|variant| variant.wgsl.contains(&edit.file));
        let touched: BTreeSet<String> =
            variants.map(|variant| format!("{}/{}", kernel.name, variant.name)).collect();
        if touched.is_empty() {
            continue;
        }
        let hint = |case: &dyn Case| SHOWN.iter().any(|(file, of)| *file == name && case.name() == *of);
        let (hinted, others): (Vec<_>, Vec<_>) = cases(kernel).into_iter().partition(|case| hint(&**case));
        let touching = others.into_iter().filter(|case| !known(&rig, &**case).is_disjoint(&touched));
        for case in touching.take(PATIENCE).chain(hinted) {
            if let Some(what) = shows(&rig, &*case, edit) {
                return Some(format!("{}: {what}", case.name()));
            }
        }
    }
    None
}

/// The variants that a case dispatches, looked up once.
fn known(rig: &Rig, case: &dyn Case) -> BTreeSet<String> {
    static KNOWN: LazyLock<Mutex<HashMap<String, BTreeSet<String>>>> = LazyLock::new(Mutex::default);
    let name = case.name();
    let found = KNOWN.lock().expect("no panic").get(&name).cloned();
    found.unwrap_or_else(|| {
        let made = rig.dispatched(case);
        KNOWN.lock().expect("no panic").insert(name, made.clone());
        made
    })
}

#[test]
fn no_barrier_is_left_out_unnoticed() {
    let shaders = Arc::new(Shaders::load());
    let files = shaders.0.iter().filter(|(name, _)| !name.starts_with("bench/"));
    let all: Vec<_> = files
        .flat_map(|(name, file)| {
            without_barriers(file).into_iter().map(move |(line, edit)| (name, line, edit))
        })
        .collect();
    assert!(all.len() > 30, "{}", all.len());
    let superfluous = all.par_iter().filter_map(|(name, line, edit)| {
        let start = std::time::Instant::now();
        let found = noticed(&shaders, name, edit);
        println!("{name}:{line} {:?} {}", start.elapsed(), found.as_deref().unwrap_or("NOTHING"));
        found.is_none().then(|| format!("{name}:{line}"))
    });
    let superfluous: Vec<_> = superfluous.collect();
    assert!(superfluous.is_empty(), "nothing shows what these barriers are for: {superfluous:?}");
}

/// A text that `PipelineCache::edited` changes is interpreted as it then is.
#[test]
fn a_planted_fault_is_interpreted() {
    let name = "step/gradient/layout/separate/length=300/offsets=0-1-0-0";
    let case = KERNELS.iter().flat_map(|kernel| (kernel.cases)()).find(|case| case.name() == name);
    let rig = Rig::new(&Arc::new(Shaders::load()));
    let edit: fn(String) -> String =
        |source| source.replacen("max(ax - k.t, 0.0)", "max(ax - 1.01 * k.t, 0.0)", 1);
    let case = case.expect("the register has the case");
    assert_eq!(rig.run(&*case, NEAREST, None).0.mismatches, 0);
    assert!(rig.run_edited(edit, &*case, NEAREST).mismatches > 0);
}
