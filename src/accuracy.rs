//! How exact a WGSL expression is: float64 numbers that carry their own first-order error bound.
//!
//! WGSL promises little of f32 arithmetic: `+ - *` return one of the two neighbours of the exact result,
//! division is within 2.5 ULP, square root within about 5 ULP, and subnormal numbers may be flushed to zero. An
//! [`Approx`] evaluates an expression in float64 and adds up what those promises allow, so that the tolerance of a
//! comparison is derived from the formula itself instead of being chosen.

use std::ops::{Add, Div, Mul, Sub};

/// What the kernels make of an element that is not finite, and of a group with such a member: a quiet NaN, as bits.
pub(crate) const QUIET_NAN: u32 = 0x7fc0_0000;

/// The smallest normal f32, 2^-126. A result below it may be flushed to zero.
pub const FLUSH: f64 = 1.1754943508222875e-38;

/// The largest distance between neighbouring normal f32 numbers, relative to them: 2^-23.
pub const RELATIVE: f64 = 1.0 / 8388608.0;

/// The distance between neighbouring f32 numbers at |x|, at least that of the smallest normal number.
///
/// `ulp(1.0)` is 2^-23. Not finite for a NaN or an infinity.
#[must_use]
pub fn ulp(x: f64) -> f64 {
    let x = x.abs().max(FLUSH);
    if !x.is_finite() {
        return x;
    }
    let exponent = (x.to_bits() >> 52) as i64 - 1023;
    f64::from_bits(((exponent - 23 + 1023) as u64) << 52)
}

/// A real number known to within `error`: what an f32 expression in WGSL may return.
///
/// `value` is the exact result in float64, `error` a first-order bound of the absolute distance between it and
/// any result that WGSL permits. NaN propagates through both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Approx {
    /// The result of exact arithmetic.
    pub value: f64,
    /// How far a permitted f32 result may lie from it.
    pub error: f64,
    /// The largest magnitude that a permitted f32 evaluation may have met on the way, inputs included.
    pub peak: f64,
}

impl Approx {
    /// A number without error, such as an f32 input. A subnormal one may be flushed, and carries that error.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        let error = if value.abs() < FLUSH { value.abs() } else { 0.0 };
        Approx { value, error, peak: value.abs() }
    }

    /// A number that the host computes in float64 and hands over as f32: rounded once, to the nearest.
    #[must_use]
    pub fn constant(value: f64) -> Self {
        let rounded = f64::from(value as f32);
        let error = if rounded == value { 0.0 } else { 0.5 * ulp(value) };
        let flush = if value.abs() < FLUSH { value.abs() } else { 0.0 };
        Approx { value, error: error + flush, peak: value.abs() + error }
    }

    /// `value` with `error`, plus the rounding of a result to `ulps` ULP and its possible flush; computed from numbers
    /// that met `peak`.
    fn rounded(value: f64, error: f64, ulps: f64, peak: f64) -> Self {
        let flush = if value.abs() < FLUSH && (value != 0.0 || error != 0.0) { FLUSH } else { 0.0 };
        let error = error + ulps * ulp(value) * f64::from(value != 0.0) + flush;
        Approx { value, error, peak: peak.max(value.abs() + error) }
    }

    /// The square root, by WGSL's `1 / inverseSqrt` within 5 ULP; the root of a negative number is taken as 0.
    #[must_use]
    pub fn sqrt(self) -> Self {
        let value = self.value.max(0.0).sqrt();
        let high = (self.value + self.error).max(0.0).sqrt() - value;
        let low = value - (self.value - self.error).max(0.0).sqrt();
        Self::rounded(value, high.max(low), 5.0, self.peak)
    }

    /// Whether the f32 result is certainly finite (`Some(true)`), certainly not (`Some(false)`), or undecided (`None`):
    /// within its error of the largest f32 number, or computed by way of a number beyond that.
    #[must_use]
    pub fn finite(self) -> Option<bool> {
        let largest = f64::from(f32::MAX);
        match () {
            () if self.peak <= largest => Some(true),
            () if self.value.abs() - self.error > largest => Some(false),
            // and where the error has no bound
            () => None,
        }
    }
}

impl Add for Approx {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::rounded(self.value + other.value, self.error + other.error, 1.0, self.peak.max(other.peak))
    }
}

impl Sub for Approx {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::rounded(self.value - other.value, self.error + other.error, 1.0, self.peak.max(other.peak))
    }
}

impl Mul for Approx {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let error =
            self.value.abs() * other.error + other.value.abs() * self.error + self.error * other.error;
        Self::rounded(self.value * other.value, error, 1.0, self.peak.max(other.peak))
    }
}

impl Div for Approx {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let smallest = (other.value.abs() - other.error).max(0.0);
        let error = (self.error + value.abs() * other.error) / smallest;
        Self::rounded(value, error, 2.5, self.peak.max(other.peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulp_is_the_spacing_of_f32() {
        for x in [1.0f32, 1.5, 1.9999999, 2.0, 3e-30, 1e30, f32::MIN_POSITIVE, f32::MAX / 2.0] {
            let spacing = f64::from(f32::from_bits(x.to_bits() + 1)) - f64::from(x);
            assert_eq!(ulp(f64::from(x)), spacing, "{x}");
        }
        assert_eq!(ulp(0.0), ulp(FLUSH));
    }

    #[test]
    fn overflow_on_the_way_is_undecided() {
        let [big, ten, third] = [3e38, 10.0, 1.0 / 3.0].map(Approx::exact);
        assert_eq!((third * big).finite(), Some(true));
        assert_eq!((ten * big).finite(), Some(false));
        assert_eq!(((big + big) * third).finite(), None);
    }

    #[test]
    fn f32_arithmetic_stays_within_the_bound() {
        let mut x = 0.37f32;
        for _ in 0..1000 {
            let y = (x * 997.1).fract() * 3.0 - 1.5;
            let z = (x * 1303.7).fract() + 0.1;
            let got = (x * y - z) / (z + x).sqrt() + y * y;
            let e = |v: f32| Approx::exact(f64::from(v));
            let want = (e(x) * e(y) - e(z)) / (e(z) + e(x)).sqrt() + e(y) * e(y);
            assert!((f64::from(got) - want.value).abs() <= want.error, "{x} {y} {z}");
            x = (x * 7.31 + 0.113).fract() + 1e-3;
        }
    }
}
