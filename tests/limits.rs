//! Limits and refusals: what does not fit is windowed, folded or refused with a typed error that names the place.
//!
//! Devices with lowered limits make small tensors cross the boundaries that large ones cross on real devices.
//! What needs no arithmetic runs on wgpu's no-op device, and so everywhere.

mod support;

use maf_srl::Error;
use maf_srl::gpu::{self, View};
use maf_srl::kernels::PipelineCache;
use maf_srl::kernels::norms::{self, Norm};
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::{Adam, Element, Optimizer, StepParameters, StepReference, Variant, Width};
use maf_srl::penalty::{Group, GroupPenalty, Groups, Layout, Penalty};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Verify};
use support::work::{USAGE, blank, download, submit, upload, upload_f32, view};

const KIB: u64 = 1024;

fn penalty(text: &str) -> Penalty {
    text.parse().expect("a penalty of the register")
}

fn lowered() -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: 64 * KIB,
        max_buffer_size: 1024 * KIB,
        max_compute_workgroups_per_dimension: 7,
        ..wgpu::Limits::default()
    }
}

/// A no-op device: it validates and computes nothing.
fn noop(limits: wgpu::Limits) -> wgpu::Device {
    noop_with_queue(limits).0
}

fn noop_with_queue(limits: wgpu::Limits) -> (wgpu::Device, wgpu::Queue) {
    wgpu::Device::noop(&wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() })
}

