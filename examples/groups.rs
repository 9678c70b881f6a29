//! Neurons that die as a whole, in the layout of a framework whose linear layers are `[inputs, outputs]`.
//!
//! What a group is follows from the tensor's shape: with Burn's `[inputs, outputs]` the weights into one
//! neuron are an index of axis 1, with PyTorch's `[outputs, inputs]` one of axis 0. Shapes that are said are
//! held against the groups, so that a layer is not divided the wrong way round.
//!
//! `cargo run --example groups`, with `-- NAME` for an adapter of that name.

use maf_srl::gpu::{self, Context, Readback, View};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::penalty::{Group, Groups};
use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};

const INPUTS: usize = 32;
const OUTPUTS: usize = 16;
const SHAPE: [u64; 2] = [INPUTS as u64, OUTPUTS as u64];
/// Every third neuron does something.
const NEEDED: usize = 3;

/// What the layer should learn: large weights into the neurons that are needed, noise into the others.
fn target() -> Vec<f32> {
    let weight = |k: usize| {
        let size = if (k % OUTPUTS).is_multiple_of(NEEDED) { 1.0 } else { 0.02 };
        size * (1.0 + k as f32).sin()
    };
    (0..INPUTS * OUTPUTS).map(weight).collect()
}

/// Trains a layer whose neurons are groups.
///
/// # Errors
/// What the library refuses, and a step that its check found wrong.
pub fn run(device: &wgpu::Device, queue: &wgpu::Queue) -> maf_srl::Result<()> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let target = target();
    let start: Vec<f32> = target.iter().map(|t| 0.5 * t + 0.1).collect();
    let weights = gpu::buffer_with(device, "fc1.weight", bytemuck::cast_slice(&start), usage)?;
    let gradient = gpu::buffer_with(device, "fc1.weight.grad", bytemuck::cast_slice(&start), usage)?;

    // The shape and the strides as the framework says them. Strides of a transposed tensor, [1, INPUTS], are
    // refused here; leave them out where the tensor is known to be contiguous.
    let strides = [OUTPUTS as u64, 1];
    let view = View::of_shape("fc1.weight", &weights, 0, &SHAPE, Some(&strides))?;
    let slope = View::of_shape("fc1.weight.grad", &gradient, 0, &SHAPE, Some(&strides))?;

    // One group per output neuron. The weight sqrt-size is that of the group lasso: large groups are not
    // spared.
    let tensor = |groups: Groups| -> maf_srl::Result<Tensor> {
        let lasso = Group::new("lasso(weight=sqrt-size)".parse()?, 0.05, groups);
        let spec = Spec::new("fc1.weight", "none".parse()?, 0.0).with_group(lasso);
        Ok(Tensor::new(spec, view.clone()).with_gradient(slope.clone()))
    };
    let schedule = Schedule::new(device);
    let neurons = Groups::axis(1, &SHAPE)?;
    let mut plan = schedule.bind(Optimizer::Gradient, &[tensor(neurons)?], Verify::Full)?;

    // Groups of the other layout have as many elements, and would be other weights: that is an error, not a
    // surprise.
    let wrong = Groups::axis(0, &[OUTPUTS as u64, INPUTS as u64])?;
    match schedule.bind(Optimizer::Gradient, &[tensor(wrong)?], Verify::Full) {
        Err(error) => println!("refused, as it should be: {error}"),
        Ok(_) => panic!("groups of [outputs, inputs] were bound to a tensor [inputs, outputs]"),
    }

    let read = || {
        let copy = |encoder: &mut _| Readback::record(device, encoder, &weights, 0, weights.size());
        gpu::submit(device, queue, "read", copy)?.wait::<f32>(device)
    };
    let mut w = start;
    for step in 1..=200 {
        // stands in for a backward pass: the gradient of |W - target|² / 2
        let g: Vec<f32> = w.iter().zip(&target).map(|(w, t)| w - t).collect();
        queue.write_buffer(&gradient, 0, bytemuck::cast_slice(&g));
        let hyper = StepParameters::new(0.1, step)?;
        gpu::submit(device, queue, "step", |encoder| {
            plan.record(encoder, &hyper);
            Ok(())
        })?;
        w = read()?;
    }
    let found = plan.finish()?;

    // A neuron is dead where all weights into it are exactly zero; it can be taken out of the network then,
    // with its bias folded into the next layer: `maf_srl::compact` does it for whole networks.
    let dead = |k: usize| w[k..].iter().step_by(OUTPUTS).all(|w| w.to_bits() == 0);
    let zero = |k: usize| w[k..].iter().step_by(OUTPUTS).filter(|w| w.to_bits() == 0).count();
    let gone: Vec<usize> = (0..OUTPUTS).filter(|&k| dead(k)).collect();
    println!("dead neurons: {gone:?}; {} elements checked", found.checked);
    for k in 0..OUTPUTS {
        // whole or not at all: no weight of a living neuron is zero
        let expected = if k.is_multiple_of(NEEDED) { 0 } else { INPUTS };
        assert_eq!(zero(k), expected, "zeros into neuron {k}");
    }
    assert_eq!(found.mismatches, 0);
    Ok(())
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
