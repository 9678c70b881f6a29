//! A device that goes away and memory that cannot be had: typed errors, no panic, no hang.

mod support;

use maf_srl::Error;
use maf_srl::gpu::{self, Context};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::penalty::Penalty;
use maf_srl::schedule::{Backend, HostSchedule, Plan, Schedule, Spec, Tensor, Verify};
use support::work::{USAGE, submit, upload_f32, view, within};

/// Seconds after which a test says that something hangs.
const PATIENCE: u64 = 20;

fn spec() -> Spec {
    let l1: Penalty = "l1".parse().expect("a penalty of the register");
    Spec::new("layer", l1, 0.1)
}

fn hyper(step: u64) -> StepParameters {
    StepParameters::new(0.1, step).expect("in the domain")
}

fn bind(device: &wgpu::Device, base: Optimizer) -> Result<Plan, Error> {
    let (weights, gradients) = (upload_f32(device, &[1.0; 100]), upload_f32(device, &[0.5; 100]));
    let tensor = Tensor::new(spec(), view(&weights, 0, 100)).with_gradient(view(&gradients, 0, 100));
    Schedule::new(device).bind(base, &[tensor], Verify::Full)
}

/// An error that says that the device is gone.
fn lost(place: &str, error: &Error) {
    assert!(matches!(error, Error::DeviceLost { .. }), "{place}: {error:?}");
}

#[test]
fn a_borrowed_device_lost_between_bind_and_record() {
    within(3 * PATIENCE, "recording on a lost device", || {
        for one in support::software_adapters() {
            let (device, queue) = one.device();
            let mut plan = bind(&device, Optimizer::Nesterov { momentum: 0.9 }).expect("it binds");
            submit(&device, &queue, |encoder| plan.record(encoder, &hyper(1)));
            assert_eq!(plan.finish().expect("no mismatch").checked, 100, "{}", one.label);
            device.destroy();
            // more steps than slots: some find a slot that is mapped, some none
            for step in 2..30 {
                submit(&device, &queue, |encoder| plan.record(encoder, &hyper(step)));
            }
            let error = plan.finish().expect_err("the device is gone");
            lost(&one.label, &error);
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let status = plan.status(&mut encoder);
            queue.submit([encoder.finish()]);
            let error = status.and_then(|s| s.wait::<u32>(&device)).expect_err("the device is gone");
            lost(&one.label, &error);
        }
    });
}

#[test]
fn a_borrowed_device_lost_while_a_check_is_under_way() {
    within(3 * PATIENCE, "finishing on a lost device", || {
        for one in support::software_adapters() {
            let (device, queue) = one.device();
            let mut plan = bind(&device, Optimizer::Gradient).expect("it binds");
            for step in 1..=5 {
                submit(&device, &queue, |encoder| plan.record(encoder, &hyper(step)));
            }
            device.destroy();
            // checks that were done in time count; what was under way is reported
            match plan.finish() {
                Ok(found) => assert_eq!(found.checked, 500, "{}: all or an error", one.label),
                Err(error) => lost(&one.label, &error),
            }
        }
    });
}

#[test]
fn binding_on_a_lost_device_is_refused() {
    within(3 * PATIENCE, "binding on a lost device", || {
        for one in support::software_adapters() {
            let (device, _queue) = one.device();
            let (weights, gradients) = (upload_f32(&device, &[1.0; 100]), upload_f32(&device, &[0.5; 100]));
            let tensor = Tensor::new(spec(), view(&weights, 0, 100)).with_gradient(view(&gradients, 0, 100));
            let schedule = Schedule::new(&device);
            device.destroy();
            let error =
                schedule.bind(Optimizer::Gradient, &[tensor], Verify::Off).expect_err("the device is gone");
            lost(&one.label, &error);
        }
    });
}

