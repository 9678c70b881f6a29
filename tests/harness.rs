//! Planted faults: the comparison that cases and verification use must report every one of them, and say where.
//!
//! The faults stand in the kernel itself: its WGSL is edited before it is compiled ([`PipelineCache::edited`]), and the
//! register's own cases and the verification of a schedule run it. Without the edit the same cases pass.

mod support;

use maf_srl::Error;
use maf_srl::kernels::PipelineCache;
use maf_srl::kernels::step::{Element, Optimizer, StepParameters, StepReference};
use maf_srl::kernels::{KERNELS, Outcome};
use maf_srl::penalty::{GroupPenalty, Penalty};
use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};
use support::work::{submit, upload_f32, view};

/// A case whose G is not aligned with W: every element goes through the scalar kernel, a word being an element, in
/// tiles of 256 and 44.
const CASE: &str = "step/gradient/layout/separate/length=300/offsets=0-1-0-0";

/// Where the faults stand: the case's weight there is about -1 and its gradient 0.
const PLANTED: &str = "i == 200u && tile.length == 256u";

/// Replaces what must be there: a fault that is not planted proves nothing.
fn replace(source: String, what: &str, by: &str) -> String {
    assert!(source.contains(what), "the kernel has changed; plant the fault elsewhere: {what}");
    source.replacen(what, by, 1)
}

const STORE: &str =
    "store_w(tile.w + i, select(y, select(vec4(QUIET_NAN), before, vec4(PASS_NONFINITE)), bad));";

fn store(source: String, by: &str) -> String {
    replace(source, STORE, &by.replace("STORE", STORE).replace("PLANTED", PLANTED))
}

/// What the register's case finds on a device whose kernels are edited so.
fn run(device: &wgpu::Device, queue: &wgpu::Queue, edit: fn(String) -> String) -> Outcome {
    run_case(device, queue, CASE, edit)
}

fn run_case(device: &wgpu::Device, queue: &wgpu::Queue, name: &str, edit: fn(String) -> String) -> Outcome {
    let kernels = PipelineCache::edited(device, edit);
    let case = KERNELS
        .iter()
        .flat_map(|room| (room.cases)())
        .find(|case| case.name() == name)
        .expect("the register has the case");
    case.run(device, queue, &kernels).expect("the device answers")
}

/// A fault by name, how to plant it, how many mismatches it makes (`None`: several), and what the first message says.
type Fault = (&'static str, fn(String) -> String, Option<u64>, &'static str);

const FAULTS: [Fault; 12] = [
    (
        "a threshold 1 % too large",
        |s| replace(s, "max(ax - k.t, 0.0)", "max(ax - 1.01 * k.t, 0.0)"),
        None,
        "index ",
    ),
    (
        "a learning rate 1 % too large",
        |s| replace(s, "- b.rate * bitcast", "- 1.01 * b.rate * bitcast"),
        None,
        "index ",
    ),
    ("an element not written", |s| store(s, "if !(PLANTED) { STORE }"), Some(1), "index 200:"),
    (
        "an index shifted by one",
        |s| {
            replace(
                s,
                "let moved = advance(tile, i,",
                "let moved = advance(tile, select(i + 1u, i, i + 1u == tile.length),",
            )
        },
        None,
        "index ",
    ),
    (
        "a result at the next place",
        |s| store(s, "store_w(tile.w + i + u32(PLANTED), select(y, vec4(QUIET_NAN), bad));"),
        None,
        "index 200:",
    ),
    (
        "NaN turned into 0",
        |s| replace(s, "const QUIET_NAN = 0x7fc00000u;", "const QUIET_NAN = 0u;"),
        None,
        "index ",
    ),
    (
        "NaN turned into 1",
        |s| replace(s, "const QUIET_NAN = 0x7fc00000u;", "const QUIET_NAN = 0x3f800000u;"),
        None,
        "index ",
    ),
    (
        "zero with a sign",
        |s| replace(s, "vec4(0u), (m == vec4(0.0))", "vec4(0x80000000u), (m == vec4(0.0))"),
        None,
        "index 0: GPU -0e0",
    ),
    (
        "a value 100 ULP off",
        |s| store(s, "STORE if PLANTED { store_w(tile.w + i, y + vec4(100u)); }"),
        Some(1),
        "index 200:",
    ),
    (
        // before the tensor: what lies behind it is outside the binding, where a write has no effect
        "a guard word overwritten",
        |s| store(s, "STORE if tile.length == 256u && i == 0u { store_w(tile.w - 1u, y); }"),
        Some(1),
        "guard word 3 of buffer 0 changed",
    ),
    (
        "a gradient changed",
        |s| store(s, "STORE if PLANTED { g[tile.g + i] = 1u; }"),
        Some(1),
        "read-only word 205 changed",
    ),
    (
        "non-finite elements not counted",
        |s| replace(s, "atomicAdd(&status[tile.tensor], bad);", "atomicAdd(&status[tile.tensor], 0u);"),
        Some(1),
        "status word 0 for ",
    ),
];

#[test]
fn every_planted_fault_is_reported_with_its_place() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let sound = run(&device, &queue, |source| source);
        assert_eq!(
            (sound.mismatches, sound.first_mismatch()),
            (0, None),
            "{}: no fault, no report",
            one.label
        );
        assert!(sound.checked > 600, "{}: elements, gradient words and guards", one.label);
        for (fault, edit, mismatches, message) in FAULTS {
            let found = run(&device, &queue, edit);
            let place = format!("{}: {fault}: {found:?}", one.label);
            assert!(found.mismatches > 0, "{place}");
            if let Some(expected) = mismatches {
                assert_eq!(found.mismatches, expected, "{place}");
            }
            let first = found.first_mismatch().expect("a mismatch has a place");
            assert!(first.contains(message), "{place}");
        }
    }
}

