//! The benchmarks time what the register knows, on results that were compared with the reference; and what the command
//! prints is what scripts rely on.

mod support;

use maf_srl::bench::{Effort, Options, run, run_references, steps};
use maf_srl::gpu::Context;
use maf_srl::kernels::KERNELS;

/// So small that a row takes milliseconds, and not a multiple of any word, tile or workgroup.
fn tiny() -> Options {
    Options { sizes: vec![1237], effort: Effort { repeats: 3, rotate: 1, ..Effort::software() } }
}

#[test]
fn what_is_timed_are_variants_of_the_register() {
    let all: Vec<String> = KERNELS.iter().flat_map(|room| (room.variants)()).map(|v| v.name).collect();
    for room in KERNELS {
        let known: Vec<String> = (room.variants)().into_iter().map(|v| v.name).collect();
        let benches = (room.benches)();
        assert!(!benches.is_empty(), "{} is not timed", room.name);
        let mut seen = std::collections::HashSet::new();
        for bench in &benches {
            assert!(known.contains(&bench.variant()), "{}/{}", room.name, bench.variant());
            assert!(seen.insert(bench.label()), "{} twice", bench.label());
            assert!(bench.bytes(10) > 40, "{}: less than one read and one write", bench.label());
            if let Some(instead) = bench.instead() {
                assert!(instead.variant().split(" + ").all(|part| all.iter().any(|name| name == part)));
                assert!(
                    instead.bytes(10) > bench.bytes(10),
                    "{}/{}: fusing must save bytes",
                    room.name,
                    bench.label()
                );
            }
        }
    }
}

#[test]
fn every_software_adapter_is_measured() {
    for one in support::software_adapters() {
        let context = Context::on(one.adapter).unwrap();
        let options = tiny();
        let mut told = 0;
        let report = run(&context, &options, |_| told += 1).unwrap_or_else(|e| panic!("{}: {e}", one.label));
        assert_eq!(told, steps(&options), "{}", one.label);
        assert_eq!(report.left_out, [""; 0], "{}", one.label);
        assert_eq!(report.rows.len() as u64, steps(&options) - 1, "{}", one.label);
        for row in &report.rows {
            // whole groups are fewer elements than were asked for, down to half
            assert!(row.checked * 2 >= row.elements, "{}: {row:?}", one.label);
            assert!(row.time.ns > 0.0 && row.share_of_copy > 0.0, "{}: {row:?}", one.label);
        }
        let many = report.many.unwrap();
        // words of four in small workgroups and in large ones, and the single elements of all ends
        assert!(many.batched.dispatches <= 3, "one per variant: {many:?}");
        assert!(many.looped.dispatches >= many.tensors, "{many:?}");
    }
}

#[test]
fn the_references_are_timed_without_an_adapter() {
    let report = run_references(&tiny(), |_| {});
    assert!(!report.rows.is_empty());
    assert!(report.references && report.software && report.many.is_none() && report.clock == "wall");
}