#[test]
fn the_easy_layer_on_a_lost_device() {
    within(3 * PATIENCE, "stepping on a lost device", || {
        for one in support::software_adapters() {
            let context = Context::on(one.adapter).expect("a device");
            let backend = Backend::Gpu(Box::new(context.clone()));
            let start = [1.0f32; 300];
            let mut schedule =
                HostSchedule::new(&backend, &[spec()], &[&start], Optimizer::Gradient, Verify::Full)
                    .expect("it binds");
            let mut weights = vec![0.0f32; 300];
            schedule.step(hyper(1), &[&start], &mut [&mut weights]).expect("the device is there");
            assert!((weights[0] - 0.89).abs() < 1e-6, "{}: {}", one.label, weights[0]);
            context.device.destroy();
            for step in 2..5 {
                let error = schedule
                    .step(hyper(step), &[&start], &mut [&mut weights])
                    .expect_err("the device is gone");
                lost(&one.label, &error);
            }
            assert!((weights[0] - 0.89).abs() < 1e-6, "{}: a failed step hands out no weights", one.label);
            let error = schedule.finish().expect_err("the device is gone");
            lost(&one.label, &error);
            let error = HostSchedule::new(&backend, &[spec()], &[&start], Optimizer::Gradient, Verify::Off)
                .expect_err("the device is gone");
            lost(&one.label, &error);
        }
    });
}

/// Set in the child process that runs out of memory: the label of the adapter to do it on.
const CHILD: &str = "MAF_SRL_TEST_OUT_OF_MEMORY";

/// Drivers on a CPU promise memory that they do not have, so the test takes the address space away instead: a child
/// process of it allows itself little more than it has, and asks for buffers just below the largest one. No page is
/// ever touched.
#[cfg(target_os = "linux")]
#[test]
fn memory_that_cannot_be_had_is_a_typed_error_and_the_device_lives_on() {
    let program = std::env::current_exe().expect("this program has a path");
    for one in support::software_adapters() {
        let child = std::process::Command::new(&program)
            .args(["--exact", "out_of_memory_in_a_child_process", "--ignored", "--nocapture"])
            .env(CHILD, &one.label)
            .output()
            .expect("the child starts");
        let text =
            String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        println!("{}", text);
        assert!(child.status.success(), "{}: {:?}\n{text}", one.label, child.status);
        assert!(text.contains("1 passed"), "{}: {text}", one.label);
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "limits its own process; started by the test above"]
fn out_of_memory_in_a_child_process() {
    const MORE: u64 = 3 << 29;
    const MOST: u64 = 4 << 30;
    let label = std::env::var(CHILD).expect("started by the test above");
    let one = support::adapter(&label);
    let limits = one.adapter.limits();
    let (device, queue) =
        one.device_with(&wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() });
    device.on_uncaptured_error(std::sync::Arc::new(|error| panic!("reached the owner's handler: {error}")));
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says what a process takes");
    let line = status.lines().find_map(|l| l.strip_prefix("VmSize:")).expect("VmSize");
    let size: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("kilobytes");
    let limited = std::process::Command::new("prlimit")
        .args([format!("--pid={}", std::process::id()), format!("--as={}", size * 1024 + MORE)])
        .status()
        .expect("prlimit (util-linux) is there");
    assert!(limited.success());

    let large = (limits.max_buffer_size - 4096).min(MOST) & !0xfff;
    let mut held = Vec::new();
    let error = loop {
        if held.len() as u64 * large > MOST {
            break None;
        }
        match gpu::buffer(&device, "page", large, USAGE, false) {
            Ok(buffer) => held.push(buffer),
            Err(error) => break Some(error),
        }
    };
    println!("{label}: after {} buffers: {error:?}", held.len());
    match error {
        Some(Error::OutOfMemory { place, bytes, .. }) => assert_eq!((place.as_str(), bytes), ("page", large)),
        // wgpu's OpenGL backend does not ask the driver whether an allocation succeeded
        None if one.adapter.get_info().backend == wgpu::Backend::Gl => {}
        other => panic!("{label}: {other:?}"),
    }
    drop(held);
    // the device lives on
    let mut plan = bind(&device, Optimizer::Gradient).expect("small things still fit");
    submit(&device, &queue, |encoder| plan.record(encoder, &hyper(1)));
    assert_eq!(plan.finish().expect("no mismatch").checked, 100);
}
