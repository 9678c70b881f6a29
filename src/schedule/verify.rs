//! STUB, replaced soon: which steps are checked, and what came of it.

/// Which steps and tensors are checked against the float64 reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// None.
    Off,
    /// Every `every`-th step, `tensors` tensors of it, drawn with `seed`.
    Sample {
        /// Check every this many steps (at least 1).
        every: u64,
        /// How many tensors of such a step.
        tensors: usize,
        /// Seed of the draw.
        seed: u64,
    },
    /// Every tensor at every step.
    Full,
}

/// The outcome for one tensor of one step.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TensorReport {
    /// The tensor.
    pub name: String,
    /// Elements compared.
    pub checked: u64,
    /// Elements outside the bound.
    pub mismatches: u64,
    /// Elements in a threshold band, where either branch is right.
    pub in_band: u64,
    /// Largest backward error in ULP of |x|.
    pub max_ulps: f64,
}

/// The sum over all steps so far.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Verification {
    /// Elements compared.
    pub checked: u64,
    /// Elements outside the bound.
    pub mismatches: u64,
    /// Largest backward error in ULP of |x|.
    pub max_ulps: f64,
}