/// Faults of the kernels with groups: the case, how to plant one, and what the first message says.
type GroupFault = (&'static str, &'static str, fn(String) -> String, &'static str);

/// Rows that one workgroup holds, and one group that takes several passes.
const HELD: &str = "group/values/prox/none/lasso/rows/shape=40x64/rate=1/lambda=0+0.3/offsets=0-0-0-0";
const TINY: &str = "group/values/prox/none/lasso/rows/shape=40x64/rate=1/lambda=0+1e-30/offsets=0-0-0-0";
const SPLIT: &str = "group/layout/gradient/l1/lasso(weight=sqrt-size)/whole/shape=40000/rate=0.5/lambda=0.2+0.4/offsets=4-0-0-0";
const EXCLUSIVE: &str =
    "group/values/prox/none/exclusive/rows/shape=40x64/rate=1/lambda=0+0.3/offsets=0-0-0-0";
const L1_L2: &str =
    "group/values/prox/none/l1-l2(alpha=0.6)/columns/shape=33x50/rate=1/lambda=0+1/offsets=0-0-0-0";
const STRIDED: &str = "group/values/prox/none/lasso/columns/shape=33x50/rate=1/lambda=0+0.3/offsets=0-0-0-0";

const BROKEN: &str =
    "group/extremes/adam/l1/lasso/rows/shape=3x4097/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0/broken-weight";
const SUMMED: &str = "group/extremes/gradient/l1/exclusive/rows/shape=3x4097/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0/\
     sum-beyond-f32";
const STATES: &str =
    "group/extremes/adam/l1/lasso/rows/shape=3x4097/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0/broken-moment";

/// Rows that take all invocations, and rows that take several rounds.
const MANY: &str = "group/layout/gradient/l1/lasso(weight=sqrt-size)/rows/shape=3x4096/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0";
const ROUNDS: &str = "group/layout/gradient/l1/lasso(weight=sqrt-size)/rows/shape=2100x17/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0";

/// Several large groups, whose largest members lie in later parts.
const PEAKS: &str = "group/extremes/prox/l1/l1-l2(alpha=0.6)/rows/shape=4x40000/\
     rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0/peaks-far-in";

/// The same of columns.
const BESIDE: &str = "group/extremes/prox/l1/l1-l2(alpha=0.6)/columns/shape=4100x3/rate=0.5/lambda=0.2+0.4/offsets=0-0-0-0/\
     peaks-far-in";

const GROUP_FAULTS: [GroupFault; 26] = [
    ("members of a large group counted from 0", PEAKS, |s| s.replace("k + vec4(tile.member)", "k"), "index "),
    (
        "members of a part counted from 0",
        PEAKS,
        |s| s.replace("threshold, tile.member)", "threshold, 0u)"),
        "index ",
    ),
    (
        "the state of the first group",
        BESIDE,
        |s| s.replace("load_state(tile.state + 3u * ", "load_state(tile.state + 0u * "),
        "index ",
    ),
    (
        "a larger group that is not poisoned",
        BROKEN,
        |s| s.replace("state.bad = 1u;", "state.bad = 0u;"),
        "index ",
    ),
    (
        "a large sum taken for an ordinary one, in a larger group",
        SUMMED,
        |s| s.replace("select(x, select(LARGEST, x * 0x1p64f, x < 0x1p64f), m.large)", "x"),
        "index ",
    ),
    (
        "large sums that lose what is not large",
        SUMMED,
        |s| s.replace("large_sum(a.sum) + large_sum(b.sum)", "min(a.sum, b.sum)"),
        "index ",
    ),
    (
        "a state that is not poisoned",
        STATES,
        |s| s.replace("poisoned(second, bad)", "bitcast<vec4<u32>>(second)"),
        "index ",
    ),
    (
        // beside a large one, where they are far below its last digit
        "small members lost",
        HELD,
        |s| replace(s, "let zero = (m == vec4(0.0))", "let zero = (m < vec4(1e-9))"),
        "index ",
    ),
    (
        "a group threshold 0.1 % too large",
        HELD,
        |s| {
            replace(
                s,
                "return Shrink(1.0, 0.0, (m.norm - t) / m.norm",
                "return Shrink(1.0, 0.0, (m.norm - 1.001 * t) / m.norm",
            )
        },
        "index ",
    ),
    (
        "a norm without its last member",
        HELD,
        |s| {
            replace(
                s,
                "s += squared(z.b, threshold, by);",
                "s += squared(vec4(z.b.xyz, 0.0), threshold, by);",
            )
        },
        "index ",
    ),
    (
        "a tree that forgets half a group",
        HELD,
        |s| replace(s, "min(lanes, FAN)", "min(lanes, FAN) / 2u"),
        "index ",
    ),
    ("small squares lost", TINY, |s| replace(s, "select(0, 80, peak < 0x1p-40f)", "0"), "index "),
    ("large squares lost", HELD, |s| replace(s, "-80, peak > 0x1p48f", "0, peak > 0x1p48f"), "index "),
    (
        "a group that is not poisoned",
        HELD,
        |s| replace(s, "let bad = peak == INFINITY;", "let bad = false;"),
        "index ",
    ),
    ("zero with a sign", HELD, |s| replace(s, "vec4(0u), zero)", "vec4(0x80000000u), zero)"), "index "),
    (
        "a word not written",
        HELD,
        |s| replace(s, "if live.x {\n        store_w", "if live.x && k.x != 8u {\n        store_w"),
        "index ",
    ),
    (
        "a search that ends one step early",
        EXCLUSIVE,
        |s| replace(s, "const MEASUREMENTS = 40u", "const MEASUREMENTS = 1u"),
        "index ",
    ),
    (
        "the wrong largest member",
        L1_L2,
        |s| replace(s, "abs(z) == vec4(peak)", "abs(z) >= vec4(0.5 * peak)"),
        "index ",
    ),
    (
        "invocations that are forgotten, in a group of many",
        MANY,
        |s| replace(s, "FAN * lane.step, lanes / FAN", "FAN * lane.step, lanes / FAN / 2u"),
        "index ",
    ),
    (
        "a NaN that an invocation keeps to itself",
        HELD,
        |s| replace(s, "INFINITY, bad)", "INFINITY, bad && lane.part == 0u)"),
        "index ",
    ),
    (
        "the largest members of the round before last",
        ROUNDS,
        |s| replace(s, "turn = 128u - turn;", "turn = 0u;"),
        "index ",
    ),
    (
        "elements written that do not exist",
        STRIDED,
        |s| replace(s, "let own = doubled(word);", "let own = word;"),
        "",
    ),
    (
        "the norm that is taken off, forgotten",
        L1_L2,
        |s| replace(s, "m.norm + scaled(k.push * weight, m)", "m.norm"),
        "index ",
    ),
    (
        "a column's neighbour",
        STRIDED,
        |s| replace(s, "vec4(k.x * tile.run_stride)", "vec4(k.x * tile.run_stride + u32(k.x == 16u))"),
        "",
    ),
    (
        "a part that is not counted",
        SPLIT,
        |s| {
            s.replace(
                "store_partial(tile.extra + 2u * q, whole);",
                "if tile.member == 0u { store_partial(tile.extra + 2u * q, whole); }",
            )
        },
        "index ",
    ),
    (
        "a pass that leaves the last elements",
        SPLIT,
        |s| {
            s.replace(
                "store_w(tile.w + at, select(y, vec4(QUIET_NAN), state.bad != 0u));",
                "if tile.member == 0u { store_w(tile.w + at, select(y, vec4(QUIET_NAN), state.bad != 0u)); }",
            )
        },
        "index ",
    ),
];

#[test]
fn every_fault_planted_in_a_kernel_of_groups_is_reported() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let run = |case: &str, edit| run_case(&device, &queue, case, edit);
        for case in [
            HELD, TINY, SPLIT, EXCLUSIVE, L1_L2, STRIDED, MANY, ROUNDS, BROKEN, SUMMED, STATES, PEAKS, BESIDE,
        ] {
            let sound = run(case, |source| source);
            assert_eq!((sound.mismatches, sound.first_mismatch()), (0, None), "{}: {case}", one.label);
        }
        for (fault, case, edit, message) in GROUP_FAULTS {
            // a kernel of another stage lacks the line: the fault stands in one of them
            let found = run(case, edit);
            assert!(found.mismatches > 0, "{}: {fault}: {found:?}", one.label);
            let first = found.first_mismatch().expect("a mismatch has a place");
            assert!(first.contains(message), "{}: {fault}: {first}", one.label);
        }
    }
}

