//! Recording a step allocates nothing of its own, for ten tensors and for a thousand.
//!
//! A counting allocator counts what `Plan::record` allocates on this thread, and what the same calls to wgpu, made
//! by hand, allocate there. The two must be equal: the rest is wgpu's.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Optimizer, StepParameters, StepRow};
use maf_srl::penalty::Layout::Rows;
use maf_srl::penalty::{Group, GroupPenalty, Groups, Penalty};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Verify};
use support::work::{blank, upload, view};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn one_more() {
    // at the end of a thread the counter may be gone
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        one_more();
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        one_more();
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        one_more();
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Every penalty in turn, each tensor with its own lambda: as many rows of hyper-parameters as tensors. With groups,
/// every penalty of groups in turn, and now and then another solver.
fn plan(device: &wgpu::Device, count: usize, grouped: bool) -> Plan {
    plan_of(device, count, grouped, Verify::Off)
}

fn plan_of(device: &wgpu::Device, count: usize, grouped: bool, verify: Verify) -> Plan {
    const LENGTH: usize = 6; // a vec4 body and a scalar tail
    let bytes = 32 * count as u64;
    let (weights, gradients) = (blank(device, bytes), blank(device, bytes));
    // with groups one penalty of single weights: every pair is a kernel to be compiled
    let penalties = if grouped { vec!["l1".parse().expect("one")] } else { Penalty::all() };
    let tensors: Vec<Tensor> = (0..count)
        .map(|k| {
            let spec =
                Spec::new(format!("tensor {k}"), penalties[k % penalties.len()], 1e-3 * (k + 1) as f64);
            let spec = match (grouped, k % 5) {
                (false, _) => spec,
                (true, 0) => spec.with_solver(Solver::Splitting { beta: 1.0, published: false }),
                (true, _) => {
                    let groups = Groups::new(Rows, &[2, 3]).expect("they fit");
                    let all = GroupPenalty::all();
                    spec.with_group(Group::new(all[k % all.len()], 1e-3, groups))
                }
            };
            let at = 32 * k as u64;
            Tensor::new(spec, view(&weights, at, LENGTH)).with_gradient(view(&gradients, at, LENGTH))
        })
        .collect();
    Schedule::new(device).bind(Optimizer::Gradient, &tensors, verify).expect("they bind")
}

/// The calls that a plan makes, by hand: as many rows, dispatches, pipelines and bindings.
struct ByHand {
    rows: usize,
    slot: wgpu::Buffer,
    state: Arc<AtomicU8>,
    target: wgpu::Buffer,
    status: wgpu::Buffer,
    dispatches: Vec<(wgpu::ComputePipeline, wgpu::BindGroup)>,
}

impl ByHand {
    fn new(device: &wgpu::Device, rows: usize, dispatches: usize) -> Self {
        const SHADER: &str = "
            @group(0) @binding(0) var<storage, read> a: array<u32>;
            @group(0) @binding(1) var<storage, read> b: array<u32>;
            @group(0) @binding(2) var<storage, read_write> c: array<u32>;
            @group(0) @binding(3) var<storage, read_write> d: array<u32>;
            @group(0) @binding(4) var<storage, read_write> e: array<u32>;
            @compute @workgroup_size(64) fn main() { c[0] = a[0] + b[0] + d[0] + e[0]; }";
        let bytes = (rows * size_of::<StepRow>()) as u64;
        let (target, status) = (blank(device, bytes), blank(device, 4 * rows as u64));
        let (weights, gradients) = (blank(device, bytes), blank(device, bytes));
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        });
        let dispatches = (0..dispatches)
            .map(|_| {
                let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: None,
                    layout: None,
                    module: &module,
                    entry_point: None,
                    compilation_options: wgpu::PipelineCompilationOptions::default(),
                    cache: None,
                });
                let table = upload(device, &[0; 16]);
                let entries = [&table, &target, &status, &weights, &gradients];
                let entries: Vec<_> = (0..)
                    .zip(entries)
                    .map(|(binding, buffer)| wgpu::BindGroupEntry {
                        binding,
                        resource: buffer.as_entire_binding(),
                    })
                    .collect();
                let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                });
                (pipeline, group)
            })
            .collect();
        let slot = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        ByHand { rows, slot, state: Arc::default(), target, status, dispatches }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        {
            let mut mapped = self.slot.get_mapped_range_mut(..).expect("mapped");
            for k in 0..self.rows {
                mapped
                    .slice(k * size_of::<StepRow>()..(k + 1) * size_of::<StepRow>())
                    .copy_from_slice(&[7; size_of::<StepRow>()]);
            }
        }
        self.slot.unmap();
        encoder.copy_buffer_to_buffer(&self.slot, 0, &self.target, 0, self.target.size());
        let state = self.state.clone();
        encoder.map_buffer_on_submit(&self.slot, wgpu::MapMode::Write, .., move |result| {
            state.store(u8::from(result.is_ok()), Ordering::Release);
        });
        encoder.clear_buffer(&self.status, 0, None);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("maf-srl step"),
            timestamp_writes: None,
        });
        for (pipeline, group) in &self.dispatches {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
    }
}

