//! The library inside somebody else's training pipeline: a device, handlers, buffers and encoders that are not ours.
//!
//! The pipeline here keeps a log on the device: after each of its own kernels and each of our steps the page is
//! copied, so that every link of a chain of hundreds of operations is judged on the values that it really got, by
//! the bounds that WGSL's arithmetic gives, without a stall in between.

mod support;

use std::sync::{Arc, Mutex};

use maf_srl::Error;
use maf_srl::accuracy::Approx;
use maf_srl::gpu::View;
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Adam, Optimizer, StepParameters, StepReference};
use maf_srl::matrix::Pattern;
use maf_srl::penalty::{Activation, Group, Groups, Layout, Penalty};
use maf_srl::regulariser::{Parameters, Regulariser};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Update, Verify};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::TestAdapter;
use support::work::{blank, download, element, submit, upload_f32, view};

/// Elements of the layer, and where its gradient lies in the page: what Burn's allocator really does.
const LENGTH: usize = 100;
const GRADIENT: usize = 416;
const PAGE: usize = 1024;
/// What the pipeline adds to every weight between two of our steps.
const DRIFT: f32 = 0.001;
const LAMBDA: f64 = 0.02;

const PIPELINE: &str = "
@group(0) @binding(0) var<storage, read_write> page: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < 100u {
        page[104u + id.x] = 0.5 * page[id.x] + 0.01 * f32(id.x % 7u);
    }
}

@compute @workgroup_size(64)
fn drift(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < 100u {
        page[id.x] += 0.001;
    }
}
";

/// A pipeline that owns a device, with handlers that record what reaches them.
struct Foreign {
    label: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    page: wgpu::Buffer,
    backward: (wgpu::ComputePipeline, wgpu::BindGroup),
    drift: (wgpu::ComputePipeline, wgpu::BindGroup),
    errors: Arc<Mutex<Vec<String>>>,
    losses: Arc<Mutex<Vec<String>>>,
}

impl Foreign {
    fn new(one: &TestAdapter) -> Self {
        let (device, queue) = one.device();
        let (errors, losses) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let seen = errors.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            seen.lock().expect("no panic holds it").push(error.to_string());
        }));
        let seen = losses.clone();
        device.set_device_lost_callback(move |reason, message| {
            seen.lock().expect("no panic holds it").push(format!("{reason:?} {message}"));
        });
        let page = upload_f32(&device, &start());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("foreign"),
            source: wgpu::ShaderSource::Wgsl(PIPELINE.into()),
        });
        let kernel = |entry| {
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry),
                layout: None,
                module: &module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(entry),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[wgpu::BindGroupEntry { binding: 0, resource: page.as_entire_binding() }],
            });
            (pipeline, group)
        };
        let (backward, drift) = (kernel("backward"), kernel("drift"));
        Foreign { label: one.label.clone(), device, queue, page, backward, drift, errors, losses }
    }

    /// A plan over the layer in the page.
    fn plan(&self, verify: Verify) -> Plan {
        let tensor = Tensor::new(Spec::new("layer", penalty(), LAMBDA), view(&self.page, 0, LENGTH))
            .with_gradient(view(&self.page, GRADIENT as u64, LENGTH));
        Schedule::new(&self.device).bind(Optimizer::Gradient, &[tensor], verify).expect("the layer binds")
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    fn run(&self, encoder: &mut wgpu::CommandEncoder, kernel: &(wgpu::ComputePipeline, wgpu::BindGroup)) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&kernel.0);
        pass.set_bind_group(0, &kernel.1, &[]);
        pass.dispatch_workgroups(LENGTH.div_ceil(64) as u32, 1, 1);
    }

    fn snapshot(&self, encoder: &mut wgpu::CommandEncoder, log: &wgpu::Buffer, entry: usize) {
        encoder.copy_buffer_to_buffer(&self.page, 0, log, (entry * PAGE) as u64, PAGE as u64);
    }

    fn log(&self, entries: usize) -> wgpu::Buffer {
        blank(&self.device, (entries * PAGE) as u64)
    }

    fn read(&self, log: &wgpu::Buffer) -> Vec<Vec<u32>> {
        download(&self.device, &self.queue, log).chunks(PAGE / 4).map(<[u32]>::to_vec).collect()
    }

    /// Nothing came to the owner's handlers.
    fn undisturbed(&self) {
        assert!(self.errors.lock().unwrap().is_empty(), "{}: {:?}", self.label, self.errors.lock().unwrap());
        assert!(self.losses.lock().unwrap().is_empty(), "{}: {:?}", self.label, self.losses.lock().unwrap());
    }
}