/// Cases of the other solvers: small groups by subgradients, small groups by splitting, and groups that no workgroup holds.
const SUBGRADIENT: &str = "solver/bases/subgradient/gradient/l1/rows/shape=50x12/rate=0.05/step=7/lambda=0.3+0.2/\
                           offsets=0-0-0-0-0";
const SPLITTING: &str = "solver/bases/splitting/adam/l1/rows/shape=50x12/rate=0.05/step=7/lambda=0.3+0.2/\
                         offsets=0-0-0-0-0";
const LARGE: &str = "solver/layout/proximal-subgradient/gradient/l1/rows/shape=3x16385/rate=0.1/step=5/lambda=0.2+0.4/\
                     offsets=0-0-0-0-0/one-buffer";

const COLUMNS: &str = "solver/layout/proximal-subgradient/gradient/l1/columns/shape=16385x3/\
     rate=0.1/step=5/lambda=0.2+0.4/offsets=0-0-0-0-0/one-buffer";

/// A fault in one of several kernels.
fn in_one(source: String, what: &str, by: &str) -> String {
    if source.contains(what) { replace(source, what, by) } else { source }
}

#[test]
fn every_fault_planted_in_a_solver_is_reported() {
    type Fault = (&'static str, &'static str, fn(String) -> String);
    let faults: [Fault; 12] = [
        ("the row of the first group", COLUMNS, |s| in_one(s, "rows[tile.row + q]", "rows[tile.row]")),
        ("a pull 1 % too large", SUBGRADIENT, |s| {
            replace(s, "= norm.strength *", "= 1.01 * norm.strength *")
        }),
        ("a slope without sign", SUBGRADIENT, |s| replace(s, "select(s, -s, w < vec4(0.0))", "s")),
        ("a slope at zero", SUBGRADIENT, |s| replace(s, "vec4(0.0), w == vec4(0.0))", "vec4(0.0), w != w)")),
        ("a group that is not spoiled", SUBGRADIENT, |s| replace(s, "peak == INFINITY)", "false)")),
        ("beta with the wrong sign", SPLITTING, |s| {
            replace(s, "group + row.pull.beta", "group - row.pull.beta")
        }),
        ("a copy without prox", SPLITTING, |s| {
            replace(
                s,
                "settled(select(prox_of(point, row.prox), vec4(0.0), kept), bad)",
                "settled(select(point, vec4(0.0), kept), bad)",
            )
        }),
        ("NaN turned into 0", SPLITTING, |s| replace(s, "vec4(QUIET_NAN), bad)", "vec4(0u), bad)")),
        ("a copy not written", SPLITTING, |s| {
            replace(s, "store_extra(unit(tile.extra) + at, settled(", "_ = (settled(")
        }),
        ("squares at the wrong scale", SPLITTING, |s| replace(s, "select(0, 80, peak < 0x1p-40f)", "0")),
        ("the last part left out", LARGE, |s| in_one(s, "i < tile.length;", "i + 1u < tile.length;")),
        ("a group's norm not used", LARGE, |s| in_one(s, "Norm(p.norm,", "Norm(1.0,")),
    ];
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        for case in [SUBGRADIENT, SPLITTING, LARGE, COLUMNS] {
            let sound = run_case(&device, &queue, case, |source| source);
            assert_eq!((sound.mismatches, sound.first_mismatch()), (0, None), "{}: {case}", one.label);
        }
        for (fault, case, edit) in faults {
            let found = run_case(&device, &queue, case, edit);
            assert!(found.mismatches > 0, "{}: {fault}", one.label);
        }
    }
}

