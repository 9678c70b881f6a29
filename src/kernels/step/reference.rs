//! The float64 reference of the step.

use super::{Adam, Elementwise, Optimizer, StepParameters};
use crate::accuracy::{Approx, QUIET_NAN};
use crate::kernels::element::Element;
use crate::kernels::{Judgement, Reference};
use crate::penalty::{Groups, Penalty, Prox, accept};

/// The step in float64, from the published formulas and the user's numbers. Rate, lambda and shape parameters are rounded to
/// f32 first. All that the host makes of them for the kernel is computed here anew, and its rounding is part of the bound.
#[derive(Clone, Copy, Debug)]
pub struct StepReference {
    base: Optimizer,
    /// The learning rate.
    rate: f64,
    /// What Adam divides its moments by.
    bias: [f64; 2],
    prox: Prox,
    /// Whether zeros stay zeros.
    freeze: bool,
}

/// What the base step makes of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    point: Approx,
    /// What the step size of the prox is multiplied by.
    scale: Approx,
    m: Approx,
    v: Approx,
    /// Of a zero that stays: the second moment, which stays too.
    held: Option<f32>,
}

impl Moved {
    /// Where the prox is taken: at 0 for a zero that stays, wherever the base step would have moved it.
    pub fn point(&self) -> Approx {
        self.held.map_or(self.point, |_| Approx::exact(0.0))
    }

    /// Whether a zero stays.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The states: no momentum of a zero that stays.
    fn states(&self) -> [Approx; 2] {
        self.held.map_or([self.m, self.v], |v| [Approx::exact(0.0), Approx::exact(f64::from(v))])
    }

    /// Whether what a kernel stored as states is within their errors.
    pub fn states_hold(&self, states: usize, after: Element) -> bool {
        self.states()[..states]
            .iter()
            .zip([after.m, after.v])
            .all(|(want, got)| (f64::from(got) - want.value).abs() <= want.error)
    }
}

/// 1 - beta^step, by squaring: 1 - (1 - a)(1 - b) = a + b - a b, in which nothing cancels.
pub(in crate::kernels) fn bias_correction(beta: f64, step: u64) -> f64 {
    let join = |a: f64, b: f64| a + b * (1.0 - a);
    let (mut all, mut power, mut left) = (0.0, 1.0 - beta, step);
    while left > 0 {
        if left % 2 == 1 {
            all = join(all, power);
        }
        (power, left) = (join(power, power), left / 2);
    }
    all
}

impl StepReference {
    /// The reference for one tensor and step.
    #[must_use]
    pub fn new(
        base: Optimizer,
        penalty: Penalty,
        lambda: f64,
        lr_scale: f64,
        hyper: &StepParameters,
    ) -> Self {
        Self::of(&Elementwise::new(penalty, lambda), base, lr_scale, hyper)
    }