fn penalty() -> Penalty {
    "tl1(a=1)".parse().expect("a penalty of the register")
}

/// Weights on both sides of the threshold; the rest of the page is the pipeline's own and must not change.
fn start() -> Vec<f32> {
    let layer = (0..LENGTH).map(|k| (k as f32 - 49.5) * 0.004);
    let mut page: Vec<f32> = layer.collect();
    page.resize(PAGE / 4, 12345.0);
    page
}

/// One step of ours between two snapshots is right, element by element, and touched the weights alone.
fn judge_step(place: &str, before: &[u32], after: &[u32], rate: f64, step: u64) {
    let hyper = StepParameters::new(rate, step).expect("a rate in the domain");
    let reference = StepReference::new(Optimizer::Gradient, penalty(), LAMBDA, 1.0, &hyper);
    for k in 0..LENGTH {
        let g = before[GRADIENT / 4 + k];
        let verdict = reference.judge(element(before[k], g), element(after[k], g));
        assert!(verdict.ok, "{place}: index {k}: {:e}, {verdict:?}", f32::from_bits(after[k]));
    }
    assert_eq!(before[LENGTH..], after[LENGTH..], "{place}: a step changes weights only");
}

/// Whether the step with another rate would have been accepted: then the test could not tell the two apart.
fn explains(before: &[u32], after: &[u32], rate: f64, step: u64) -> bool {
    let hyper = StepParameters::new(rate, step).expect("a rate in the domain");
    let reference = StepReference::new(Optimizer::Gradient, penalty(), LAMBDA, 1.0, &hyper);
    (0..LENGTH).all(|k| {
        let g = before[GRADIENT / 4 + k];
        reference.judge(element(before[k], g), element(after[k], g)).ok
    })
}

#[test]
fn three_hundred_interleaved_submissions_in_a_foreign_device() {
    const STEPS: usize = 300;
    let rate = |k: usize| 0.05 / (1.0 + k as f64 / 100.0);
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Off);
        let log = foreign.log(1 + 3 * STEPS);
        submit(&foreign.device, &foreign.queue, |encoder| foreign.snapshot(encoder, &log, 0));
        for k in 0..STEPS {
            let mut encoder = foreign.encoder();
            foreign.run(&mut encoder, &foreign.backward);
            foreign.snapshot(&mut encoder, &log, 3 * k + 1);
            plan.record(&mut encoder, &StepParameters::new(rate(k), k as u64 + 1).expect("in the domain"));
            foreign.snapshot(&mut encoder, &log, 3 * k + 2);
            foreign.run(&mut encoder, &foreign.drift);
            foreign.snapshot(&mut encoder, &log, 3 * k + 3);
            foreign.queue.submit([encoder.finish()]);
        }
        let pages = foreign.read(&log);
        let exact = |bits: u32| Approx::exact(f64::from(f32::from_bits(bits)));
        let constant = |c: f32| Approx::exact(f64::from(c));
        let close =
            |want: Approx, got: u32| (f64::from(f32::from_bits(got)) - want.value).abs() <= want.error;
        let (mut zeros, mut kept) = (0, 0);
        for k in 0..STEPS {
            let [start, before, after, end] = [0, 1, 2, 3].map(|n| &pages[3 * k + n]);
            for i in 0..LENGTH {
                let gradient = constant(0.5) * exact(start[i]) + constant(0.01) * constant((i % 7) as f32);
                assert!(close(gradient, before[GRADIENT / 4 + i]), "{}: gradient {i} of step {k}", one.label);
                let drifted = exact(after[i]) + constant(DRIFT);
                assert!(close(drifted, end[i]), "{}: drift {i} of step {k}", one.label);
                zeros += usize::from(after[i] == 0);
                kept += usize::from(after[i] != 0);
            }
            judge_step(&format!("{}: step {k}", one.label), before, after, rate(k), k as u64 + 1);
        }
        assert!(
            zeros > LENGTH && kept > LENGTH,
            "{}: both sides of the threshold: {zeros} {kept}",
            one.label
        );
        foreign.undisturbed();

        // the handlers are the owner's still
        let _ = foreign.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("wrong on purpose"),
            size: 16,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        let errors = foreign.errors.lock().unwrap().clone();
        assert!(errors.len() == 1 && errors[0].contains("wrong on purpose"), "{}: {errors:?}", one.label);
        foreign.device.destroy();
        let _ = foreign.device.poll(wgpu::PollType::wait_indefinitely());
        assert_eq!(foreign.losses.lock().unwrap().len(), 1, "{}: the owner hears of the loss", one.label);
    }
}

