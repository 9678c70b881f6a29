//! Checks count what has run and nothing else, and their memory stays within its bound, whoever polls or does not.
//!
//! Comparisons run in a pool that the whole process shares, and some of these tests stop it: they take turns.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maf_srl::Error;
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Verify};
use support::work::{USAGE, blank, download, upload_f32, view, within};
use support::{TestAdapter, adapter, software_adapters};

/// Elements of a tensor.
const COUNT: usize = 1000;

/// Bytes that a check of it takes: W and G before, W after, the step's number, twice.
const CHECK: u64 = 2 * (12 * COUNT as u64 + 8);

/// The pool is everybody's.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pipeline {
    device: wgpu::Device,
    queue: wgpu::Queue,
    weights: wgpu::Buffer,
    plan: Plan,
    step: u64,
}

impl Pipeline {
    fn new(one: &TestAdapter, verify: Verify) -> Self {
        let (device, queue) = one.device();
        let weights = upload_f32(&device, &[1000.0; COUNT]);
        let gradient = upload_f32(&device, &[1.0; COUNT]);
        let spec = Spec::new("layer", "l1".parse().expect("known"), 0.0);
        let tensor = Tensor::new(spec, view(&weights, 0, COUNT)).with_gradient(view(&gradient, 0, COUNT));
        let plan = Schedule::new(&device).bind(Optimizer::Gradient, &[tensor], verify).expect("it binds");
        Pipeline { device, queue, weights, plan, step: 0 }
    }

    /// Takes 1 from every weight.
    fn record(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.step += 1;
        self.plan.record(encoder, &StepParameters::new(1.0, self.step).expect("in the domain"));
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// One step, submitted at once.
    fn step(&mut self) {
        let mut encoder = self.encoder();
        self.record(&mut encoder);
        self.queue.submit([encoder.finish()]);
    }

    /// How many steps the weights have taken.
    fn taken(&self) -> u64 {
        let weight = f32::from_bits(download(&self.device, &self.queue, &self.weights)[0]);
        (1000.0 - weight) as u64
    }
}

#[test]
fn a_refused_submission_is_not_counted_as_checked() {
    let _turn = alone();
    const STEPS: u64 = 12;
    for one in software_adapters() {
        let mut pipeline = Pipeline::new(&one, Verify::Full);
        let destroyed = blank(&pipeline.device, 16);
        destroyed.destroy();
        let mapped = pipeline.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("mapped"),
            size: 16,
            usage: USAGE,
            mapped_at_creation: true,
        });
        let target = blank(&pipeline.device, 16);
        // the sixth alone is right; before it, no staging buffer has ever been used, after it one is taken again
        for step in 0..STEPS {
            let scope = pipeline.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let mut encoder = pipeline.encoder();
            pipeline.record(&mut encoder);
            let status = pipeline.plan.status(&mut encoder).expect("recorded");
            if step != 5 {
                let source = if step % 2 == 0 { &destroyed } else { &mapped };
                encoder.copy_buffer_to_buffer(source, 0, &target, 0, 16);
            }
            pipeline.queue.submit([encoder.finish()]);
            let refused = pollster::block_on(scope.pop()).is_some();
            assert_eq!(refused, step != 5, "{}: step {step}", one.label);
            match status.wait::<u32>(&pipeline.device) {
                Ok(words) => assert!(!refused && words == [0], "{}: step {step}: {words:?}", one.label),
                Err(error) => {
                    assert!(
                        refused && matches!(error, Error::Gpu { .. }),
                        "{}: step {step}: {error:?}",
                        one.label
                    );
                }
            }
        }
        // and what is dropped did not run either
        let mut encoder = pipeline.encoder();
        pipeline.record(&mut encoder);
        drop(encoder);
        let found = pipeline.plan.finish().expect("what ran is right");
        assert_eq!(pipeline.taken(), 1, "{}", one.label);
        assert_eq!((found.steps, found.checked), (1, COUNT as u64), "{}: {found:?}", one.label);
        assert_eq!((found.not_run, found.skipped), (STEPS, 0), "{}", one.label);
    }
}

/// Stops the pool in which checks are compared: every thread of it waits until this is dropped.
struct Stopped {
    go: Arc<AtomicBool>,
}

