//! The kernels, one folder each: formula, host parameters, float64 reference and cases stand together.
//!
//! A kernel `<name>` is the folder `kernels/<name>/` (`mod.rs`, `reference.rs`, `cases.rs`, `bench.rs`) and the
//! shader `shaders/<name>.wgsl`, whose entry point is `<name>`.
//!
//! Pipelines bind tensors by the [`schedule`](crate::schedule). What the schedule, the cases and the benchmarks alone use of
//! the kernels that take steps (tiles, rows, jobs and their `bind`) is hidden from these pages and no promise.

pub(crate) mod adam;
pub mod backward;
mod batch;
mod binding;
pub mod chain;
mod dispatch;
pub mod dsrl;
mod element;
mod executable;
mod fixture;
pub mod group;
pub mod layer;
pub mod learn;
pub mod loss;
mod matrix;
mod mode;
pub mod norms;
pub(crate) mod operator;
mod packer;
mod parameters;
mod pipeline_cache;
mod program;
mod rule;
pub mod sddmm;
pub mod solver;
pub mod spmm;
pub mod step;
pub mod sums;
pub(crate) mod tables;
mod tiles;
mod timed;
mod window;
pub(crate) mod witness;
mod word;

pub use batch::{Batch, Data, Order};
pub use binding::Binding;
pub(crate) use dispatch::Unbound;
pub use dispatch::{Dispatch, Dispatches};
#[doc(hidden)]
pub use executable::Interpreted;
pub use matrix::{Format, Matrix};
#[doc(hidden)]
pub use mode::Mode;
pub use operator::Reference;
#[doc(hidden)]
pub use operator::TensorJob;
pub use parameters::LearnedParameters;
pub use pipeline_cache::PipelineCache;
pub use program::{Source, Struct};
pub use rule::Rule;
pub use timed::{Loaded, Setup};
pub(crate) use timed::{Set, numbers};
pub(crate) use window::{refuse_overlap, refuse_overlap_among};

use crate::accuracy::{Approx, FLUSH, QUIET_NAN, ulp};
use crate::error::Result;

/// What the register says about a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Its name: folder, module, shader file, entry point, bench id and case prefix.
    pub name: &'static str,
    /// Every kernel variant.
    pub variants: fn() -> Vec<Source>,
    /// The cases that tests, `validate` and the benchmarks share.
    pub cases: fn() -> Vec<Box<dyn Case>>,
    /// What is timed: by `maf-srl bench` and by `cargo bench`.
    pub benches: fn() -> Vec<Box<dyn Bench>>,
}

/// The register: one line per kernel.
pub const KERNELS: &[Kernel] = &[
    step::KERNEL,
    group::KERNEL,
    solver::KERNEL,
    norms::KERNEL,
    spmm::KERNEL,
    layer::KERNEL,
    sddmm::KERNEL,
    sums::KERNEL,
    loss::KERNEL,
    chain::KERNEL,
    learn::KERNEL,
    dsrl::KERNEL,
];

/// One case of a kernel: inputs, the kernel to run, and the reference that judges it.
pub trait Case: Send + Sync {
    /// `kernel/variant/...`.
    fn name(&self) -> String;

    /// How many elements the case has.
    fn elements(&self) -> usize;

    /// Runs the kernel on `device` and judges every element against the float64 reference.
    ///
    /// # Errors
    /// Errors of the GPU; a mismatch is part of the [`Outcome`].
    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome>;
}

/// A kernel to be timed, at any number of elements.
pub trait Bench: Send + Sync {
    /// The kernel's variant, as the register names it.
    fn variant(&self) -> String;

    /// Its name in reports, where one variant is timed in several forms.
    fn label(&self) -> String {
        self.variant()
    }

    /// Bytes that must be read and written, the floor that a perfect kernel reaches.
    fn bytes(&self, elements: u64) -> u64;

    /// Bytes of device memory that one set of buffers takes.
    fn footprint(&self, elements: u64) -> u64 {
        self.bytes(elements)
    }

    /// Puts sets of buffers with random contents on the device, none of it zero, runs the first once and compares what
    /// it left with the float64 reference.
    ///
    /// # Errors
    /// Those of buffers and pipelines; a mismatch is part of [`Loaded::outcome`].
    fn load(&self, on: &Setup<'_>) -> Result<Loaded>;

    /// The float64 reference of the same work on all cores, one run per call; `None` where it is that of another subject.
    fn host(&self, _elements: u64) -> Option<Box<dyn FnMut()>> {
        None
    }

    /// What a user would run without this kernel, to be timed beside it; `None` where that is nothing of interest.
    fn instead(&self) -> Option<Box<dyn Bench>> {
        None
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// Elements compared, and words that had to stay as they were.
    pub checked: u64,
    /// Elements outside the bound.
    pub mismatches: u64,
    /// Elements in the band round a threshold, where either branch is right.
    pub in_band: u64,
    /// Largest error among the elements inside the bound, in ULP of the largest number that the element is made of; for an
    /// operator that is the backward error in ULP of |x|.
    pub max_ulps: f64,
    /// Largest share of its bound that an element inside it took.
    pub max_share: f64,
    /// Whether results lean to one side.
    pub bias: Bias,
    /// The first mismatches in words: index, GPU value, reference value, bound, and what the element was made of.
    pub mismatched: Vec<String>,
}

/// The signed errors of results. A bound grows with the number of roundings, and hides what all of them do alike; the mean of
/// many errors does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Bias {
    /// Results that count: normal, and within [`Bias::NEAR`] ULP of the reference.
    pub elements: u64,
    sum: f64,
    squares: f64,
}

impl Bias {
    /// Results farther off than this in ULP are ill conditioned, and tell nothing.
    pub const NEAR: f64 = 64.0;
    /// The mean, in ULP, beyond which results lean.
    pub const MOST: f64 = 1.0;
    /// And by how many deviations.
    pub const SURE: f64 = 8.0;