#[test]
fn our_own_failures_do_not_reach_the_owners_handlers() {
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let limit = foreign.device.limits().max_buffer_size;
        assert!(
            maf_srl::gpu::buffer(&foreign.device, "too large", limit + 4, support::work::USAGE, false)
                .is_err()
        );
        let broken = maf_srl::gpu::compute_pipeline(
            &foreign.device,
            "broken",
            "fn step() { nonsense }",
            "step",
            64,
            &[],
        );
        assert!(matches!(broken, Err(maf_srl::Error::Gpu { .. })), "{}: {broken:?}", one.label);
        let refused = maf_srl::gpu::buffer(
            &foreign.device,
            "refused",
            16,
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE,
            false,
        );
        assert!(matches!(refused, Err(maf_srl::Error::Gpu { .. })), "{}: {refused:?}", one.label);
        foreign.undisturbed();
    }
}

#[test]
fn two_steps_in_one_encoder_each_see_their_own_learning_rate() {
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Off);
        let log = foreign.log(3);
        submit(&foreign.device, &foreign.queue, |encoder| {
            foreign.run(encoder, &foreign.backward);
            foreign.snapshot(encoder, &log, 0);
            plan.record(encoder, &StepParameters::new(0.5, 1).expect("in the domain"));
            foreign.snapshot(encoder, &log, 1);
            plan.record(encoder, &StepParameters::new(0.001, 2).expect("in the domain"));
            foreign.snapshot(encoder, &log, 2);
        });
        let pages = foreign.read(&log);
        judge_step(&one.label, &pages[0], &pages[1], 0.5, 1);
        judge_step(&one.label, &pages[1], &pages[2], 0.001, 2);
        assert!(!explains(&pages[0], &pages[1], 0.001, 2), "the rates are told apart");
        assert!(!explains(&pages[1], &pages[2], 0.5, 1), "the rates are told apart");
        foreign.undisturbed();
    }
}

#[test]
fn a_hundred_steps_in_one_encoder_make_the_ring_grow_and_stay_right() {
    const STEPS: usize = 100;
    let rate = |k: usize| 0.001 * (k + 1) as f64;
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Full);
        let before = plan.staging_slots();
        let log = foreign.log(2 * STEPS);
        submit(&foreign.device, &foreign.queue, |encoder| {
            for k in 0..STEPS {
                foreign.run(encoder, &foreign.backward);
                foreign.snapshot(encoder, &log, 2 * k);
                plan.record(encoder, &StepParameters::new(rate(k), k as u64 + 1).expect("in the domain"));
                foreign.snapshot(encoder, &log, 2 * k + 1);
                foreign.run(encoder, &foreign.drift);
            }
        });
        assert!(before < STEPS && plan.staging_slots() == STEPS, "{}: {}", one.label, plan.staging_slots());
        let pages = foreign.read(&log);
        for k in 0..STEPS {
            let place = format!("{}: step {k}", one.label);
            judge_step(&place, &pages[2 * k], &pages[2 * k + 1], rate(k), k as u64 + 1);
        }
        let found = plan.finish().expect("no mismatch");
        assert_eq!((found.steps, found.checked), (STEPS as u64, (STEPS * LENGTH) as u64), "{}", one.label);

        // what is done is used again
        for k in 0..3 * STEPS {
            submit(&foreign.device, &foreign.queue, |encoder| {
                plan.record(encoder, &StepParameters::new(rate(k % STEPS), 1).expect("in the domain"));
            });
            foreign.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
        }
        assert_eq!(plan.staging_slots(), STEPS, "{}: no more than were ever needed at once", one.label);
        plan.finish().expect("no mismatch");
        foreign.undisturbed();
    }
}

