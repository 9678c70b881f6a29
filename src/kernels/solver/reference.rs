//! The float64 twin of the solvers.

use super::{Row, Solver};
use crate::accuracy::{Approx, ulp};
use crate::kernels::Judgement;
use crate::kernels::step::reference::{f32_of, rounded};
use crate::kernels::step::{self, Base, Element, Hyper};
use crate::penalty::{Group, NoPenalty, Penalty, Prox, accept};

/// One step of a solver in float64 on whole groups, with the f32 constants that the kernel sees.
#[derive(Clone, Debug)]
pub struct Reference {
    solver: Solver,
    base: Base,
    /// The base step, with the elementwise prox where the solver takes it of the point.
    step: step::Reference,
    /// The elementwise operator: of the copy (splitting), or with step size 1, for its slope (subgradient).
    prox: Prox,
    group: Option<Group>,
    /// lambda of the group penalty, as f32.
    lambda: f64,
    /// beta, as f32; 0 at the first step, where the copy is still that of the weights themselves.
    pull_beta: f64,
}

impl Reference {
    /// The twin for one tensor and one row of hyper-parameters; what the kernel sees as f32 is rounded first.
    #[must_use]
    pub fn new(
        solver: Solver,
        base: Base,
        penalty: Penalty,
        lambda: f64,
        group: Option<&Group>,
        rate_scale: f64,
        hyper: &Hyper,
    ) -> Self {
        let inner = if solver.has_prox_of_point() { penalty } else { NoPenalty.into() };
        let step = step::Reference::new(base, inner, lambda, rate_scale, hyper);
        let weight = f32_of(lambda * hyper.lambda_scale());
        let beta = f32_of(solver.beta() * hyper.beta_scale());
        let penalty = rounded(penalty);
        let prox = match solver {
            Solver::Splitting { published: true, .. } => Prox::new(penalty, 1.0, weight / beta),
            Solver::Splitting { .. } => Prox::new(penalty, 1.0 / beta, weight),
            _ => Prox::new(penalty, 1.0, weight),
        };
        let lambda = group.map_or(0.0, |g| f32_of(g.lambda * hyper.lambda_scale()));
        let pull_beta = if hyper.step() == 1 { 0.0 } else { beta };
        Reference { solver, base, step, prox, group: group.cloned(), lambda, pull_beta }
    }