/// A fault in one of several variants of a kernel: the case that must report it, the WGSL that is replaced wherever it stands,
/// and what stands in its place.
struct Planted {
    case: &'static str,
    what: &'static str,
    by: &'static str,
    edit: fn(String) -> String,
}

macro_rules! planted {
    ($($case:expr => $what:literal, $by:literal;)*) => {
        [$(Planted { case: $case, what: $what, by: $by, edit: |source| source.replace($what, $by) }),*]
    };
}

/// Demands that each case passes without a fault and reports it with it, on every adapter.
fn demand_reports(faults: &[Planted]) {
    let room_of = |case: &str| case.split('/').next().expect("a case is named after its room").to_owned();
    for Planted { case, what, .. } in faults {
        let room = KERNELS.iter().find(|room| room.name == room_of(case)).expect("a room of the register");
        assert!(
            (room.variants)().iter().any(|variant| variant.wgsl.contains(what)),
            "{}: the kernels have changed; plant the fault elsewhere: {what}",
            room.name
        );
    }
    let all: Vec<_> = KERNELS.iter().flat_map(|room| (room.cases)()).collect();
    let case_of = |name: &str| {
        let found = all.iter().find(|case| case.name() == name);
        found.unwrap_or_else(|| panic!("the register has no case {name}"))
    };
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let sound = PipelineCache::new(&device);
        for Planted { case, what, by, edit } in faults {
            let place = format!("{}: {case}: {what:?} => {by:?}", one.label);
            let run = |kernels: &PipelineCache| case_of(case).run(&device, &queue, kernels).expect("it runs");
            let without = run(&sound);
            assert_eq!(
                (without.mismatches, without.first_mismatch()),
                (0, None),
                "{place}: without the fault"
            );
            let found = run(&PipelineCache::edited(&device, *edit));
            assert!(found.mismatches > 0, "{place}: passes");
            assert!(found.first_mismatch().is_some(), "{place}: without a place");
        }
    }
}

#[test]
fn every_fault_planted_in_a_product_is_reported() {
    const STRAIGHT: &str =
        "spmm/csr/63x63x1/density=0.3/straight/plain/plain/orders=ccc/offsets=03120/one-buffer";
    const SCALED: &str =
        "spmm/csr/63x63x3/density=0.3/transposed/plain-scaled/plain/orders=ccc/offsets=13120/extreme";
    const NEAR: &str =
        "spmm/csr/63x63x3/density=0.3/straight/near/activated/orders=ccc/offsets=03120/one-buffer";
    const GIVEN: &str =
        "spmm/dense/63x63x3/density=0.3/straight/given/plain/orders=ccc/offsets=03120/one-buffer";
    const PULLED: &str =
        "spmm/csr/63x63x3/density=0.3/straight/pulled/plain/orders=ccc/offsets=03120/one-buffer";
    const BROKEN: &str =
        "spmm/csr/63x63x3/density=0.3/straight/pulled/plain/orders=ccc/offsets=23120/broken/one-buffer";
    const BITMAP: &str =
        "spmm/bitmap/63x63x3/density=0.3/straight/plain/plain/orders=ccc/offsets=03120/one-buffer";
    const TILES: &str =
        "spmm/dense/65x65x64/density=0.3/straight/plain/activated/orders=ccc/offsets=03120/one-buffer";
    const METRIC: &str = "spmm/metric/gradient/rows/n=33/m=40/density=0.6/rate=3/lambda=7/size=1e0/offset=0";
    demand_reports(&planted! {
        METRIC => "poisoned(activated(v, bend) - ", "poisoned(v - ";
        METRIC => "theta[job.q + row] * sum + other_of(row)", "1.01 * theta[job.q + row] * sum + other_of(row)";
        METRIC => "theta[job.q + row] * sum + other_of(row)", "theta[job.q + row] * sum + 1.01 * other_of(row)";
        METRIC => "    aim(first, apart);\n    let made", "    let made";
        NEAR => "size * (v - other_of(column))", "(v - other_of(column))";
        GIVEN => "x_of(column) - size * other_of(column)", "x_of(column) + size * other_of(column)";
        PULLED => "poisoned(q * slope(v, bend) * w, bad)", "poisoned(slope(v, bend) * w, bad)";
        BROKEN => "flags(v) | flags(w) | Flags(bend_broken)", "flags(w)";
        NEAR => "- theta[job.b + row]", "- 0.0";
        NEAR => "bent(row, theta[job.q + row] * sum)", "bent(row, theta[job.q + row + 1u] * sum)";
        SCALED => "scale = 1.0 - step_size(theta[job.scale_at]);", "scale = step_size(theta[job.scale_at]);";
        BITMAP => "bits &= bits - 1u;", "bits &= bits - 1u; bits &= 0x7fffffffu;";
        TILES => "sum2 += of_rows.z", "sum2 += of_rows.y";
        TILES => "if at + 1u < end {", "if at + 2u < end {";
        STRAIGHT => "k < lanes; k += apart", "k + 1u < lanes; k += apart";
        STRAIGHT => "job.stride + from_entry", "job.stride + from_entry + u32(k % job.apart == 7u)";
    });
}

