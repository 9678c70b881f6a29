//! The float64 reference of what derivatives are computed from: each number with how far what WGSL permits may lie from it.

use crate::accuracy::{FLUSH, RELATIVE};
use crate::penalty::Activation;
use crate::regulariser::ParameterLayout;

/// Beyond this a result of f32 may be infinite.
const LARGE: f64 = 0.99 * f32::MAX as f64;

/// A number, and how far an f32 result may lie from it. NaN where the result must not be finite; an infinite error where it
/// may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Near {
    pub value: f64,
    pub error: f64,
}

/// What the rounding of a result may add, and its flush to 0.
fn rounding(value: f64) -> f64 {
    RELATIVE * value.abs() + if value.abs() < FLUSH { FLUSH } else { 0.0 }
}

impl Near {
    fn new(value: f64, error: f64) -> Self {
        if value.abs() >= LARGE {
            // overflow on the way
            return Near {
                value: if value.abs() > 1.01 * f64::from(f32::MAX) { f64::NAN } else { value },
                error: f64::INFINITY,
            };
        }
        Near { value, error }
    }

    /// The largest magnitude that it may have.
    pub fn most(self) -> f64 {
        self.value.abs() + self.error
    }
}

/// The numbers of a layer.
#[derive(Clone, Debug)]
pub struct Layer {
    a: Activation,
    l: f64,
    q: Vec<f64>,
    b: Vec<f64>,
    scale: Near,
    bad: bool,
}

impl Layer {
    /// Of the learned numbers of the layer, and of L of the one behind it, by which ȳ is scaled.
    pub fn new(theta: &[f32], places: ParameterLayout, behind: Option<f32>) -> Self {
        let number = |at: usize| f64::from(theta[at]);
        let numbers = |range: std::ops::Range<usize>| theta[range].iter().map(|&x| f64::from(x)).collect();
        let a = Activation {
            eta1: number(ParameterLayout::ETA1),
            eta2: number(ParameterLayout::ETA2),
            delta1: number(ParameterLayout::DELTA1),
            delta2: number(ParameterLayout::DELTA2),
        };
        let scale = match behind.map(f64::from) {
            None => Near { value: 1.0, error: 0.0 },
            Some(l) if l.is_finite() => {
                let value = 1.0 - 1.0 / l;
                Near { value, error: 2.5 * RELATIVE / l + rounding(value) }
            }
            Some(_) => Near { value: f64::NAN, error: 0.0 },
        };
        let bad = [a.eta1, a.eta2, a.delta1, a.delta2].iter().any(|x| !x.is_finite());
        Layer { a, l: number(ParameterLayout::L), q: numbers(places.q()), b: numbers(places.b()), scale, bad }
    }

    /// v = q u; without error where the product is a number of f32. NaN where it or a number of the activation is not finite.
    pub fn v(&self, i: usize, u: f32) -> Near {
        let value = self.q[i] * f64::from(u);
        if self.bad || !value.is_finite() {
            return Near { value: f64::NAN, error: 0.0 };
        }
        let exact = f64::from(value as f32) == value;
        let normal = |x: f64| x == 0.0 || x.abs() >= FLUSH;
        let flushed = if normal(f64::from(u)) { 0.0 } else { self.q[i] * FLUSH };
        let error = if exact && normal(value) { 0.0 } else { rounding(value) };
        Near::new(value, error + flushed)
    }

    /// e = xi(v) - b.
    pub fn e(&self, i: usize, v: Near) -> Near {
        if v.value.is_nan() {
            return v;
        }
        let xi = self.a.value(v.value);
        let (lipschitz, value) = (self.a.lipschitz(), xi - self.b[i]);
        let flushes = FLUSH * (2.0 + 2.0 * lipschitz);
        Near::new(value, lipschitz * v.error + 4.0 * RELATIVE * xi.abs() + rounding(value) + flushes)
    }

    /// The places next to v on either side of which a piece of the activation ends, and the ends of what v may be.
    fn candidates(&self, v: Near) -> Vec<f64> {
        let (d1, d2) = (self.a.delta1, self.a.delta2);
        let knees: Vec<f64> =
            [-d2, -d1, 0.0, d1, d2].into_iter().filter(|k| (k - v.value).abs() <= v.error).collect();
        if v.error == 0.0 || knees.is_empty() {
            return Vec::new();
        }
        knees
            .into_iter()
            .flat_map(|k| [k, k.next_down()])
            .chain([v.value - v.error, v.value + v.error])
            .collect()
    }

    /// xi'(v), with what it may be on the other side of a knee as error.
    pub fn slope(&self, v: Near) -> Near {
        if v.value.is_nan() {
            return v;
        }
        let value = self.a.partials(v.value).v;
        let others = self.candidates(v).into_iter().map(|at| (self.a.partials(at).v - value).abs());
        Near { value, error: others.fold(0.0, f64::max) }
    }

