//! The float64 reference of the kernels, with bounds: every number is an [`Approx`].
//!
//! Layers are judged one by one, each by the input that the GPU had, and the stages of the backward pass likewise, so that the
//! bounds stay those of one product or two. The network's reference has the same formulas without bounds.

use std::sync::Arc;

use rayon::prelude::*;

use crate::accuracy::{Approx, FLUSH, RELATIVE};
use crate::kernels::{Format, Judgement};
use crate::matrix::Pattern;
use crate::penalty::Activation;
use crate::regulariser::ParameterLayout;

/// Roundings of a sum but those of its terms: the sums of up to 16 invocations, the products, and one for higher orders.
const TREE: f64 = 18.0;

/// An n x m matrix of numbers with bounds, row by row.
pub(crate) type Numbers = Vec<Approx>;

/// Numbers that are exact.
pub(crate) fn exact(numbers: impl IntoIterator<Item = f32>) -> Numbers {
    numbers.into_iter().map(|x| Approx::exact(f64::from(x))).collect()
}

/// What is certainly not finite becomes NaN; what may be, or may not, gets no bound.
fn settled(x: Approx) -> Approx {
    let lost = Approx { value: f64::NAN, error: 0.0, peak: 0.0 };
    match x.finite() {
        _ if !x.value.is_finite() => lost,
        _ if x.error.is_nan() => Approx { error: f64::INFINITY, ..x },
        Some(true) => x,
        Some(false) => lost,
        None => Approx { error: f64::INFINITY, ..x },
    }
}

/// The product of two numbers, without a rounding where f32 needs none.
fn times(a: Approx, b: Approx) -> Approx {
    let value = a.value * b.value;
    if a.error == 0.0
        && b.error == 0.0
        && f64::from(value as f32) == value
        && (value == 0.0 || value.abs() >= FLUSH)
    {
        return Approx { value, error: 0.0, peak: a.peak.max(b.peak).max(value.abs()) };
    }
    a * b
}

/// Judges the number that a kernel wrote.
pub(crate) fn judge(expected: Approx, got: f32) -> Judgement {
    let x = settled(expected);
    let distance = (f64::from(got) - x.value).abs();
    let ok =
        if x.value.is_nan() { !got.is_finite() } else { x.error == f64::INFINITY || distance <= x.error };
    Judgement::of(ok, got, x.value, x.error, x.peak)
}

/// A layer with its numbers as the kernel has them.
pub(crate) struct Layer {
    pattern: Arc<Pattern>,
    values: Vec<f64>,
    q: Vec<f64>,
    b: Vec<f64>,
    activation: Activation,
    l: f64,
    format: Format,
    /// The transposed pattern and its values.
    transposed: (Pattern, Vec<f64>),
    /// Whether the activation and L are finite.
    usable: bool,
}

impl Layer {
    /// `numbers` are the layer's, at their places.
    pub fn new(pattern: &Arc<Pattern>, numbers: &[f32], format: Format) -> Self {
        let places = ParameterLayout { components: pattern.rows(), nonzeros: pattern.nonzeros() };
        let part = |range: std::ops::Range<usize>| -> Vec<f64> {
            numbers[range].iter().map(|&x| f64::from(x)).collect()
        };
        let [l, eta1, eta2, delta1, delta2] = [
            ParameterLayout::L,
            ParameterLayout::ETA1,
            ParameterLayout::ETA2,
            ParameterLayout::DELTA1,
            ParameterLayout::DELTA2,
        ]
        .map(|at| f64::from(numbers[at]));
        let values = part(places.values());
        let (transposed, from) = pattern.transposed();
        let turned = from.iter().map(|&k| values[k as usize]).collect();
        Layer {
            pattern: pattern.clone(),
            values,
            q: part(places.q()),
            b: part(places.b()),
            activation: Activation { eta1, eta2, delta1, delta2 },
            l,
            format,
            transposed: (transposed, turned),
            usable: [l, eta1, eta2, delta1, delta2].iter().all(|x| x.is_finite()),
        }
    }

    /// The matrix, or its transpose, times x.
    fn product(&self, pattern: &Pattern, values: &[f64], x: &[Approx]) -> Numbers {
        let m = x.len() / pattern.columns() as usize;
        let x: Numbers = x.iter().map(|&x| settled(x)).collect();
        // the zeros of dense rows meet every component
        let any = |what: fn(&Approx) -> bool| -> Vec<bool> {
            let dense = self.format == Format::Dense;
            (0..m).map(|c| dense && x.iter().skip(c).step_by(m).any(what)).collect()
        };
        let lost = any(|x| !x.value.is_finite());
        let undecided = any(|x| x.error == f64::INFINITY);
        let row = |(i, to): (usize, &mut [Approx])| {
            let entries = pattern.row(i as u32);
            let chain = match self.format {
                Format::Dense => pattern.columns() as usize,
                _ => entries.len(),
            };
            for (c, to) in to.iter_mut().enumerate() {
                let (mut sum, mut carried, mut peak, mut terms) = (0.0, 0.0, 0.0_f64, 0);
                let (mut magnitudes, mut last) = (0.0, (0.0, Approx::exact(0.0)));
                for k in entries.clone() {
                    let (a, x) = (values[k], x[pattern.indices()[k] as usize * m + c]);
                    sum += a * x.value;
                    magnitudes += (a * x.value).abs();
                    carried += if a == 0.0 && x.error.is_finite() { 0.0 } else { a.abs() * x.error };
                    if a.abs() < FLUSH {
                        carried += a.abs() * (x.value.abs() + x.error);
                    }
                    peak = peak.max(x.peak).max(a.abs());
                    if a * x.value != 0.0 {
                        terms += 1;
                        last = (a, x);
                    }
                }
                let exact = terms == 0 || (terms == 1 && times(Approx::exact(last.0), last.1).error == 0.0);
                let rounded = if exact {
                    0.0
                } else {
                    let chain = chain as f64 + TREE;
                    chain * (RELATIVE * (magnitudes + carried) + FLUSH)
                };
                let error = carried + rounded;
                let peak = peak.max(magnitudes + error);
                *to = settled(Approx { value: sum, error, peak });
                if lost[c] {
                    to.value = f64::NAN;
                } else if undecided[c] {
                    to.error = f64::INFINITY;
                }
            }
        };
        let none = Approx { value: 0.0, error: 0.0, peak: 0.0 };
        let mut all = vec![none; pattern.rows() as usize * m];
        all.par_chunks_mut(m).enumerate().for_each(row);
        all
    }

