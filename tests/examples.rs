//! T2: the examples run and come to the results that they check themselves, on every software adapter; and
//! the two shortest programs stay short.

mod support;

#[allow(dead_code, reason = "its `main` chooses an adapter")]
#[path = "../examples/embed.rs"]
mod embed;
#[allow(dead_code, reason = "its `main` chooses an adapter")]
#[path = "../examples/groups.rs"]
mod groups;
#[allow(dead_code, reason = "its `main` chooses an adapter")]
#[path = "../examples/regulariser.rs"]
mod regulariser;
#[allow(dead_code, reason = "its `main` chooses an adapter")]
#[path = "../examples/training.rs"]
mod training;
#[allow(dead_code, reason = "its `main` chooses an adapter")]
#[path = "../examples/verification.rs"]
mod verification;

use maf_srl::gpu::Context;

/// Runs an example on every software adapter, on a device with the default limits.
fn everywhere(run: fn(&wgpu::Device, &wgpu::Queue) -> maf_srl::Result<()>) {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        run(&device, &queue).unwrap_or_else(|error| panic!("{}: {error}", one.label));
    }
}

#[test]
fn embedded_in_a_loop_of_its_own() {
    everywhere(embed::run);
}

#[test]
fn neurons_die_as_a_whole() {
    everywhere(groups::run);
}

#[test]
fn checks_report_and_find_a_fault() {
    everywhere(verification::run);
}

#[test]
fn a_learned_regulariser_has_sparse_coefficients() {
    everywhere(regulariser::run);
}

#[test]
fn training_goes_on_from_a_checkpoint() {
    for one in support::software_adapters() {
        let context =
            Context::on(one.adapter.clone()).unwrap_or_else(|error| panic!("{}: {error}", one.label));
        training::run(&context).unwrap_or_else(|error| panic!("{}: {error}", one.label));
    }
}

#[test]
fn short_programs_stay_short() {
    let (readme, training) = (include_str!("../README.md"), include_str!("../examples/training.rs"));
    let program = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let program = program.expect("a program in the README").lines().count();
    assert!((20..=40).contains(&program), "the README's program: {program} lines");
    let training = training.lines().count();
    assert!(training <= 60, "examples/training.rs: {training} lines");
    assert!(readme.lines().count() <= 150, "README.md: {} lines", readme.lines().count());
}
