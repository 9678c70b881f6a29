//! Parameters and the intervals they live in.

use std::fmt;
use std::ops::Bound::{self, Excluded, Included};

use crate::error::short;

/// The allowed interval of a number, each end open or closed. NaN lies in none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain(pub Bound<f64>, pub Bound<f64>);

/// Learning rates, their scales and lambdas: `[0, 1e6]`. With it every product that the kernels form stays
/// inside the range of f32.
pub const WEIGHT: Domain = Domain(Included(0.0), Included(1e6));

/// Positive shape parameters: `[1e-6, 1e6]`.
pub(super) const SHAPE: Domain = Domain(Included(1e-6), Included(1e6));

/// Shares: `[0, 1]`.
pub(super) const SHARE: Domain = Domain(Included(0.0), Included(1.0));

impl Domain {
    /// Whether the interval holds `x`.
    #[must_use]
    pub fn contains(&self, x: f64) -> bool {
        let above = match self.0 {
            Included(low) => x >= low,
            Excluded(low) => x > low,
            Bound::Unbounded => !x.is_nan(),
        };
        let below = match self.1 {
            Included(high) => x <= high,
            Excluded(high) => x < high,
            Bound::Unbounded => !x.is_nan(),
        };
        above && below
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Included(low) => write!(f, "[{}, ", short(low))?,
            Excluded(low) => write!(f, "({}, ", short(low))?,
            Bound::Unbounded => write!(f, "(-inf, ")?,
        }
        match self.1 {
            Included(high) => write!(f, "{}]", short(high)),
            Excluded(high) => write!(f, "{})", short(high)),
            Bound::Unbounded => write!(f, "inf)"),
        }
    }
}

/// One shape parameter of a penalty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its name in the text form.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Where the value may lie.
    pub domain: Domain,
}