    /// The constants for the kernel.
    #[must_use]
    pub fn row(&self) -> Row {
        let step::Row { base, prox } = self.step.row();
        let prox = if self.solver.has_prox_of_point() { prox } else { self.prox.constants() };
        let pull = [self.lambda as f32, self.pull_beta as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        Row { base, prox, pull }
    }

    /// What is added to the gradient of each member of group `g`, or of each element where there are no groups.
    fn pull(&self, g: u64, members: &[Element]) -> Vec<Approx> {
        let exact = |x: f32| Approx::exact(f64::from(x));
        let norm = crate::penalty::group::norm(members.iter().map(|e| f64::from(e.w)));
        // the norm's own sum: its chain of additions is at most 24 long, and the root and the quotient follow
        let scale = match &self.group {
            Some(group) if norm > 0.0 => {
                let value = self.lambda * f64::from(group.weight(g)) / norm;
                Approx { value, error: 24.0 * ulp(value), peak: value }
            }
            _ => Approx::exact(0.0),
        };
        let of = |e: &Element| {
            let mut pull = scale * exact(e.w);
            if self.solver == Solver::Subgradient && e.w != 0.0 {
                let slope = self.slope(f64::from(e.w));
                pull = pull + slope;
            }
            if self.solver.has_copy() {
                pull = pull + Approx::exact(self.pull_beta) * (exact(e.w) - exact(e.copy));
            }
            pull
        };
        members.iter().map(of).collect()
    }

    /// lambda p'(|w|) sign(w), with what the kernel may miss it by.
    fn slope(&self, w: f64) -> Approx {
        if self.prox.lambda == 0.0 {
            return Approx::exact(0.0);
        }
        let rule = self.prox.penalty.rule();
        let value = rule.slope(self.prox.lambda, w.abs()).copysign(w)
            * rule.slope(self.prox.lambda, w.abs()).signum();
        let error = rule.slope_error(self.prox.lambda, w.abs());
        Approx { value, error, peak: value.abs() + error }
    }

    /// A member with its pulled gradient, in float64 rounded to f32.
    fn pulled(e: Element, pull: Approx) -> Element {
        Element { g: (f64::from(e.g) + pull.value) as f32, ..e }
    }

    /// The step on the CPU of group `g`, whose members are given in order. Returns how many are not finite afterwards.
    pub fn step(&self, g: u64, members: &mut [Element]) -> u32 {
        let grouped = self.group.is_some();
        if grouped && members.iter().any(|e| !e.w.is_finite()) {
            members.iter_mut().for_each(|e| self.poison(e));
            return members.len() as u32;
        }
        let pulls = self.pull(g, members);
        let mut bad = 0;
        for (e, pull) in members.iter_mut().zip(pulls) {
            let gradient = e.g;
            let copy_ok = !self.solver.has_copy() || e.copy.is_finite();
            let (after, finite) = self.step.step(Self::pulled(*e, pull));
            *e = Element { g: gradient, ..after };
            if !finite || !copy_ok {
                self.poison(e);
                bad += 1;
            } else if self.solver.has_copy() {
                let copy = self.prox.apply(f64::from(e.w)) as f32;
                e.copy = if copy == 0.0 { 0.0 } else { copy };
            }
        }
        bad
    }

    fn poison(&self, e: &mut Element) {
        let nan = f32::from_bits(crate::kernels::group::QUIET_NAN);
        *e = Element { w: nan, m: nan, v: nan, copy: nan, ..*e };
    }

    /// Judges what a kernel made of group `g`: its members before and after the step, in order. One verdict per member.
    #[must_use]
    pub fn judge(&self, g: u64, before: &[Element], after: &[Element]) -> Vec<Judgement> {
        let verdict = |ok, expected| Judgement { ok, in_band: false, ulps: 0.0, expected, bound: 0.0 };
        let grouped = self.group.is_some();
        let spoiled = grouped && before.iter().any(|e| !e.w.is_finite());
        let pulls = if spoiled { Vec::new() } else { self.pull(g, before) };
        let states = self.base.states();
        let one = |k: usize| {
            let (e, got) = (before[k], after[k]);
            let poisoned = got.w.is_nan() && (!self.solver.has_copy() || got.copy.is_nan());
            let copy_ok = !self.solver.has_copy() || e.copy.is_finite();
            if spoiled || !copy_ok || !self.step.readable(e) {
                return verdict(poisoned, f64::NAN);
            }
            let pulled = Approx::exact(f64::from(e.g)) + pulls[k];
            let moved = self.step.advance_with(e, pulled);
            let mut fits = self.step.fits(&moved);
            if fits.clone().any(|fit| fit == Some(false)) {
                return verdict(poisoned, f64::NAN);
            }
            if (fits.any(|fit| fit.is_none()) || pulled.finite() != Some(true)) && poisoned {
                return verdict(true, f64::NAN);
            }
            let v = accept(self.step.prox(), 0.0, moved.point, got.w);
            let mut ok = v.ok && moved.states_hold(states, got);
            let mut in_band = v.in_band;
            if self.solver.has_copy() {
                // of the f32 weight that the kernel itself stored
                let c = accept(&self.prox, 0.0, Approx::exact(f64::from(got.w)), got.copy);
                ok &= c.ok;
                in_band |= c.in_band;
            }
            Judgement { ok, in_band, ulps: v.ulps, expected: v.expected, bound: v.bound }
        };
        (0..before.len()).map(one).collect()
    }
}