    /// The same for an operator. Allocates nothing.
    pub(crate) fn of(operator: &Elementwise, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Self {
        let Elementwise { penalty, lambda } = *operator;
        let rate = f64::from((hyper.lr() * lr_scale) as f32);
        let lambda = f64::from((lambda * hyper.lambda_scale()) as f32);
        let prox = Prox::searched(penalty, rate, lambda);
        let bias = match base {
            Optimizer::Adam(adam) | Optimizer::AdamMetric(adam) => {
                [adam.beta1, adam.beta2].map(|beta| bias_correction(beta, hyper.step()))
            }
            _ => [1.0; 2],
        };
        StepReference { base, rate, bias, prox, freeze: hyper.frozen_zeros() }
    }

    /// The prox.
    #[must_use]
    pub fn prox(&self) -> &Prox {
        &self.prox
    }

    /// The base step's formulas.
    pub(crate) fn advance(&self, e: Element) -> Moved {
        self.advance_with(e, Approx::exact(f64::from(e.g)))
    }

    /// The same with a gradient that is known to within an error.
    pub(in crate::kernels) fn advance_with(&self, e: Element, g: Approx) -> Moved {
        let [w, m, v] = [e.w, e.m, e.v].map(|x| Approx::exact(f64::from(x)));
        let [rate, one] = [self.rate, 1.0].map(Approx::exact);
        let constant = Approx::constant;
        let held = (self.freeze && e.w == 0.0).then_some(e.v);
        match self.base {
            Optimizer::Prox => Moved { point: w, scale: one, m, v, held },
            Optimizer::Gradient => Moved { point: w - rate * g, scale: one, m, v, held },
            Optimizer::HeavyBall { momentum } => {
                let velocity = constant(momentum) * m + g;
                Moved { point: w - rate * velocity, scale: one, m: velocity, v, held }
            }
            Optimizer::Nesterov { momentum } => {
                let velocity = constant(momentum) * m + g;
                let point = w - rate * (g + constant(momentum) * velocity);
                Moved { point, scale: one, m: velocity, v, held }
            }
            Optimizer::Adam(adam) | Optimizer::AdamMetric(adam) => {
                let Adam { beta1, beta2, epsilon, decay } = adam;
                let first = constant(beta1) * m + constant(1.0 - beta1) * g;
                // in this order: g * g may overflow
                let second = constant(beta2) * v + (constant(1.0 - beta2) * g) * g;
                let [mean, square] = self.bias;
                let denominator = constant(1.0 / square.sqrt()) * second.sqrt() + constant(epsilon);
                let keep = constant(1.0 - self.rate * decay);
                let point = keep * w - constant(self.rate / mean) * (first / denominator);
                let metric = matches!(self.base, Optimizer::AdamMetric(_));
                let scale = if metric { one / denominator } else { one };
                Moved { point, scale, m: first, v: second, held }
            }
        }
    }

    /// Whether every input that the base step reads is finite, and a second moment not negative.
    pub(crate) fn readable(&self, e: Element) -> bool {
        e.w.is_finite()
            && (!self.base.has_gradient() || e.g.is_finite())
            && (self.base.states() < 1 || e.m.is_finite())
            && (self.base.states() < 2 || (e.v.is_finite() && e.v >= 0.0))
    }

    /// What the element is when an input or the result is not finite.
    fn poisoned(&self, e: Element) -> Element {
        match self.base {
            Optimizer::Prox => e,
            _ => Element { w: f32::NAN, m: f32::NAN, v: f32::NAN, ..e },
        }
    }

    /// Whether the point and the states stay in the range of f32.
    pub(crate) fn fits(&self, moved: &Moved) -> impl Iterator<Item = Option<bool>> + Clone {
        [moved.point, moved.m, moved.v].into_iter().take(1 + self.base.states()).map(Approx::finite)
    }

    /// Whether a member's states are those of the base step: NaN where one of its own inputs or of these states is not
    /// finite. A point that overflows leaves finite states behind in a kernel; they are NaN in the steps of references.
    pub(crate) fn states_hold(&self, before: Element, moved: &Moved, after: Element) -> bool {
        let states = self.base.states();
        let lost = [after.m, after.v][..states].iter().all(|x| x.to_bits() == QUIET_NAN);
        if states == 0 || !self.readable(before) {
            return lost;
        }
        let mut fits = self.fits(moved);
        let point = fits.next().flatten();
        match (fits.clone().any(|fit| fit == Some(false)), fits.any(|fit| fit.is_none())) {
            (true, _) => lost,
            (false, open) => moved.states_hold(states, after) || (lost && (open || point != Some(true))),
        }
    }

    /// The operator at an element: its step size, in Adam's metric, is the element's own.
    fn prox_at(&self, scale: Approx) -> (Prox, f64) {
        if matches!(self.base, Optimizer::AdamMetric(_)) {
            let step = Approx::exact(self.prox.step) * scale;
            (Prox::searched(self.prox.penalty, step.value, self.prox.lambda), step.error)
        } else {
            (self.prox, 0.0)
        }
    }

    /// The prox of an element: with its own step size in Adam's metric.
    pub(super) fn prox_of(&self, e: Element) -> Prox {
        self.prox_at(self.advance(e).scale).0
    }

    /// The step on the CPU. Returns the element and whether it is finite.
    #[must_use]
    pub fn step(&self, e: Element) -> (Element, bool) {
        if !self.readable(e) {
            return (self.poisoned(e), false);
        }
        let moved = self.advance(e);
        if self.fits(&moved).any(|fit| fit != Some(true)) {
            // as in f32, where an overflow on the way is an overflow
            return (self.poisoned(e), false);
        }
        let (prox, _) = self.prox_at(moved.scale);
        // what is too small for f32 becomes a zero as well, and zeros are +0.0
        let w = prox.apply(moved.point().value) as f32;
        let w = if w == 0.0 { 0.0 } else { w };
        let [m, v] = moved.states().map(|state| state.value as f32);
        let after = Element { w, m, v, ..e };
        (after, true)
    }

    /// Judges what a kernel made of `before`.
    #[must_use]
    pub fn judge(&self, before: Element, after: Element) -> Judgement {
        let verdict = |ok, expected| Judgement { ok, in_band: false, ulps: 0.0, expected, bound: 0.0 };
        let poisoned = self.poisoned(before);
        let is_poisoned = after.w.to_bits() == poisoned.w.to_bits()
            && (self.base.states() < 1 || after.m.is_nan())
            && (self.base.states() < 2 || after.v.is_nan());
        if !self.readable(before) {
            return verdict(is_poisoned, f64::from(poisoned.w));
        }
        let moved = self.advance(before);
        let mut fits = self.fits(&moved);
        if fits.clone().any(|fit| fit == Some(false)) {
            // a point that overflows leaves finite states behind, states that overflow do not
            return verdict(after.w.to_bits() == poisoned.w.to_bits(), f64::NAN);
        }
        if fits.any(|fit| fit.is_none()) && after.w.is_nan() {
            return verdict(true, f64::NAN);
        }
        let (prox, step_error) = self.prox_at(moved.scale);
        let v = accept(&prox, step_error, moved.point(), after.w);
        Judgement {
            ok: v.ok
                && !(moved.is_held() && after.w.to_bits() != 0)
                && moved.states_hold(self.base.states(), after),
            in_band: v.in_band,
            ulps: v.ulps,
            expected: v.expected,
            bound: v.bound,
        }
    }
}

impl Reference for StepReference {
    fn groups(&self) -> Option<&Groups> {
        None
    }