    fn plain(&self, x: &[Approx]) -> Numbers {
        self.product(&self.pattern, &self.values, x)
    }

    fn back(&self, x: &[Approx]) -> Numbers {
        self.product(&self.transposed.0, &self.transposed.1, x)
    }

    /// x - (x - c) / L, or x - g / L.
    fn stepped(&self, x: &[Approx], data: &[Approx], given: bool) -> Numbers {
        let l = Approx::exact(self.l);
        x.iter()
            .zip(data)
            .map(|(&x, &d)| {
                let g = if given { d } else { x - d };
                // neither the difference nor the quotient of nothing is rounded
                if g.value == 0.0 && g.error == 0.0 && l.value.is_finite() { x } else { settled(x - g / l) }
            })
            .collect()
    }

    /// The layer's output.
    pub fn forward(&self, x: &[Approx], data: &[Approx], given: bool) -> Numbers {
        let u = self.plain(&self.stepped(x, data, given));
        let m = x.len() / self.q.len();
        let e: Numbers = u.iter().enumerate().map(|(k, &u)| self.e(u, k / m)).collect();
        self.back(&e)
    }

    /// xi(q_i u) - b_i
    fn e(&self, u: Approx, i: usize) -> Approx {
        let v = settled(times(Approx::exact(self.q[i]), u));
        if !self.usable || v.value.is_nan() {
            return Approx { value: f64::NAN, error: 0.0, peak: 0.0 };
        }
        let a = self.activation;
        let [low, value, high] = [v.value - v.error, v.value, v.value + v.error].map(|v| a.value(v));
        let largest = low.abs().max(high.abs());
        let rounded =
            if largest == 0.0 { 0.0 } else { 4.0 * RELATIVE * largest + 4.0 * FLUSH * (1.0 + a.lipschitz()) };
        let error = (high - value).max(value - low) + rounded;
        let xi = Approx { value, error, peak: v.peak.max(largest + error) };
        let b = Approx::exact(self.b[i]);
        settled(if b.value == 0.0 { xi } else { xi - b })
    }

    /// u, from the layer's input.
    pub fn u(&self, x: &[Approx], data: &[Approx], given: bool) -> Numbers {
        self.plain(&self.stepped(x, data, given))
    }

    /// w̄, from ȳ, which 1 - 1/L of `scale_by` multiplies.
    pub fn w(&self, grad_output: &[Approx], scale_by: Option<f64>) -> Numbers {
        let scaled =
            |scale: Approx| grad_output.iter().map(|&x| settled(times(x, scale))).collect::<Numbers>();
        match scale_by {
            None => self.plain(grad_output),
            Some(l) if !l.is_finite() => self.plain(&scaled(Approx::exact(f64::NAN))),
            Some(l) => self.plain(&scaled(Approx::exact(1.0) - Approx::exact(1.0) / Approx::exact(l))),
        }
    }

    /// r̄ from the u and w̄ that the kernel wrote, and how many of these lie where either slope is right.
    pub fn grad_r(&self, u: &[Approx], w: &[Approx]) -> (Numbers, u64) {
        let m = u.len() / self.q.len();
        let mut in_band = 0;
        let mut grad_output = |(k, (&u, &w)): (usize, (&Approx, &Approx))| {
            let q = Approx::exact(self.q[k / m]);
            let v = settled(times(q, u));
            if !self.usable || v.value.is_nan() || !w.value.is_finite() {
                return Approx { value: f64::NAN, error: 0.0, peak: 0.0 };
            }
            let slope = self.slope(v);
            in_band += u64::from(slope.error > 0.0);
            settled(times(times(q, slope), w))
        };
        let grad_u: Numbers = u.iter().zip(w).enumerate().map(&mut grad_output).collect();
        (self.back(&grad_u), in_band)
    }

    /// xi'(v), with the other side's where v is within its error of a knee.
    fn slope(&self, v: Approx) -> Approx {
        let a = self.activation;
        let value = a.partials(v.value).v;
        let (low, high) = (v.value - v.error, v.value + v.error);
        let mut sides = vec![value];
        if v.error > 0.0 {
            let knees = [-a.delta2, -a.delta1, a.delta1, a.delta2];
            sides.extend([low, high].map(|v| a.partials(v).v));
            sides.extend(knees.into_iter().filter(|k| (low..=high).contains(k)).map(|k| a.partials(k).v));
        }
        let error = sides.iter().map(|s| (s - value).abs()).fold(0.0, f64::max);
        Approx { value, error, peak: value.abs() + error }
    }
}