    fn add(&mut self, got: f32, expected: f64) {
        let error = (f64::from(got) - expected) * expected.signum() / ulp(expected);
        if expected.abs() >= FLUSH && error.abs() <= Bias::NEAR {
            self.elements += 1;
            self.sum += error;
            self.squares += error * error;
        }
    }

    pub(crate) fn merge(&mut self, other: Bias) {
        self.elements += other.elements;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The mean signed error in ULP: positive where magnitudes are too large.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / (self.elements as f64).max(1.0)
    }

    /// The mean in units of the deviation that a mean of as many independent errors of this size has.
    #[must_use]
    pub fn deviations(&self) -> f64 {
        if self.squares == 0.0 { 0.0 } else { self.sum / self.squares.sqrt() }
    }

    /// Whether results lean to one side, as they do on no implementation that rounds to nearest. WGSL permits truncation.
    #[must_use]
    pub fn leans(&self) -> bool {
        self.mean().abs() > Bias::MOST && self.deviations().abs() > Bias::SURE
    }
}

impl Outcome {
    /// How many mismatches are put in words.
    pub const SHOWN: usize = 8;

    /// Counts one requirement, described by `what` where it does not hold.
    pub fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.mismatches += 1;
            if self.mismatched.len() < Outcome::SHOWN {
                self.mismatched.push(what());
            }
        }
    }

    /// Counts an element that came out as `got`, described by `what` where it is wrong.
    pub fn judge(&mut self, j: &Judgement, got: f32, what: impl FnOnce() -> String) {
        witness::tell(j, got);
        self.in_band += u64::from(j.in_band);
        if j.ok {
            self.max_ulps = self.max_ulps.max(j.ulps);
            let distance = (f64::from(got) - j.expected).abs();
            if j.bound.is_normal() && distance <= j.bound {
                self.max_share = self.max_share.max(distance / j.bound);
            }
            self.bias.add(got, j.expected);
        }
        self.demand(j.ok, what);
    }

    /// The first mismatch in words.
    #[must_use]
    pub fn first_mismatch(&self) -> Option<&str> {
        self.mismatched.first().map(String::as_str)
    }

    /// The same, every mismatch in other words.
    #[must_use]
    pub fn told(self, how: impl FnMut(String) -> String) -> Self {
        Outcome { mismatched: self.mismatched.into_iter().map(how).collect(), ..self }
    }

    /// Adds another comparison's counts.
    pub fn merge(&mut self, other: Outcome) {
        self.checked += other.checked;
        self.mismatches += other.mismatches;
        self.in_band += other.in_band;
        self.max_ulps = self.max_ulps.max(other.max_ulps);
        self.max_share = self.max_share.max(other.max_share);
        self.bias.merge(other.bias);
        let room = Outcome::SHOWN.saturating_sub(self.mismatched.len());
        self.mismatched.extend(other.mismatched.into_iter().take(room));
    }
}

/// Whether one element came out right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Whether it did.
    pub ok: bool,
    /// Whether it lies in the band round a threshold.
    pub in_band: bool,
    /// Backward error in ULP of |x|, what the error of x explains taken off.
    pub ulps: f64,
    /// The reference's value.
    pub expected: f64,
    /// The backward distance that was allowed.
    pub bound: f64,
}

impl Judgement {
    /// That of a number which has to lie within `bound` of `expected`, where that is all there is to `ok`; its error counts in
    /// ULP of `peak`.
    pub(crate) fn of(ok: bool, got: f32, expected: f64, bound: f64, peak: f64) -> Self {
        let distance = (f64::from(got) - expected).abs();
        let ulps = if distance <= bound && bound.is_finite() { distance / ulp(peak) } else { 0.0 };
        Judgement { ok, in_band: false, ulps, expected, bound }
    }

    /// That of a number known to within an error: finite, 0x7fc00000, or either where that is undecided.
    pub(crate) fn near(expected: Approx, finite: Option<bool>, got: f32) -> Self {
        let Approx { value, error, peak } = expected;
        let within = got.is_finite() && (f64::from(got) - value).abs() <= error;
        let lost = got.to_bits() == QUIET_NAN;
        let ok = match finite {
            Some(true) => within,
            Some(false) => lost,
            None => within || lost,
        };
        Judgement::of(ok, got, value, error, peak)
    }

    /// The numbers of a message.
    pub(crate) fn told(&self, got: f32) -> String {
        let Judgement { expected, bound, .. } = self;
        format!("GPU {got:e} ({:#010x}), reference {expected:e}, allowed distance {bound:e}", got.to_bits())
    }
}

/// Judges `count` elements; `got` is the GPU's value and `from` what it was made of, for the message.
pub fn compare(
    count: usize,
    judge: impl Fn(usize) -> Judgement,
    got: impl Fn(usize) -> f32,
    from: impl Fn(usize) -> String,
) -> Outcome {
    let mut outcome = Outcome::default();
    for i in 0..count {
        let (j, got) = (judge(i), got(i));
        outcome.judge(&j, got, || format!("index {i}: {}; {}", j.told(got), from(i)));
    }
    outcome
}
