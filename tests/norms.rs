//! Norms of groups: planted faults are found, many tensors take few dispatches and the same bits as alone, and wrong
//! requests are refused before anything runs.

mod support;

use maf_srl::Error;
use maf_srl::gpu::View;
use maf_srl::kernels::norms::{Norm, NormsJob, NormsReference, bind};
use maf_srl::kernels::{KERNELS, Outcome, PipelineCache};
use maf_srl::penalty::{Groups, Layout};
use support::work::{blank, download, submit, upload_f32};

/// What a case of the register finds on a device whose kernels are edited so.
fn run(device: &wgpu::Device, queue: &wgpu::Queue, case: &str, edit: fn(String) -> String) -> Outcome {
    let case = KERNELS
        .iter()
        .filter(|room| room.name == "norms")
        .flat_map(|room| (room.cases)())
        .find(|one| one.name() == format!("norms/{case}"))
        .expect("the register has the case");
    case.run(device, queue, &PipelineCache::edited(device, edit)).expect("the device answers")
}

/// Replaces what must be there wherever it is: a fault that is not planted proves nothing.
fn replace(source: String, what: &str, by: &str) -> String {
    assert!(source.contains(what), "the kernel has changed; plant the fault elsewhere: {what}");
    source.replace(what, by)
}

/// A fault by name, the case that must find it, how to plant it, and what the first message says.
type Fault = (&'static str, &'static str, fn(String) -> String, &'static str);

const ROWS: &str = "l1/rows/shape=70x128/offsets=0-0";
const WHOLE: &str = "l2/whole/shape=40000/offsets=0-3";

const FAULTS: [Fault; 9] = [
    ("a word read twice", ROWS, |s| replace(s, "lane.part, i + 3u)", "lane.part, i + 2u)"), "group 0:"),
    (
        "a word left out",
        "l1/rows/shape=529x17/offsets=0-0",
        |s| replace(s, "i < n; i++", "i + 1u < n; i++"),
        "group 0:",
    ),
    (
        "a norm 1e-4 too large",
        "l2/rows/shape=70x128/offsets=0-0",
        |s| replace(s, "let root = sqrt(square);", "let root = sqrt(square) * 1.0001;"),
        "group 0:",
    ),
    (
        "an invocation left out",
        ROWS,
        |s| replace(s, "k < lanes; k += apart", "k + 1u < lanes; k += apart"),
        "group 0:",
    ),
    (
        "a part left out",
        WHOLE,
        // in the kernel that puts parts together alone
        |s| s.replace("k < tile.length; k += tile.lanes", "k + 1u < tile.length; k += tile.lanes"),
        "group 0:",
    ),
    (
        "a group not written",
        "l0/blocks:1/shape=699/offsets=4-1/one-buffer",
        |s| {
            replace(
                s,
                "results[tile.extra + q] = single(bits);",
                "if q != 200u { results[tile.extra + q] = single(bits); }",
            )
        },
        "group 200:",
    ),
    (
        "a norm at the next place",
        "l0/rows/shape=70x128/offsets=0-0",
        |s| replace(s, "results[tile.extra + number]", "results[tile.extra + number + u32(number == 9u)]"),
        "group 9:",
    ),
    (
        "NaN turned into 0",
        "linf/rows/shape=70x128/offsets=0-0",
        |s| replace(s, "const QUIET_NAN = 0x7fc00000u;", "const QUIET_NAN = 0u;"),
        "group 11:",
    ),
    (
        "a weight changed",
        ROWS,
        |s| {
            replace(
                s,
                "let site = site_of(tile, q);",
                "let site = site_of(tile, q); store_w(tile.w, vec4(1u));",
            )
        },
        "read-only word ",
    ),
];

#[test]
fn every_planted_fault_is_reported_with_its_place() {
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        for (fault, case, edit, message) in FAULTS {
            let sound = run(&device, &queue, case, |source| source);
            assert_eq!((sound.mismatches, sound.first_mismatch()), (0, None), "{}: {case}", one.label);
            let found = run(&device, &queue, case, edit);
            assert!(found.mismatches > 0, "{}: {fault}: {found:?}", one.label);
            let first = found.first_mismatch().expect("a mismatch has a place");
            // the fault that changes a weight is seen in its group as well
            assert!(
                first.contains(message) || message == "read-only word ",
                "{}: {fault}: {first}",
                one.label
            );
        }
    }
}

