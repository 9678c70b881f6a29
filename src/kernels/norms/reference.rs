//! The float64 reference of the norms.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::Norm;
use crate::accuracy::{FLUSH, RELATIVE, ulp};
use crate::kernels::tiles::PART;
use crate::kernels::{Judgement, Outcome};
use crate::penalty::Groups;

/// The bits of infinity.
const INFINITY: u32 = 0x7f80_0000;

/// Norms of the groups of one tensor in float64.
#[derive(Clone, Debug)]
pub struct NormsReference {
    norm: Norm,
    groups: Groups,
    /// The longest chain of roundings in the largest group.
    chain: f64,
}

impl NormsReference {
    /// The reference.
    #[must_use]
    pub fn new(norm: Norm, groups: &Groups) -> Self {
        let largest = groups.largest();
        NormsReference { norm, groups: groups.clone(), chain: chain(groups, largest) }
    }

    /// The norm of group `g` of a tensor of these `values`: NaN where a member is one, else infinity where a member is.
    /// It may lie beyond the range of f32.
    #[must_use]
    pub fn value(&self, values: &[f32], g: u64) -> f64 {
        let sums = Sums::of(self.members(values, g));
        sums.norm(self.norm)
    }

    /// The norms of all groups, rounded to what a kernel writes; all cores work on them.
    #[must_use]
    pub fn values(&self, values: &[f32]) -> Vec<f64> {
        let word = |g: usize| self.norm.value(self.norm.word(self.value(values, g as u64)));
        (0..self.groups.count() as usize).into_par_iter().with_min_len(64).map(word).collect()
    }

    /// Judges the `word` that a kernel wrote for group `g`.
    ///
    /// `linf` and `l0` are exact. Sums may miss by the rounding of each of their D additions, the root by half of what its
    /// argument does, its own 5 ULP and one multiplication; members below 2^-126 may count as zero, and so may such a
    /// result.
    #[must_use]
    pub fn judge(&self, values: &[f32], g: u64, word: u32) -> Judgement {
        let sums = Sums::of(self.members(values, g));
        let expected = sums.norm(self.norm);
        let verdict = |ok, ulps, bound| Judgement { ok, in_band: false, ulps, expected, bound };
        if self.norm == Norm::L0 || self.norm == Norm::Linf || !expected.is_finite() {
            return verdict(word == self.norm.word(expected), 0.0, 0.0);
        }
        let flushed = sums.normal().norm(self.norm);
        let roundings = match self.norm {
            Norm::L2 => (self.chain + 4.0) / 2.0 + 6.0,
            _ => self.chain + 2.0,
        };
        // subnormal results are as far apart as the smallest normal ones
        let slack = roundings * RELATIVE * expected + RELATIVE * FLUSH;
        // what may become subnormal may become 0
        let low = if expected - slack < FLUSH { 0.0 } else { flushed };
        let got = f64::from(f32::from_bits(word));
        let excess = (low - got).max(got - expected).max(0.0);
        match word.cmp(&INFINITY) {
            Ordering::Less => verdict(excess <= slack, excess / ulp(expected), slack),
            Ordering::Equal => verdict(expected + slack >= f64::from(f32::MAX), 0.0, slack),
            // a NaN, or a number with a sign
            Ordering::Greater => verdict(false, 0.0, slack),
        }
    }

    /// Judges all words that a kernel wrote for a tensor of these `values`; all cores work on them.
    #[must_use]
    pub fn compare(&self, values: &[f32], words: &[u32]) -> Outcome {
        const CHUNK: usize = 256;
        let chunk = |(c, words): (usize, &[u32])| {
            let mut outcome = Outcome::default();
            for (g, &word) in ((c * CHUNK) as u64..).zip(words) {
                let j = self.judge(values, g, word);
                let got = self.norm.value(word) as f32;
                outcome.judge(&j, got, || format!("group {g}: {}, word {word:#010x}", j.told(got)));
            }
            outcome
        };
        words.par_chunks(CHUNK).enumerate().map(chunk).reduce(Outcome::default, |mut a, b| {
            a.merge(b);
            a
        })
    }

    fn members<'a>(&self, values: &'a [f32], g: u64) -> impl Iterator<Item = f32> + use<'a> {
        self.groups.members(g).map(move |i| values[i])
    }
}

/// What a group adds up to.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    magnitudes: f64,
    squares: f64,
    largest: f64,
    nonzeros: u64,
    /// The same of members that are subnormal.
    tiny: f64,
    tiny_squares: f64,
    nan: bool,
}

impl Sums {
    fn of(members: impl Iterator<Item = f32>) -> Self {
        let mut s = Sums::default();
        for x in members {
            let x = f64::from(x.abs());
            s.nan |= x.is_nan();
            s.nonzeros += u64::from(x != 0.0);
            s.magnitudes += x;
            s.squares += x * x;
            s.largest = s.largest.max(x);
            if x < FLUSH {
                s.tiny += x;
                s.tiny_squares += x * x;
            }
        }
        s
    }

    fn norm(&self, norm: Norm) -> f64 {
        match norm {
            Norm::L0 => self.nonzeros as f64,
            _ if self.nan => f64::NAN,
            Norm::L1 => self.magnitudes,
            Norm::L2 => self.squares.sqrt(),
            Norm::Linf => self.largest,
        }
    }

    /// Without the subnormal members.
    fn normal(&self) -> Self {
        Sums {
            magnitudes: (self.magnitudes - self.tiny).max(0.0),
            squares: (self.squares - self.tiny_squares).max(0.0),
            ..*self
        }
    }
}

/// The longest chain of roundings in the sum of a group: sixteen words of four in an invocation, and two rounds of sixteen
/// in a workgroup; for larger groups, the same over their parts, eight or more to an invocation.
fn chain(groups: &Groups, members: u64) -> f64 {
    let columns = (1..=4).contains(&groups.run_length()) && groups.run_length() < members;
    let piece = if columns { PART / 32 } else { PART };
    let one = 16.0 + 2.0 + 30.0;
    if members <= piece {
        return one;
    }
    // runs that do not divide a piece leave parts of half its size on average
    let parts = members.div_ceil(piece / 2) as f64;
    one + 8.0 + (parts / 256.0).ceil() + 30.0
}