#[test]
fn every_fault_planted_in_a_layer_is_reported() {
    const FORWARD: &str = "layer/forward/csr/64x64/entries=1638/layers=2-shared/orders=scc/lead=1/Ordinary";
    const OWN: &str = "layer/forward/csr/64x3/entries=1638/layers=2/orders=ssc/lead=3/Ordinary";
    const GIVEN: &str =
        "layer/forward/csr/64x20/entries=1638/layers=1-shared/orders=ssc/lead=3/given/Ordinary";
    const BACKWARD: &str = "layer/backward/csr/16x64/entries=77/layers=2-shared/orders=ccs/lead=0/Ordinary";
    const WIDE: &str = "layer/backward/csr/64x256/entries=1638/layers=2/orders=css/lead=2/Ordinary";
    const BROKEN: &str = "layer/backward/csr/64x20/entries=410/layers=2/orders=ccc/lead=0/Nonfinite";
    demand_reports(&planted! {
        OWN => "theta[learned + job.learned_apart]", "theta[job.learned]";
        FORWARD => " - theta[q + job.components]", "";
        FORWARD => "job.keep == 1u", "job.keep == 0u";
        FORWARD => "(x - data) / l", "x / l";
        GIVEN => "return x - data / l;", "return x - (x - data) / l;";
        BACKWARD => "held[HALF + word] = scale * beside_of", "held[HALF + word] = beside_of";
        BACKWARD => "q * activation_slope(v, a) * w", "activation_slope(v, a) * w";
        WIDE => "load_x(i, c + 2u * k)", "load_x(i, c + k)";
        BROKEN => "bad || broken(v) || broken(w)", "bad";
    });
}

#[test]
fn every_fault_planted_in_the_derivatives_by_learned_numbers_is_reported() {
    const ENTRIES: &str = "sddmm/entries/n=16/m=64/density=0.4/css/offset=2/one-buffer/scaled";
    const TILES: &str = "sddmm/tiles32/n=16/m=64/density=0.4/css/offset=2/one-buffer/scaled";
    const ADDED: &str = "sddmm/entries/n=3/m=64/density=1/scs/offset=1/add";
    const KNEES: &str = "sddmm/entries/n=17/m=70/density=0.6/ccc/offset=0/knees=0.5-1.25";
    const BEHIND: &str = "sddmm/entries/n=17/m=70/density=0.6/ccc/offset=0/scaled/behind=inf";
    const SUMS: &str = "sums/layer/n=16/m=64/density=0.4/css/offset=2/one-buffer/scaled";
    const SUMS_ADDED: &str = "sums/layer/n=65/m=3/density=0.05/scs/offset=1/add";
    const SUMS_KNEES: &str = "sums/layer/n=17/m=70/density=0.6/ccc/offset=0/knees=0.5-1.25";
    const SUMS_BROKEN: &str = "sums/layer/n=17/m=70/density=0.6/ccc/offset=0/learned[3]=NaN";
    demand_reports(&planted! {
        ENTRIES => "own.x * other.x + own.y * other.y", "own.x * other.x";
        TILES => "k += countOneBits(bits & ((1u << shift) - 1u));", "";
        TILES => "let grad_u = u_bars[k * PITCH + down];", "let grad_u = u_bars[k * PITCH + across];";
        ADDED => "out[at] += sum;", "out[at] = sum;";
        KNEES => "v >= a.delta1 || v < -a.delta1", "v > a.delta1 || v < -a.delta1";
        BEHIND => "nan_if(broken(behind), 1.0 - 1.0 / behind)", "1.0 - 1.0 / behind";
        SUMS => "scratch[at + job.rows] = first.y", "scratch[at + job.rows] = -first.y";
        SUMS => "/ (step_size * step_size)", "/ step_size";
        SUMS => "r * g, w_here", "r * x_here, w_here";
        SUMS_ADDED => "result[at] += sum", "result[at] = sum";
        SUMS_KNEES => "v >= a.delta2 || v < -a.delta2", "v > a.delta2 || v < -a.delta2";
        SUMS_BROKEN => "let slope = nan_if(bad, activation_slope(v, a));", "let slope = activation_slope(v, a);";
        "loss/lambda=0/n=2/m=3/offset=2/size=1e0" => "sum * (0.5 * job.scale)", "sum * job.scale";
        "loss/lambda=0.3/n=2/m=3/offset=2/size=1e0" => "by_x += job.lambda * sign(x);", "by_x += job.lambda;";
        "loss/lambda=0.3/n=2/m=3/offset=2/size=1e0" => "sum += 2.0 * job.lambda * abs(x);", "sum += job.lambda * abs(x);";
        "loss/lambda=0.3/n=2/m=3/offset=2/size=1e0" => "sum += 2.0 * job.lambda * abs(x);", "sum += 2.0 * job.lambda * x;";
        "chain/h=given/L=1.9/n=63/m=65/offset=3/size=1e0" => "grad_r[place(job.grad_r, at.x, at.y)] - step", "grad_r[place(job.h, at.x, at.y)] - step";
        "chain/h=given/L=inf/n=5/m=7/offset=0/size=1e0" => "nan_if(broken(l), h[place(job.h, at.x, at.y)] / l)", "h[place(job.h, at.x, at.y)] / l";
    });
}

