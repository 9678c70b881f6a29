//! The float64 reference of a product, with bounds.

use rayon::prelude::*;

use super::{Epilogue, Prologue};
use crate::accuracy::{Approx, FLUSH, RELATIVE};
use crate::kernels::{Format, Judgement, Order, Outcome};
use crate::matrix::Pattern;
use crate::penalty::Activation;
use crate::regulariser::ParameterLayout;

/// What a product was made of, in host memory.
#[derive(Clone, Copy, Debug)]
pub struct SpmmReference<'a> {
    /// The matrix.
    pub pattern: &'a Pattern,
    /// Its values in the pattern's order.
    pub values: &'a [f32],
    /// Whether its transpose is meant.
    pub transposed: bool,
    /// The format: dense ones multiply by zeros too.
    pub format: Format,
    /// What it is multiplied with.
    pub prologue: Prologue,
    /// What becomes of the sums.
    pub epilogue: Epilogue,
    /// The learned numbers of the layer and where they lie; empty where none are needed.
    pub learned: (&'a [f32], ParameterLayout),
    /// The L whose 1 - 1/L multiplies a plain operand.
    pub scale: Option<f32>,
    /// x, or u.
    pub first: (&'a [f32], Order),
    /// c, g, w̄, or what the epilogue `held` adds; zeros that stay are not looked at.
    pub second: (&'a [f32], Order),
    /// How many vectors.
    pub vectors: u32,
}

/// Rows of the batch, made into operands.
struct Operands {
    values: Vec<f64>,
    /// How far f32 operands may lie from them; infinite where they may not be finite.
    errors: Vec<f64>,
    /// Whether a vector has an operand that is not finite, or may be none.
    poisoned: Vec<bool>,
    /// How many are within their error of a knee.
    in_band: u64,
}

impl<'a> SpmmReference<'a> {
    /// Of the plain product, its batch component by component.
    pub(crate) fn plain(
        pattern: &'a Pattern,
        format: Format,
        values: &'a [f32],
        x: &'a [f32],
        vectors: u32,
    ) -> Self {
        SpmmReference {
            pattern,
            values,
            transposed: false,
            format,
            prologue: Prologue::Plain,
            epilogue: Epilogue::Plain,
            learned: (&[], ParameterLayout { components: 0, nonzeros: 0 }),
            scale: None,
            first: (x, Order::FeatureMajor),
            second: (&[], Order::FeatureMajor),
            vectors,
        }
    }
}

impl SpmmReference<'_> {
    /// The products in float64, component by component; NaN where the kernel may give any number that is not finite.
    #[must_use]
    pub fn products(&self) -> Vec<f64> {
        self.rows(&self.operands(), |_, row| row.iter().map(|y| y.value).collect::<Vec<_>>()).concat()
    }

    /// Judges the kernel's number for each component and vector; all cores work on them.
    ///
    /// A sum of D entries may miss by D + 3 roundings of its terms' magnitudes, a flush to zero per operation, and by its
    /// operands' errors; a vector with an operand that is not finite may be NaN throughout where the matrix is dense.
    #[must_use]
    pub fn compare(&self, got: impl Fn(u32, u32) -> f32 + Sync) -> Outcome {
        let operands = self.operands();
        let outcomes = self.rows(&operands, |i, row| {
            let mut outcome = Outcome::default();
            for (c, y) in row.iter().enumerate() {
                let got = got(i, c as u32);
                let dense = self.format == Format::Dense && operands.poisoned[c];
                let distance = (f64::from(got) - y.value).abs();
                let ok = match y.finite() {
                    _ if dense && got.is_nan() => true,
                    // xi of what is not finite is a NaN, the rest whatever arithmetic makes of it
                    _ if !y.value.is_finite() => {
                        got.is_nan()
                            || !got.is_finite() && (self.epilogue == Epilogue::Plain || !y.value.is_nan())
                    }
                    Some(true) => got.is_finite() && distance <= y.error,
                    Some(false) => !got.is_finite(),
                    None => !got.is_finite() || distance <= y.error || y.error.is_nan(),
                };
                // a sum may be small beside its terms
                let j = Judgement::of(ok, got, y.value, y.error, y.peak);
                outcome.judge(&j, got, || format!("component {i}, vector {c}: {}", j.told(got)));
            }
            outcome
        });
        let mut all = Outcome { in_band: operands.in_band, ..Outcome::default() };
        outcomes.into_iter().for_each(|outcome| all.merge(outcome));
        all
    }

    /// What `of` makes of each row of the result.
    fn rows<T: Send>(&self, operands: &Operands, of: impl Fn(u32, &[Approx]) -> T + Sync) -> Vec<T> {
        let turned = self.transposed.then(|| self.pattern.transposed());
        let pattern = turned.as_ref().map_or(self.pattern, |(pattern, _)| pattern);
        let number = |k: usize| turned.as_ref().map_or(k, |(_, from)| from[k] as usize);
        let m = self.vectors as usize;
        let row = |i: u32| {
            let entries = pattern.row(i);
            let roundings = (entries.len() + 3) as f64;
            let mut sums = vec![Sum::default(); m];
            for k in entries {
                let a = f64::from(self.values[number(k)]);
                let at = pattern.indices()[k] as usize * m;
                let tiny = if a.abs() < FLUSH { a.abs() } else { 0.0 };
                for (c, sum) in sums.iter_mut().enumerate() {
                    sum.add(a, tiny, operands.values[at + c], operands.errors[at + c]);
                }
            }
            let finished: Vec<Approx> =
                (0..).zip(&sums).map(|(c, sum)| self.finished(i, c, sum.total(roundings))).collect();
            of(i, &finished)
        };
        (0..pattern.rows()).into_par_iter().map(row).collect()
    }

    fn operands(&self) -> Operands {
        let m = self.vectors;
        let n = if self.transposed { self.pattern.rows() } else { self.pattern.columns() };
        let at = |batch: (&[f32], Order), j: u32, c: u32| self.number(batch, n, j, c);
        let mut all = Operands {
            values: Vec::new(),
            errors: Vec::new(),
            poisoned: vec![false; m as usize],
            in_band: 0,
        };
        for j in 0..n {
            for c in 0..m {
                let x = at(self.first, j, c);
                let (r, in_band) = match self.prologue {
                    Prologue::Plain => (Approx::exact(f64::from(x)), false),
                    _ => self.made(j, x, at(self.second, j, c)),
                };
                let finite = r.finite().filter(|_| r.value.is_finite());
                all.values.push(r.value);
                all.errors.push(match finite {
                    Some(true) => r.error,
                    _ if !r.value.is_finite() => 0.0,
                    _ => f64::INFINITY,
                });
                all.poisoned[c as usize] |= finite != Some(true);
                all.in_band += u64::from(in_band);
            }
        }
        all
    }

    /// Component j of vector c of a batch of `n` components.
    fn number(&self, (numbers, order): (&[f32], Order), n: u32, j: u32, c: u32) -> f32 {
        match order {
            Order::FeatureMajor => numbers[(j * self.vectors + c) as usize],
            Order::BatchMajor => numbers[(c * n + j) as usize],
        }
    }

    /// The operand of component j, and whether it is in the band round a knee.
    fn made(&self, j: u32, x: f32, other: f32) -> (Approx, bool) {
        let [x, other] = [x, other].map(|x| Approx::exact(f64::from(x)));
        let size = || step_size(self.learned.0[ParameterLayout::L]);
        match self.prologue {
            Prologue::Plain => (x, false),
            Prologue::Near => (x - size() * (x - other), false),
            Prologue::Given => (x - size() * other, false),
            Prologue::Pulled => {
                let q = Approx::exact(f64::from(self.learned.0[self.learned.1.q().start + j as usize]));
                let v = q * x;
                let Some(a) = self.activation().filter(|_| v.value.is_finite() && other.value.is_finite())
                else {
                    return (NAN, false);
                };
                // the slopes anywhere within reach
                let (low, high) = (v.value - v.error, v.value + v.error);
                let knees = [a.delta1, a.delta2, -a.delta1, -a.delta2];
                let beyond = knees.map(|knee| knee - FLUSH.max(knee.abs() * 1e-12));
                let places = knees.into_iter().chain(beyond).filter(|p| (low..=high).contains(p));
                let slope = a.partials(v.value).v;
                let jump =
                    places.chain([low, high]).map(|p| (a.partials(p).v - slope).abs()).fold(0.0, f64::max);
                let slope = Approx { value: slope, error: jump, peak: slope + jump };
                let mut pulled = q * slope * other;
                pulled.peak = pulled.peak.max(v.peak);
                (pulled, jump > 0.0)
            }
        }
    }

    /// None where one of its numbers is not finite.
    fn activation(&self) -> Option<Activation> {
        let of = |at: usize| f64::from(self.learned.0[at]);
        let a = Activation {
            eta1: of(ParameterLayout::ETA1),
            eta2: of(ParameterLayout::ETA2),
            delta1: of(ParameterLayout::DELTA1),
            delta2: of(ParameterLayout::DELTA2),
        };
        [a.eta1, a.eta2, a.delta1, a.delta2].iter().all(|x| x.is_finite()).then_some(a)
    }

    fn finished(&self, i: u32, c: u32, sum: Approx) -> Approx {
        let sum = match self.scale {
            Some(l) => (Approx::exact(1.0) - step_size(l)) * sum,
            None => sum,
        };
        if self.epilogue == Epilogue::Plain {
            return sum;
        }
        let (numbers, places) = self.learned;
        let of = |at: usize| Approx::exact(f64::from(numbers[at + i as usize]));
        let mut v = of(places.q().start) * sum;
        if self.epilogue == Epilogue::Held {
            let n = if self.transposed { self.pattern.columns() } else { self.pattern.rows() };
            v = v + Approx::exact(f64::from(self.number(self.second, n, i, c)));
        }
        let Some(a) = self.activation().filter(|_| v.value.is_finite()) else { return NAN };
        let av = v.value.abs() + v.error;
        // six operations, on numbers no larger than these
        let largest = a.eta1 * (av.min(a.delta2) + a.delta1) + a.eta2 * (av + a.delta2);
        let error =
            a.lipschitz() * v.error + 4.0 * RELATIVE * largest + FLUSH * (4.0 + 2.0 * (a.eta1 + a.eta2));
        let y = Approx { value: a.value(v.value), error, peak: v.peak.max(largest) };
        y - of(places.b().start)
    }
}

/// No number: certainly not finite.
const NAN: Approx = Approx { value: f64::NAN, error: 0.0, peak: f64::NAN };

/// 1/L; NaN for an L that is not finite.
fn step_size(l: f32) -> Approx {
    if !l.is_finite() {
        return NAN;
    }
    Approx::exact(1.0) / Approx::exact(f64::from(l))
}

/// A sum as it is made.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    /// Of the terms.
    magnitude: f64,
    error: f64,
    /// Whether a term may or may not be finite.
    undecided: bool,
}

impl Sum {
    fn add(&mut self, a: f64, tiny: f64, r: f64, error: f64) {
        self.value += a * r;
        if error == f64::INFINITY {
            self.undecided = true;
            return;
        }
        self.magnitude += a.abs() * (r.abs() + error);
        // an entry below 2^-126 may count as zero; so may the product, and the sum so far
        self.error += a.abs() * error + tiny * (r.abs() + error) + 2.0 * FLUSH;
    }

    fn total(self, roundings: f64) -> Approx {
        if self.undecided && self.value.is_finite() {
            return Approx { value: self.value, error: f64::INFINITY, peak: f64::INFINITY };
        }
        // 1 %: errors of errors
        let error = 1.01 * (self.error + roundings * RELATIVE * self.magnitude);
        Approx { value: self.value, error, peak: self.magnitude + error }
    }
}
