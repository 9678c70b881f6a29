//! What a plan costs the host: `host/<what>/<tensors>`, per call. Views that stay where they are, that move within shared pages,
//! and that take turns between buffers of their own, as frameworks' allocators have them; binding, and recording a step.
//! `MAF_SRL_DEVICE` names the adapter (an index or a part of its name); default is the best one. With `--test` each runs
//! once.

use std::cell::Cell;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use maf_srl::gpu::{self, Context, View};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::penalty::{Group, Groups, Layout};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Update, Verify};

/// Elements of a tensor: small, so that the host's work is not that of many tiles.
const LENGTH: u64 = 96;

/// Places that moving gradients take one after another, so that no table is as an earlier one that is still kept.
const TURNS: usize = 32;

fn main() {
    let wanted = std::env::var("MAF_SRL_DEVICE").ok();
    let context = Context::new(wanted.as_deref()).unwrap_or_else(|error| {
        eprintln!("adapter: {error}");
        std::process::exit(2)
    });
    eprintln!("on {}", context.name());
    let once = std::env::args().any(|argument| argument == "--test");
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for tensors in if once { vec![20] } else { vec![20, 100, 400, 10_000] } {
        time(&mut criterion, &context, tensors).unwrap_or_else(|error| {
            eprintln!("{tensors} tensors: {error}");
            std::process::exit(2)
        });
    }
    criterion.final_summary();
}

/// Views of equally long tensors: so many in each buffer, the first at `lead` elements.
fn views(context: &Context, tensors: usize, each: usize, lead: u64) -> maf_srl::Result<Vec<View>> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let mut all = Vec::with_capacity(tensors);
    while all.len() < tensors {
        let bytes = 4 * (LENGTH * each as u64 + 4 * TURNS as u64);
        let page = gpu::buffer(&context.device, "page", bytes, usage, false)?;
        for k in 0..each.min(tensors - all.len()) as u64 {
            all.push(View::new("bench", &page, 4 * (lead + k * LENGTH), LENGTH)?);
        }
    }
    Ok(all)
}

/// Tensors in shared pages, or each in buffers of its own; every fourth with groups.
fn list(weights: &[View], gradients: &[View]) -> maf_srl::Result<Vec<Tensor>> {
    let one = |(k, (w, g)): (usize, (&View, &View))| {
        let spec = Spec::new(format!("tensor {k}"), "tl1(a=1)".parse()?, 1e-3);
        let groups = Groups::new(Layout::Rows, &[12, LENGTH / 12])?;
        let group = Group::new("lasso".parse()?, 1e-3, groups);
        let spec = if k % 4 == 0 { spec.with_group(group) } else { spec };
        Ok(Tensor::new(spec, w.clone()).with_gradient(g.clone()))
    };
    weights.iter().zip(gradients).enumerate().map(one).collect()
}

fn time(criterion: &mut Criterion, context: &Context, tensors: usize) -> maf_srl::Result<()> {
    const BASE: Optimizer = Optimizer::HeavyBall { momentum: 0.9 };
    let schedule = Schedule::new(&context.device);
    let mut group = criterion.benchmark_group("host");
    group.throughput(Throughput::Elements(tensors as u64));
    for (name, each) in [("shared", 4096), ("own", 1)] {
        let weights = views(context, tensors, each, 0)?;
        // in pages the offsets change; buffers of their own take turns, as an allocator's do
        let turns = if each == 1 { 2 } else { TURNS };
        let gradients = match each {
            1 => (0..turns).map(|_| views(context, tensors, each, 0)).collect::<Result<Vec<_>, _>>()?,
            _ => {
                let page = views(context, tensors, each, 0)?;
                let moved = |view: &View, turn: usize| {
                    View::new("bench", view.buffer(), view.offset() + 16 * turn as u64, LENGTH)
                };
                let at = |turn: usize| page.iter().map(|view| moved(view, turn)).collect();
                (0..turns).map(at).collect::<Result<Vec<_>, _>>()?
            }
        };
        let bound = list(&weights, &gradients[0])?;
        let bind = || schedule.bind(BASE, &bound, Verify::Off);
        let mut plan = bind()?;
        let update = |plan: &mut Plan, turn: usize| {
            let update = Update::new().with_weights(&weights).with_gradients(&gradients[turn % turns]);
            plan.update(&update).is_ok_and(|moved| moved)
        };
        // every bind group of the turns is made once
        (1..=2 * turns).for_each(|turn| assert!(update(&mut plan, turn), "it moved"));
        let turn = Cell::new(0);
        let next = || turn.replace(turn.get() + 1);

        group.bench_function(format!("bind-{name}/{tensors}"), |bencher| {
            bencher.iter_batched(|| (), |()| bind().map(drop).is_ok(), BatchSize::PerIteration);
        });
        group.bench_function(format!("update-moved-{name}/{tensors}"), |bencher| {
            bencher.iter(|| assert!(update(&mut plan, 1 + next())));
        });
        let still = Update::new().with_weights(&weights).with_gradients(&gradients[0]);
        plan.update(&still)?;
        group.bench_function(format!("update-equal-{name}/{tensors}"), |bencher| {
            bencher.iter(|| assert!(plan.update(&still).is_ok_and(|moved| !moved)));
        });
        let hyper = StepParameters::new(0.1, 1)?;
        for moved in [false, true] {
            let what = if moved { "record-moved" } else { "record" };
            group.bench_function(format!("{what}-{name}/{tensors}"), |bencher| {
                bencher.iter_custom(|runs| {
                    let mut total = Duration::ZERO;
                    for _ in 0..runs {
                        if moved {
                            update(&mut plan, 1 + next());
                        }
                        let mut encoder = context.device.create_command_encoder(&Default::default());
                        let start = std::time::Instant::now();
                        plan.record(&mut encoder, &hyper);
                        total += start.elapsed();
                        context.queue.submit([encoder.finish()]);
                        let done = context.device.poll(wgpu::PollType::wait_indefinitely());
                        assert!(done.is_ok(), "the device answers");
                    }
                    total
                });
            });
        }
    }
    group.finish();
    Ok(())
}
