//! Validating GPUs and their drivers: every case of every kernel, judged by the float64 references.

use std::time::Instant;

use crate::error::{Error, Result};
use crate::gpu::{AdapterFacts, Context};
use crate::kernels::{Case, KERNELS, Outcome, PipelineCache};

/// A case that did not hold.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// Elements outside the bound; 0 where the case could not be run.
    pub mismatches: u64,
    /// The first mismatch, or the error that kept the case from running.
    pub what: String,
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
    /// Largest backward error in ULP of |x|.
    pub max_ulps: f64,
    /// The case that it was seen in.
    pub max_ulps_case: String,
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

/// Runs `cases` on one adapter. `done` is called after each.
///
/// # Errors
/// [`Error::Gpu`] where the driver gives no device, [`Error::DeviceLost`] where it is lost on the way. Mismatches and
/// errors of single cases are part of the report.
pub fn run(adapter: wgpu::Adapter, cases: &[Box<dyn Case>], mut done: impl FnMut()) -> Result<Report> {
    let facts = AdapterFacts::of(0, &adapter);
    let context = Context::on(adapter)?;
    let kernels = PipelineCache::new(&context.device);
    let start = Instant::now();
    let mut report =
        Report { name: facts.name, backend: facts.backend, driver: facts.driver, ..Report::default() };
    for case in cases {
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
                report.failures.push(Failure { case: case.name(), mismatches: 0, what: error.to_string() });
            }
        }
        done();
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

impl Report {
    fn add(&mut self, case: String, outcome: Outcome) {
        self.cases += 1;
        self.checked += outcome.checked;
        self.in_band += outcome.in_band;
        self.mismatches += outcome.mismatches;
        if outcome.max_ulps > self.max_ulps {
            self.max_ulps = outcome.max_ulps;
            self.max_ulps_case.clone_from(&case);
        }
        if let Some(what) = outcome.first_mismatch {
            self.failures.push(Failure { case, mismatches: outcome.mismatches, what });
        }
    }
}
