//! The kernels, one room each: formula, host parameters, float64 reference and cases stand together.
//!
//! A room `<name>` is the folder `kernels/<name>/` (`mod.rs`, `reference.rs`, `cases.rs`) and the shader
//! `shaders/<name>.wgsl`, whose entry point is `<name>`.

pub mod step;

use crate::error::Result;

/// What the register says about a room.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its name: folder, module, shader file, entry point, bench id and case prefix.
    pub name: &'static str,
    /// Every kernel variant: name and complete WGSL.
    pub variants: fn() -> Vec<(String, String)>,
    /// The cases that tests, `validate` and the benchmarks share.
    pub cases: fn() -> Vec<Box<dyn Case>>,
}

/// The register: one line per room.
pub const ROOMS: &[Room] = &[step::ROOM];

/// One case of a room: inputs, the kernel to run, and the reference that judges it.
pub trait Case: Send + Sync {
    /// `room/variant/...`.
    fn name(&self) -> String;

    /// How many elements the case has.
    fn elements(&self) -> usize;

    /// Runs the kernel on `device` and judges every element against the float64 reference.
    ///
    /// # Errors
    /// Errors of the GPU; a mismatch is part of the [`Outcome`].
    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &step::Kernels) -> Result<Outcome>;
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
    /// Largest backward error in ULP of |x| among the elements inside the bound.
    pub max_ulps: f64,
    /// The first mismatch in words: index, GPU value, reference value, bound.
    pub first_mismatch: Option<String>,
}

impl Outcome {
    /// Counts one requirement, described by `what` where it does not hold.
    pub fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.mismatches += 1;
            self.first_mismatch.get_or_insert_with(what);
        }
    }

    /// Adds another comparison's counts.
    pub fn merge(&mut self, other: Outcome) {
        self.checked += other.checked;
        self.mismatches += other.mismatches;
        self.in_band += other.in_band;
        self.max_ulps = self.max_ulps.max(other.max_ulps);
        if self.first_mismatch.is_none() {
            self.first_mismatch = other.first_mismatch;
        }
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

/// Judges `count` elements of the case `name`; `got` is the GPU's value, for the message.
pub fn compare(
    name: &str,
    count: usize,
    judge: impl Fn(usize) -> Judgement,
    got: impl Fn(usize) -> f32,
) -> Outcome {
    let mut outcome = Outcome::default();
    for i in 0..count {
        let j = judge(i);
        outcome.in_band += u64::from(j.in_band);
        if j.ok {
            outcome.max_ulps = outcome.max_ulps.max(j.ulps);
        }
        outcome.demand(j.ok, || {
            format!(
                "{name}: index {i}: GPU {:e} ({:#010x}), reference {:e}, allowed backward distance {:e}",
                got(i),
                got(i).to_bits(),
                j.expected,
                j.bound
            )
        });
    }
    outcome
}
