//! Every kernel of the register under criterion: `kernel/variant/elements`, each compared with its float64 reference before
//! it is timed. `MAF_SRL_DEVICE` names the adapter (an index or a part of its name); default is the best one. With
//! `--test` each runs once at one size.

use std::cell::RefCell;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use maf_srl::bench::{Options, Stopwatch, copy_bandwidth, load_checked};
use maf_srl::gpu::{Clock, Context, Timer};
use maf_srl::kernels::{Bench, KERNELS, PipelineCache};

fn main() {
    let wanted = std::env::var("MAF_SRL_DEVICE").ok();
    let context = done("adapter", Context::new(wanted.as_deref()));
    let software = context.is_software();
    let mut options = Options::new(software, false);
    let once = std::env::args().any(|argument| argument == "--test");
    if once {
        options.sizes = vec![5000];
        options.effort.rotate = 1;
    }
    let means = if software { ": software, which says nothing about GPUs" } else { "" };
    eprintln!("on {}{means}", context.name());
    let bench = Rooms {
        stopwatch: done("timer", Stopwatch::new(&context)),
        kernels: PipelineCache::new(&context.device),
        context,
        options,
        once,
    };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for room in KERNELS {
        let mut group = criterion.benchmark_group(room.name);
        for subject in (room.benches)() {
            for &elements in &bench.options.sizes {
                group.throughput(Throughput::BytesDecimal(subject.bytes(elements)));
                bench.time(&mut group, room.name, &*subject, elements);
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

struct Rooms {
    context: Context,
    stopwatch: Stopwatch,
    kernels: PipelineCache,
    options: Options,
    once: bool,
}

impl Rooms {
    fn time(&self, group: &mut Group<'_>, room: &str, subject: &dyn Bench, elements: u64) {
        let name = format!("{}/{elements}", subject.label());
        let bytes = subject.bytes(elements);
        // loaded by the first call only, and so not at all where criterion's filter leaves the subject out
        let loaded = RefCell::new(None);
        let times = RefCell::new(Vec::new());
        group.bench_function(&name, |bencher| {
            let mut loaded = loaded.borrow_mut();
            let loaded = loaded.get_or_insert_with(|| {
                let effort = &self.options.effort;
                done(&name, load_checked(&self.context, &self.kernels, (room, subject, elements), effort))
            });
            bencher.iter_custom(|runs| {
                let run = |timer: &Timer, turns| loaded.time(timer, turns);
                let total = self.stopwatch.total(bytes, loaded.most(), runs, run);
                let Some((ns, clock)) = done(&name, total) else {
                    fail(&name, &"no clock gave a time that can be true")
                };
                times.borrow_mut().push((ns / runs as f64, clock));
                Duration::from_nanos(ns.max(1.0) as u64)
            });
        });
        let mut times = times.into_inner();
        if self.once || times.is_empty() {
            return;
        }
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ns, clock) = times[times.len() / 2];
        let copy = copy_bandwidth(&self.context, &self.stopwatch, &self.options.effort, bytes);
        if let Some(copy) = done("copy", copy) {
            let gb_s = bytes as f64 / ns;
            let clock = if clock == Clock::Device { "device timestamps" } else { "wall clock" };
            let share = 100.0 * gb_s / copy.gb_s;
            eprintln!("{name}: {gb_s:.1} GB/s, {share:.0} % of the copy's {:.1} GB/s ({clock})", copy.gb_s);
        }
    }
}

fn done<T>(what: &str, result: maf_srl::Result<T>) -> T {
    result.unwrap_or_else(|error| fail(what, &error))
}

fn fail(what: &str, reason: &dyn std::fmt::Display) -> ! {
    eprintln!("{what}: {reason}");
    std::process::exit(2)
}
