//! Measuring: how long each kernel takes, and what share of the adapter's own copy bandwidth that is.
//!
//! The subjects come from the register ([`crate::kernels::Kernel::benches`]). Each is compared with its float64 reference
//! before it is timed, on the very buffers that are timed. `docs/PERFORMANCE.md` says what the figures mean.

mod copy;
mod formats;
mod many;
mod measure;

pub use copy::{CopySpeed, copy_bandwidth, copy_bandwidth_host};
pub use formats::{DENSITIES, FormatTime, LARGEST, VECTORS, formats};
pub use many::{Many, Way, many_tensors};
use measure::BESIDE_COPY;
pub use measure::{Effort, Measured, Stopwatch, measure_host};

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::gpu::{AdapterFacts, Clock, Context, Timer};
use crate::kernels::{Bench, KERNELS, Kernel, Loaded, PipelineCache, Setup};

/// Sizes on hardware: from one workgroup to beyond every cache.
pub const SIZES: [u64; 4] = [1 << 10, 1 << 16, 1 << 20, 1 << 24];

/// Sizes on software adapters and for the references: the whole run should take less than a minute.
pub const SMALL_SIZES: [u64; 3] = [1 << 10, 1 << 14, 1 << 18];

/// Tensors of the comparison of one schedule with many.
const TENSORS: usize = 1000;

/// What is measured, and how thoroughly.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Elements per tensor; those that the device cannot hold are left out.
    pub sizes: Vec<u64>,
    /// Repeats and their length.
    pub effort: Effort,
}

impl Options {
    /// What suits the adapter; `quick` takes the second size and the largest with few repeats.
    #[must_use]
    pub fn new(software: bool, quick: bool) -> Self {
        let (sizes, effort) = if software {
            (SMALL_SIZES.to_vec(), Effort::software())
        } else {
            (SIZES.to_vec(), Effort::gpu())
        };
        if quick {
            let ends = [sizes.get(1), sizes.last()].into_iter().flatten().copied().collect();
            Options { sizes: ends, effort: effort.quick() }
        } else {
            Options { sizes, effort }
        }
    }
}

/// One kernel at one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The kernel.
    pub room: &'static str,
    /// The variant, and its form where it is timed in several.
    pub variant: String,
    /// The type of an element.
    pub dtype: &'static str,
    /// Elements.
    pub elements: u64,
    /// Bytes that must move.
    pub bytes: u64,
    /// The time, its spread and its clock.
    #[serde(flatten)]
    pub time: Measured,
    /// Gigabytes per second, from the bytes that must move and the median time.
    pub gb_s: f64,
    /// The copy of as many bytes.
    pub copy_gb_s: f64,
    /// `gb_s / copy_gb_s`.
    pub share_of_copy: f64,
    /// Elements and words compared with the reference before.
    pub checked: u64,
}

/// A kernel against what a user would run without it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instead {
    /// The kernel.
    pub room: &'static str,
    /// The variant.
    pub variant: String,
    /// What does the same work.
    pub instead: String,
    /// Elements.
    pub elements: u64,
    /// Bytes that the kernel must move.
    pub bytes: u64,
    /// Bytes that the other way must move.
    pub instead_bytes: u64,
    /// Nanoseconds of the kernel.
    pub ns: f64,
    /// Nanoseconds of the other way.
    pub instead_ns: f64,
    /// How many times longer the other way takes.
    pub speedup: f64,
}

/// All figures of one adapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The adapter's name and backend.
    pub adapter: String,
    /// Its driver and version.
    pub driver: String,
    /// Whether the adapter is software on the CPU, so that the figures say nothing about GPUs.
    pub software: bool,
    /// Whether the float64 references were timed, under the names of the kernels that do the same work.
    pub references: bool,
    /// What measured: `device`, `wall`, or `mixed` where each row says its own.
    pub clock: &'static str,
    /// The copy bandwidth at the largest volume.
    pub copy_gb_s: f64,
    /// The copy bandwidth at every volume.
    pub copies: Vec<CopySpeed>,
    /// The kernels.
    pub rows: Vec<Row>,
    /// Kernels against what a user would run without them.
    pub instead: Vec<Instead>,
    /// Many small tensors, batched against looped.
    pub many: Option<Many>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