/// Three hundred tensors of every layout in two buffers, 40 words apart.
fn many() -> (Vec<f32>, Vec<(Groups, u64, u64)>) {
    let layouts = [
        (Layout::Rows, vec![12, 16]),
        (Layout::Rows, vec![7, 9]),
        (Layout::Columns, vec![70, 11]),
        (Layout::Columns, vec![1100, 5]),
        (Layout::Filters, vec![6, 3, 3, 3]),
        (Layout::Channels, vec![6, 4, 2, 2]),
        (Layout::Blocks(1), vec![333]),
        (Layout::Blocks(64), vec![1000]),
        (Layout::Whole, vec![33_000]),
        (Layout::Whole, vec![77]),
        (Layout::Ragged([0, 0, 5, 9, 300].into()), vec![300]),
    ];
    let (mut input, mut output) = (0, 0);
    let mut jobs = Vec::new();
    for (layout, shape) in layouts.iter().cycle().take(300) {
        let groups = Groups::new(layout.clone(), shape).expect("they fit");
        jobs.push((groups.clone(), input, output));
        input += groups.len().next_multiple_of(4) + 40;
        output += groups.count() + 3;
    }
    let values = (0..input).map(|k| ((k * 2_654_435_761 % 1_000_003) as f32 - 5e5) * 1e-4).collect();
    (values, jobs)
}

#[test]
fn many_tensors_take_few_dispatches_and_the_same_bits_as_alone() {
    let (values, tensors) = many();
    for one in support::software_adapters() {
        let (device, queue) = one.device();
        let kernels = PipelineCache::new(&device);
        let input = upload_f32(&device, &values);
        for norm in Norm::ALL {
            let work = |output: &wgpu::Buffer| -> Vec<NormsJob> {
                let view = |buffer: &wgpu::Buffer, at: u64, length: u64| {
                    View::new("tensor", buffer, 4 * at, length).expect("inside")
                };
                let job = |(groups, from, to): &(Groups, u64, u64)| NormsJob {
                    groups: groups.clone(),
                    input: view(&input, *from, groups.len()),
                    output: view(output, *to, groups.count()),
                };
                tensors.iter().map(job).collect()
            };
            let bytes = 4 * tensors.iter().map(|(groups, ..)| groups.count() + 3).sum::<u64>();
            let (together, again, alone) =
                (blank(&device, bytes), blank(&device, bytes), blank(&device, bytes));
            for output in [&together, &again] {
                let dispatches = bind(&kernels, norm, &work(output)).expect("they bind");
                // whole rows, runs, columns and the rest; parts of rows and columns; of one element; and what puts parts together
                assert!(dispatches.len() <= 8, "{}: {} dispatches", one.label, dispatches.len());
                submit(&device, &queue, |encoder| {
                    dispatches
                        .record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                });
            }
            for job in work(&alone).into_iter().step_by(7) {
                let dispatches = bind(&kernels, norm, &[job]).expect("it binds");
                submit(&device, &queue, |encoder| {
                    dispatches
                        .record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                });
            }
            let [together, again, alone] =
                [together, again, alone].map(|buffer| download(&device, &queue, &buffer));
            assert_eq!(together, again, "{}: {norm} twice", one.label);
            for (k, (groups, from, to)) in tensors.iter().enumerate() {
                let range = *to as usize..(*to + groups.count()) as usize;
                let values = &values[*from as usize..(*from + groups.len()) as usize];
                let found = NormsReference::new(norm, groups).compare(values, &together[range.clone()]);
                assert_eq!(found.first_mismatch(), None, "{}: {norm} of tensor {k}", one.label);
                if k % 7 == 0 {
                    assert_eq!(together[range.clone()], alone[range], "{}: {norm} of tensor {k}", one.label);
                }
            }
        }
    }
}

#[test]
fn wrong_jobs_are_refused() {
    let one = support::adapter("lavapipe");
    let (device, _) = one.device();
    let kernels = PipelineCache::new(&device);
    let (input, output) = (blank(&device, 400), blank(&device, 400));
    let view =
        |buffer: &wgpu::Buffer, at: u64, length| View::new("tensor", buffer, 4 * at, length).expect("inside");
    let rows = Groups::new(Layout::Rows, &[4, 5]).expect("it fits");
    let bind = |jobs: &[NormsJob]| bind(&kernels, Norm::L2, jobs);
    let job = |input, output| NormsJob { groups: rows.clone(), input, output };
    let right = job(view(&input, 0, 20), view(&output, 0, 4));
    assert!(bind(std::slice::from_ref(&right)).is_ok());
    for (wrong, what) in [
        (job(view(&input, 0, 21), view(&output, 0, 4)), "length of the tensor is 21, expected 20"),
        (job(view(&input, 0, 20), view(&output, 0, 5)), "length of the output is 5, expected 4"),
    ] {
        let error = bind(&[right.clone(), wrong]).expect_err("refused");
        assert!(matches!(error, Error::Shape { .. }) && error.to_string().contains(what), "{error}");
    }
    for wrong in
        [job(view(&input, 20, 20), view(&input, 39, 4)), job(view(&input, 0, 20), view(&output, 3, 4))]
    {
        let error = bind(&[right.clone(), wrong]).expect_err("refused");
        assert!(matches!(error, Error::Overlap { .. }), "{error}");
    }
    // one tensor in two groupings
    let columns = Groups::new(Layout::Columns, &[4, 5]).expect("it fits");
    let other = NormsJob { groups: columns, input: view(&input, 0, 20), output: view(&output, 4, 5) };
    assert!(bind(&[right, other]).is_ok());
}
