//! The library inside somebody else's training loop: their device, their buffers, their kernels, their
//! encoder.
//!
//! The problem is least squares, `|A w - b|² / 2`, with fewer equations than unknowns and a solution of which
//! most weights are zero. The pipeline computes the gradient with two kernels of its own; one call records
//! the proximal step after them.
//!
//! `cargo run --example embed`, with `-- NAME` for an adapter of that name.

use maf_srl::gpu::{self, Readback, View};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::schedule::{Schedule, Spec, Tensor, Verify};
use rand::{RngExt, SeedableRng};

/// Equations and unknowns. The kernels below repeat them.
const EQUATIONS: usize = 128;
const UNKNOWNS: usize = 256;
const STEPS: u64 = 600;

/// The pipeline's own kernels: the residual A w - b, then the gradient Aᵀ (A w - b), which lies behind w in
/// one page.
const PIPELINE: &str = "
const EQUATIONS = 128u;
const UNKNOWNS = 256u;

@group(0) @binding(0) var<storage, read> problem: array<f32>;       // A, row by row, then b
@group(0) @binding(1) var<storage, read_write> page: array<f32>;    // w, then its gradient
@group(0) @binding(2) var<storage, read_write> residual: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = -problem[EQUATIONS * UNKNOWNS + id.x];
    for (var j = 0u; j < UNKNOWNS; j++) {
        sum += problem[id.x * UNKNOWNS + j] * page[j];
    }
    residual[id.x] = sum;
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = 0.0;
    for (var i = 0u; i < EQUATIONS; i++) {
        sum += problem[i * UNKNOWNS + id.x] * residual[i];
    }
    page[UNKNOWNS + id.x] = sum;
}
";

/// A kernel of the pipeline with the three buffers bound.
fn kernel(
    device: &wgpu::Device,
    entry: &str,
    buffers: [&wgpu::Buffer; 3],
) -> (wgpu::ComputePipeline, wgpu::BindGroup) {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(entry),
        source: wgpu::ShaderSource::Wgsl(PIPELINE.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry),
        layout: None,
        module: &module,
        entry_point: Some(entry),
        compilation_options: Default::default(),
        cache: None,
    });
    let entries: Vec<_> = (0..)
        .zip(buffers)
        .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
        .collect();
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(entry),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    (pipeline, group)
}

/// A, row by row, and a w of which every sixteenth entry is not zero.
fn problem() -> (Vec<f32>, Vec<f32>) {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let scale = (3.0 / EQUATIONS as f32).sqrt();
    let a = (0..EQUATIONS * UNKNOWNS).map(|_| rng.random_range(-scale..scale)).collect();
    let solution = (0..UNKNOWNS).map(|j| if j % 16 == 0 { 1.0 + (j % 3) as f32 } else { 0.0 }).collect();
    (a, solution)
}

/// A w.
fn product(a: &[f32], w: &[f32]) -> Vec<f32> {
    a.chunks_exact(UNKNOWNS).map(|row| row.iter().zip(w).map(|(a, w)| a * w).sum()).collect()
}

/// Trains on a device that belongs to the caller.
///
/// # Errors
/// What the library refuses, and a step that its check found wrong.
pub fn run(device: &wgpu::Device, queue: &wgpu::Queue) -> maf_srl::Result<()> {
    // The pipeline's buffers. Those that the library binds need STORAGE, and COPY_SRC where steps are
    // checked.
    let (a, solution) = problem();
    let right = product(&a, &solution);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let buffer = |name, numbers: &[f32]| gpu::buffer_with(device, name, bytemuck::cast_slice(numbers), usage);
    let equations = buffer("problem", &[a.as_slice(), &right].concat())?;
    let page = buffer("page", &[0.0; 2 * UNKNOWNS])?;
    let residual = buffer("residual", &[0.0; EQUATIONS])?;
    let forward = kernel(device, "forward", [&equations, &page, &residual]);
    let backward = kernel(device, "backward", [&equations, &page, &residual]);

    // Bound once: where weights and gradient lie in the page, and what is done to the weights. Every
    // hundredth step is compared with the same step in float64.
    let weights = View::new("w", &page, 0, UNKNOWNS as u64)?;
    let gradient = View::new("w.grad", &page, 4 * UNKNOWNS as u64, UNKNOWNS as u64)?;
    let tensor = Tensor::new(Spec::new("w", "l1".parse()?, 0.3), weights).with_gradient(gradient);
    let verify = Verify::Sample { every: 100, tensors: 1, seed: 0 };
    let mut plan = Schedule::new(device).bind(Optimizer::HeavyBall { momentum: 0.9 }, &[tensor], verify)?;

    for step in 1..=STEPS {
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for ((pipeline, group), invocations) in [(&forward, EQUATIONS), (&backward, UNKNOWNS)] {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(invocations as u32 / 64, 1, 1);
            }
        }
        // into the same encoder; submits nothing, waits for nothing and cannot fail
        plan.record(&mut encoder, &StepParameters::new(0.03, step)?);
        queue.submit([encoder.finish()]);
        plan.check()?;
    }
    let found = plan.finish()?;

    let copy = |encoder: &mut _| Readback::record(device, encoder, &page, 0, 4 * UNKNOWNS as u64);
    let w: Vec<f32> = gpu::submit(device, queue, "read", copy)?.wait(device)?;
    let zeros = w.iter().filter(|w| w.to_bits() == 0).count();
    let largest = |of: &mut dyn Iterator<Item = f32>| of.fold(0.0_f32, |most, x| most.max(x.abs()));
    let off = largest(&mut w.iter().zip(&solution).map(|(w, s)| w - s));
    let left = largest(&mut product(&a, &w).iter().zip(&right).map(|(p, b)| p - b));
    println!("{zeros} of {UNKNOWNS} weights are exactly zero; {} elements checked", found.checked);
    println!("largest error of a weight {off:.4}, of an equation {left:.4}");

    // The penalty finds the zeros of the solution, and moves what is not zero by little.
    for (j, (w, s)) in w.iter().zip(&solution).enumerate() {
        assert_eq!(*w == 0.0, *s == 0.0, "weight {j} is {w}, in the solution {s}");
    }
    assert!(off < 0.1 && left < 0.1, "{off} {left}");
    assert_eq!((found.checked, found.mismatches), (STEPS / 100 * UNKNOWNS as u64, 0));
    Ok(())
}

fn main() {
    // A device of our own, with wgpu's default limits and no feature; without an adapter the error says how
    // to get one.
    let made = gpu::choose(std::env::args().nth(1).as_deref()).and_then(|adapter| {
        println!("{}", adapter.get_info().name);
        let request = adapter.request_device(&wgpu::DeviceDescriptor::default());
        let (device, queue) = pollster::block_on(request).expect("a device with the default limits");
        run(&device, &queue)
    });
    if let Err(error) = made {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