#[test]
fn an_encoder_that_is_dropped_leaves_nothing_behind() {
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Full);
        let slots = plan.staging_slots();
        for k in 0..50 {
            let mut dropped = foreign.encoder();
            plan.record(&mut dropped, &StepParameters::new(0.7, 1).expect("in the domain"));
            // at each stage of its life: recorded, or finished and never submitted
            if k % 2 == 0 {
                drop(dropped);
            } else {
                drop(dropped.finish());
            }
        }
        assert_eq!(plan.staging_slots(), slots, "{}: dropped slots are replaced, not added", one.label);
        let log = foreign.log(3);
        submit(&foreign.device, &foreign.queue, |encoder| {
            foreign.snapshot(encoder, &log, 0);
            foreign.run(encoder, &foreign.backward);
            foreign.snapshot(encoder, &log, 1);
            plan.record(encoder, &StepParameters::new(0.1, 1).expect("in the domain"));
            foreign.snapshot(encoder, &log, 2);
        });
        let pages = foreign.read(&log);
        let untouched: Vec<u32> = start().iter().map(|w| w.to_bits()).collect();
        assert_eq!(pages[0], untouched, "{}: a dropped step never ran", one.label);
        judge_step(&one.label, &pages[1], &pages[2], 0.1, 1);
        let found = plan.finish().expect("no mismatch");
        assert_eq!((found.steps, found.checked), (1, LENGTH as u64), "{}: submitted steps count", one.label);
        foreign.undisturbed();
    }
}

#[test]
fn steps_take_effect_in_the_order_of_submission_with_the_values_of_their_recording() {
    const ENCODERS: usize = 12;
    let rate = |k: usize| 0.02 * (k + 1) as f64;
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Full);
        let log = foreign.log(2 * ENCODERS);
        let mut recorded: Vec<_> = (0..ENCODERS)
            .map(|k| {
                let mut encoder = foreign.encoder();
                foreign.run(&mut encoder, &foreign.backward);
                foreign.snapshot(&mut encoder, &log, 2 * k);
                plan.record(&mut encoder, &StepParameters::new(rate(k), 1).expect("in the domain"));
                foreign.snapshot(&mut encoder, &log, 2 * k + 1);
                Some(encoder.finish())
            })
            .collect();
        // some alone, some together, none in the order of recording
        for group in [[7, 3, 11].as_slice(), &[0], &[10, 2], &[9, 8, 6, 5, 4, 1]] {
            foreign.queue.submit(group.iter().filter_map(|&k| recorded[k].take()));
        }
        let pages = foreign.read(&log);
        let order = [7, 3, 11, 0, 10, 2, 9, 8, 6, 5, 4, 1];
        for (n, &k) in order.iter().enumerate() {
            judge_step(&format!("{}: {n}", one.label), &pages[2 * k], &pages[2 * k + 1], rate(k), 1);
            if let Some(&next) = order.get(n + 1) {
                let (end, start) = (&pages[2 * k + 1][..LENGTH], &pages[2 * next][..LENGTH]);
                assert_eq!(end, start, "{}: {next} starts where {k} ended", one.label);
            }
        }
        assert_eq!(plan.finish().expect("no mismatch").checked, (ENCODERS * LENGTH) as u64, "{}", one.label);
        foreign.undisturbed();
    }
}

#[test]
fn tensors_whose_binding_ranges_overlap_in_one_page_do_not_disturb_each_other() {
    // W1 G1 W2 G2 ... behind each other at odd offsets: every binding spans the whole page.
    const GUARD: u32 = 0x7fbadbad;
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let lengths = [3usize, 100, 1, 257, 0, 30];
        let mut words = vec![GUARD];
        let mut places = Vec::new();
        for (n, &length) in lengths.iter().enumerate() {
            let mut array = |seed: usize| {
                let at = words.len();
                words.extend(
                    (0..length).map(|k| (((k * 37 + seed * 11) % 200) as f32 * 0.01 - 1.0).to_bits()),
                );
                words.push(GUARD);
                at
            };
            places.push((array(2 * n), array(2 * n + 1), length));
        }
        let page = support::work::upload(&foreign.device, &words);
        let tensors: Vec<Tensor> = places
            .iter()
            .zip(0..)
            .map(|(&(w, g, length), n)| {
                Tensor::new(
                    Spec::new(format!("tensor {n}"), penalty(), LAMBDA * f64::from(n)),
                    view(&page, 4 * w as u64, length),
                )
                .with_gradient(view(&page, 4 * g as u64, length))
            })
            .collect();
        let mut plan = Schedule::new(&foreign.device)
            .bind(Optimizer::Gradient, &tensors, Verify::Full)
            .expect("they bind");
        let hyper = StepParameters::new(0.25, 1).expect("in the domain");
        submit(&foreign.device, &foreign.queue, |encoder| plan.record(encoder, &hyper));
        let got = download(&foreign.device, &foreign.queue, &page);
        let mut expected = words.clone();
        for (&(w, g, length), n) in places.iter().zip(0..) {
            let reference =
                StepReference::new(Optimizer::Gradient, penalty(), LAMBDA * f64::from(n), 1.0, &hyper);
            for k in 0..length {
                let (before, after) =
                    (element(words[w + k], words[g + k]), element(got[w + k], words[g + k]));
                assert!(reference.judge(before, after).ok, "{}: tensor {n} index {k}", one.label);
                expected[w + k] = got[w + k];
            }
        }
        assert_eq!(got, expected, "{}: gradients and guard words stay", one.label);
        assert_ne!(got, words, "{}: weights moved", one.label);
        let total: usize = lengths.iter().sum();
        assert_eq!(plan.finish().expect("no mismatch").checked, total as u64, "{}", one.label);
        foreign.undisturbed();
    }
}

