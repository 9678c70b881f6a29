//! The float64 reference of the step.

use super::{Elementwise, Optimizer, StepParameters, StepRow};
use crate::accuracy::Approx;
use crate::accuracy::QUIET_NAN;
use crate::kernels::element::Element;
use crate::kernels::{Judgement, Mode, Reference};
use crate::penalty::{Described, Groups, Penalty, Prox, accept};

/// The step in float64, with the f32 constants that the kernel sees.
#[derive(Clone, Copy, Debug)]
pub struct StepReference {
    base: Optimizer,
    row: StepRow,
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

/// The f32 number that the kernel sees.
pub(in crate::kernels) fn f32_of(x: f64) -> f64 {
    f64::from(x as f32)
}

/// A penalty with its shape parameters rounded to f32, as the kernel sees them.
pub(in crate::kernels) fn rounded<F>(rule: &dyn Described<F>) -> F {
    rule.with(&rule.parameters().iter().map(|p| f32_of(p.value)).collect::<Vec<_>>())
}

impl StepReference {
    /// The reference for one row of hyper-parameters: the rate, lambda and the penalty's parameters are rounded to f32
    /// first, as the kernel sees them; everything after that is float64.
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
        let rate = f32_of(hyper.lr() * lr_scale);
        let prox = Prox::new(penalty, rate, f32_of(lambda * hyper.lambda_scale()));
        let freeze = hyper.frozen_zeros();
        let row = StepRow {
            base: base.constants(rate, hyper.step()),
            prox: prox.constants(),
            mode: Mode::frozen(freeze),
        };
        StepReference { base, row, prox, freeze }
    }

    /// The constants for the kernel.
    #[must_use]
    pub fn row(&self) -> StepRow {
        self.row
    }

    /// The prox of this row.
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
        let exact = |x: f32| Approx::exact(f64::from(x));
        let [w, m, v] = [e.w, e.m, e.v].map(exact);
        let c = self.row.base.map(exact);
        let one = Approx::exact(1.0);
        let held = (self.freeze && e.w == 0.0).then_some(e.v);
        match self.base {
            Optimizer::Prox => Moved { point: w, scale: one, m, v, held },
            Optimizer::Gradient => Moved { point: w - c[0] * g, scale: one, m, v, held },
            Optimizer::HeavyBall { .. } | Optimizer::Nesterov { .. } => {
                let [rate, momentum, look, follow, ..] = c;
                let velocity = momentum * m + g;
                let point = w - rate * (look * g + follow * velocity);
                Moved { point, scale: one, m: velocity, v, held }
            }
            Optimizer::Adam(_) | Optimizer::AdamMetric(_) => {
                let [rate, keep, beta1, rest1, beta2, rest2, root_scale, epsilon] = c;
                let first = beta1 * m + rest1 * g;
                let second = beta2 * v + (rest2 * g) * g; // in this order: g * g may overflow
                let denominator = root_scale * second.sqrt() + epsilon;
                let scale =
                    if matches!(self.base, Optimizer::AdamMetric(_)) { one / denominator } else { one };
                let point = keep * w - rate * (first / denominator);
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
            (Prox::new(self.prox.penalty, step.value, self.prox.lambda), step.error)
        } else {
            (self.prox, 0.0)
        }
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
