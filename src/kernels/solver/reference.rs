//! The float64 reference of the solvers.

use super::{Solved, Solver};
use crate::accuracy::{Approx, FLUSH, QUIET_NAN, RELATIVE};
use crate::kernels::group::reference::weight;
use crate::kernels::step::{self, Element, Elementwise, Optimizer, StepParameters};
use crate::kernels::{Judgement, Reference};
use crate::penalty::group::norm;
use crate::penalty::{Group, Groups, NoPenalty, Prox, accept};

/// One step of a solver in float64 on whole groups, from the user's numbers; rate, lambdas, beta and shape parameters are rounded
/// to f32 first.
#[derive(Clone, Debug)]
pub struct SolverReference {
    solver: Solver,
    base: Optimizer,
    /// The base step, with the elementwise prox where the solver takes it of the point.
    step: step::StepReference,
    /// The elementwise operator: of the copy (splitting), or with step size 1, for its slope (subgradient).
    prox: Prox,
    group: Option<Group>,
    /// lambda of the group penalty, as f32.
    lambda: f64,
    /// Whether zeros of the copy stay zeros.
    freeze_copy: bool,
    /// beta, as f32; 0 at the first step, where the copy is still that of the weights themselves.
    pull_beta: f64,
}

impl SolverReference {
    /// The reference for one tensor and one row of hyper-parameters. Allocates nothing.
    #[must_use]
    pub fn of(operator: &Solved, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Self {
        let Solved { solver, own, lasso: group } = operator;
        let (solver, penalty, lambda) = (*solver, own.penalty(), own.lambda());
        let none = Elementwise::new(NoPenalty.into(), lambda);
        let inner = if solver.has_prox_of_point() { own } else { &none };
        // under splitting the zeros that stay are those of the copy
        let freeze_copy = solver.has_copy() && hyper.frozen_zeros();
        let inside = hyper.with_frozen_zeros(hyper.frozen_zeros() && !solver.has_copy());
        let step = step::StepReference::of(inner, base, lr_scale, &inside);
        let as_f32 = |x: f64| f64::from(x as f32);
        let own = as_f32(lambda * hyper.lambda_scale());
        let (beta, published) = match solver {
            Solver::Splitting { beta, published } => (as_f32(beta * hyper.beta_scale()), published),
            _ => (1.0, false),
        };
        // V minimises lambda p(V) + beta / 2 |V - W|^2
        let prox = match published {
            true => Prox::searched(penalty, 1.0, own / beta),
            false => Prox::searched(penalty, 1.0 / beta, own),
        };
        let lambda = group.as_ref().map_or(0.0, |g| as_f32(g.lambda * hyper.lambda_scale()));
        let pull_beta = if hyper.step() == 1 { 0.0 } else { beta };
        SolverReference { solver, base, step, prox, group: group.clone(), lambda, freeze_copy, pull_beta }
    }

    /// What is added to the gradient of each member of group `g`, or of each element where there are no groups; every
    /// weight is finite where there are.
    ///
    /// The norm's sum of squares is D additions long, each within 2^-23 of itself, as are the squares and the one addition of
    /// two ranges: half of that in the root, whose own error is 5 ULP. Weights below the normal range may count as 0.
    fn pull(&self, g: u64, members: &[Element]) -> Vec<Approx> {
        let exact = |x: f32| Approx::exact(f64::from(x));
        let weights = || members.iter().map(|e| f64::from(e.w));
        let group = self.group.as_ref().map(|group| {
            let strength = Approx::exact(self.lambda) * Approx::constant(weight(group, g, members.len()));
            let peak = weights().fold(0.0, |m: f64, w| m.max(w.abs()));
            // the range of the squares that the kernel keeps
            let scale = match peak {
                _ if peak > 2f64.powi(48) => 2f64.powi(-80),
                _ if peak < 2f64.powi(-48) => 2f64.powi(80),
                _ => 1.0,
            };
            let flushed = weights().filter(|w| w.abs() < FLUSH);
            let value = norm(weights()) * scale;
            let error = (0.5 * chain(members.len()) + 6.0) * RELATIVE * value + norm(flushed) * scale;
            (strength, scale, Approx { value, error, peak: value })
        });
        let of = |e: &Element| {
            let w = exact(e.w);
            let mut pull = match group {
                None => Approx::exact(0.0),
                Some((_, _, norm)) if norm.value == 0.0 => Approx::exact(0.0),
                // what is left of the norm may be any part of it, or nothing: a quotient of at most one, and none
                Some((strength, scale, norm)) if norm.error > 0.5 * norm.value => {
                    let value = strength.value * f64::from(e.w) * scale / norm.value;
                    Approx { value, error: 2.0 * strength.value + FLUSH, peak: 2.0 * strength.value }
                }
                Some((strength, scale, norm)) => strength * ((w * Approx::exact(scale)) / norm),
            };
            if self.solver == Solver::Subgradient && e.w != 0.0 {
                pull = pull + self.slope(f64::from(e.w));
            }
            if self.solver.has_copy() {
                pull = pull + Approx::exact(self.pull_beta) * (w - exact(e.copy));
            }
            pull
        };
        members.iter().map(of).collect()
    }

    /// lambda p'(|w|) sign(w), with what the kernel may miss it by.
    fn slope(&self, w: f64) -> Approx {
        let Prox { penalty, lambda, .. } = self.prox;
        if lambda == 0.0 {
            return Approx::exact(0.0);
        }
        let rule = penalty.rule();
        let slope = rule.slope(lambda, w.abs());
        // a weight below the normal range may count as 0, and so may constants made of a tiny lambda
        let vanishing = w.abs() < FLUSH || lambda < 1e-24;
        let error = rule.slope_error(lambda, w.abs()) + if vanishing { slope.abs() } else { 0.0 };
        Approx { value: slope * w.signum(), error, peak: slope.abs() + error }
    }

    /// A member with its pulled gradient, in float64 rounded to f32.
    fn pulled(e: Element, pull: Approx) -> Element {
        Element { g: (f64::from(e.g) + pull.value) as f32, ..e }
    }

    /// Whether an element's copy is a zero that stays.
    fn holds(&self, before: &Element) -> bool {
        // not -0.0, which stands for a copy that is not there yet
        self.freeze_copy && before.copy.to_bits() == 0
    }

    fn poison(&self, e: &mut Element) {
        let nan = f32::from_bits(QUIET_NAN);
        *e = Element { w: nan, m: nan, v: nan, copy: nan, ..*e };
    }
}

impl Reference for SolverReference {
    fn groups(&self) -> Option<&Groups> {
        self.group.as_ref().map(|group| &group.groups)
    }