#[test]
fn gradients_in_new_memory_each_step_keep_the_states() {
    const STEPS: u64 = 5;
    const COUNT: u64 = 77;
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let gradient = |step: u64| -> Vec<f32> {
            (0..COUNT).map(|k| ((k * 31 + step * 17) % 23) as f32 / 10.0 - 1.1).collect()
        };
        let spec = || Spec::new("w", penalty(), 0.05);
        let view = |buffer: &wgpu::Buffer, offset| View::new("w", buffer, offset, COUNT).expect("inside");
        let base = Optimizer::Adam(Adam::default());
        let schedule = Schedule::new(&device);
        let bind = |weights: &wgpu::Buffer, gradient: &wgpu::Buffer| {
            let tensor = Tensor::new(spec(), view(weights, 0)).with_gradient(view(gradient, 0));
            schedule.bind(base, &[tensor], Verify::Full).expect("bound")
        };

        // the gradient always in one place
        let (still, place) = (upload_f32(&device, &gradient(99)), upload_f32(&device, &gradient(0)));
        let mut plan = bind(&still, &place);
        for step in 1..=STEPS {
            queue.write_buffer(&place, 0, bytemuck::cast_slice(&gradient(step)));
            let hyper = StepParameters::new(0.1, step).expect("in the domain");
            submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
        }
        plan.finish().expect("verified");

        // a new buffer and another offset each step
        let moving = upload_f32(&device, &gradient(99));
        let mut plan = bind(&moving, &upload_f32(&device, &gradient(0)));
        for step in 1..=STEPS {
            let mut page = vec![f32::NAN; step as usize];
            page.extend(gradient(step));
            let views = [view(&upload_f32(&device, &page), 4 * step)];
            assert!(plan.update(&Update::new().with_gradients(&views)).expect("bound again"));
            let hyper = StepParameters::new(0.1, step).expect("in the domain");
            submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
        }
        assert_eq!(plan.finish().expect("verified").checked, STEPS * COUNT, "{}", one.label);
        assert_eq!(download(&device, &queue, &still), download(&device, &queue, &moving), "{}", one.label);

        // what does not fit is refused, and the plan goes on as it was
        let before = download(&device, &queue, &moving);
        let mut refused =
            |views: &[View]| plan.update(&Update::new().with_gradients(views)).expect_err("refused");
        assert!(matches!(refused(&[]), Error::Shape { .. }));
        assert!(matches!(refused(&[view(&moving, 0)]), Error::Overlap { .. }));
        let short = View::new("w", &place, 0, COUNT - 1).expect("inside");
        assert!(matches!(refused(&[short]), Error::Shape { .. }));
        let hyper = StepParameters::new(0.1, STEPS + 1).expect("in the domain");
        submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
        plan.finish().expect("verified");
        assert_ne!(download(&device, &queue, &moving), before, "{}", one.label);
    }
}

/// Tensors of every operator, each with several places for its weights, its gradient and its states: in pages that all share,
/// at offsets that agree modulo four elements and at such that do not, and in buffers of their own.
struct Places {
    device: wgpu::Device,
    queue: wgpu::Queue,
    schedule: Schedule,
    base: Optimizer,
    specs: Vec<(Spec, usize)>,
    /// By kind, tensor and place.
    views: Vec<Vec<Vec<View>>>,
}