#[test]
fn every_fault_planted_in_a_step_of_learned_numbers_is_reported() {
    const ADAM: &str = "learn/adam/shape/n=16/density=0.5/layers=2";
    // with weight decay
    const DECAY: &str = "learn/adam/shape/n=3/density=0.7/layers=1";
    const GRADIENT_DECAY: &str = "learn/gradient/shape/n=3/density=0.7/layers=1";
    const REGIONS: &str = "learn/gradient/regions/n=2/density=1/layers=320";
    const STRANGE: &str = "learn/adam/strange/n=17/density=0.4/layers=60";
    const BOUND: &str = "learn/bound/n=16/density=0.5/rounds=2";
    const BOUND_STRANGE: &str = "learn/bound/strange";
    demand_reports(&planted! {
        DECAY => "let g = bitcast<f32>(raw) + job.decay * value;", "let g = bitcast<f32>(raw);";
        GRADIENT_DECAY => "(bitcast<f32>(raw) + job.decay * value)", "bitcast<f32>(raw)";
        ADAM => "rates.root_scale * root", "root";
        ADAM => "rates.b, p < job.values), rates.q, p < job.b)", "rates.q, p < job.values), rates.b, p < job.b)";
        REGIONS => "clamp((eta1 - 1.0) / eta1, 0.0, 1.0)", "0.0";
        "learn/adam/all-rest/n=16/density=0.5/layers=3" => "if rate != 0.0 {", "if rate >= 0.0 {";
        STRANGE => "|| v > 0x80000000u", "";
        BOUND => "let v = theta[base + HEAD + i] * u;", "let v = u;";
        BOUND => "let entry = structure[rows + job.nonzeros + k];", "let entry = k;";
        BOUND_STRANGE => "if lost || size == 0.0 {", "if false {";
    });
}

#[test]
fn every_fault_planted_in_separable_layers_is_reported() {
    const FORWARD: &str = "dsrl/forward/ordinary/elements=65/layers=3/own";
    const BACKWARD: &str = "dsrl/backward/ordinary/elements=1023/layers=10/shared";
    const OWN_BACK: &str = "dsrl/backward/ordinary/elements=4194305/layers=5/own";
    const STRANGE: &str = "dsrl/forward/strange/elements=4097/layers=2/own";
    const STRANGE_BACK: &str = "dsrl/backward/strange-layer/elements=700/layers=7/own";
    demand_reports(&planted! {
        FORWARD => "return x - (x - c) * k.inverse;", "return x - (x - c);";
        FORWARD => "job.theta + l * job.apart", "job.theta";
        BACKWARD => "before < l; before++", "before + 1u < l; before++";
        BACKWARD => "r * (1.0 - k.inverse)", "r";
        BACKWARD => "sum *= scale;", "";
        BACKWARD => "span <= last; span++", "span < last; span++";
        BACKWARD => "min(first + SPAN, job.layers)", "first + SPAN";
        BACKWARD => "of_tile = added(of_tile, sums);", "of_tile = sums;";
        OWN_BACK => "start1 = kept(at + 4u * invocations);", "start1 = kept(at);";
        OWN_BACK => "if !first {", "if false {";
        OWN_BACK => "select(job.layers, 1u, job.apart == 0u)", "1u";
        BACKWARD => "v - side * a.delta2, -side * a.eta1", "v - a.delta2, -side * a.eta1";
        STRANGE => "return marked(y, bad_at(v, k));", "return y;";
        STRANGE_BACK => "let w = marked(grad_output, bad_at(v, k));", "let w = grad_output;";
    });
}

/// Whether a fault in some kernel of a prefix is reported by a case there, tried in order on the first adapter and then on all.
fn demand_some_report(
    prefixes: &[String],
    fault: &str,
    edit: impl Fn(String) -> String + Clone + Send + Sync + 'static,
) -> Option<String> {
    let all: Vec<_> = KERNELS.iter().flat_map(|room| (room.cases)()).collect();
    let tried = prefixes.iter().flat_map(|prefix| {
        let of = all.iter().filter(move |case| case.name().starts_with(prefix.as_str()));
        // ordinary numbers first
        let (plain, rest): (Vec<_>, Vec<_>) = of.partition(|case| case.name().contains("rate=1/lambda=0.3"));
        plain.into_iter().chain(rest.into_iter().step_by(3)).take(24)
    });
    let adapters = support::software_adapters();
    let devices: Vec<_> = adapters.iter().map(|one| (one.label.as_str(), one.device())).collect();
    let reports = |case: &dyn maf_srl::kernels::Case, (device, queue): &(wgpu::Device, wgpu::Queue)| {
        let kernels = PipelineCache::edited(device, edit.clone());
        case.run(device, queue, &kernels).expect("it runs").mismatches > 0
    };
    let Some(case) = tried.into_iter().find(|case| reports(&***case, &devices[0].1)) else {
        return Some(format!("{fault}: no case reports it"));
    };
    let passes = devices[1..].iter().find(|(_, device)| !reports(&**case, device));
    passes.map(|(label, _)| format!("{label}: {fault}: {} passes", case.name()))
}