/// The allocations of `record` for each of several steps; the first ones may warm up pools of wgpu.
fn counts(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    mut record: impl FnMut(&mut wgpu::CommandEncoder, u64),
) -> Vec<u64> {
    (1..=16)
        .map(|step| {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let count = allocations(|| record(&mut encoder, step));
            queue.submit([encoder.finish()]);
            device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
            count
        })
        .collect()
}

/// What a verified step allocates grows with its tensors and not with the steps before it.
#[test]
fn a_verified_step_allocates_as_much_as_the_one_before_and_in_proportion_to_its_tensors() {
    for one in support::software_adapters() {
        let counted = |tensors: usize| {
            let (device, queue) = one.device();
            let mut plan = plan_of(&device, tensors, false, Verify::Full);
            let all = counts(&device, &queue, |encoder, step| {
                plan.record(encoder, &StepParameters::new(0.1, step).expect("in the domain"));
                // not counted: nothing here allocates on this thread but a look at the results
                plan.check().expect("no mismatch");
            });
            plan.finish().expect("no mismatch");
            let late = &all[all.len() / 2..];
            let (least, most) = (*late.iter().min().expect("some"), *late.iter().max().expect("some"));
            println!("{}: {tensors} tensors, verified: {all:?}", one.label);
            // a worker that still holds a staging buffer costs the next step a new one
            assert!(most <= least + 64, "{}: {tensors} tensors: {all:?}", one.label);
            least
        };
        let (few, many) = (counted(10), counted(1000));
        assert!(many <= 100 * few, "{}: {few} for 10 tensors, {many} for 1000", one.label);
        assert!(many <= 40 * 1000, "{}: {many} for 1000 tensors", one.label);
    }
}

#[test]
fn recording_allocates_what_wgpu_allocates_and_nothing_more() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 100]))), 1, "the counter counts");
    for one in support::software_adapters() {
        for (tensors, grouped) in [(10, false), (1000, false), (10, true), (1000, true)] {
            let (device, queue) = one.device();
            let mut plan = plan(&device, tensors, grouped);
            let by_hand = ByHand::new(&device, tensors, plan.dispatches());
            let ours = counts(&device, &queue, |encoder, step| {
                plan.record(encoder, &StepParameters::new(0.1 / step as f64, step).expect("in the domain"));
            });
            let theirs = counts(&device, &queue, |encoder, _| by_hand.record(encoder));
            println!(
                "{}: {tensors} tensors, groups {grouped}, {} dispatches: {ours:?}, by hand {theirs:?}",
                one.label,
                plan.dispatches()
            );
            // wgpu allocates once more when a buffer is mapped for the first time; a plan has several slots
            let slots = plan.staging_slots();
            assert_eq!(
                ours[slots..],
                theirs[slots..],
                "{}: allocations per step, {tensors} tensors",
                one.label
            );
            assert!(
                ours[..slots].iter().all(|&n| n <= theirs[0]),
                "{}: first steps, {tensors} tensors",
                one.label
            );
        }
    }
}
