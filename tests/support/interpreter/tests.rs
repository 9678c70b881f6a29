//! The interpreter itself: what it must find, what it must let pass, and what it computes.

use std::collections::BTreeSet;

use super::arithmetic::{Arithmetic, Rounding};
use super::compile::compile;
use super::machine::{Finding, Machine, Setting, What, Window};
use super::memory::Memory;

const SETTING: Setting = Setting { rounding: Rounding::Nearest, seed: 3, hasty: false };

/// What every source below starts with: a storage buffer `data` of words, and a workgroup's `cells`.
const HEAD: &str = "
override invocations: u32 = 64u;
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
var<workgroup> cells: array<u32, 64>;
";

/// Runs the entry point `main(id: u32, index: u32)` of 64 invocations, whose body is given, on a buffer.
fn run(before: &str, body: &str, data: &[u32], workgroups: u32) -> (Vec<u32>, BTreeSet<Finding>) {
    let source = format!(
        "{HEAD}{before}
@compute @workgroup_size(invocations)
fn main(@builtin(workgroup_id) ids: vec3<u32>, @builtin(local_invocation_index) index: u32) {{
    let id = ids.x;
    {body}
}}"
    );
    let program = compile(&source, "main", 64, false);
    let mut shared = 0;
    let window = |global: &super::code::Global| match global.binding {
        Some(_) => Window { memory: 1, first: 0, words: data.len() },
        None => {
            shared += global.words as usize;
            Window { memory: 0, first: shared - global.words as usize, words: global.words as usize }
        }
    };
    let windows: Vec<_> = program.globals.iter().map(window).collect();
    let memories = vec![Memory::of_workgroup(shared), Memory::shared(data.to_vec())];
    let mut machine = Machine::new(&program, &windows, memories, SETTING);
    machine.dispatch((workgroups, 1));
    (machine.memories[1].words.clone(), machine.findings)
}

