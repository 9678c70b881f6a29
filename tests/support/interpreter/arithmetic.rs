//! Arithmetic as WGSL's table of accuracies permits it: rounded to nearest, cut off, or any of what is permitted.

/// Below this magnitude f32 numbers are subnormal, and may be taken for zeros.
const SMALLEST: f64 = f32::MIN_POSITIVE as f64;

/// How results are rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rounding {
    /// To nearest, without fused products; division and roots as exact as f32 has them.
    Nearest,
    /// Towards zero; subnormal numbers become zeros, before and after. Products are fused with the sum that takes them.
    Truncated,
    /// To either neighbour, and as far off as a function may be; results that are subnormal are perhaps zeros. Products are
    /// fused with the sum that takes them.
    Any,
}

/// A small generator: SplitMix64.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Draws(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for k in (1..all.len()).rev() {
            all.swap(k, self.below(k + 1));
        }
    }
}

/// Arithmetic of one kind. The same operation on the same numbers gives the same result wherever it runs, as a device has it:
/// invocations that compute the same must agree.
#[derive(Clone, Copy, Debug)]
pub struct Arithmetic {
    rounding: Rounding,
    seed: u64,
}

/// The distance from a number to the next one of f32.
fn ulp(v: f64) -> f64 {
    let bits = (v.abs().max(SMALLEST) as f32).min(f32::MAX).to_bits();
    f64::from(f32::from_bits(bits & 0x7f80_0000)) * f64::from(f32::EPSILON)
}

impl Arithmetic {
    pub fn new(rounding: Rounding, seed: u64) -> Self {
        Arithmetic { rounding, seed }
    }

    /// Whether sums take products as they are.
    pub fn fuses(rounding: Rounding) -> bool {
        rounding != Rounding::Nearest
    }

    /// Whether numbers are those of f32 as the host computes them.
    pub fn plain(&self) -> bool {
        self.rounding == Rounding::Nearest
    }

    /// What is read of an operand.
    pub fn operand(&self, x: f32) -> f32 {
        let flushed = self.rounding == Rounding::Truncated && x.is_subnormal();
        if flushed { 0.0f32.copysign(x) } else { x }
    }

    /// A permitted result where the exact one is `exact`, or its neighbour in f64, and that of f32 `nearest`; `ulps` is how
    /// far off it may be, up to 1 for either neighbour.
    fn round(&self, exact: f64, nearest: f32, ulps: f64) -> f32 {
        if !nearest.is_finite() || exact == 0.0 {
            return nearest;
        }
        let mut draws = Draws::new(self.seed ^ exact.to_bits());
        let y = match self.rounding {
            Rounding::Nearest => return nearest,
            Rounding::Truncated => toward_zero(exact),
            Rounding::Any if ulps <= 1.0 => {
                let low = toward_zero(exact);
                let exactly = f64::from(low) == exact;
                if exactly || draws.next() & 1 == 0 { low } else { away(low) }
            }
            Rounding::Any => {
                // mostly the extremes: an average error would prove little
                let part = match draws.next() % 8 {
                    0..3 => 1.0,
                    3..6 => -1.0,
                    k => (k as f64 - 6.5) * (draws.next() as f64 / u64::MAX as f64),
                };
                // half of one for the rounding of what is drawn; an infinity is no number of ULP away
                ((exact + part * (ulps - 0.5) * ulp(exact)) as f32).clamp(-f32::MAX, f32::MAX)
            }
        };
        let flushed = y.is_subnormal() && (self.rounding == Rounding::Truncated || draws.next() & 1 == 0);
        if flushed { 0.0f32.copysign(y) } else { y }
    }

    pub fn add(&self, a: f32, b: f32) -> f32 {
        let (a, b) = (self.operand(a), self.operand(b));
        self.round(f64::from(a) + f64::from(b), a + b, 1.0)
    }

    pub fn multiply(&self, a: f32, b: f32) -> f32 {
        let (a, b) = (self.operand(a), self.operand(b));
        self.round(f64::from(a) * f64::from(b), a * b, 1.0)
    }

    pub fn fused(&self, a: f32, b: f32, c: f32) -> f32 {
        let (a, b, c) = (self.operand(a), self.operand(b), self.operand(c));
        self.round(f64::from(a) * f64::from(b) + f64::from(c), a.mul_add(b, c), 1.0)
    }

    pub fn divide(&self, a: f32, b: f32) -> f32 {
        let (a, b) = (self.operand(a), self.operand(b));
        self.round(f64::from(a) / f64::from(b), a / b, 2.5)
    }

    pub fn sqrt(&self, x: f32) -> f32 {
        let x = self.operand(x);
        // 1 / inverseSqrt(0), which is open
        if x == 0.0 && !self.plain() {
            return f32::NAN;
        }
        self.round(f64::from(x).sqrt(), x.sqrt(), 4.5)
    }

    pub fn inverse_sqrt(&self, x: f32) -> f32 {
        let x = self.operand(x);
        let exact = 1.0 / f64::from(x).sqrt();
        self.round(exact, exact as f32, 2.0)
    }

    pub fn exp(&self, x: f32) -> f32 {
        let exact = f64::from(x).exp();
        self.round(exact, exact as f32, 3.0 + 2.0 * f64::from(x.abs()))
    }

    pub fn exp2(&self, x: f32) -> f32 {
        let exact = f64::from(x).exp2();
        self.round(exact, exact as f32, 3.0 + 2.0 * f64::from(x.abs()))
    }

    pub fn log2(&self, x: f32) -> f32 {
        let x = self.operand(x);
        let exact = f64::from(x).log2();
        let ulps = if (0.5..=2.0).contains(&x) { 1.0 / 2_097_152.0 / ulp(exact) } else { 3.0 };
        self.round(exact, exact as f32, ulps)
    }
}

fn toward_zero(v: f64) -> f32 {
    let nearest = v as f32;
    if f64::from(nearest.abs()) <= v.abs() { nearest } else { f32::from_bits(nearest.to_bits() - 1) }
}

fn away(x: f32) -> f32 {
    f32::from_bits(x.to_bits() + 1)
}