/// Where each tensor lies, kind by kind, and how it takes its step.
#[derive(Clone, Debug)]
struct Recorded {
    places: Vec<Vec<usize>>,
    settings: Vec<(bool, bool, f64, Option<u64>)>,
    step: u64,
}

impl Places {
    fn new(one: &TestAdapter, base: Optimizer) -> Self {
        let (device, queue) = one.device();
        let l1 = |name: &str| Spec::new(name, "l1".parse().expect("known"), 0.02);
        let rows = |count: u64, size: u64| {
            let groups = Groups::new(Layout::Rows, &[count, size]).expect("they fit");
            Group::new("lasso".parse().expect("known"), 0.02, groups)
        };
        let splitting = Solver::Splitting { beta: 0.5, published: false };
        let activation = Activation { eta1: 0.4, eta2: 0.9, delta1: 0.3, delta2: 0.8 };
        let pattern = Arc::new(Pattern::diagonal(7).expect("a pattern"));
        let parameters = Parameters::identity(pattern, activation, 1.0).expect("they fit");
        let learned = Spec::new("learned", "none".parse().expect("known"), 0.3).with_regulariser(
            Arc::new(Regulariser::new(parameters).expect("invertible")),
            Groups::new(Layout::Rows, &[9, 7]).expect("they fit"),
        );
        let specs = vec![
            (l1("first"), 61),
            (l1("second"), 300),
            (l1("groups").with_group(rows(6, 8)), 48),
            (l1("large groups").with_group(rows(1, 4200)), 4200),
            (l1("splitting").with_solver(splitting).with_group(rows(5, 9)), 45),
            (learned, 63),
        ];
        let kinds = 2 + specs.iter().map(|(spec, _)| spec.states(base)).max().expect("some");
        let mut rng = ChaCha8Rng::seed_from_u64(77);
        let total: usize = specs.iter().map(|(_, length)| length + 8).sum();
        let mut numbers = |length: usize, kind: usize| -> Vec<f32> {
            // second moments are not negative
            let low = if kind == 3 { 0.0 } else { -1.0 };
            (0..length).map(|_| rng.random_range(low..1.0)).collect()
        };
        let mut views = Vec::new();
        for kind in 0..kinds {
            let pages: Vec<_> = (0..2).map(|_| upload_f32(&device, &numbers(total, kind))).collect();
            let mut at = 0;
            let mut of_kind = Vec::new();
            for (k, (_, length)) in specs.iter().enumerate() {
                let askew = at + (kind as u64 + k as u64) % 4;
                let own = upload_f32(&device, &numbers(*length, kind));
                of_kind.push(vec![
                    view(&pages[0], 4 * at, *length),
                    view(&pages[1], 4 * askew, *length),
                    view(&own, 0, *length),
                ]);
                at += (length + 4).next_multiple_of(4) as u64;
            }
            views.push(of_kind);
        }
        Places { schedule: Schedule::new(&device), device, queue, base, specs, views }
    }

    fn of(&self, at: &Recorded, kind: usize) -> Vec<View> {
        at.places[kind].iter().zip(&self.views[kind]).map(|(place, all)| all[*place].clone()).collect()
    }

    fn states(&self, at: &Recorded) -> Vec<Vec<View>> {
        let one = |(k, (spec, _)): (usize, &(Spec, usize))| {
            (0..spec.states(self.base)).map(|s| self.views[2 + s][k][at.places[2 + s][k]].clone()).collect()
        };
        self.specs.iter().enumerate().map(one).collect()
    }

    fn bind(&self, at: &Recorded, verify: Verify) -> Plan {
        let views = self.of(at, 0).into_iter().zip(self.of(at, 1)).zip(self.states(at));
        let tensor = |((spec, _), ((w, g), states)): (&(Spec, usize), _)| {
            Tensor::new(spec.clone(), w).with_gradient(g).with_states(states)
        };
        let tensors: Vec<Tensor> = self.specs.iter().zip(views).map(tensor).collect();
        self.schedule.bind(self.base, &tensors, verify).expect("they bind")
    }

