//! One way of stepping tensors that other programs can stand beside: the step itself, its time and its result, for
//! `benches/peers/*.py`, which bring the numbers, time themselves and compare. `cargo bench --bench peers` alone steps numbers
//! of its own. `MAF_SRL_DEVICE` names the adapter.
//!
//! `cargo bench --bench peers -- FOLDER PENALTY TENSORS ELEMENTS REPEATS` reads `FOLDER/weights.f32` and
//! `FOLDER/gradients.f32` (little-endian, the tensors one after another), takes one step of SGD with step size
//! [`LEARNING_RATE`] and weight [`LAMBDA`], writes `FOLDER/stepped.f32`, and prints one line of JSON: the medians of the
//! repeats in nanoseconds, `step_ns` by the wall clock from recording until the device is done, `kernel_ns` by the device's
//! clock where it has one.

use std::path::Path;
use std::time::Instant;

use maf_srl::gpu::{self, Clock, Context, Readback, Timer, View};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Verify};

const LEARNING_RATE: f64 = 0.1;
const LAMBDA: f64 = 0.5;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let context = Context::new(std::env::var("MAF_SRL_DEVICE").ok().as_deref())?;
    let [folder, penalty, tensors, elements, repeats] = arguments.as_slice() else {
        let own: Vec<f32> = (0..4096).map(|k| (f64::from(k) * 0.37).sin() as f32).collect();
        let (_, line) = stepped(&context, ("l1", 4, 1024), (&own, &own), 3)?;
        println!("{line}");
        return Ok(());
    };
    let folder = Path::new(folder);
    let read = |name: &str| -> Result<Vec<f32>, Failure> {
        let bytes = std::fs::read(folder.join(name))?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    };
    let (weights, gradients) = (read("weights.f32")?, read("gradients.f32")?);
    let what = (penalty.as_str(), tensors.parse()?, elements.parse()?);
    let (stepped, line) = stepped(&context, what, (&weights, &gradients), repeats.parse()?)?;
    std::fs::write(folder.join("stepped.f32"), bytemuck::cast_slice(&stepped))?;
    println!("{line}");
    Ok(())
}

/// The weights after one step, and the times of such steps.
fn stepped(
    context: &Context,
    (penalty, tensors, elements): (&str, usize, u64),
    (weights, gradients): (&[f32], &[f32]),
    repeats: usize,
) -> Result<(Vec<f32>, String), Failure> {
    let count = tensors * elements as usize;
    let (Some(w), Some(g)) = (weights.get(..count), gradients.get(..count)) else {
        return Err(format!("fewer than {tensors} x {elements} numbers").into());
    };
    let (device, queue) = (&context.device, &context.queue);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer = |place, values: &[f32]| gpu::buffer_with(device, place, bytemuck::cast_slice(values), usage);
    let (w, g) = (buffer("weights", w)?, buffer("gradients", g)?);
    let one = |k: u64| -> maf_srl::Result<Tensor> {
        let view = |page| View::new("tensor", page, 4 * k * elements, elements);
        let spec = Spec::new(format!("tensor {k}"), penalty.parse()?, LAMBDA);
        Ok(Tensor::new(spec, view(&w)?).with_gradient(view(&g)?))
    };
    let list = (0..tensors as u64).map(one).collect::<maf_srl::Result<Vec<_>>>()?;
    let mut plan = Schedule::new(device).bind(Optimizer::Gradient, &list, Verify::Off)?;
    let hyper = StepParameters::new(LEARNING_RATE, 1)?;

    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.record(&mut encoder, &hyper);
    let read = Readback::record(device, &mut encoder, &w, 0, 4 * count as u64)?;
    queue.submit([encoder.finish()]);
    let result = read.wait(device)?;

    let (timer, mut kernel, mut step) = (Timer::new(device, queue)?, Vec::new(), Vec::new());
    // the first two warm up
    for round in 0..repeats + 2 {
        let (whole, alone) = (whole(context, &mut plan, &hyper)?, alone(&timer, &mut plan, &hyper)?);
        if round >= 2 {
            step.push(whole);
            kernel.push(alone);
        }
    }
    context.check()?;
    let kernel =
        if timer.clock() == Clock::Device { format!("{:.0}", median(kernel)) } else { "null".into() };
    let step = median(step);
    Ok((result, format!(r#"{{"adapter":"{}","kernel_ns":{kernel},"step_ns":{step:.0}}}"#, context.name())))
}

/// A step as a training loop has it: recorded, submitted, waited for.
fn whole(context: &Context, plan: &mut Plan, hyper: &StepParameters) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.record(&mut encoder, hyper);
    context.queue.submit([encoder.finish()]);
    gpu::wait(&context.device, "peers")?;
    Ok(start.elapsed().as_nanos() as f64)
}

/// Its dispatches alone.
fn alone(timer: &Timer, plan: &mut Plan, hyper: &StepParameters) -> Result<f64, Failure> {
    let staged = std::cell::RefCell::new(None);
    let into = &staged;
    let stage = move |encoder: &mut wgpu::CommandEncoder| {
        let plan = plan; // for as long as what is staged
        *into.borrow_mut() = plan.stage(encoder, hyper);
    };
    Ok(timer.time(stage, |pass| {
        if let Some(step) = staged.borrow_mut().take() {
            step.dispatch(pass);
        }
    })?)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
