//! Steps that are checked while training goes on: samples and all of them, what a report says, and what a
//! kernel that computes wrongly looks like.
//!
//! A check copies what a step reads and what it writes, on the device and in the same encoder. Worker threads
//! take the step again in float64 and compare; training does not wait.
//!
//! `cargo run --example verification`, with `-- NAME` for an adapter of that name.

use maf_srl::gpu::{self, Context, View};
use maf_srl::kernels::PipelineCache;
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Verification, Verify};
use maf_srl::{Error, Result};

const LENGTH: usize = 1000;
const STEPS: u64 = 40;

/// Two tensors, bound to the kernels of a schedule.
fn bind(device: &wgpu::Device, schedule: &Schedule, verify: Verify) -> Result<Plan> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let mut tensors = Vec::new();
    for (name, penalty) in [("fc1.weight", "l1"), ("fc2.weight", "tl1(a=1)")] {
        let numbers = |scale: f32| -> Vec<f32> { (0..LENGTH).map(|k| scale * (k as f32).sin()).collect() };
        let view = |numbers: Vec<f32>| {
            let buffer = gpu::buffer_with(device, name, bytemuck::cast_slice(&numbers), usage)?;
            View::new(name, &buffer, 0, LENGTH as u64)
        };
        let spec = Spec::new(name, penalty.parse()?, 0.1);
        tensors.push(Tensor::new(spec, view(numbers(1.0))?).with_gradient(view(numbers(-0.2))?));
    }
    schedule.bind(Optimizer::HeavyBall { momentum: 0.9 }, &tensors, verify)
}

/// Some steps, and what their checks found.
fn train(device: &wgpu::Device, queue: &wgpu::Queue, mut plan: Plan) -> Result<Verification> {
    for step in 1..=STEPS {
        let mut encoder = device.create_command_encoder(&Default::default());
        plan.record(&mut encoder, &StepParameters::new(0.05, step)?);
        queue.submit([encoder.finish()]);
        // cheap enough for every step: an error where a check that is done by now failed
        plan.check()?;
    }
    // waits for the checks that are still under way
    plan.finish()
}

/// What a report says of each tensor.
fn tell(title: &str, found: &Verification) {
    println!("{title}: {} steps, {} elements, {} mismatches", found.steps, found.checked, found.mismatches);
    for tensor in &found.tensors {
        // `in_band`: so near a threshold that rounding decides, and either side of it is right
        println!(
            "  {}: {} elements, at most {:.3} ULP from an exact step ({} allowed), {} at a threshold",
            tensor.name, tensor.checked, tensor.max_ulps, tensor.allowed_ulps, tensor.in_band
        );
        assert!(tensor.max_ulps <= tensor.allowed_ulps);
    }
}

/// Trains with each kind of verification, and on a kernel with a fault.
///
/// # Errors
/// What the library refuses, and a step that its check found wrong.
pub fn run(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<()> {
    let schedule = Schedule::new(device);
    let all = 2 * LENGTH as u64;

    // Every tensor at every step: for a new GPU or driver, and wherever time does not matter.
    let found = train(device, queue, bind(device, &schedule, Verify::Full)?)?;
    tell("full", &found);
    assert_eq!((found.steps, found.checked), (STEPS, STEPS * all));

    // One tensor, drawn at random, at every tenth step: cheap enough to be left on.
    let sample = Verify::Sample { every: 10, tensors: 1, seed: 3 };
    let found = train(device, queue, bind(device, &schedule, sample)?)?;
    tell("sample", &found);
    assert_eq!((found.steps, found.checked), (STEPS / 10, STEPS / 10 * LENGTH as u64));

    // A compiler that gets something wrong, played by a kernel of l1 whose threshold is 1 % too large.
    // (`edited` is for tests alone; it rewrites the library's shaders before they are compiled.)
    let fault = |source: String| source.replace("max(ax - k.t, 0.0)", "max(ax - 1.01 * k.t, 0.0)");
    let faulty = Schedule::with_pipelines(device, PipelineCache::edited(device, fault));
    match train(device, queue, bind(device, &faulty, Verify::Full)?) {
        Err(error @ Error::Mismatch(_)) => {
            println!("a kernel with a fault: {error}");
            // tensor, step and index, both values, and how far apart they may be
            assert!(error.to_string().contains("first: tensor \"fc1.weight\", step "), "{error}");
            Ok(())
        }
        other => panic!("the fault was not found: {other:?}"),
    }
}

fn main() {
    let made = Context::new(std::env::args().nth(1).as_deref()).and_then(|context| {
        println!("{}", context.name());
        run(&context.device, &context.queue)
    });
    if let Err(error) = made {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
