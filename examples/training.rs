//! A learning rate per tensor, zeros that stay, a tensor that joins later, a checkpoint restored bit for bit.

use maf_srl::gpu::{Context, Readback, buffer_with};
use maf_srl::{Adam, Optimizer, Plan, Result, Schedule, Spec, StepParameters, Tensor, Verify, View};

const N: usize = 100; // weights of each of two tensors; one page has weights, gradients and Adam's states

fn bind(on: &Context, numbers: &[f32]) -> Result<(Plan, wgpu::Buffer)> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let page = buffer_with(&on.device, "page", bytemuck::cast_slice(numbers), usage)?;
    let view = |k: usize| View::new("page", &page, (4 * k * N) as u64, N as u64);
    let tensor = |name: &str, k| -> Result<Tensor> {
        let tensor = Tensor::new(Spec::new(name, "l1".parse()?, 0.3), view(k)?).with_gradient(view(k + 2)?);
        Ok(tensor.with_states(vec![view(k + 4)?, view(k + 6)?]))
    };
    let (schedule, base) = (Schedule::new(&on.device), Optimizer::AdamMetric(Adam::default()));
    Ok((schedule.bind(base, &[tensor("body", 0)?, tensor("head", 1)?], Verify::Full)?, page))
}

/// Takes ten steps per epoch, which each tensor counts for itself; returns what the page holds then.
fn train(on: &Context, plan: &mut Plan, page: &wgpu::Buffer, epochs: [i32; 2]) -> Result<Vec<f32>> {
    let read =
        || on.submit("read", |e| Readback::record(&on.device, e, page, 0, page.size()))?.wait(&on.device);
    for epoch in (epochs[0]..epochs[1]).flat_map(|epoch| [epoch; 10]) {
        for k in 0..2 {
            let mut settings = *plan.settings(k).expect("two tensors");
            settings.lr_scale = [0.5 + 0.5 * (0.15 * f64::from(epoch)).cos(), 0.95_f64.powi(epoch)][k];
            (settings.rests, settings.step) = (k == 1 && epoch < 4, settings.step.or(Some(1))); // head: later
            (settings.freeze, settings.lambda) = if epoch < 14 { (false, 0.3) } else { (true, 0.0) }; // refit
            plan.set(k, settings)?;
        }
        let mut gradients: Vec<f32> = read()?; // stands in for a backward pass: those of |W - target|² / 2
        (0..2 * N).for_each(|i| gradients[i] -= (1.0 + i as f32).sin());
        on.queue.write_buffer(page, 8 * N as u64, bytemuck::cast_slice(&gradients[..2 * N]));
        on.submit("step", |e| StepParameters::new(0.03, 1).map(|hyper| plan.record(e, &hyper)))?;
    }
    plan.finish().and_then(|_| read()) // an error where a step was wrong
}

/// Trains for twenty epochs, and for the last ten again from a checkpoint.
pub fn run(on: &Context) -> Result<()> {
    let (mut plan, page) = bind(on, &[0.0; 8 * N])?;
    let saved = train(on, &mut plan, &page, [0, 10])?; // the checkpoint: these numbers, and the settings
    let settings = [0, 1].map(|k| *plan.settings(k).expect("two tensors"));
    let straight = train(on, &mut plan, &page, [10, 20])?;
    let (mut plan, page) = bind(on, &saved)?;
    (0..2).try_for_each(|k| plan.set(k, settings[k]))?;
    let restored = train(on, &mut plan, &page, [10, 20])?;
    assert_eq!(bytemuck::cast_slice::<f32, u32>(&straight), bytemuck::cast_slice::<f32, u32>(&restored));
    let zeros = straight[..2 * N].iter().filter(|w| w.to_bits() == 0).count();
    println!("{zeros} of {} weights are exactly zero; the head's next step is {:?}", 2 * N, settings[1].step);
    assert!((20..80).contains(&zeros) && settings[1].step == Some(61), "{zeros} zeros, {settings:?}");
    Ok(())
}

fn main() -> Result<()> {
    run(&Context::new(std::env::args().nth(1).as_deref())?)
}