/// Weights on both sides of every threshold used here, different at each index.
fn values(length: usize, seed: u32) -> Vec<f32> {
    (0..length as u32)
        .map(|k| ((k.wrapping_mul(2_654_435_761) ^ seed) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

#[test]
fn a_tensor_larger_than_a_binding_is_windowed_and_folded() {
    // 400 KB of f32: seven windows of 64 KiB; a window has sixteen tiles, more than the seven of one dimension
    const LENGTH: usize = 100_003;
    for one in support::software_adapters() {
        let limits = lowered();
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
        let (device, queue) = one.device_with(&descriptor);
        assert_eq!(device.limits().max_storage_buffer_binding_size, limits.max_storage_buffer_binding_size);
        let schedule = Schedule::new(&device);
        for (base, lead) in
            [(Optimizer::Gradient, 0), (Optimizer::Gradient, 3), (Optimizer::Adam(Adam::default()), 1)]
        {
            let (w, g) = (values(LENGTH + 8, 1), values(LENGTH + 8, 2));
            let (weights, gradients) = (upload_f32(&device, &w), upload_f32(&device, &g));
            // W and G aligned alike: vec4; not alike: scalar
            for gap in [0, 1] {
                let tensor =
                    Tensor::new(Spec::new("large", penalty("l1"), 0.5), view(&weights, 4 * lead, LENGTH))
                        .with_gradient(view(&gradients, 4 * (lead + gap), LENGTH));
                let mut plan = schedule.bind(base, &[tensor], Verify::Full).expect("it binds");
                let windows = (4 * LENGTH as u64).div_ceil(limits.max_storage_buffer_binding_size);
                assert!(plan.dispatches() as u64 >= windows, "{}: {}", one.label, plan.dispatches());
                let before = download(&device, &queue, &weights);
                let hyper = StepParameters::new(0.25, 1).expect("in the domain");
                submit(&device, &queue, |encoder| plan.record(encoder, &hyper));
                let after = download(&device, &queue, &weights);
                let found = plan.finish().expect("no mismatch");
                assert_eq!((found.checked, found.mismatches), (LENGTH as u64, 0), "{}", one.label);
                if base == Optimizer::Gradient {
                    // by a path of its own, so that a hole in the verification cannot hide a hole in the windows
                    let reference = StepReference::new(base, penalty("l1"), 0.5, 1.0, &hyper);
                    for k in 0..LENGTH {
                        let at = k + lead as usize;
                        let element = |word: u32| Element {
                            w: f32::from_bits(word),
                            g: g[at + gap as usize],
                            ..Element::default()
                        };
                        let verdict = reference.judge(element(before[at]), element(after[at]));
                        assert!(verdict.ok, "{}: {base} {lead} {gap}: index {k}: {verdict:?}", one.label);
                    }
                }
                let edges = |words: &[u32]| {
                    [words[..lead as usize].to_vec(), words[lead as usize + LENGTH..].to_vec()]
                };
                assert_eq!(edges(&before), edges(&after), "{}: nothing outside the tensor moves", one.label);
            }
        }
    }
}

/// The same bindings with buffers that hold what is compared of a grouped tensor, which is copied in one piece.
fn lowered_bindings() -> wgpu::Limits {
    wgpu::Limits { max_buffer_size: 16 * KIB * KIB, ..lowered() }
}

/// Borders of groups of the given sizes.
fn borders(sizes: impl IntoIterator<Item = u64>) -> Layout {
    let sum = |end: &mut u64, size: u64| {
        *end += size;
        Some(*end)
    };
    Layout::Ragged(std::iter::once(0).chain(sizes.into_iter().scan(0, sum)).collect())
}

/// Groups of tensors that are larger than a binding of 64 KiB, or fill most of it, each with the word its tensor starts at.
/// Where a part of a group fills a binding, the tensor starts where a binding may.
fn wide() -> Vec<(&'static str, Groups, u64)> {
    let ragged: Vec<u64> = std::iter::once(20_000)
        .chain((0..400).map(|k| if k % 9 == 4 { 0 } else { 70 + k % 50 }))
        .chain([5000])
        .chain((0..400).map(|k| 70 + k % 50))
        .collect();
    let length = ragged.iter().sum();
    [
        ("rows of 64", Layout::Rows, vec![3000, 64], 64),
        ("rows of 64, unaligned", Layout::Rows, vec![3000, 64], 3),
        ("rows of 5000", Layout::Rows, vec![41, 5000], 3),
        ("rows of 20000", Layout::Rows, vec![8, 20_032], 64),
        ("blocks", Layout::Blocks(1000), vec![99_999], 3),
        ("whole of 40000", Layout::Whole, vec![40_000], 64),
        ("whole of 200000", Layout::Whole, vec![200_000], 0),
        ("ragged", borders(ragged), vec![length], 64),
        ("channels in a binding", Layout::Channels, vec![4, 1000, 2, 2], 3),
        ("channels in parts", Layout::Channels, vec![2, 2, 160, 160], 64),
        ("columns in a binding", Layout::Columns, vec![100, 160], 3),
        ("columns in parts", Layout::Columns, vec![10_000, 16], 64),
    ]
    .map(|(name, layout, shape, lead)| (name, Groups::new(layout, &shape).expect("they fit"), lead))
    .into()
}

#[test]
fn grouped_tensors_larger_than_a_binding_are_windowed() {
    let lasso: GroupPenalty = "lasso(weight=sqrt-size)".parse().expect("one");
    // it measures its groups several times
    let exclusive: GroupPenalty = "exclusive".parse().expect("one");
    let splitting = Solver::Splitting { beta: 2.0, published: false };
    let adam = Optimizer::Adam(Adam::default());
    for one in support::software_adapters() {
        let descriptor = wgpu::DeviceDescriptor { required_limits: lowered_bindings(), ..Default::default() };
        let devices = [one.device_with(&descriptor), one.device()];
        let schedules = devices.each_ref().map(|(device, _)| Schedule::new(device));
        for (base, penalty_of_groups, lambda, solver) in [
            (Optimizer::Gradient, lasso, 0.02, Solver::Proximal),
            (Optimizer::Gradient, exclusive, 1e-5, Solver::Proximal),
            (adam, lasso, 0.02, Solver::Proximal),
            (Optimizer::Gradient, lasso, 0.02, splitting),
        ] {
            for (name, groups, lead) in wide() {
                let place = format!("{}: {base} {} {solver}: {name}", one.label, penalty_of_groups.name());
                let (length, lead) = (groups.len() as usize, lead as usize);
                let (w, g) = (values(length + lead + 5, 1), values(length + lead + 5, 2));
                let spec = Spec::new(name, penalty("l1"), 0.1).with_solver(solver);
                let spec = spec.with_group(Group::new(penalty_of_groups, lambda, groups));
                let mut results = Vec::new();
                let mut dispatches = Vec::new();
                let steps = if spec.states(base) > 0 { 2 } else { 1 };
                // on the device with the default limits there are no windows, and nothing to be checked
                let verify = [Verify::Full, Verify::Off];
                for (((device, queue), schedule), verify) in devices.iter().zip(&schedules).zip(verify) {
                    let (weights, gradients) = (upload_f32(device, &w), upload_f32(device, &g));
                    let tensor = Tensor::new(spec.clone(), view(&weights, 4 * lead as u64, length))
                        .with_gradient(view(&gradients, 4 * lead as u64, length));
                    let mut plan =
                        schedule.bind(base, &[tensor], verify).unwrap_or_else(|e| panic!("{place}: {e}"));
                    for step in 1..=steps {
                        let hyper = StepParameters::new(0.25, step).expect("in the domain");
                        submit(device, queue, |encoder| plan.record(encoder, &hyper));
                    }
                    dispatches.push(plan.dispatches());
                    let copy = plan.copy(0).map(|copy| {
                        let from = copy.offset() as usize / 4;
                        download(device, queue, copy.buffer())[from..from + length].to_vec()
                    });
                    let found = plan.finish().unwrap_or_else(|e| panic!("{place}: {e}"));
                    let checked = if verify == Verify::Full { steps * length as u64 } else { 0 };
                    assert_eq!((found.checked, found.mismatches), (checked, 0), "{place}");
                    results.push((download(device, queue, &weights), copy));
                }
                let tensor_bytes = 4 * length as u64;
                let windows = tensor_bytes.div_ceil(lowered().max_storage_buffer_binding_size);
                assert!(dispatches[0] as u64 >= windows, "{place}: {dispatches:?}");
                // windows change no bit
                let differs = results[0].0.iter().zip(&results[1].0).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{place}");
                assert!(results[0].1 == results[1].1, "{place}: the copy");
                let after = &results[0].0;
                let moved = |k: &usize| after[*k] != w[*k].to_bits();
                let inside = (lead..lead + length).filter(moved).count();
                assert!(inside > length * 9 / 10, "{place}: {inside} of {length}");
                let outside = (0..lead).chain(lead + length..w.len()).filter(moved).count();
                assert_eq!(outside, 0, "{place}: nothing outside the tensor moves");
            }
        }
    }
}

#[test]
fn norms_of_tensors_larger_than_a_binding_are_windowed() {
    for one in support::software_adapters() {
        let descriptor = wgpu::DeviceDescriptor { required_limits: lowered_bindings(), ..Default::default() };
        let (device, queue) = one.device_with(&descriptor);
        let kernels = PipelineCache::new(&device);
        for (name, groups, lead) in wide() {
            let (length, count) = (groups.len() as usize, groups.count() as usize);
            let w = values(length + lead as usize, 1);
            let input = upload_f32(&device, &w);
            for norm in Norm::ALL {
                let place = format!("{}: {norm}: {name}", one.label);
                // one word before the norms and two after them
                let output = upload(&device, &vec![7; count + 3]);
                let job = norms::NormsJob {
                    groups: groups.clone(),
                    input: view(&input, 4 * lead, length),
                    output: view(&output, 4, count),
                };
                let dispatches =
                    norms::bind(&kernels, norm, &[job]).unwrap_or_else(|e| panic!("{place}: {e}"));
                let windows = (4 * length as u64).div_ceil(lowered().max_storage_buffer_binding_size);
                assert!(dispatches.len() as u64 >= windows, "{place}: {}", dispatches.len());
                submit(&device, &queue, |encoder| {
                    dispatches
                        .record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                });
                let words = download(&device, &queue, &output);
                assert_eq!((words[0], &words[count + 1..]), (7, &[7, 7][..]), "{place}");
                let reference = norms::NormsReference::new(norm, &groups);
                let found = reference.compare(&w[lead as usize..], &words[1..=count]);
                assert_eq!((found.mismatches, found.first_mismatch()), (0, None), "{place}");
            }
        }
    }
}

#[test]
fn columns_whose_tile_no_binding_holds_are_refused_by_their_span() {
    let device = noop(lowered_bindings());
    let lasso: GroupPenalty = "lasso".parse().expect("one");
    let page = blank(&device, 400_000);
    let limit = lowered().max_storage_buffer_binding_size;
    let refused = |place: &str, error: Error| match error {
        Error::Limit { place: p, name, needed, limit: l } => {
            assert!(p.contains(place) && p.contains("span of one tile of groups"), "{p}");
            assert_eq!((name, l), ("max_storage_buffer_binding_size", limit));
            assert!(needed > limit && needed <= 4 * 80_000, "{needed}");
        }
        other => panic!("{other:?}"),
    };
    for (layout, shape) in [(Layout::Columns, vec![200, 400]), (Layout::Channels, vec![50, 400, 2, 2])] {
        let groups = Groups::new(layout, &shape).expect("they fit");
        for solver in [Solver::Proximal, Solver::Splitting { beta: 2.0, published: false }] {
            let spec = spec(0.1).with_solver(solver).with_group(Group::new(lasso, 0.1, groups.clone()));
            let other = blank(&device, 400_000);
            let tensor = Tensor::new(spec, view(&page, 0, 80_000)).with_gradient(view(&other, 0, 80_000));
            let bound = bind(&device, Optimizer::Gradient, &[tensor], Verify::Full);
            let place = if solver == Solver::Proximal { "group/" } else { "solver/" };
            refused(place, bound.map(drop).expect_err("no binding holds it"));
        }
        let output = blank(&device, 4 * 400);
        let job = norms::NormsJob { groups, input: view(&page, 0, 80_000), output: view(&output, 0, 400) };
        let bound = norms::bind(&PipelineCache::new(&device), Norm::L2, &[job]);
        refused("norms/", bound.map(drop).expect_err("no binding holds it"));
    }
}

#[test]
fn more_tensors_than_one_dispatch_has_workgroups_take_several() {
    // 49 workgroups per dispatch: each tensor has a vec4 and a scalar tile
    const COUNT: usize = 500;
    const LENGTH: usize = 5;
    for one in support::software_adapters() {
        let descriptor = wgpu::DeviceDescriptor { required_limits: lowered(), ..Default::default() };
        let (device, queue) = one.device_with(&descriptor);
        let start = values(8 * COUNT, 3);
        let weights = upload_f32(&device, &start);
        let tensors: Vec<Tensor> = (0..COUNT)
            .map(|k| {
                Tensor::new(
                    Spec::new(format!("{k}"), penalty("l1"), 1e-3 * k as f64),
                    view(&weights, 32 * k as u64, LENGTH),
                )
            })
            .collect();
        let mut plan =
            Schedule::new(&device).bind(Optimizer::Prox, &tensors, Verify::Full).expect("they bind");
        assert_eq!(plan.dispatches(), 2 * COUNT.div_ceil(49), "{}", one.label);
        submit(&device, &queue, |encoder| {
            plan.record(encoder, &StepParameters::new(1.0, 1).expect("in the domain"))
        });
        let found = plan.finish().expect("no mismatch");
        assert_eq!(found.checked, (COUNT * LENGTH) as u64, "{}", one.label);
        let got = download(&device, &queue, &weights);
        let mut moved = 0;
        for (k, (&got, &start)) in got.iter().zip(&start).enumerate() {
            let lambda = f64::from((1e-3 * (k / 8) as f64) as f32);
            let expected = (f64::from(start.abs()) - lambda).max(0.0).copysign(f64::from(start));
            let expected = if k % 8 < LENGTH { expected } else { f64::from(start) };
            // one rounding of lambda, one subtraction of numbers below 1
            let got = f64::from(f32::from_bits(got));
            assert!(
                (got - expected).abs() <= f64::from(f32::EPSILON),
                "{}: word {k}: {got} {expected}",
                one.label
            );
            moved += usize::from(got != f64::from(start));
        }
        assert!(moved > COUNT, "{}: {moved}", one.label);
    }
}

#[test]
fn limits_that_no_window_helps_with_are_refused_before_any_work() {
    let refused = |limits: wgpu::Limits, base: Optimizer, tensors: usize| {
        let device = noop(limits);
        let weights = blank(&device, 32 * tensors as u64);
        let gradients = blank(&device, 32 * tensors as u64);
        let tensors: Vec<Tensor> = (0..tensors)
            .map(|k| {
                let tensor = Tensor::new(
                    Spec::new(format!("{k}"), penalty("l1"), 1e-3 * k as f64),
                    view(&weights, 32 * k as u64, 4),
                );
                if base.has_gradient() {
                    tensor.with_gradient(view(&gradients, 32 * k as u64, 4))
                } else {
                    tensor
                }
            })
            .collect();
        Schedule::new(&device).bind(base, &tensors, Verify::Off).map(|plan| plan.dispatches())
    };
    let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..wgpu::Limits::default() };
    // three tables and W: the prox alone has room, a gradient has not
    assert!(matches!(refused(few.clone(), Optimizer::Prox, 1), Ok(1)));
    for (base, needs) in [
        (Optimizer::Gradient, 5),
        (Optimizer::HeavyBall { momentum: 0.9 }, 6),
        (Optimizer::Adam(Adam::default()), 7),
    ] {
        match refused(few.clone(), base, 1) {
            Err(Error::Limit { place, name, needed, limit }) => {
                assert!(place.starts_with("step/"), "{place}");
                assert_eq!((name, needed, limit), ("max_storage_buffers_per_shader_stage", needs, 4));
            }
            other => panic!("{base}: {other:?}"),
        }
    }
    let narrow = wgpu::Limits { max_compute_invocations_per_workgroup: 128, ..wgpu::Limits::default() };
    let error = refused(narrow, Optimizer::Gradient, 1);
    assert!(
        matches!(
            error,
            Err(Error::Limit { name: "max_compute_invocations_per_workgroup", needed: 256, limit: 128, .. })
        ),
        "{error:?}"
    );
    let short = wgpu::Limits { max_compute_workgroup_size_x: 64, ..wgpu::Limits::default() };
    let error = refused(short, Optimizer::Gradient, 1);
    assert!(matches!(error, Err(Error::Limit { name: "max_compute_workgroup_size_x", .. })), "{error:?}");
    // 80 bytes of hyper-parameters per tensor
    assert!(refused(lowered(), Optimizer::Gradient, 819).is_ok());
    let error = refused(lowered(), Optimizer::Gradient, 820);
    assert!(
        matches!(
            error,
            Err(Error::Limit { name: "max_storage_buffer_binding_size", needed: 65_600, limit: 65_536, .. })
        ),
        "{error:?}"
    );
    // a binding that does not hold one tile
    let tiny = wgpu::Limits { max_storage_buffer_binding_size: 1024, ..wgpu::Limits::default() };
    let device = noop(tiny);
    let weights = blank(&device, 8192);
    let tensor = Tensor::new(Spec::new("w", penalty("l1"), 0.1), view(&weights, 0, 2048));
    let error = Schedule::new(&device).bind(Optimizer::Prox, &[tensor], Verify::Off);
    assert!(matches!(error, Err(Error::Limit { name: "max_storage_buffer_binding_size", .. })), "{error:?}");
}

#[test]
fn a_buffer_beyond_the_limit_is_refused_by_name() {
    let device = noop(lowered());
    let limit = lowered().max_buffer_size;
    assert!(gpu::buffer(&device, "page", limit, USAGE, false).is_ok());
    match gpu::buffer(&device, "page", limit + 4, USAGE, false) {
        Err(Error::Limit { place, name, needed, limit: allowed }) => {
            assert_eq!((place.as_str(), name), ("page", "max_buffer_size"));
            assert_eq!((needed, allowed), (limit + 4, limit));
        }
        other => panic!("{other:?}"),
    }
    let contents = vec![0; limit as usize + 1];
    let error = gpu::buffer_with(&device, "page", &contents, USAGE);
    assert!(matches!(error, Err(Error::Limit { name: "max_buffer_size", .. })), "{error:?}");
}

#[test]
fn a_view_outside_its_buffer_is_refused_by_name() {
    let device = noop(wgpu::Limits::default());
    let buffer = blank(&device, 1024);
    for offset in [1, 2, 3, 401] {
        let error = View::new("layer", &buffer, offset, 1);
        assert!(
            matches!(&error, Err(Error::Domain { place, name, .. }) if place == "layer" && name == "offset"),
            "{offset}: {error:?}"
        );
    }
    for (offset, length) in
        [(0, 257), (4, 256), (1024, 1), (1028, 0), (0, u64::MAX), (4, u64::MAX / 4), (u64::MAX - 3, 1)]
    {
        let error = View::new("layer", &buffer, offset, length);
        assert!(
            matches!(&error, Err(Error::Shape { place, .. }) if place == "layer"),
            "{offset} {length}: {error:?}"
        );
    }
    for (offset, length) in [(0, 256), (1020, 1), (1024, 0), (0, 0)] {
        assert!(View::new("layer", &buffer, offset, length).is_ok(), "{offset} {length}");
    }
    let copy = gpu::buffer(&device, "copy", 1024, wgpu::BufferUsages::COPY_DST, false).expect("a buffer");
    let error = View::new("layer", &copy, 0, 1);
    let Err(Error::Unsupported { place, allowed, .. }) = error else { panic!("{error:?}") };
    assert!(place == "layer" && allowed.contains("STORAGE"), "{place} {allowed}");
}

/// What binding says to one tensor, or to several.
fn bind(device: &wgpu::Device, base: Optimizer, tensors: &[Tensor], verify: Verify) -> Result<Plan, Error> {
    Schedule::new(device).bind(base, tensors, verify)
}

fn spec(lambda: f64) -> Spec {
    Spec::new("layer", penalty("l1"), lambda)
}

#[test]
fn tensors_that_do_not_fit_together_are_refused_by_name() {
    let device = noop(wgpu::Limits::default());
    let (page, other) = (blank(&device, 4096), blank(&device, 4096));
    let w = || Tensor::new(spec(0.1), view(&page, 0, 100));
    let ok = w().with_gradient(view(&page, 416, 100));
    assert!(bind(&device, Optimizer::Gradient, std::slice::from_ref(&ok), Verify::Full).is_ok());

    // lengths
    let error = bind(&device, Optimizer::Gradient, &[w().with_gradient(view(&other, 0, 99))], Verify::Off);
    assert!(
        matches!(&error, Err(Error::Shape { place, got, .. }) if place == "layer: G" && got == "99"),
        "{error:?}"
    );
    // a gradient too few and too many
    let error = bind(&device, Optimizer::Gradient, &[w()], Verify::Off);
    assert!(
        matches!(&error, Err(Error::Unsupported { place, what, .. }) if place == "layer" && what.contains("without a gradient")),
        "{error:?}"
    );
    let error = bind(&device, Optimizer::Prox, std::slice::from_ref(&ok), Verify::Off);
    assert!(
        matches!(&error, Err(Error::Unsupported { place, what, .. }) if place == "layer" && what.contains("with a gradient")),
        "{error:?}"
    );
    // states: the wrong number for each base step, and the wrong length
    for base in Optimizer::all().into_iter().filter(Optimizer::has_gradient) {
        for count in 1..=3 {
            let states = (0..count).map(|k| view(&other, 400 * k, 100)).collect();
            let bound = bind(&device, base, &[ok.clone().with_states(states)], Verify::Off);
            match bound {
                Ok(plan) => {
                    assert_eq!(count as usize, base.states(), "{base}");
                    assert_eq!(plan.states(0)[0], view(&other, 0, 100), "{base}: the caller's own are used");
                }
                Err(Error::Shape { place, name, got, expected }) => {
                    assert_ne!(count as usize, base.states(), "{base}");
                    assert_eq!((place.as_str(), name.as_str()), ("layer", "number of states"));
                    assert_eq!((got, expected), (count.to_string(), base.states().to_string()));
                }
                Err(error) => panic!("{base} {count}: {error:?}"),
            }
        }
    }
    let short = ok.clone().with_states(vec![view(&other, 0, 98)]);
    let error = bind(&device, Optimizer::HeavyBall { momentum: 0.9 }, &[short], Verify::Off);
    assert!(matches!(&error, Err(Error::Shape { place, .. }) if place == "layer: state 0"), "{error:?}");
    // verification copies
    let blind = gpu::buffer(&device, "blind", 4096, wgpu::BufferUsages::STORAGE, false).expect("a buffer");
    let unseen = || Tensor::new(spec(0.1), view(&blind, 0, 100));
    assert!(bind(&device, Optimizer::Prox, &[unseen()], Verify::Off).is_ok());
    for verify in [Verify::Full, Verify::Sample { every: 5, tensors: 1, seed: 0 }] {
        let error = bind(&device, Optimizer::Prox, &[unseen()], verify);
        assert!(
            matches!(&error, Err(Error::Unsupported { place, what, .. }) if place == "layer: W" && what.contains("COPY_SRC")),
            "{error:?}"
        );
    }
}

#[test]
fn views_that_share_memory_are_refused_with_the_shared_bytes() {
    let device = noop(wgpu::Limits::default());
    let page = blank(&device, 4096);
    let tensor = |name: &str, w: u64, g: u64, length: usize| {
        Tensor::new(Spec::new(name, penalty("l1"), 0.1), view(&page, w, length))
            .with_gradient(view(&page, g, length))
    };
    let overlap = |tensors: &[Tensor]| match bind(&device, Optimizer::Gradient, tensors, Verify::Off) {
        Ok(_) => None,
        Err(Error::Overlap { first, second, start, end }) => Some((first, second, start, end)),
        Err(error) => panic!("{error:?}"),
    };
    // neighbours are no overlap, nor is an empty tensor
    assert_eq!(overlap(&[tensor("a", 0, 400, 100), tensor("b", 800, 1200, 100)]), None);
    assert_eq!(overlap(&[tensor("a", 0, 400, 100), tensor("b", 20, 20, 0)]), None);
    let named =
        |first: &str, second: &str, start, end| Some((first.to_owned(), second.to_owned(), start, end));
    assert_eq!(overlap(&[tensor("a", 0, 396, 100)]), named("a: W", "a: G", 396, 400));
    assert_eq!(overlap(&[tensor("a", 396, 0, 100)]), named("a: G", "a: W", 396, 400));
    assert_eq!(overlap(&[tensor("a", 0, 0, 100)]), named("a: W", "a: G", 0, 400));
    // gradients are only read, and may share memory; what is written may not
    assert_eq!(overlap(&[tensor("a", 0, 400, 100), tensor("b", 2000, 796, 100)]), None);
    let found = overlap(&[tensor("a", 0, 400, 100), tensor("b", 796, 2000, 100)]);
    assert_eq!(found, named("a: G", "b: W", 796, 800));
    // one inside the other, with others in between
    let found = overlap(&[tensor("a", 0, 2000, 400), tensor("b", 100, 3700, 10)]);
    assert_eq!(found, named("a: W", "b: W", 100, 140));
    // states count as well
    let states = |at: u64| tensor("a", 0, 400, 100).with_states(vec![view(&page, at, 100)]);
    let base = Optimizer::Nesterov { momentum: 0.5 };
    assert!(bind(&device, base, &[states(800)], Verify::Off).is_ok());
    let error = bind(&device, base, &[states(796)], Verify::Off);
    assert!(matches!(&error, Err(Error::Overlap { second, .. }) if second == "a: state 0"), "{error:?}");
}

/// Numbers outside `[0, 1e6]`.
const OUTSIDE: [f64; 5] = [f64::NAN, -1e-9, 1.000001e6, f64::INFINITY, f64::NEG_INFINITY];

#[test]
fn numbers_outside_their_domain_are_refused_by_name() {
    let device = noop(wgpu::Limits::default());
    let page = blank(&device, 4096);
    let refused = |place: &str, name: &str, value: f64, spec: Spec| {
        let bound = bind(&device, Optimizer::Prox, &[Tensor::new(spec, view(&page, 0, 4))], Verify::Off);
        match bound {
            Err(Error::Domain { place: p, name: n, value: v, allowed }) => {
                assert_eq!((p.as_str(), n.as_str(), v.to_f64().to_bits()), (place, name, value.to_bits()));
                assert!(!allowed.is_empty());
            }
            other => panic!("{place} {name} {value}: {other:?}"),
        }
    };
    for value in OUTSIDE {
        refused("layer", "lambda", value, spec(value));
        refused("layer", "learning-rate scale", value, spec(0.1).with_lr_scale(value));
        for error in [
            StepParameters::new(value, 1),
            StepParameters::new(0.1, 1).and_then(|h| h.with_lambda_scale(value)),
        ] {
            assert!(
                matches!(&error, Err(Error::Domain { place, value: v, .. }) if place == "hyper-parameters" && v.to_f64().to_bits() == value.to_bits()),
                "{value}: {error:?}"
            );
        }
        for penalty in Penalty::all() {
            let parameters = penalty.rule().parameters();
            for (k, parameter) in parameters.iter().enumerate() {
                let mut numbers: Vec<f64> = parameters.iter().map(|p| p.value).collect();
                // -1e-9 lies in no domain that starts at 0 or above, 1.000001e6 in none of the bounded ones
                if parameter.domain.contains(value) {
                    continue;
                }
                numbers[k] = value;
                refused(
                    penalty.name(),
                    parameter.name,
                    value,
                    Spec::new("layer", penalty.rule().with(&numbers), 0.1),
                );
            }
        }
    }
    for value in [0.0, 1e6] {
        assert!(
            StepParameters::new(value, 1).is_ok()
                && bind(
                    &device,
                    Optimizer::Prox,
                    &[Tensor::new(spec(value), view(&page, 0, 4))],
                    Verify::Off
                )
                .is_ok()
        );
    }
    let error = StepParameters::new(0.1, 0);
    assert!(matches!(&error, Err(Error::Domain { name, .. }) if name == "step"), "{error:?}");
    for base in [
        Optimizer::HeavyBall { momentum: 1.0 },
        Optimizer::Nesterov { momentum: f64::NAN },
        Optimizer::Adam(Adam { beta1: 1.0, ..Adam::default() }),
        Optimizer::Adam(Adam { beta2: -0.1, ..Adam::default() }),
        Optimizer::AdamMetric(Adam { epsilon: 0.0, ..Adam::default() }),
        Optimizer::Adam(Adam { decay: -1.0, ..Adam::default() }),
    ] {
        let tensor = Tensor::new(spec(0.1), view(&page, 0, 4)).with_gradient(view(&page, 16, 4));
        let error = bind(&device, base, &[tensor], Verify::Off);
        assert!(matches!(&error, Err(Error::Domain { place, .. }) if place == base.name()), "{error:?}");
    }
    for verify in
        [Verify::Sample { every: 0, tensors: 1, seed: 0 }, Verify::Sample { every: 1, tensors: 0, seed: 0 }]
    {
        let error = bind(&device, Optimizer::Prox, &[Tensor::new(spec(0.1), view(&page, 0, 4))], verify);
        assert!(matches!(&error, Err(Error::Domain { place, .. }) if place == "verification"), "{error:?}");
    }
}

#[test]
fn adams_metric_is_refused_where_the_threshold_has_no_closed_form() {
    let device = noop(wgpu::Limits::default());
    let page = blank(&device, 4096);
    let base = Optimizer::AdamMetric(Adam::default());
    let mut bound = 0;
    for penalty in Penalty::all() {
        let tensor = Tensor::new(Spec::new("layer", penalty, 0.1), view(&page, 0, 4))
            .with_gradient(view(&page, 16, 4));
        match bind(&device, base, &[tensor], Verify::Off) {
            Ok(_) => {
                assert!(penalty.rule().per_element_step(), "{}", penalty.name());
                bound += 1;
            }
            Err(Error::Unsupported { what, allowed, .. }) => {
                assert!(!penalty.rule().per_element_step(), "{}", penalty.name());
                assert!(what.contains(penalty.name()) && allowed.contains("l1"), "{what}; {allowed}");
            }
            Err(error) => panic!("{}: {error:?}", penalty.name()),
        }
        let variant = Variant::new(base, penalty, Width::Vec4);
        assert_eq!(variant.is_ok(), penalty.rule().per_element_step(), "{}", penalty.name());
    }
    assert!(bound >= 3, "none, l1 and tl1 at least");
}

#[test]
fn an_empty_plan_and_empty_tensors_bind_and_record() {
    let (device, queue) = noop_with_queue(wgpu::Limits::default());
    let page = upload(&device, &[0; 8]);
    let mut plan = bind(&device, Optimizer::Prox, &[], Verify::Full).expect("no tensor at all");
    assert_eq!(plan.dispatches(), 0);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.record(&mut encoder, &StepParameters::new(0.1, 1).expect("in the domain"));
    let empty = Tensor::new(spec(0.1), view(&page, 32, 0));
    let mut plan = bind(&device, Optimizer::Prox, &[empty], Verify::Full).expect("an empty tensor");
    plan.record(&mut encoder, &StepParameters::new(0.1, 1).expect("in the domain"));
    queue.submit([encoder.finish()]);
    assert_eq!((plan.dispatches(), plan.finish().expect("no mismatch").checked), (0, 0));
}