impl Stopped {
    fn new() -> Self {
        let go = Arc::new(AtomicBool::new(false));
        let held = Arc::new(AtomicUsize::new(0));
        let threads = rayon::current_num_threads();
        for _ in 0..threads {
            let (go, held) = (go.clone(), held.clone());
            rayon::spawn(move || {
                held.fetch_add(1, Ordering::SeqCst);
                while !go.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
        }
        while held.load(Ordering::SeqCst) < threads {
            std::thread::sleep(Duration::from_micros(100));
        }
        Stopped { go }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.go.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_sample_skips_what_has_no_room_and_counts_it() {
    let _turn = alone();
    const STEPS: u64 = 20;
    for one in software_adapters() {
        let mut pipeline = Pipeline::new(&one, Verify::Sample { every: 1, tensors: 1, seed: 0 });
        pipeline.plan.set_check_memory(4 * CHECK);
        let stopped = Stopped::new();
        for _ in 0..STEPS {
            pipeline.step();
        }
        // four fit as they are recorded, and what has arrived takes half
        drop(stopped);
        let found = pipeline.plan.finish().expect("right");
        assert_eq!(pipeline.taken(), STEPS, "{}", one.label);
        assert!((4..=7).contains(&found.steps), "{}: {found:?}", one.label);
        assert_eq!(found.steps + found.skipped, STEPS, "{}: {found:?}", one.label);
        assert!(found.memory <= 4 * CHECK && found.memory > CHECK, "{}: {found:?}", one.label);
        // with room again it checks again
        pipeline.step();
        let after = pipeline.plan.finish().expect("right");
        assert_eq!((after.steps, after.skipped), (found.steps + 1, found.skipped), "{}", one.label);
    }
}

#[test]
fn full_verification_waits_for_room_and_skips_nothing() {
    let _turn = alone();
    const STEPS: u64 = 60;
    within(120, "a full verification with little memory", || {
        for one in software_adapters() {
            // room for several checks, for one, and for less than one: the largest runs alone
            for (memory, bound) in [(4 * CHECK, 4 * CHECK), (CHECK, CHECK), (100, CHECK)] {
                let mut pipeline = Pipeline::new(&one, Verify::Full);
                pipeline.plan.set_check_memory(memory);
                let stopped = Stopped::new();
                let later = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(300));
                    drop(stopped);
                });
                // nobody polls but the library
                for _ in 0..STEPS {
                    pipeline.step();
                }
                later.join().expect("no panic");
                let found = pipeline.plan.finish().expect("right");
                assert_eq!((found.steps, found.skipped), (STEPS, 0), "{}: {found:?}", one.label);
                assert_eq!(found.checked, STEPS * COUNT as u64, "{}", one.label);
                assert!(found.memory <= bound, "{}: {found:?}", one.label);
            }
        }
    });
}

#[test]
fn full_verification_does_not_wait_for_what_is_not_submitted() {
    let _turn = alone();
    const STEPS: u64 = 100;
    within(120, "steps that are recorded and not submitted", || {
        for one in software_adapters() {
            let mut pipeline = Pipeline::new(&one, Verify::Full);
            pipeline.plan.set_check_memory(3 * CHECK);
            for rounds in 1..=2 {
                let mut encoder = pipeline.encoder();
                let start = std::time::Instant::now();
                for _ in 0..STEPS {
                    pipeline.record(&mut encoder);
                }
                // once a tenth of a second, and not at every step: ten seconds
                assert!(start.elapsed() < Duration::from_secs(5), "{}: {:?}", one.label, start.elapsed());
                pipeline.queue.submit([encoder.finish()]);
                let found = pipeline.plan.finish().expect("right");
                assert_eq!((found.steps, found.skipped), (rounds * 3, rounds * (STEPS - 3)), "{}", one.label);
                assert!(found.memory <= 3 * CHECK, "{}: {found:?}", one.label);
            }
            assert_eq!(pipeline.taken(), 2 * STEPS, "{}", one.label);
        }
    });
}

#[test]
fn checks_proceed_on_a_worker_thread_and_while_another_polls() {
    let _turn = alone();
    within(120, "full verification from inside the pool", || {
        let one = adapter("lavapipe");
        let mut pipeline = Pipeline::new(&one, Verify::Full);
        pipeline.plan.set_check_memory(2 * CHECK);
        let stop = Arc::new(AtomicBool::new(false));
        let polls = {
            let (stop, device) = (stop.clone(), pipeline.device.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
                }
            })
        };
        let found = rayon::scope(|_| {
            for _ in 0..200 {
                pipeline.step();
            }
            pipeline.plan.finish().expect("right")
        });
        stop.store(true, Ordering::SeqCst);
        polls.join().expect("no panic");
        assert_eq!((found.steps, found.skipped), (200, 0), "{found:?}");
    });
}

/// Bytes of this process in memory.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 = text.split_whitespace().nth(1).and_then(|field| field.parse().ok()).expect("a number");
    4096 * pages
}

#[cfg(target_os = "linux")]
#[test]
fn a_hundred_thousand_full_steps_with_slow_workers_stay_within_their_memory() {
    let _turn = alone();
    const STEPS: u64 = 100_000;
    const MEMORY: u64 = 1 << 20;
    let one = adapter("lavapipe");
    let mut pipeline = Pipeline::new(&one, Verify::Full);
    pipeline.plan.set_check_memory(MEMORY);
    // the workers stand still for half a second, over and over
    let stop = Arc::new(AtomicBool::new(false));
    let slows = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let stopped = Stopped::new();
                std::thread::sleep(Duration::from_millis(500));
                drop(stopped);
                std::thread::sleep(Duration::from_millis(2500));
            }
        })
    };
    let mut start = 0;
    let mut most = 0;
    for step in 0..STEPS {
        pipeline.step();
        if step == 2000 {
            start = resident();
        }
        if step % 100 == 0 {
            most = most.max(resident());
        }
    }
    let found = pipeline.plan.finish().expect("right");
    stop.store(true, Ordering::SeqCst);
    slows.join().expect("no panic");
    assert_eq!((found.steps, found.skipped, found.not_run), (STEPS, 0, 0));
    assert_eq!(found.checked, STEPS * COUNT as u64);
    assert!(found.memory <= MEMORY, "{}", found.memory);
    let grown = most.saturating_sub(start);
    // The driver's own memory is no part of the bound. Without one, half a second of steps is tens of megabytes.
    assert!(grown <= 10 * MEMORY, "{grown} bytes more than after 2000 steps");
}
