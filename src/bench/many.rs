//! Many small tensors: one schedule for all of them against one plan for each, side by side.

use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::measure::{ANY_MEMORY, Effort, Measured, Stopwatch};
use crate::error::{Error, Result};
use crate::gpu::{self, Clock, Context, Timer, View};
use crate::kernels::numbers;
use crate::kernels::step::{Optimizer, StepParameters};
use crate::penalty::L1;
use crate::schedule::{Plan, Schedule, Spec, Tensor, Verify};

/// What one way of stepping the tensors takes.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Way {
    /// Dispatches per step.
    pub dispatches: usize,
    /// Nanoseconds that the host spends recording a step, the median.
    pub record_ns: f64,
    /// Nanoseconds from the begin of recording until the device is done, the median, by the wall clock.
    pub total_ns: f64,
    /// The dispatches alone, in one pass.
    pub pass: Option<Measured>,
}

/// Batched against looped.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Many {
    /// The kernel.
    pub variant: String,
    /// Tensors.
    pub tensors: usize,
    /// Elements of the smallest and of the largest.
    pub lengths: (u64, u64),
    /// Elements of all of them.
    pub elements: u64,
    /// One plan, few dispatches.
    pub batched: Way,
    /// One plan per tensor, recorded one after the other into one encoder and submitted once: the loop at its best.
    pub looped: Way,
    /// How many times longer the loop takes, by `total_ns`.
    pub speedup: f64,
}

/// Steps `tensors` tensors of 10 to 4096 elements both ways: SGD with l1. Every element of the batched step is compared
/// with the float64 reference first, and the looped step bit for bit with the batched one.
///
/// # Errors
/// [`Error::Mismatch`] where a comparison fails; those of binding and of the device.
pub fn many_tensors(
    context: &Context,
    stopwatch: &Stopwatch,
    effort: &Effort,
    tensors: usize,
) -> Result<Many> {
    let device = &context.device;
    let mut rng = ChaCha8Rng::seed_from_u64(0x3a17);
    // log-uniform, so that biases of ten elements are there as well as small matrices
    let lengths: Vec<u64> =
        (0..tensors).map(|_| rng.random_range(10f64.ln()..4097f64.ln()).exp() as u64).collect();
    let (sizes, places) =
        gpu::pack(device.limits().max_storage_buffer_binding_size, lengths.iter().map(|&l| (0, 4 * l)));
    let pages = |seed| -> Result<Vec<wgpu::Buffer>> {
        let page = |&bytes: &u64| {
            let values = numbers(bytes / 4, seed, 2.0);
            gpu::buffer_with(device, "many tensors", bytemuck::cast_slice(&values), gpu::USAGE)
        };
        sizes.iter().map(page).collect()
    };
    // the weights twice: once for each way
    let (weights, other, gradients) = (pages(1)?, pages(1)?, pages(2)?);

    let list = |pages: &[wgpu::Buffer]| -> Result<Vec<Tensor>> {
        let one = |(k, (&length, &(page, offset))): (usize, (&u64, &(usize, u64)))| {
            let name = format!("tensor {k}");
            let view = |pages: &[wgpu::Buffer]| View::new(&name, &pages[page], offset, length);
            let spec = Spec::new(name.as_str(), L1.into(), 0.5);
            Ok(Tensor::new(spec, view(pages)?).with_gradient(view(&gradients)?))
        };
        lengths.iter().zip(&places).enumerate().map(one).collect()
    };
    let schedule = Schedule::new(device);
    let hyper = StepParameters::new(0.1, 1)?;
    let batched_tensors = list(&weights)?;
    let mut batched = vec![schedule.bind(Optimizer::Gradient, &batched_tensors, Verify::Off)?];
    let alone = |tensor| schedule.bind(Optimizer::Gradient, &[tensor], Verify::Off);
    let mut looped = list(&other)?.into_iter().map(alone).collect::<Result<Vec<_>>>()?;

    let elements = lengths.iter().sum();
    let mut checked = schedule.bind(Optimizer::Gradient, &batched_tensors, Verify::Full)?;
    let view = |page: &wgpu::Buffer| View::own(page, 0, page.size() / 4);
    let pages: Vec<View> = weights.iter().chain(&other).map(view).collect();
    let read = gpu::read_after::<u32>((device, &context.queue), "many tensors", &pages, |encoder| {
        checked.record(encoder, &hyper);
        looped.iter_mut().for_each(|plan| plan.record(encoder, &hyper));
    })?;
    context.check()?;
    let found = checked.finish()?;
    drop(checked);
    if found.mismatches > 0 || found.checked != elements || read[..sizes.len()] != read[sizes.len()..] {
        return Err(Error::Mismatch(format!(
            "many tensors: {} of {elements} elements compared, {} mismatches; or batched and looped differ",
            found.checked, found.mismatches
        )));
    }

    let batched = way(context, stopwatch, effort, &mut batched, &hyper, elements)?;
    let looped = way(context, stopwatch, effort, &mut looped, &hyper, elements)?;
    let bounds = (lengths.iter().copied().min().unwrap_or(0), lengths.iter().copied().max().unwrap_or(0));
    Ok(Many {
        variant: "gradient/l1".into(),
        tensors,
        lengths: bounds,
        elements,
        speedup: looped.total_ns / batched.total_ns,
        batched,
        looped,
    })
}

/// Times one step over all plans.
fn way(
    context: &Context,
    stopwatch: &Stopwatch,
    effort: &Effort,
    plans: &mut [Plan],
    hyper: &StepParameters,
    elements: u64,
) -> Result<Way> {
    let dispatches = plans.iter().map(Plan::dispatches).sum();
    let (mut record, mut total) = (Vec::new(), Vec::new());
    // the first two warm up
    for round in 0..2 + effort.repeats {
        gpu::wait(&context.device, "many tensors")?;
        let start = Instant::now();
        let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        plans.iter_mut().for_each(|plan| plan.record(&mut encoder, hyper));
        let recorded = start.elapsed();
        context.queue.submit([encoder.finish()]);
        gpu::wait(&context.device, "many tensors")?;
        if round >= 2 {
            record.push(recorded.as_nanos() as f64);
            total.push(start.elapsed().as_nanos() as f64);
        }
    }
    context.check()?;

    let plans = std::cell::RefCell::new(plans);
    let bytes = Optimizer::Gradient.bytes_per_element() * elements;
    let pass = stopwatch.measure(effort, (bytes, ANY_MEMORY), 1, |timer: &Timer, _| {
        let mut plans = plans.borrow_mut();
        let staged = std::cell::RefCell::new(Vec::with_capacity(plans.len()));
        let (all, into) = (plans.iter_mut(), &staged);
        let stage = move |encoder: &mut wgpu::CommandEncoder| {
            // on a lost device the timing fails
            into.borrow_mut().extend(all.filter_map(|plan| plan.stage(encoder, hyper)));
        };
        timer.time(stage, |pass| staged.borrow_mut().drain(..).for_each(|step| step.dispatch(pass)))
    })?;
    // by the wall clock it would say no more than the total does
    let pass = pass.filter(|measured| measured.clock == Clock::Device);
    let median = |samples| Measured::of(samples, 1, Clock::Wall).map_or(f64::NAN, |measured| measured.ns);
    Ok(Way { dispatches, record_ns: median(record), total_ns: median(total), pass })
}