    fn record(&self, plan: &mut Plan, at: &Recorded) -> wgpu::CommandEncoder {
        for (k, (rests, freeze, lambda, step)) in at.settings.iter().enumerate() {
            let mut settings = *plan.settings(k).expect("it is there");
            (settings.rests, settings.freeze) = (*rests, *freeze);
            (settings.lambda, settings.step) = (*lambda, *step);
            plan.set(k, settings).expect("in the domain");
        }
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        plan.record(&mut encoder, &StepParameters::new(0.05, at.step).expect("in the domain"));
        encoder
    }

    fn words(&self) -> Vec<Vec<u32>> {
        let views = self.views.iter().flatten().flatten();
        views.map(|view| download(&self.device, &self.queue, view.buffer())).collect()
    }
}

#[test]
fn updates_in_all_orders_equal_a_plan_bound_anew_bit_for_bit() {
    const STEPS: u64 = 50;
    const SEED: u64 = 20_261_129;
    for one in support::software_adapters() {
        for base in [Optimizer::HeavyBall { momentum: 0.9 }, Optimizer::Adam(Adam::default())] {
            let (moving, still) = (Places::new(&one, base), Places::new(&one, base));
            let (kinds, tensors) = (moving.views.len(), moving.specs.len());
            let mut rng = ChaCha8Rng::seed_from_u64(SEED);
            let mut at = Recorded {
                places: vec![vec![0; tensors]; kinds],
                settings: vec![(false, false, 0.02, None); tensors],
                step: 0,
            };
            let mut plan = moving.bind(&at, Verify::Full);
            let (mut pending, mut submitted, mut dropped, mut unmoved) = (Vec::new(), 0, 0, 0);
            for step in 1..=STEPS {
                at.step = step;
                for places in &mut at.places {
                    if rng.random_bool(0.5) {
                        places.iter_mut().for_each(|place| *place = rng.random_range(0..3));
                    }
                }
                for settings in &mut at.settings {
                    let own = rng.random_bool(0.3).then(|| rng.random_range(1..9));
                    let lambda = [0.02, 0.5][usize::from(rng.random_bool(0.3))];
                    *settings = (rng.random_bool(0.2), rng.random_bool(0.3), lambda, own);
                }
                let (w, g, states) = (moving.of(&at, 0), moving.of(&at, 1), moving.states(&at));
                // one that is refused changes nothing
                let wrong = Update::new().with_weights(&g).with_gradients(&g);
                assert!(matches!(plan.update(&wrong), Err(Error::Overlap { .. })), "{}", one.label);
                let update = Update::new().with_weights(&w).with_gradients(&g).with_states(&states);
                let moved = plan.update(&update).expect("they fit");
                unmoved += usize::from(!moved);
                assert!(!plan.update(&update).expect("they fit"), "{}: again", one.label);
                let encoder = moving.record(&mut plan, &at);
                match rng.random_range(0..4) {
                    0 => dropped += 1,
                    _ => pending.push((encoder, at.clone())),
                }
                if rng.random_bool(0.5) || step == STEPS {
                    while !pending.is_empty() {
                        let (encoder, at) = pending.swap_remove(rng.random_range(0..pending.len()));
                        moving.queue.submit([encoder.finish()]);
                        submitted += 1;
                        // the same step by a plan that knows nothing of the others
                        let mut anew = still.bind(&at, Verify::Off);
                        let encoder = still.record(&mut anew, &at);
                        still.queue.submit([encoder.finish()]);
                    }
                }
            }
            assert!(submitted > 20 && dropped > 3 && unmoved > 0, "{submitted} {dropped} {unmoved}");
            let found = plan.finish().expect("no mismatch");
            assert_eq!(found.steps, submitted, "{} {base}: steps checked", one.label);
            assert!(moving.words() == still.words(), "{} {base}: seed {SEED}", one.label);
            let (groups, bytes) = plan.pinned();
            assert!(groups > 0 && bytes > 0);
        }
    }
}