/// `number` as it stands in the WGSL, where no letter follows, multiplied by 1.001.
fn off(source: &str, number: &str) -> String {
    let mut out = String::with_capacity(source.len() + 64);
    let mut rest = source;
    while let Some(at) = rest.find(number) {
        let (before, from) = rest.split_at(at);
        let after = &from[number.len()..];
        let whole = |c: Option<char>| c.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '.'));
        out.push_str(before);
        match whole(after.chars().next()) && whole(before.chars().next_back()) {
            true => out.push_str(&format!("(1.001 * {number})")),
            false => out.push_str(number),
        }
        rest = after;
    }
    out + rest
}

/// A number that the host computes, a thousandth off: each one of each penalty and each base step. The references compute from
/// the user's numbers alone, so that it makes no difference whether the host or the kernel is wrong.
#[test]
fn every_number_of_the_host_that_is_a_thousandth_off_is_reported() {
    let used = |names: [&'static str; 8]| names.into_iter().filter(|name| !name.starts_with("unused"));
    // far above all that comes, and compared with 0 alone
    let (irrelevant, identities) = ([("lp", "limit")], ["cges", "cges-linear", "log", "l1-l2"]);
    let (mut faults, mut missed) = (0, Vec::new());
    let mut demand = |prefixes: &[String], number: String| {
        let fault = format!("{number} in {prefixes:?}");
        missed.extend(demand_some_report(prefixes, &fault, move |source: String| off(&source, &number)));
        faults += 1;
    };
    for penalty in Penalty::all() {
        let prefixes = ["step/gradient/", "step/adam-metric/", "solver/penalties/subgradient/gradient/"];
        let name = penalty.name();
        let named = |prefix: &&str| ["/", "("].map(|end| format!("{prefix}{name}{end}"));
        let prefixes: Vec<String> = prefixes.iter().flat_map(named).collect();
        for number in used(penalty.rule().constant_names()) {
            if !irrelevant.contains(&(name, number)) {
                demand(&prefixes, format!("k.{number}"));
            }
        }
    }
    for penalty in GroupPenalty::all() {
        let name = penalty.name();
        let prefixes = ["/", "("].map(|end| format!("group/values/prox/none/{name}{end}"));
        for number in used(penalty.rule().constant_names()).filter(|name| *name != "first") {
            if number != "t" || !identities.contains(&name) {
                demand(&prefixes, format!("k.{number}"));
            }
        }
    }
    for base in Optimizer::all() {
        for number in used(base.constant_names()) {
            // heavy ball's is 0
            if (base.name(), number) != ("heavy-ball", "look") {
                demand(&[format!("step/{}/none/", base.name())], format!("b.{number}"));
            }
        }
    }
    for number in ["row.pull.beta", "row.pull.lambda"] {
        demand(&["solver/bases/splitting/".into()], number.into());
    }
    demand(&["group/values/prox/none/lasso(weight=sqrt-size)".into()], "site.weight".into());
    assert_eq!(missed, [""; 0], "of {faults}");
    assert!(faults > 60, "{faults}");
}

/// Two tensors; the faults of value are planted at element 200 of those that have more than 256.
fn verified(device: &wgpu::Device, queue: &wgpu::Queue, edit: fn(String) -> String) -> Result<u64, Error> {
    let weights: Vec<f32> = (0..400).map(|k| (k as f32 - 201.5) * 0.01).collect();
    let (small, large) = (upload_f32(device, &weights[..100]), upload_f32(device, &weights[..300]));
    // one element further, so that the scalar kernel runs
    let gradients = upload_f32(device, &weights);
    let l1: Penalty = "l1".parse().expect("a penalty of the register");
    let tensor = |name, w, length, g| {
        Tensor::new(Spec::new(name, l1, 0.3), view(w, 0, length)).with_gradient(view(&gradients, g, length))
    };
    let tensors = [tensor("small", &small, 100, 4), tensor("large", &large, 295, 408 + 4)];
    let schedule = Schedule::with_pipelines(device, PipelineCache::edited(device, edit));
    let mut plan = schedule.bind(Optimizer::Gradient, &tensors, Verify::Full).expect("they bind");
    for step in 1..=3 {
        submit(device, queue, |encoder| {
            plan.record(encoder, &StepParameters::new(0.1, step).expect("in the domain"))
        });
    }
    plan.finish().map(|found| found.checked)
}

#[test]
fn full_verification_turns_a_wrong_weight_into_an_error_that_names_it() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let sound = verified(&device, &queue, |source| source);
        assert!(matches!(sound, Ok(1185)), "{}: {sound:?}", one.label);
        let edits: [fn(String) -> String; 2] = [
            |s| store(s, "if !(PLANTED) { STORE }"),
            |s| store(s, "STORE if PLANTED { store_w(tile.w + i, y + vec4(100u)); }"),
        ];
        for edit in edits {
            let Err(error) = verified(&device, &queue, edit) else {
                panic!("{}: a wrong weight passed", one.label);
            };
            let text = error.to_string();
            assert!(matches!(error, Error::Mismatch(_)), "{}: {text}", one.label);
            assert!(text.contains("\"large\", step 1, index 200: GPU "), "{}: {text}", one.label);
        }
    }
}

