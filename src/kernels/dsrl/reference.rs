//! The float64 reference of the fused layers, with what WGSL permits of them.

use rayon::prelude::*;

use super::dispatch::{SUMS, TILE, groups_of};
use crate::accuracy::{Approx, FLUSH, RELATIVE};
use crate::kernels::{Judgement, Outcome};
use crate::penalty::{Activation, Partials};
use crate::regulariser::ParameterLayout;

/// A layer as its kernel reads it.
#[derive(Clone, Copy, Debug)]
struct Layer {
    a: Activation,
    l: f64,
    /// Whether a number is not finite.
    bad: bool,
}

/// N layers.
#[derive(Clone, Debug)]
pub struct DsrlReference {
    layers: Vec<Layer>,
    shared: bool,
}

/// A layer's argument, and what the way back needs of it.
#[derive(Clone, Copy, Debug)]
struct SavedActivations {
    x: Approx,
    v: Approx,
    /// Whether it certainly is finite, or certainly not.
    finite: Option<bool>,
}

/// What an element adds to the gradient of one layer: by L, eta1, eta2, delta1, delta2.
type Terms = [Term; SUMS as usize];

/// A term with its error, and whether it certainly is finite, or certainly not.
type Term = (f64, f64, Option<bool>);

fn exact(x: f32) -> Approx {
    Approx::exact(f64::from(x))
}

impl Layer {
    fn inverse(&self) -> Approx {
        Approx::exact(1.0) / Approx::exact(self.l)
    }

    /// x - (x - c) / L. x stands there twice, and so its error is multiplied by 1 - 1/L; the difference, the quotient of two
    /// steps and the outer difference are rounded.
    fn argument(&self, x: Approx, c: Approx) -> Approx {
        let far = Approx { error: 0.0, ..x } - c;
        let moved = far * self.inverse();
        let v = Approx { error: 0.0, ..x } - moved;
        Approx { error: v.error + (1.0 - 1.0 / self.l).abs() * x.error, ..v }
    }

    /// xi(v): its errors times the largest slope, and three roundings.
    fn value(&self, v: Approx) -> Approx {
        let value = self.a.value(v.value);
        let slope = self.a.lipschitz();
        let flush = 4.0 * FLUSH * (1.0 + slope);
        // within the dead zone for certain: nothing is rounded
        let zero = v.value.abs() + v.error <= self.a.delta1;
        let error = if zero { 0.0 } else { slope * v.error + 4.0 * RELATIVE * value.abs() + flush };
        Approx { value, error, peak: v.peak.max(value.abs() + error) }
    }

    /// The derivatives at v, and how far those at places within v's error lie from them.
    fn partials(&self, v: Approx) -> (Partials, Partials, bool) {
        let a = &self.a;
        let at = a.partials(v.value);
        let mut far = Partials::default();
        let mut include = |p: Partials| {
            far.v = far.v.max((p.v - at.v).abs());
            far.eta1 = far.eta1.max((p.eta1 - at.eta1).abs());
            far.eta2 = far.eta2.max((p.eta2 - at.eta2).abs());
            far.delta1 = far.delta1.max((p.delta1 - at.delta1).abs());
            far.delta2 = far.delta2.max((p.delta2 - at.delta2).abs());
        };
        let (low, high) = (v.value - v.error, v.value + v.error);
        include(a.partials(low));
        include(a.partials(high));
        let mut kink = false;
        for knee in [a.delta1, a.delta2, -a.delta1, -a.delta2] {
            if low <= knee && knee <= high {
                kink |= v.error > 0.0;
                include(a.partials(knee));
                include(a.partials(knee.next_down()));
            }
        }
        // each is rounded at most twice
        let widen = |far: &mut f64, at: f64| *far += 2.0 * RELATIVE * at.abs() + FLUSH;
        widen(&mut far.eta1, at.eta1);
        widen(&mut far.eta2, at.eta2);
        widen(&mut far.delta2, at.delta2);
        (at, far, kink)
    }
}

