//! Validating GPUs and their drivers: every case of every kernel, judged by the float64 references.

mod dump;

use std::collections::HashSet;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{AdapterFacts, Context};
use crate::kernels::{Bias, Case, KERNELS, Outcome, PipelineCache};

pub use dump::{Dump, DumpedBinding, DumpedDispatch, Judged, dump};

/// A case that did not hold.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// Elements outside the bound; 0 where the case could not be run.
    pub mismatches: u64,
    /// The first mismatches, or the error that kept the case from running.
    pub what: Vec<String>,
}

/// What the cases of one kernel found on one adapter.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct KernelReport {
    /// The kernel.
    pub name: String,
    /// Cases run.
    pub cases: u64,
    /// Elements outside their bound, and cases that ended in an error.
    pub mismatches: u64,
    /// Largest error in ULP of the largest number that an element is made of.
    pub max_ulps: f64,
    /// Largest share of its bound that an element took.
    pub max_share: f64,
    /// The mean signed error in ULP over `bias_elements` results: positive where magnitudes are too large.
    pub bias_ulps: f64,
    /// That mean in units of what independent errors come to.
    pub bias_deviations: f64,
    /// The results that it is the mean of.
    pub bias_elements: u64,
    /// Whether results lean to one side: [`Bias::leans`].
    pub leans: bool,
    #[serde(skip)]
    bias: Bias,
}

/// What the cases found on one adapter.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Report {
    /// The adapter's name.
    pub name: String,
    /// Its backend.
    pub backend: String,
    /// Its driver and version.
    pub driver: String,
    /// Cases run.
    pub cases: u64,
    /// Elements outside their bound, and cases that ended in an error.
    pub mismatches: u64,
    /// Cases that the adapter's limits rule out.
    pub skipped: u64,
    /// Elements compared.
    pub checked: u64,
    /// Elements in a threshold band, where either branch is right.
    pub in_band: u64,
    /// Largest error in ULP of the largest number that an element is made of; with operators the backward error in ULP of |x|.
    pub max_ulps: f64,
    /// The case that it was seen in.
    pub max_ulps_case: String,
    /// Largest share of its bound that an element took.
    pub max_share: f64,
    /// The same by kernel, and whether results lean to one side.
    pub kernels: Vec<KernelReport>,
    /// Seconds that the cases took.
    pub seconds: f64,
    /// The cases that did not hold.
    pub failures: Vec<Failure>,
    /// The first reason for skipping.
    pub skip_reason: Option<String>,
}

/// The cases whose name contains `filter`; all of them for `None`.
#[must_use]
pub fn cases(filter: Option<&str>) -> Vec<Box<dyn Case>> {
    let all = KERNELS.iter().flat_map(|room| (room.cases)());
    all.filter(|case| filter.is_none_or(|f| case.name().contains(f))).collect()
}

/// The most elements of a case that is [`quick`].
const QUICK: usize = 1 << 17;

/// A part of these cases that takes about a ninth of the time: of those of at most 131,072 elements the first of each kind, and
/// every ninth.
#[must_use]
pub fn quick(cases: Vec<Box<dyn Case>>) -> Vec<Box<dyn Case>> {
    let mut kinds = HashSet::new();
    // the kernel, its variant and the penalty, without their numbers
    let kind = |name: &str| -> Vec<String> {
        let parts = name.split('/').take(3);
        parts.map(|part| part.split(['(', '=']).next().unwrap_or_default().to_owned()).collect()
    };
    let mut kept = |k: usize, case: &dyn Case| kinds.insert(kind(&case.name())) || k.is_multiple_of(9);
    let small = cases.into_iter().filter(|case| case.elements() <= QUICK).enumerate();
    small.filter(|(k, case)| kept(*k, &**case)).map(|(_, case)| case).collect()
}

/// Runs `cases` on one adapter, all of them `times` times. `done` is called after each.
///
/// # Errors
/// [`Error::Gpu`] where the driver gives no device, [`Error::DeviceLost`] where it is lost on the way. Mismatches and
/// errors of single cases are part of the report.
pub fn run(
    adapter: wgpu::Adapter,
    cases: &[Box<dyn Case>],
    times: u32,
    mut done: impl FnMut(),
) -> Result<Report> {
    let facts = AdapterFacts::of(0, &adapter);
    let context = Context::on(adapter)?;
    let kernels = PipelineCache::new(&context.device);
    let start = Instant::now();
    let mut report =
        Report { name: facts.name, backend: facts.backend, driver: facts.driver, ..Report::default() };
    for case in (0..times).flat_map(|_| cases) {
        let outcome = case
            .run(&context.device, &context.queue, &kernels)
            .and_then(|outcome| context.check().map(|()| outcome));
        match outcome {
            Ok(outcome) => report.add(case.name(), outcome),
            Err(lost @ Error::DeviceLost { .. }) => return Err(lost),
            Err(limit @ Error::Limit { .. }) => {
                report.skipped += 1;
                report.skip_reason.get_or_insert(limit.to_string());
            }
            Err(error) => {
                report.cases += 1;
                report.mismatches += 1;
                report.kernel(&case.name()).mismatches += 1;
                let what = vec![error.to_string()];
                report.failures.push(Failure { case: case.name(), mismatches: 0, what });
            }
        }
        done();
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

impl Report {
    /// The part of the kernel that a case belongs to.
    fn kernel(&mut self, case: &str) -> &mut KernelReport {
        let kernel = case.split('/').next().unwrap_or_default();
        let at = self.kernels.iter().position(|one| one.name == kernel).unwrap_or_else(|| {
            self.kernels.push(KernelReport { name: kernel.into(), ..KernelReport::default() });
            self.kernels.len() - 1
        });
        &mut self.kernels[at]
    }

    fn add(&mut self, case: String, outcome: Outcome) {
        self.kernel(&case).add(&outcome);
        self.max_share = self.max_share.max(outcome.max_share);
        self.cases += 1;
        self.checked += outcome.checked;
        self.in_band += outcome.in_band;
        self.mismatches += outcome.mismatches;
        if outcome.max_ulps > self.max_ulps {
            self.max_ulps = outcome.max_ulps;
            self.max_ulps_case.clone_from(&case);
        }
        if outcome.mismatches > 0 {
            let Outcome { mismatches, mismatched: what, .. } = outcome;
            self.failures.push(Failure { case, mismatches, what });
        }
    }
}

impl KernelReport {
    fn add(&mut self, outcome: &Outcome) {
        self.cases += 1;
        self.mismatches += outcome.mismatches;
        self.max_ulps = self.max_ulps.max(outcome.max_ulps);
        self.max_share = self.max_share.max(outcome.max_share);
        self.bias.merge(outcome.bias);
        self.bias_ulps = self.bias.mean();
        self.bias_deviations = self.bias.deviations();
        self.bias_elements = self.bias.elements;
        self.leans = self.bias.leans();
    }
}