impl Report {
    /// Adds what is computed from all rows.
    fn close(mut self, copies: BTreeMap<u64, CopySpeed>) -> Self {
        let on = |clock| self.rows.iter().any(|row| row.time.clock == clock);
        self.clock = match (on(Clock::Device), on(Clock::Wall)) {
            (true, true) => "mixed",
            (true, false) => "device",
            _ => "wall",
        };
        self.copies = copies.into_values().collect();
        self.copy_gb_s = self.copies.last().map_or(f64::NAN, |copy| copy.gb_s);
        self
    }
}

/// Every kernel's subjects at every size: the kernel, the subject, the number of elements.
fn subjects(options: &Options) -> impl Iterator<Item = (&'static str, Rc<dyn Bench>, u64)> {
    let of_room =
        |room: &'static Kernel| (room.benches)().into_iter().map(|bench| (room.name, Rc::from(bench)));
    let at_sizes = |(room, bench): (_, Rc<dyn Bench>)| {
        options.sizes.iter().map(move |&elements| (room, bench.clone(), elements))
    };
    KERNELS.iter().flat_map(of_room).flat_map(at_sizes)
}

/// How many steps [`run`] and [`run_references`] report to their `progress`.
#[must_use]
pub fn steps(options: &Options) -> u64 {
    subjects(options).count() as u64 + 1
}

/// A subject on the device, compared with its reference: nothing is timed unchecked.
///
/// # Errors
/// [`Error::Mismatch`] where the comparison fails; those of [`Bench::load`].
pub fn load_checked(
    context: &Context,
    kernels: &PipelineCache,
    (room, bench, elements): (&str, &dyn Bench, u64),
    effort: &Effort,
) -> Result<Loaded> {
    let name = &format!("{room}/{} at {elements} elements", bench.label());
    let sets = effort.sets(bench.footprint(elements));
    let (device, queue) = (&context.device, &context.queue);
    let loaded = bench.load(&Setup { device, queue, kernels, name, elements, sets })?;
    context.check()?;
    loaded.checked()
}