impl DsrlReference {
    /// `numbers` of one layer, which all of `layers` share, or of each: eight per layer.
    #[must_use]
    pub fn new(numbers: &[f32], layers: u32) -> Self {
        let shared = numbers.len() == 8;
        let one = |l: usize| {
            let head = &numbers[if shared { 0 } else { 8 * l }..][..5];
            let [step, eta1, eta2, delta1, delta2] = [
                ParameterLayout::L,
                ParameterLayout::ETA1,
                ParameterLayout::ETA2,
                ParameterLayout::DELTA1,
                ParameterLayout::DELTA2,
            ]
            .map(|p| f64::from(head[p]));
            let a = Activation { eta1, eta2, delta1, delta2 };
            Layer { a, l: step, bad: head.iter().any(|x| !x.is_finite()) }
        };
        DsrlReference { layers: (0..layers as usize).map(one).collect(), shared }
    }

    /// x_N of one element.
    #[must_use]
    pub fn value(&self, x: f32, c: f32) -> f64 {
        let (mut x, c) = (f64::from(x), f64::from(c));
        for layer in &self.layers {
            x = layer.a.value(x - (x - c) / layer.l);
        }
        x
    }

    /// Every layer's input, then the output, as far as numbers are finite; and whether the output is.
    fn passed(&self, x: f32, c: f32) -> (Vec<SavedActivations>, Approx, Option<bool>) {
        let nothing = Approx::exact(0.0);
        let mut all = Vec::with_capacity(self.layers.len());
        if !x.is_finite() || !c.is_finite() {
            all.resize(self.layers.len(), SavedActivations { x: nothing, v: nothing, finite: Some(false) });
            return (all, nothing, Some(false));
        }
        let (mut x, c) = (exact(x), exact(c));
        let mut finite = Some(true);
        for layer in &self.layers {
            let v = if finite == Some(false) || layer.bad { nothing } else { layer.argument(x, c) };
            finite = match (finite, layer.bad) {
                (Some(false), _) | (_, true) => Some(false),
                (before, false) => both(before, v.finite()),
            };
            all.push(SavedActivations { x, v, finite });
            x = if finite == Some(false) { nothing } else { layer.value(v) };
        }
        let last = if finite == Some(false) { finite } else { both(finite, x.finite()) };
        (all, x, last)
    }

    /// Judges x_N of every element.
    #[must_use]
    pub fn judge_forward(&self, x: &[f32], c: &[f32], got: &[f32]) -> Outcome {
        let one = |k: usize| {
            let (_, value, finite) = self.passed(x[k], c[k]);
            let mut outcome = Outcome::default();
            near(k, "x_N", value, finite, got[k], &mut outcome);
            let zero = got[k].to_bits() == 0x8000_0000;
            outcome.demand(!zero, || format!("element {k} is -0.0"));
            outcome
        };
        (0..x.len()).into_par_iter().with_min_len(256).map(one).reduce(Outcome::default, merged)
    }

    /// One element backward: the derivative by x_0, whether that is finite, what it adds to each layer's gradient, and whether it
    /// came near a knee.
    pub(crate) fn back(&self, x: f32, c: f32, grad_output: f32) -> (Approx, Option<bool>, Vec<Terms>, bool) {
        let (passed, _, _) = self.passed(x, c);
        let mut finite = Some(grad_output.is_finite());
        let mut grad_output = if grad_output.is_finite() { exact(grad_output) } else { Approx::exact(0.0) };
        let mut terms = vec![[(0.0, 0.0, Some(false)); SUMS as usize]; passed.len()];
        let mut near_knee = false;
        for ((layer, at), to) in self.layers.iter().zip(&passed).zip(&mut terms).rev() {
            finite = both(finite, at.finite);
            if finite == Some(false) {
                continue;
            }
            let (p, far, kink) = layer.partials(at.v);
            near_knee |= kink;
            let times =
                |value: f64, error: f64| Approx { value, error, peak: value.abs() + error } * grad_output;
            let r = times(p.v, far.v);
            let inverse = layer.inverse();
            *to = [
                r * (at.x - exact(c)) * (inverse * inverse),
                times(p.eta1, far.eta1),
                times(p.eta2, far.eta2),
                times(p.delta1, far.delta1),
                times(p.delta2, far.delta2),
            ]
            .map(|term| (term.value, term.error, both(finite, term.finite())));
            grad_output = r * (Approx::exact(1.0) - inverse);
            // compilers may take the factors of a product together: what overflows here may come back
            if grad_output.finite() != Some(true) {
                finite = both(finite, None);
            }
        }
        (grad_output, both(finite, grad_output.finite()), terms, near_knee)
    }

