//! What checks found.

use crate::error::{Error, Result};

/// The first element outside its bound.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct FirstMismatch {
    /// The step's number.
    pub step: u64,
    /// The element's index in its tensor.
    pub index: u64,
    /// What the GPU made of it.
    pub got: f32,
    /// The reference's value.
    pub expected: f64,
    /// The allowed backward distance |x(y) - x|.
    pub bound: f64,
}

/// What the checks of one tensor found, over all checked steps.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct TensorReport {
    /// The tensor.
    pub name: String,
    /// Elements compared.
    pub checked: u64,
    /// Elements outside the bound.
    pub mismatches: u64,
    /// Elements in a threshold band, where either branch is right.
    pub in_band: u64,
    /// Largest backward error in ULP of |x|; with groups, of their largest member.
    pub max_ulps: f64,
    /// The largest backward error that the bound allows, in the same unit.
    pub allowed_ulps: f64,
    /// The first mismatch.
    pub first_mismatch: Option<FirstMismatch>,
}

impl TensorReport {
    /// Keeps the earliest mismatch.
    pub(super) fn keep_first(&mut self, found: FirstMismatch) {
        let earlier = |a: &FirstMismatch| (a.step, a.index) <= (found.step, found.index);
        if !self.first_mismatch.as_ref().is_some_and(earlier) {
            self.first_mismatch = Some(found);
        }
    }

    pub(super) fn merge(&mut self, other: &TensorReport) {
        self.checked += other.checked;
        self.mismatches += other.mismatches;
        self.in_band += other.in_band;
        self.max_ulps = self.max_ulps.max(other.max_ulps);
        if let Some(theirs) = &other.first_mismatch {
            self.keep_first(theirs.clone());
        }
    }
}

/// What the checks of a plan found so far.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Verification {
    /// Steps checked: those that have run, with at least one element.
    pub steps: u64,
    /// Steps that were to be checked and did not run: their submission was refused, or their encoder dropped. Each step leaves its
    /// number on the device, and one that comes back without it is counted here and nowhere else.
    pub not_run: u64,
    /// Steps that were to be checked and were not, for want of [memory](crate::schedule::Plan::set_check_memory).
    pub skipped: u64,
    /// The most bytes that staging buffers and copies for checks have taken at a time.
    pub memory: u64,
    /// Elements compared.
    pub checked: u64,
    /// Elements outside the bound.
    pub mismatches: u64,
    /// Elements in a threshold band, where either branch is right.
    pub in_band: u64,
    /// Largest backward error in ULP of |x|.
    pub max_ulps: f64,
    /// Per tensor.
    pub tensors: Vec<TensorReport>,
}

impl Verification {
    /// Of tensors by their names, with the largest backward errors that their bounds allow.
    pub(super) fn new(tensors: impl Iterator<Item = (String, f64)>) -> Self {
        let report = |(name, allowed_ulps)| TensorReport { name, allowed_ulps, ..TensorReport::default() };
        Verification { tensors: tensors.map(report).collect(), ..Verification::default() }
    }

    pub(super) fn add(&mut self, tensor: usize, report: &TensorReport) {
        self.checked += report.checked;
        self.mismatches += report.mismatches;
        self.in_band += report.in_band;
        self.max_ulps = self.max_ulps.max(report.max_ulps);
        self.tensors[tensor].merge(report);
    }

    /// `Ok` without a mismatch, else the error that names the first one.
    pub(super) fn judge(&self) -> Result<()> {
        if self.mismatches == 0 {
            return Ok(());
        }
        let first = self.tensors.iter().filter_map(|t| t.first_mismatch.as_ref().map(|m| (t, m)));
        match first.min_by_key(|(_, m)| m.step) {
            None => Ok(()),
            Some((t, m)) => Err(Error::Mismatch(format!(
                "{} of {} elements; first: tensor {:?}, step {}, index {}: GPU {:e}, reference {:e}, allowed \
                 backward distance {:e}",
                self.mismatches, self.checked, t.name, m.step, m.index, m.got, m.expected, m.bound
            ))),
        }
    }
}
