//! Every kernel, interpreted.

#[path = "support/interpreter/mod.rs"]
mod interpreter;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use interpreter::arithmetic::Rounding;
use interpreter::machine::Setting;
use interpreter::{compile::compile, host};
use maf_srl::kernels::{KERNELS, PipelineCache};

#[test]
fn first() {
    let filter =
        std::env::var("CASE").unwrap_or("step/gradient/layout/separate/length=300/offsets=0-1-0-0".into());
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let findings = Arc::new(Mutex::new(BTreeSet::new()));
    let (d, q, f) = (device.clone(), queue.clone(), findings.clone());
    let kernels = PipelineCache::new(&device).interpreted(move |dispatch| {
        let start = std::time::Instant::now();
        let program = compile(dispatch.source, dispatch.entry, dispatch.invocations, false);
        let compiled = start.elapsed();
        let found = host::run(
            &d,
            &q,
            &program,
            dispatch,
            Setting { rounding: Rounding::Nearest, seed: 1, hasty: false },
        );
        println!(
            "{} {} ops {} registers, {:?} {compiled:?} {:?}",
            dispatch.name,
            program.ops.len(),
            program.registers,
            dispatch.workgroups,
            start.elapsed()
        );
        f.lock().unwrap().extend(found);
    });
    for case in KERNELS.iter().flat_map(|k| (k.cases)()) {
        if case.name().starts_with(&filter) {
            let start = std::time::Instant::now();
            let outcome = case.run(&device, &queue, &kernels).unwrap();
            println!("{} {:?} {outcome:?}", case.name(), start.elapsed());
            println!("{:?}", std::mem::take(&mut *findings.lock().unwrap()));
        }
    }
}