    /// Judges the derivatives by x_0, where there are any, and the gradient, which was `before` where it was added to.
    #[must_use]
    pub fn judge_backward(
        &self,
        arrays: [&[f32]; 3],
        before: Option<&[f32]>,
        grad_input: Option<&[f32]>,
        gradient: &[f32],
    ) -> Outcome {
        let [x, c, grad_output] = arrays;
        let layers = if self.shared { 1 } else { self.layers.len() };
        let zero = || (Outcome::default(), vec![[Sum::default(); SUMS as usize]; layers]);
        let one = |mut all: (Outcome, Vec<[Sum; SUMS as usize]>), k: usize| {
            let (value, finite, terms, near_knee) = self.back(x[k], c[k], grad_output[k]);
            all.0.in_band += u64::from(near_knee);
            if let Some(grad_input) = grad_input {
                near(k, "derivative by x", value, finite, grad_input[k], &mut all.0);
            }
            for (l, terms) in terms.iter().enumerate() {
                let sums = &mut all.1[if self.shared { 0 } else { l }];
                for (sum, (value, error, finite)) in sums.iter_mut().zip(terms) {
                    sum.add(*value, *error, *finite);
                }
            }
            all
        };
        let both_of = |a: (Outcome, Vec<[Sum; SUMS as usize]>), b: (Outcome, Vec<[Sum; SUMS as usize]>)| {
            let sums = a.1.iter().zip(&b.1).map(|(a, b)| std::array::from_fn(|s| a[s].plus(&b[s])));
            (merged(a.0, b.0), sums.collect())
        };
        let elements = (0..x.len()).into_par_iter().with_min_len(256);
        let (mut outcome, sums) = elements.fold(zero, one).reduce(zero, both_of);
        // terms of an invocation, its layers, two rounds of 16, the tiles of a workgroup, the fold, and the gradient before
        let tiles = (x.len() as u32).div_ceil(TILE);
        let groups = groups_of(tiles, self.layers.len() as u32).max(1);
        let joined = if self.shared { self.layers.len() as u32 } else { 1 };
        let chain = f64::from(10 + joined + 33 + tiles.div_ceil(groups) + groups.div_ceil(256) + 9);
        for (l, sums) in sums.iter().enumerate() {
            for (s, sum) in sums.iter().enumerate() {
                let at = 8 * l + s;
                let mut sum = *sum;
                if let Some(before) = before {
                    let x = before[at];
                    let value = if x.is_finite() { f64::from(x) } else { 0.0 };
                    sum.add(value, 0.0, Some(x.is_finite()));
                }
                let error = sum.error + chain * RELATIVE * sum.magnitude + FLUSH;
                let peak = sum.magnitude + error;
                let value = Approx { value: sum.value, error, peak };
                near(at, "gradient", value, both(sum.finite, value.finite()), gradient[at], &mut outcome);
            }
            for at in 8 * l + SUMS as usize..8 * l + 8 {
                let kept = before.map_or(0, |before| before[at].to_bits());
                let bits = gradient[at].to_bits();
                outcome.demand(bits == kept, || format!("place {at} of the gradient: {bits:#010x}"));
            }
        }
        outcome
    }
}

/// A sum with its terms' errors and magnitudes, and whether it is finite.
#[derive(Clone, Copy, Debug)]
struct Sum {
    value: f64,
    error: f64,
    magnitude: f64,
    finite: Option<bool>,
}

impl Default for Sum {
    fn default() -> Self {
        Sum { value: 0.0, error: 0.0, magnitude: 0.0, finite: Some(true) }
    }
}

impl Sum {
    fn add(&mut self, value: f64, error: f64, finite: Option<bool>) {
        *self = self.plus(&Sum { value, error, magnitude: value.abs(), finite });
    }

    fn plus(&self, other: &Sum) -> Sum {
        Sum {
            value: self.value + other.value,
            error: self.error + other.error,
            magnitude: self.magnitude + other.magnitude,
            finite: both(self.finite, other.finite),
        }
    }
}

/// Finite if both are; not finite if one is not.
fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn merged(mut a: Outcome, b: Outcome) -> Outcome {
    a.merge(b);
    a
}

fn near(k: usize, what: &str, expected: Approx, finite: Option<bool>, got: f32, outcome: &mut Outcome) {
    let j = Judgement::near(expected, finite, got);
    outcome.judge(&j, got, || format!("{what} {k}: {}, finite {finite:?}", j.told(got)));
}
