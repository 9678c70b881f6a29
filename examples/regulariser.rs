//! A learned regulariser in a schedule: made or loaded, one vector of weights after another, and the
//! coefficients in which the weights are sparse.
//!
//! A penalty of single weights makes single weights zero. A learned regulariser does so in its own
//! coordinates: weights are w = Âᵀ v, and v becomes sparse. The plan keeps v beside the weights.
//!
//! `cargo run --example regulariser`, with `-- NAME` for an adapter of that name.

use std::path::Path;
use std::sync::Arc;

use maf_srl::gpu::{self, Context, Readback, View};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::matrix::Pattern;
use maf_srl::penalty::{Activation, Groups, Layout};
use maf_srl::regulariser::{Parameters, Regulariser, file};
use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};

/// A layer of 24 neurons with 64 inputs each, which are 8 x 8 pixels.
const SIDE: u32 = 8;
const INPUTS: usize = (SIDE * SIDE) as usize;
const NEURONS: usize = 24;

/// A file such as training leaves behind (`maf-srl denoise` and `maf_srl::network::Trainer` make them): here
/// each atom, a row of Â, is a pixel with a third of its eight neighbours.
fn learned() -> maf_srl::Result<Vec<u8>> {
    let pattern = Arc::new(Pattern::neighbourhood(SIDE, SIDE, 1)?);
    let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 };
    let mut parameters = Parameters::identity(pattern.clone(), activation, 1.0)?;
    for (value, (i, j)) in parameters.values.iter_mut().zip(pattern.entries()) {
        *value = if i == j { 0.75 } else { 0.75 / 24.0 };
    }
    file::to_bytes(&[parameters], 1)
}

/// Âᵀ v for each neuron.
fn weights(of: &Regulariser, coefficients: &[f32]) -> Vec<f32> {
    let Parameters { pattern, values, .. } = of.parameters();
    let mut w = vec![0.0; coefficients.len()];
    for (w, v) in w.chunks_exact_mut(INPUTS).zip(coefficients.chunks_exact(INPUTS)) {
        for ((i, j), a) in pattern.entries().zip(values) {
            w[j as usize] += *a as f32 * v[i as usize];
        }
    }
    w
}

/// Trains a layer with a regulariser that was learned before.
///
/// # Errors
/// What the library refuses, and a step that its check found wrong.
pub fn run(device: &wgpu::Device, queue: &wgpu::Queue) -> maf_srl::Result<()> {
    // From a file it is `file::load(path)`. Of the layers that it holds the last one's regulariser is taken.
    let (mut layers, _) = file::from_bytes(&learned()?, Path::new("learned.safetensors"))?;
    let regulariser = Arc::new(Regulariser::new(layers.pop().expect("a file has a layer"))?);
    println!("{}", regulariser.diagnostics());

    // What the layer should learn: three atoms per neuron, and noise.
    let atoms: Vec<f32> = (0..NEURONS * INPUTS).map(|k| if k % 21 == 5 { 1.0 } else { 0.0 }).collect();
    let noise = (0..NEURONS * INPUTS).map(|k| 0.02 * (k as f32).sin());
    let target: Vec<f32> = weights(&regulariser, &atoms).iter().zip(noise).map(|(w, n)| w + n).collect();

    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer = |name| gpu::buffer_with(device, name, bytemuck::cast_slice(&target), usage);
    let (page, slope) = (buffer("fc1.weight")?, buffer("fc1.weight.grad")?);
    let view = |buffer| View::new("fc1.weight", buffer, 0, target.len() as u64);
    // One vector of 64 weights per neuron. The spec's lambda is the regulariser's weight; its metric multiplies the
    // rate, which the rate scale undoes.
    let rows = Groups::new(Layout::Rows, &[NEURONS as u64, INPUTS as u64])?;
    let spec = Spec::new("fc1.weight", "none".parse()?, 0.2)
        .with_lr_scale(regulariser.norm().powi(-2))
        .with_regulariser(regulariser.clone(), rows);
    let tensor = Tensor::new(spec, view(&page)?).with_gradient(view(&slope)?);
    let mut plan = Schedule::new(device).bind(Optimizer::Gradient, &[tensor], Verify::Full)?;

    let read = |buffer: &wgpu::Buffer, offset, bytes| {
        let copy = |encoder: &mut _| Readback::record(device, encoder, buffer, offset, bytes);
        gpu::submit(device, queue, "read", copy)?.wait::<f32>(device)
    };
    for step in 1..=150 {
        // stands in for a backward pass: the gradient of |W - target|² / 2
        let w = read(&page, 0, page.size())?;
        let g: Vec<f32> = w.iter().zip(&target).map(|(w, t)| w - t).collect();
        queue.write_buffer(&slope, 0, bytemuck::cast_slice(&g));
        let hyper = StepParameters::new(0.2, step)?;
        gpu::submit(device, queue, "step", |encoder| {
            plan.record(encoder, &hyper);
            Ok(())
        })?;
    }
    let found = plan.finish()?;

    let w = read(&page, 0, page.size())?;
    let kept = plan.coefficients(0).expect("a tensor with a regulariser keeps coefficients");
    let v = read(kept.buffer(), kept.offset(), 4 * kept.len())?;
    let zeros = |of: &[f32]| of.iter().filter(|x| x.to_bits() == 0).count();
    let share = |of: &[f32]| 100.0 * zeros(of) as f64 / of.len() as f64;
    println!("exact zeros: {:.1} % of the weights, {:.1} % of the coefficients", share(&w), share(&v));
    println!("{} elements checked", found.checked);

    // The coefficients that are left are the atoms of the target, and the weights are those coefficients'
    // combination.
    for (k, (v, atom)) in v.iter().zip(&atoms).enumerate() {
        assert_eq!(*v == 0.0, *atom == 0.0, "coefficient {k} is {v}");
    }
    for (k, (w, made)) in w.iter().zip(weights(&regulariser, &v)).enumerate() {
        assert!((w - made).abs() < 1e-5, "weight {k} is {w}, its atoms make {made}");
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