#[test]
fn every_fault_planted_in_frozen_zeros_is_reported() {
    type Fault = (&'static str, &'static [&'static str], fn(String) -> String);
    fn let_go(source: String) -> String {
        replace(source, "u32(mode.freeze == 0u)", "1u")
    }
    let faults: [Fault; 9] = [
        ("zeros of a step", &["step/gradient/"], let_go),
        ("zeros of a group", &["group/pairs/gradient/"], let_go),
        ("zeros of a solver", &["solver/bases/proximal-subgradient/"], let_go),
        ("zeros of a copy", &["solver/bases/splitting/"], |s| replace(s, "u32(row.mode.freeze == 0u)", "1u")),
        ("zeros of coefficients", &["spmm/metric/"], |s| {
            in_one(s, "zeros(row, first, apart) & !made.bad", "Flags(false)")
        }),
        ("the weights held in place of the copy", &["solver/bases/splitting/heavy-ball"], |s| {
            replace(s, "frozen = vec4(false);", "frozen = held(bitcast<vec4<u32>>(w), row.mode);")
        }),
        ("momentum kept", &["step/heavy-ball/", "group/pairs/heavy-ball"], |s| {
            replace(s, "select(velocity, vec4(0.0), frozen)", "velocity")
        }),
        ("first moment kept", &["step/adam/"], |s| replace(s, "select(first, vec4(0.0), frozen)", "first")),
        ("second moment moved", &["step/adam/"], |s| {
            replace(s, "select(poisoned(second, bad), v, frozen & !bad)", "poisoned(second, bad)")
        }),
    ];
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        for (fault, prefixes, edit) in faults {
            for prefix in prefixes {
                let frozen = |case: &dyn maf_srl::kernels::Case| {
                    let name = case.name();
                    // of coefficients in tiles, and of those in rows, the smallest that have some
                    let some = case.elements() >= 100 && !name.contains("NaN") && !name.contains("layout");
                    some && name.starts_with(prefix) && name.ends_with("/frozen")
                };
                let cases = KERNELS.iter().flat_map(|kernel| (kernel.cases)());
                let case = cases.into_iter().find(|case| frozen(&**case));
                let case = case.unwrap_or_else(|| panic!("no frozen case {prefix}"));
                let run = |edit: fn(String) -> String| {
                    let pipelines = PipelineCache::edited(&device, edit);
                    case.run(&device, &queue, &pipelines).expect("the device answers")
                };
                let (sound, found) = (run(|source| source), run(edit));
                assert_eq!(sound.first_mismatch(), None, "{}: {}", one.label, case.name());
                assert!(found.mismatches > 0, "{}: {fault}: {}", one.label, case.name());
            }
        }
    }
}

#[test]
fn a_row_with_a_constant_1_percent_off_is_found_for_every_penalty() {
    let hyper = StepParameters::new(0.5, 1).expect("in the domain");
    for penalty in Penalty::all().into_iter().filter(|p| p.name() != "none") {
        let right = StepReference::new(Optimizer::Gradient, penalty, 0.4, 1.0, &hyper);
        let wrong = StepReference::new(Optimizer::Gradient, penalty, 0.4 * 1.01, 1.0, &hyper);
        let elements = (0..4000).map(|k| Element { w: (k as f32 - 1999.5) * 1e-3, ..Element::default() });
        let found = elements.clone().filter(|&e| !right.judge(e, wrong.step(e).0).ok).count();
        assert!(found > 0, "{}: lambda 1 % off passes", penalty.name());
        // the reference's own results, rounded to f32, pass
        for e in elements {
            let verdict = right.judge(e, right.step(e).0);
            assert!(verdict.ok, "{}: {e:?} {verdict:?}", penalty.name());
        }
    }
}

#[test]
fn a_wrong_state_is_found_for_every_base_step_that_has_one() {
    let hyper = StepParameters::new(0.5, 3).expect("in the domain");
    let none: Penalty = "none".parse().expect("a penalty of the register");
    for base in Optimizer::all().into_iter().filter(|b| b.states() > 0) {
        let reference = StepReference::new(base, none, 0.0, 1.0, &hyper);
        let before = Element { w: 0.7, g: 0.3, m: -0.2, v: 0.1, ..Element::default() };
        let (after, finite) = reference.step(before);
        assert!(finite && reference.judge(before, after).ok, "{base}");
        let off = |x: f32| f32::from_bits(x.to_bits() + 100);
        assert!(
            !reference.judge(before, Element { m: off(after.m), ..after }).ok,
            "{base}: first state 100 ULP off"
        );
        assert!(!reference.judge(before, Element { m: f32::NAN, ..after }).ok, "{base}: first state NaN");
        if base.states() > 1 {
            assert!(
                !reference.judge(before, Element { v: off(after.v), ..after }).ok,
                "{base}: second state off"
            );
            assert!(
                !reference.judge(before, Element { v: before.v, ..after }).ok,
                "{base}: second state not written"
            );
        }
    }
}