#[test]
fn a_refused_submission_leaves_the_steps_after_it_right() {
    for one in support::software_adapters() {
        let base = Optimizer::HeavyBall { momentum: 0.9 };
        let (moving, still) = (Places::new(&one, base), Places::new(&one, base));
        let (kinds, tensors) = (moving.views.len(), moving.specs.len());
        let settings = vec![(false, false, 0.02, None); tensors];
        let at = |place: usize, step: u64| Recorded {
            places: vec![vec![place; tensors]; kinds],
            settings: settings.clone(),
            step,
        };
        let mut plan = moving.bind(&at(0, 1), Verify::Off);
        for (step, place) in [(1, 1), (2, 2), (3, 0), (4, 1), (5, 0)] {
            let at = at(place, step);
            let (w, g, states) = (moving.of(&at, 0), moving.of(&at, 1), moving.states(&at));
            let update = Update::new().with_weights(&w).with_gradients(&g).with_states(&states);
            plan.update(&update).expect("they fit");
            // the pipeline records something else that wgpu refuses when it is submitted
            let gone = blank(&moving.device, 16);
            let mut refused = moving.record(&mut plan, &at);
            refused.copy_buffer_to_buffer(&gone, 0, &blank(&moving.device, 16), 0, 16);
            gone.destroy();
            let scope = moving.device.push_error_scope(wgpu::ErrorFilter::Validation);
            moving.queue.submit([refused.finish()]);
            assert!(pollster::block_on(scope.pop()).is_some(), "{}: it is refused", one.label);
            moving.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");

            let encoder = moving.record(&mut plan, &at);
            moving.queue.submit([encoder.finish()]);
            let encoder = still.record(&mut still.bind(&at, Verify::Off), &at);
            still.queue.submit([encoder.finish()]);
            assert!(moving.words() == still.words(), "{}: step {step}", one.label);
        }
    }
}

#[test]
fn a_shape_that_groups_are_not_made_for_is_refused_where_lengths_fit() {
    let one = support::software_adapters().remove(0);
    let (device, _) = one.device();
    let page = upload_f32(&device, &[0.5; 48]);
    let group = |groups| Group::new("lasso".parse().expect("known"), 0.1, groups);
    let bind = |groups: Groups, shape: &[u64]| {
        let spec = Spec::new("fc1", "l1".parse().expect("known"), 0.1).with_group(group(groups));
        let weights = view(&page, 0, 24).with_shape("fc1", shape, None).expect("24 elements");
        let tensor = Tensor::new(spec, weights).with_gradient(view(&page, 96, 24));
        Schedule::new(&device).bind(Optimizer::Gradient, &[tensor], Verify::Off).map(drop)
    };
    let rows = Groups::new(Layout::Rows, &[4, 6]).expect("they fit");
    bind(rows.clone(), &[4, 6]).expect("made for it");
    let error = bind(rows, &[6, 4]).expect_err("other rows");
    assert!(matches!(error, Error::Shape { .. }) && error.to_string().contains("fc1: W"), "{error}");
    bind(Groups::axis(1, &[6, 4]).expect("they fit"), &[6, 4]).expect("said by axis");
}

#[test]
fn what_a_pipeline_shares_between_threads_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Schedule>();
    shared::<Plan>();
    shared::<maf_srl::schedule::HostSchedule>();
    fn sent<T: Send>() {}
    sent::<maf_srl::gpu::Readback>();
}

#[test]
fn a_thread_that_polls_all_the_time_takes_no_result_away() {
    const STEPS: usize = 300;
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Full);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    foreign.device.poll(wgpu::PollType::Poll).expect("the device answers");
                }
            });
            let mut problem = None;
            for step in 1..=STEPS {
                let hyper = StepParameters::new(0.1, step as u64).expect("allowed");
                let status = submit(&foreign.device, &foreign.queue, |encoder| {
                    plan.record(encoder, &hyper);
                    plan.status(encoder).expect("room for the status words")
                });
                let checked = plan.finish().map(|found| found.checked);
                let counted = status.wait::<u32>(&foreign.device);
                if checked != Ok((step * LENGTH) as u64) || counted != Ok(vec![0]) {
                    problem = Some(format!("{}: step {step}: {checked:?}, {counted:?}", one.label));
                    break;
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(problem, None);
        });
    }
}

#[test]
fn a_plan_may_be_finished_on_the_only_worker_thread() {
    for one in support::software_adapters() {
        let foreign = Foreign::new(&one);
        let mut plan = foreign.plan(Verify::Full);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        let found = pool.install(|| {
            let hyper = StepParameters::new(0.1, 1).expect("allowed");
            submit(&foreign.device, &foreign.queue, |encoder| plan.record(encoder, &hyper));
            plan.finish()
        });
        assert_eq!(found.expect("no mismatch").checked, LENGTH as u64, "{}", one.label);
    }
}