    /// The derivatives of xi by eta1, eta2, delta1, delta2.
    pub fn partials(&self, v: Near) -> [Near; 4] {
        if v.value.is_nan() {
            return [v; 4];
        }
        let of = |at: f64| {
            let p = self.a.partials(at);
            [p.eta1, p.eta2, p.delta1, p.delta2]
        };
        let own = of(v.value);
        let others: Vec<[f64; 4]> = self.candidates(v).into_iter().map(of).collect();
        std::array::from_fn(|k| {
            let jump = others.iter().map(|other| (other[k] - own[k]).abs()).fold(0.0, f64::max);
            Near { value: own[k], error: jump.max(v.error) + rounding(own[k]) }
        })
    }

    /// ū = q xi'(v) w̄.
    pub fn grad_u(&self, i: usize, v: Near, w: f32) -> Near {
        let (slope, w) = (self.slope(v), f64::from(w));
        if !w.is_finite() || v.value.is_nan() {
            return Near { value: f64::NAN, error: 0.0 };
        }
        let q = self.q[i];
        let value = q * slope.value * w;
        let inner = Near::new(slope.value * w, 0.0).error;
        Near::new(
            value,
            inner
                + 2.1 * RELATIVE * value.abs()
                + q * slope.error * w.abs() * 1.001
                + FLUSH * (1.0 + q * (1.0 + slope.value)),
        )
    }

    /// g = x - c or given.
    pub fn g(&self, x: f32, d: f32, given: bool) -> Near {
        let (x, d) = (f64::from(x), f64::from(d));
        if given { Near { value: d, error: 0.0 } } else { Near::new(x - d, rounding(x - d)) }
    }

    /// r = x - g / L.
    pub fn r(&self, x: f32, d: f32, given: bool) -> Near {
        if !self.l.is_finite() {
            return Near { value: f64::NAN, error: 0.0 };
        }
        let g = self.g(x, d, given);
        let step = g.value / self.l;
        let value = f64::from(x) - step;
        let error = 4.0 * RELATIVE * step.abs() + g.error / self.l * 1.001 + FLUSH * (2.0 + 1.0 / self.l);
        Near::new(value, error + rounding(value))
    }

    /// ȳ.
    pub fn y_bar(&self, grad_output: f32) -> Near {
        let grad_output = f64::from(grad_output);
        let value = self.scale.value * grad_output;
        if self.scale == (Near { value: 1.0, error: 0.0 }) {
            return Near { value, error: FLUSH };
        }
        Near::new(value, self.scale.error * grad_output.abs() * 1.001 + rounding(value) + FLUSH)
    }

    /// L.
    pub fn l(&self) -> f64 {
        self.l
    }
}

/// A sum of numbers that are near theirs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub value: f64,
    pub error: f64,
    pub magnitude: f64,
}

impl Sum {
    /// Adds a term.
    pub fn add(&mut self, value: f64, error: f64) {
        self.value += value;
        self.error += error + 2.0 * FLUSH;
        self.magnitude += value.abs() + error;
    }

    /// Adds the product of two.
    pub fn add_product(&mut self, a: Near, b: Near) {
        let value = a.value * b.value;
        self.add(value, a.error * b.most() + a.value.abs() * b.error + RELATIVE * value.abs());
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Sum) {
        self.value += other.value;
        self.error += other.error;
        self.magnitude += other.magnitude;
    }

    /// How far the f32 sum may lie from the value, for a longest chain of additions: a little more than the first order.
    pub fn bound(&self, chain: f64) -> f64 {
        1.01 * self.error + 1.01 * (chain + 4.0) * RELATIVE * self.magnitude
    }

    /// All of it times a factor.
    pub fn times(self, factor: f64) -> Self {
        let by = factor.abs();
        Sum { value: self.value * factor, error: self.error * by, magnitude: self.magnitude * by }
    }

    /// Whether `got` is a permitted result.
    pub fn holds(&self, chain: f64, got: f32) -> bool {
        let bound = self.bound(chain);
        if !self.value.is_finite() {
            return !got.is_finite();
        }
        // overflow on the way
        if !bound.is_finite() || (self.magnitude >= LARGE && !got.is_finite()) {
            return true;
        }
        (f64::from(got) - self.value).abs() <= bound
    }

    /// The distance, what the terms explain taken off, in ULP of the sum of magnitudes.
    pub fn ulps(&self, got: f32) -> f64 {
        let beyond = ((f64::from(got) - self.value).abs() - self.error).max(0.0);
        let ulps = beyond / (RELATIVE * self.magnitude.max(FLUSH));
        if ulps.is_finite() { ulps } else { 0.0 }
    }
}