    /// The step on the CPU of group `g`, whose members are given in order. Returns how many are not finite afterwards.
    fn step(&self, g: u64, members: &mut [Element]) -> u32 {
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
                e.copy = if copy == 0.0 || self.holds(e) { 0.0 } else { copy };
            }
        }
        bad
    }

    /// Judges what a kernel made of group `g`: its members before and after the step, in order. One verdict per member.
    fn judge(&self, g: u64, before: &[Element], after: &[Element]) -> Vec<Judgement> {
        let verdict = |ok| Judgement { ok, in_band: false, ulps: 0.0, expected: f64::NAN, bound: 0.0 };
        let spoiled = self.group.is_some() && before.iter().any(|e| !e.w.is_finite());
        let pulls = if spoiled { Vec::new() } else { self.pull(g, before) };
        let states = self.base.states();
        let is_nan = |x: f32| x.to_bits() == QUIET_NAN;
        let one = |k: usize| {
            let (e, got) = (before[k], after[k]);
            let poisoned = is_nan(got.w) && (!self.solver.has_copy() || is_nan(got.copy));
            let states_poisoned = [got.m, got.v][..states].iter().all(|x| is_nan(*x));
            let copy_ok = !self.solver.has_copy() || e.copy.is_finite();
            if spoiled || !copy_ok || !self.step.readable(e) {
                return verdict(poisoned && states_poisoned);
            }
            let pulled = Approx::exact(f64::from(e.g)) + pulls[k];
            let moved = self.step.advance_with(e, pulled);
            // a point that overflows leaves finite states behind, a pulled gradient or states that overflow do not
            let mut fits = self.step.fits(&moved).chain([pulled.finite()]);
            if fits.clone().any(|fit| fit == Some(false)) {
                return verdict(poisoned);
            }
            if fits.any(|fit| fit.is_none()) && poisoned {
                return verdict(true);
            }
            let v = accept(self.step.prox(), 0.0, moved.point(), got.w);
            // Adam's denominator may be anything where most of a gradient is an error, among weights below the normal range
            let open = !moved.point().error.is_finite() && got.w.is_finite();
            let held = !moved.is_held() || got.w.to_bits() == 0;
            let mut ok = (v.ok || open) && held && moved.states_hold(states, got);
            let mut in_band = v.in_band;
            if self.solver.has_copy() {
                // of the f32 weight that the kernel itself stored
                if self.holds(&e) {
                    ok &= got.copy.to_bits() == 0;
                } else {
                    let c = accept(&self.prox, 0.0, Approx::exact(f64::from(got.w)), got.copy);
                    ok &= c.ok;
                    in_band |= c.in_band;
                }
            }
            Judgement { ok, in_band, ulps: v.ulps, expected: v.expected, bound: v.bound }
        };
        (0..before.len()).map(one).collect()
    }
}

/// The longest chain of additions in a sum over `members`.
fn chain(members: usize) -> f64 {
    // sixteen of an invocation and the tree of a workgroup; beyond, 64 of an invocation, the tree, and the same for the parts,
    // which have 512 members at least
    if members <= 4096 { 24.0 } else { 80.0 + (members as f64 / 131_072.0).ceil() }
}