/// Measures every kernel's subjects at every size, each against the copy of as many bytes, and against what a user would
/// run instead. `progress` is told of each step.
///
/// # Errors
/// [`Error::Mismatch`] where a result is wrong; the errors of the device. Sizes that exceed its memory or limits are
/// left out, and named in the report.
pub fn run(context: &Context, options: &Options, mut progress: impl FnMut(&str)) -> Result<Report> {
    let mut report = Report {
        adapter: context.name(),
        driver: AdapterFacts::of(0, &context.adapter).driver,
        software: context.is_software(),
        ..Report::default()
    };
    let mut on = OnAdapter {
        context,
        effort: &options.effort,
        stopwatch: Stopwatch::new(context)?,
        kernels: PipelineCache::new(&context.device),
        copies: BTreeMap::new(),
    };
    for (room, bench, elements) in subjects(options) {
        let name = format!("{room}/{}/{elements}", bench.label());
        progress(&name);
        match on.row((room, &*bench, elements)) {
            Ok(Some((row, instead))) => {
                report.rows.push(row);
                report.instead.extend(instead);
            }
            Ok(None) => report.left_out.push(format!("{name}: no clock gave a time that can be true")),
            Err(error @ (Error::OutOfMemory { .. } | Error::Limit { .. })) => {
                report.left_out.push(format!("{name}: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    progress("many small tensors");
    report.many = Some(many_tensors(context, &on.stopwatch, on.effort, TENSORS)?);
    Ok(report.close(on.copies))
}

/// What measures on an adapter, and the copies by their bytes as far as they are measured.
struct OnAdapter<'a> {
    context: &'a Context,
    effort: &'a Effort,
    stopwatch: Stopwatch,
    kernels: PipelineCache,
    copies: BTreeMap<u64, CopySpeed>,
}

impl OnAdapter<'_> {
    /// One subject at one size; `None` where it could not be timed.
    fn row(
        &mut self,
        (room, bench, elements): (&'static str, &dyn Bench, u64),
    ) -> Result<Option<(Row, Option<Instead>)>> {
        let bytes = bench.bytes(elements);
        if !self.copies.contains_key(&bytes) {
            let copy = copy_bandwidth(self.context, &self.stopwatch, self.effort, bytes)?;
            self.copies.extend(copy.map(|copy| (bytes, copy)));
        }
        let Some(copy) = self.copies.get(&bytes).copied() else { return Ok(None) };
        let fastest = BESIDE_COPY * copy.best_gb_s;
        let Some((time, checked)) = self.time((room, bench, elements), fastest)? else { return Ok(None) };
        let row = Row { checked, ..Row::new(room, bench, elements, time, &copy) };
        let Some(other) = bench.instead() else { return Ok(Some((row, None))) };
        let instead = self.time((room, &*other, elements), fastest)?.map(|(time, _)| Instead {
            room,
            variant: row.variant.clone(),
            instead: other.label(),
            elements,
            bytes,
            instead_bytes: other.bytes(elements),
            ns: row.time.ns,
            instead_ns: time.ns,
            speedup: time.ns / row.time.ns,
        });
        Ok(Some((row, instead)))
    }

    /// Times one subject at one size, which moves `fastest` bytes per nanosecond at most. Also returns how many elements and words
    /// were compared before.
    fn time(&self, subject: (&str, &dyn Bench, u64), fastest: f64) -> Result<Option<(Measured, u64)>> {
        let loaded = load_checked(self.context, &self.kernels, subject, self.effort)?;
        let (_, bench, elements) = subject;
        let run = |timer: &Timer, turns| loaded.time(timer, turns);
        let measured =
            self.stopwatch.measure(self.effort, (bench.bytes(elements), fastest), loaded.most(), run)?;
        self.context.check()?;
        Ok(measured.map(|measured| (measured, loaded.outcome().checked)))
    }
}

impl Row {
    /// Of f32, with nothing compared.
    fn new(room: &'static str, bench: &dyn Bench, elements: u64, time: Measured, copy: &CopySpeed) -> Self {
        let bytes = bench.bytes(elements);
        let (gb_s, copy_gb_s) = (time.gb_s(bytes), copy.gb_s);
        Row {
            room,
            variant: bench.label(),
            dtype: "f32",
            elements,
            bytes,
            time,
            gb_s,
            copy_gb_s,
            share_of_copy: gb_s / copy_gb_s,
            checked: 0,
        }
    }
}

/// Measures the float64 references on all cores of this machine, by the wall clock. They are the reference, so there is
/// nothing to compare them with.
#[must_use]
pub fn run_references(options: &Options, mut progress: impl FnMut(&str)) -> Report {
    let adapter = "cpu (float64 references)".into();
    let mut report = Report { adapter, software: true, references: true, ..Report::default() };
    let mut copies = BTreeMap::new();
    for (room, bench, elements) in subjects(options) {
        progress(&format!("{room}/{}/{elements}", bench.label()));
        let Some(reference) = bench.host(elements) else { continue };
        let bytes = bench.bytes(elements);
        if !copies.contains_key(&bytes) {
            copies.extend(copy_bandwidth_host(&options.effort, bytes).map(|copy| (bytes, copy)));
        }
        let time = measure_host(&options.effort, reference);
        if let (Some(time), Some(copy)) = (time, copies.get(&bytes)) {
            report.rows.push(Row { dtype: "f64", ..Row::new(room, &*bench, elements, time, copy) });
        }
    }
    progress("done");
    report.close(copies)
}