/// The kinds of what one workgroup, or several, do wrong.
fn found(body: &str, workgroups: u32) -> Vec<What> {
    let all = run("", body, &[0; 256], workgroups).1;
    all.into_iter().map(|finding| finding.what).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn accesses_without_a_barrier_race() {
    let hand_over =
        |barrier: &str| format!("cells[index] = index; {barrier} data[index] = cells[63u - index];");
    assert_eq!(found(&hand_over(""), 1), [What::Race]);
    assert_eq!(found(&hand_over("storageBarrier();"), 1), [What::Race], "a barrier of the other memory");
    assert_eq!(found(&hand_over("workgroupBarrier();"), 1), []);
    // two that write the same
    assert_eq!(found("cells[0] = 7u;", 1), [What::Race]);
    assert_eq!(found("if index == 5u { cells[0] = 7u; }", 1), []);
    // the order of a read and a write
    assert_eq!(found("data[index] = cells[0]; if index == 0u { cells[0] = 1u; }", 1), [What::Race]);
    // of two rounds, without a barrier at the end of the first
    let rounds = |end: &str| {
        format!(
            "for (var k = 0u; k < 2u; k++) {{ cells[index] = k; workgroupBarrier(); data[index] = cells[63u - index]; {end} }}"
        )
    };
    assert_eq!(found(&rounds(""), 1), [What::Race]);
    assert_eq!(found(&rounds("workgroupBarrier();"), 1), []);
}

#[test]
fn storage_is_ordered_by_its_own_barrier() {
    let body = |barrier: &str| {
        format!("data[index] = index; {barrier} let other = data[63u - index]; data[64u + index] = other;")
    };
    assert_eq!(found(&body("workgroupBarrier();"), 1), [What::Race]);
    let (words, findings) = run("", &body("storageBarrier();"), &[0; 128], 1);
    assert_eq!(findings.len(), 0, "{findings:?}");
    assert!((0..64).all(|k| words[64 + k] == 63 - k as u32));
}

#[test]
fn a_race_is_told_with_both_lines() {
    let (_, findings) = run("", "cells[index] = 1u;\n    data[index] = cells[63u - index];", &[0; 64], 1);
    let lines: BTreeSet<_> = findings.iter().flat_map(|finding| finding.lines.clone()).collect();
    let first = HEAD.lines().count() as u32 + 5;
    assert_eq!(lines, [(first, "cells".to_owned()), (first + 1, "cells".to_owned())].into());
}

#[test]
fn atomics_do_not_race_with_each_other() {
    let declared = "@group(0) @binding(1) var<storage, read_write> count: atomic<u32>;";
    let (words, findings) = run(declared, "atomicAdd(&count, 1u);", &[0; 1], 3);
    assert_eq!((words, findings.len()), (vec![3 * 64], 0));
    // but with what is none, of the same memory
    let (_, findings) = run(declared, "atomicAdd(&count, 1u); data[0] = 1u;", &[0; 1], 1);
    assert!(findings.iter().any(|finding| finding.what == What::Race), "{findings:?}");
}

#[test]
fn workgroups_are_ordered_by_nothing() {
    assert_eq!(found("data[index] = id;", 2), [What::RaceAcrossWorkgroups]);
    assert_eq!(found("data[index] = 1u; storageBarrier();", 2), [What::RaceAcrossWorkgroups]);
    assert_eq!(found("if id == index { data[64u + id] = data[0]; }", 3), []);
    assert_eq!(found("if index == 0u { data[id] = data[id + 1u]; }", 2), [What::RaceAcrossWorkgroups]);
    assert_eq!(found("data[64u * id + index] = 1u;", 3), []);
}

#[test]
fn barriers_must_be_reached_by_all() {
    assert_eq!(found("if index < 10u { workgroupBarrier(); }", 1), [What::NonUniform]);
    assert_eq!(
        found("if index < 10u { workgroupBarrier(); } else { workgroupBarrier(); }", 1),
        [What::NonUniform]
    );
    assert_eq!(found("if index == 3u { return; } workgroupBarrier();", 1), [What::NonUniform]);
    assert_eq!(
        found("for (var k = 0u; k <= index % 2u; k++) { workgroupBarrier(); }", 1),
        [What::NonUniform]
    );
    // as many barriers, but not in the same rounds
    let skips = "for (var k = 0u; k < 3u; k++) { if k == index % 2u { continue; } workgroupBarrier(); }";
    assert_eq!(found(skips, 1), [What::NonUniform]);
    assert_eq!(found("for (var k = 0u; k < 3u; k++) { workgroupBarrier(); }", 1), []);
    assert_eq!(found("if id == 1u { workgroupBarrier(); }", 2), []);
}

#[test]
fn a_uniform_load_is_a_barrier_on_both_sides() {
    let body = |load: &str| {
        format!(
            "if index == 9u {{ cells[0] = 5u; }} let x = {load}; if index == 3u {{ cells[0] = 6u; }} data[index] = x;"
        )
    };
    assert_eq!(found(&body("cells[0]"), 1), [What::Race]);
    let (words, findings) = run("", &body("workgroupUniformLoad(&cells)[0]"), &[0; 64], 1);
    assert_eq!((words, findings.len()), (vec![5; 64], 0));
}

#[test]
fn what_is_outside_is_found() {
    assert_eq!(found("if index == 0u { data[256] = 1u; }", 1), [What::WriteOutside]);
    assert_eq!(found("if index == 0u { data[0] = data[index + 256u]; }", 1), [What::ReadOutside]);
    assert_eq!(found("cells[index + 1u] = 0u;", 1), [What::WriteOutside]);
}

#[test]
fn what_does_not_end_is_found() {
    assert_eq!(found("if index == 0u { loop { if data[0] == 1u { break; } } }", 1), [What::Endless]);
}

#[test]
fn memory_of_a_workgroup_starts_as_garbage() {
    let (words, _) = run("", "data[index] = cells[index];", &[0; 64], 1);
    assert!(words.iter().all(|&word| f32::from_bits(word).is_nan()), "{words:x?}");
}

#[test]
#[should_panic(expected = "the interpreter knows no")]
fn what_is_unknown_is_refused() {
    found("switch index { case 0u: { data[0] = 1u; } default: {} }", 1);
}

/// Structs with gaps, pointers to variables, vectors by index, results of calls in loops.
#[test]
fn values_arrive() {
    let declared = "
struct Inner { a: vec3<u32>, b: u32, c: vec2<u32> }
struct Outer { first: u32, inner: array<Inner, 2>, flag: u32 }
var<private> calls: u32 = 2u;
var<workgroup> held: Outer;
fn twice(x: u32, seen: ptr<function, u32>) -> u32 {
    calls += 1u;
    *seen += x;
    if x > 5u { return 2u * x; }
    return x;
}
fn inner_of(k: u32) -> Inner { return Inner(vec3(k, k + 1u, k + 2u), k + 3u, vec2(k + 4u, k + 5u)); }
";
    let body = "
    if index != 0u { return; }
    held = Outer(7u, array(inner_of(10u), inner_of(20u)), 1u);
    let copy = held.inner[data[0] - 1u];
    var seen = 0u;
    var sum = 0u;
    for (var k = 0u; k < 8u; k++) {
        if k == 3u { continue; }
        sum += twice(k, &seen);
    }
    let v = vec4(4u, 5u, 6u, 7u);
    data[1] = copy.a.y + copy.c.y;
    data[2] = sum;
    data[3] = seen;
    data[4] = calls;
    data[5] = v[data[0]] + dot(v.wzy, vec3(1u, 10u, 100u));
    data[6] = u32(-1.5 < f32(i32(data[0]) - 4)) + u32(all(v > vec4(3u)));
    data[7] = bitcast<u32>(clamp(f32(data[0]) * vec2(0.25, 9.0), vec2(0.75), vec2(2.0)).y);
    data[8] = (held.flag << 4u) | (firstTrailingBit(40u) ^ countOneBits(255u));
    held.inner[1].c[data[0] - 1u] = 99u;
    data[9] = held.inner[1].c.y;
    data[10] = arrayLength(&data);";
    let (words, findings) = run(declared, body, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1);
    assert_eq!(findings.len(), 0, "{findings:?}");
    let [sum, seen] = [1 + 2 + 4 + 5 + 12 + 14, 1 + 2 + 4 + 5 + 6 + 7];
    let expected = [2, 21 + 25, sum, seen, 9, 6 + 7 + 60 + 500, 1, 2.0f32.to_bits(), 16 | (3 ^ 8), 99, 12, 0];
    assert_eq!(words, expected);
}

#[test]
fn arithmetic_is_as_bad_as_permitted_and_no_worse() {
    let numbers: Vec<f32> = (0..4000u32)
        .map(|k| f32::from_bits(k.wrapping_mul(0x9e37_79b1) & 0x8fff_ffff | 0x3800_0000))
        .collect();
    let (truncated, any) = (Arithmetic::new(Rounding::Truncated, 1), Arithmetic::new(Rounding::Any, 1));
    let mut worst = [0.0f64; 2];
    for (&a, &b) in numbers.iter().zip(numbers.iter().rev()) {
        let (x, y) = (f64::from(a), f64::from(b));
        let ulp = |v: f64| f64::from((v.abs() as f32).next_up()) - f64::from(v.abs() as f32);
        for (exact, got, cut) in [
            (x * y, any.multiply(a, b), truncated.multiply(a, b)),
            (x + y, any.add(a, b), truncated.add(a, b)),
        ] {
            assert!(f64::from(cut).abs() <= exact.abs(), "{a:e} {b:e}: {cut:e}");
            worst[0] = worst[0].max((f64::from(got) - exact).abs() / ulp(exact));
        }
        worst[1] = worst[1].max((f64::from(any.divide(a, b)) - x / y).abs() / ulp(x / y));
        assert_eq!(any.divide(a, b), any.divide(a, b), "the same twice");
    }
    assert!(worst[0] > 0.9 && worst[0] <= 1.0, "{worst:?}");
    assert!(worst[1] > 2.0 && worst[1] <= 2.5, "{worst:?}");
    let plain = Arithmetic::new(Rounding::Nearest, 1);
    assert!(
        numbers.iter().all(|&a| plain.divide(1.0, a) == 1.0 / a && plain.sqrt(a.abs()) == a.abs().sqrt())
    );
    assert_eq!(truncated.multiply(1e-30, 1e-10), 0.0);
    assert_eq!(truncated.add(1e-40, 1e-40), 0.0);
    for arithmetic in [truncated, any] {
        assert!(arithmetic.add(f32::INFINITY, f32::NEG_INFINITY).is_nan());
        assert_eq!(arithmetic.multiply(3e38, -3e38), f32::NEG_INFINITY);
        assert_eq!(arithmetic.divide(1.0, 0.0), f32::INFINITY);
    }
}