    fn step(&self, _: u64, elements: &mut [Element]) -> u32 {
        let one = |e: &mut Element| {
            let (after, finite) = StepReference::step(self, *e);
            *e = after;
            u32::from(!finite)
        };
        elements.iter_mut().map(one).sum()
    }

    fn judge(&self, _: u64, before: &[Element], after: &[Element]) -> Vec<Judgement> {
        before.iter().zip(after).map(|(b, a)| StepReference::judge(self, *b, *a)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Numbers {
        w: Vec<f64>,
        m: Vec<f64>,
        v: Vec<f64>,
    }

    #[derive(serde::Deserialize)]
    struct Step {
        before: Numbers,
        gradient: Vec<f64>,
        after: Numbers,
    }

    #[derive(serde::Deserialize)]
    struct Run {
        optimizer: String,
        rate: f64,
        steps: Vec<Step>,
    }

    #[derive(serde::Deserialize)]
    struct Stored {
        runs: Vec<Run>,
    }

    /// `tests/data/pytorch_steps.py` says where the steps come from.
    #[test]
    fn base_steps_are_those_of_pytorch() {
        let text = include_str!("../../../tests/data/pytorch_steps.json");
        let Stored { runs } = serde_json::from_str(text).unwrap();
        let none: Penalty = "none".parse().unwrap();
        let mut compared = 0;
        for Run { optimizer, rate, steps } in &runs {
            let base: Optimizer = optimizer.parse().unwrap();
            for (k, Step { before, gradient, after }) in steps.iter().enumerate() {
                let hyper = StepParameters::new(*rate, 1 + k as u64).unwrap();
                let reference = StepReference::new(base, none, 0.0, 1.0, &hyper);
                for (i, &gradient) in gradient.iter().enumerate() {
                    let [w, m, v] = [before.w[i], before.m[i], before.v[i]].map(|x| x as f32);
                    let e = Element { w, m, v, ..Element::default() };
                    let moved = reference.advance_with(e, Approx::exact(gradient));
                    let close = |got: f64, stored: f64, size: f64| (got - stored).abs() <= 1e-14 * size;
                    let size = after.w[i].abs() + before.w[i].abs() + gradient.abs() + after.m[i].abs();
                    assert!(close(moved.point.value, after.w[i], size), "{optimizer}, step {k}: {moved:?}");
                    if base.states() > 0 {
                        assert!(close(moved.m.value, after.m[i], size), "{optimizer}, step {k}: {moved:?}");
                    }
                    if base.states() > 1 {
                        let size = after.v[i] + gradient * gradient;
                        assert!(close(moved.v.value, after.v[i], size), "{optimizer}, step {k}: {moved:?}");
                    }
                    compared += 1;
                }
            }
        }
        assert!(compared >= 50 * runs.len() && runs.len() >= 7, "{compared}");
    }

    #[test]
    fn the_bias_correction_cancels_nothing() {
        for (beta, step, expected) in [
            (0.9, 1, 0.1),
            (0.9, 2, 0.19),
            (0.5, 10, 1.0 - 1.0 / 1024.0),
            (0.999, 1000, 0.632_304_575_229_035_3),
            (0.0, 7, 1.0),
            (1.0 - 1e-9, 3, 2.999_999_997e-9),
        ] {
            let got = bias_correction(beta, step);
            // 1 - beta is known to a rounding of beta
            let tolerance = 1e-14 + 3e-16 / (1.0 - beta);
            assert!((got / expected - 1.0).abs() < tolerance, "{beta}, {step}: {got}");
        }
    }
}
