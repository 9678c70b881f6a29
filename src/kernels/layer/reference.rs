//! The float64 twin of the kernels, with bounds: every number is an [`Approx`].
//!
//! Layers are judged one by one, each by the input that the GPU had, and the stages of the backward pass likewise, so that the
//! bounds stay those of one product or two. `crate::network::reference` has the same formulas without bounds.

use rayon::prelude::*;

use crate::accuracy::{Approx, FLUSH, RELATIVE};
use crate::kernels::{Format, Judgement};
use crate::matrix::Pattern;
use crate::network::Parameters;

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
    Judgement { ok, in_band: false, ulps: 0.0, expected: x.value, bound: x.error }
}

/// A layer with its numbers as the kernel has them.
pub(crate) struct Layer<'a> {
    p: &'a Parameters,
    format: Format,
    /// The transposed pattern and its values.
    transposed: (Pattern, Vec<f64>),
    /// Whether the activation and L are finite.
    usable: bool,
}

impl<'a> Layer<'a> {
    pub fn new(p: &'a Parameters, format: Format) -> Self {
        let (transposed, from) = p.pattern.transposed();
        let values = from.iter().map(|&k| p.values[k as usize]).collect();
        let a = p.activation;
        let usable = [p.l, a.eta1, a.eta2, a.delta1, a.delta2].iter().all(|x| x.is_finite());
        Layer { p, format, transposed: (transposed, values), usable }
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
        self.product(&self.p.pattern, &self.p.values, x)
    }

    fn back(&self, x: &[Approx]) -> Numbers {
        self.product(&self.transposed.0, &self.transposed.1, x)
    }

    /// x - (x - c) / L, or x - g / L.
    fn stepped(&self, x: &[Approx], data: &[Approx], given: bool) -> Numbers {
        let l = Approx::exact(self.p.l);
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
        let m = x.len() / self.p.q.len();
        let e: Numbers = u.iter().enumerate().map(|(k, &u)| self.e(u, k / m)).collect();
        self.back(&e)
    }

    /// xi(q_i u) - b_i
    fn e(&self, u: Approx, i: usize) -> Approx {
        let v = settled(times(Approx::exact(self.p.q[i]), u));
        if !self.usable || v.value.is_nan() {
            return Approx { value: f64::NAN, error: 0.0, peak: 0.0 };
        }
        let a = self.p.activation;
        let [low, value, high] = [v.value - v.error, v.value, v.value + v.error].map(|v| a.value(v));
        let largest = low.abs().max(high.abs());
        let rounded =
            if largest == 0.0 { 0.0 } else { 4.0 * RELATIVE * largest + 4.0 * FLUSH * (1.0 + a.lipschitz()) };
        let error = (high - value).max(value - low) + rounded;
        let xi = Approx { value, error, peak: v.peak.max(largest + error) };
        let b = Approx::exact(self.p.b[i]);
        settled(if b.value == 0.0 { xi } else { xi - b })
    }

    /// u, from the layer's input.
    pub fn u(&self, x: &[Approx], data: &[Approx], given: bool) -> Numbers {
        self.plain(&self.stepped(x, data, given))
    }

    /// w̄, from ȳ, which 1 - 1/L of `scale_by` multiplies.
    pub fn w(&self, bar: &[Approx], scale_by: Option<f64>) -> Numbers {
        let scaled = |scale: Approx| bar.iter().map(|&x| settled(times(x, scale))).collect::<Numbers>();
        match scale_by {
            None => self.plain(bar),
            Some(l) if !l.is_finite() => self.plain(&scaled(Approx::exact(f64::NAN))),
            Some(l) => self.plain(&scaled(Approx::exact(1.0) - Approx::exact(1.0) / Approx::exact(l))),
        }
    }

    /// r̄ from the u and w̄ that the kernel wrote, and how many of these lie where either slope is right.
    pub fn r_bar(&self, u: &[Approx], w: &[Approx]) -> (Numbers, u64) {
        let m = u.len() / self.p.q.len();
        let mut in_band = 0;
        let mut bar = |(k, (&u, &w)): (usize, (&Approx, &Approx))| {
            let q = Approx::exact(self.p.q[k / m]);
            let v = settled(times(q, u));
            if !self.usable || v.value.is_nan() || !w.value.is_finite() {
                return Approx { value: f64::NAN, error: 0.0, peak: 0.0 };
            }
            let slope = self.slope(v);
            in_band += u64::from(slope.error > 0.0);
            settled(times(times(q, slope), w))
        };
        let u_bar: Numbers = u.iter().zip(w).enumerate().map(&mut bar).collect();
        (self.back(&u_bar), in_band)
    }

    /// xi'(v), with the other side's where v is within its error of a knee.
    fn slope(&self, v: Approx) -> Approx {
        let a = self.p.activation;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::Array2;

    use super::*;
    use crate::network::reference::{Phi, layer, layer_back};
    use crate::penalty::Activation;

    /// The values are those of the twin without bounds.
    #[test]
    fn the_values_are_those_of_the_network() {
        let (n, m) = (12_usize, 7);
        let pattern = Arc::new(Pattern::random(n as u32, 0.4, 3).unwrap());
        let activation = Activation { eta1: 0.75, eta2: 0.5, delta1: 0.25, delta2: 0.75 };
        let mut p = Parameters::identity(pattern, activation, 1.25).unwrap();
        p.values.iter_mut().enumerate().for_each(|(k, a)| *a += f64::from((k as f32 * 0.7).sin()));
        p.b.iter_mut().enumerate().for_each(|(k, b)| *b = 0.125 * k as f64);
        let [x, c, bar] = [0.3_f32, 0.5, 0.9]
            .map(|f| Array2::from_shape_fn((n, m), |(i, c)| f64::from((f * (i * m + c) as f32).cos())));
        let passed = layer(&p, &Phi::Near(c.view()), &x);
        let (x_bar, _) = layer_back(&p, &Phi::Near(c.view()), &passed, &bar);
        let numbers = |of: &Array2<f64>| of.iter().map(|&x| Approx::exact(x)).collect::<Numbers>();
        let close = |a: &[Approx], b: &Array2<f64>| {
            a.iter().zip(b).for_each(|(a, b)| assert!((a.value - b).abs() < 1e-9, "{a:?} {b}"));
        };
        for format in Format::ALL {
            let twin = Layer::new(&p, format);
            close(&twin.forward(&numbers(&x), &numbers(&c), false), &passed.y);
            close(&twin.forward(&numbers(&x), &numbers(&passed.g), true), &passed.y);
            let u = twin.u(&numbers(&x), &numbers(&c), false);
            close(&u, &passed.u);
            let (r_bar, _) = twin.r_bar(&u, &twin.w(&numbers(&bar), None));
            close(&r_bar, &(x_bar.clone() / (1.0 - 1.0 / p.l)));
            let scaled = twin.w(&numbers(&bar), Some(4.0));
            twin.w(&numbers(&bar), None).iter().zip(&scaled).for_each(|(a, b)| {
                assert!((0.75 * a.value - b.value).abs() < 1e-9);
            });
        }
    }
}
