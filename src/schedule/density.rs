//! A density that is asked for: lambda follows until it is met.

use crate::error::{Result, require};
use crate::penalty::Domain;
use std::ops::Bound::{Excluded, Included};

/// What is counted against what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Weights that are not zero.
    #[default]
    Weights,
    /// Groups with a weight that is not zero: neurons, filters.
    Units,
    /// Multiplications by weights that are not zero: each weight counts as often as it is used, see [`Tally::uses`].
    Multiplications,
}

/// How much of a tensor is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Elements.
    pub weights: u64,
    /// Those that are not zero; NaN is not.
    pub nonzeros: u64,
    /// Groups.
    pub units: u64,
    /// Those with an element that is not zero.
    pub live: u64,
    /// How often a forward pass of one example multiplies by each element: 1 in a linear layer, the number of output positions in a
    /// convolution.
    pub uses: u64,
}

impl Tally {
    /// Of groups, from the number of their elements that are not zero, as [`Norm::L0`](crate::kernels::norms::Norm::L0) counts them.
    #[must_use]
    pub fn of_counts(weights: u64, counts: &[u32], uses: u64) -> Self {
        let nonzeros = counts.iter().map(|&count| u64::from(count)).sum();
        let live = counts.iter().filter(|&&count| count > 0).count() as u64;
        Tally { weights, nonzeros, units: counts.len() as u64, live, uses }
    }
}

impl Measure {
    /// The share over all tensors together; 1 where there is nothing to count.
    ///
    /// ```
    /// use maf_srl::schedule::{Measure, Tally};
    /// // a filter of two is gone; then a linear layer with every weight left
    /// let conv = Tally::of_counts(18, &[9, 0], 100);
    /// let linear = Tally::of_counts(18, &[9, 9], 1);
    /// assert_eq!(Measure::Weights.share(&[conv, linear]), 27.0 / 36.0);
    /// assert_eq!(Measure::Units.share(&[conv, linear]), 3.0 / 4.0);
    /// assert_eq!(Measure::Multiplications.share(&[conv, linear]), (900.0 + 18.0) / (1800.0 + 18.0));
    /// ```
    #[must_use]
    pub fn share(self, tallies: &[Tally]) -> f64 {
        let counts = |t: &Tally| match self {
            Measure::Weights => (t.nonzeros, t.weights, 1),
            Measure::Units => (t.live, t.units, 1),
            Measure::Multiplications => (t.nonzeros, t.weights, t.uses),
        };
        let add = |sum: (f64, f64), (left, all, uses): (u64, u64, u64)| {
            (sum.0 + left as f64 * uses as f64, sum.1 + all as f64 * uses as f64)
        };
        let (left, all) = tallies.iter().map(counts).fold((0.0, 0.0), add);
        if all == 0.0 { 1.0 } else { left / all }
    }
}

/// A share that is asked for, and the steps in which it is to be reached.
///
/// From step `from` to step `by` the share that is wanted falls as Zhu and Gupta (2017, equation 1) have it, fast at first, when
/// much is superfluous, and slowly in the end:
///
/// ```text
/// d(n) = share + (1 - share) (1 - (n - from) / (by - from))^3
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityTarget {
    measure: Measure,
    share: f64,
    tolerance: f64,
    from: u64,
    by: u64,
}

/// What a share may be asked to be.
const SHARE: Domain = Domain(Excluded(0.0), Excluded(1.0));

impl DensityTarget {
    /// This share of the weights, by step `by`, within a fiftieth of it.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a share outside (0, 1), and for a last step before the second.
    pub fn new(share: f64, by: u64) -> Result<Self> {
        let place = "target of the density";
        require(SHARE.contains(share), place, "share", share, SHARE)?;
        require((2..1 << 53).contains(&by), place, "last step of the ramp", by, "[2, 2^53)")?;
        Ok(DensityTarget { measure: Measure::Weights, share, tolerance: share / 50.0, from: 0, by })
    }

    /// The share of something else.
    #[must_use]
    pub fn with_measure(self, measure: Measure) -> Self {
        DensityTarget { measure, ..self }
    }

    /// With steps before the ramp that have no penalty: `from` of them.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a ramp of less than two steps.
    pub fn with_start(self, from: u64) -> Result<Self> {
        let (place, range) = ("target of the density", format!("[0, {}]", self.by - 2));
        require(from + 2 <= self.by, place, "first step of the ramp", from, range)?;
        Ok(DensityTarget { from, ..self })
    }

    /// Met where it is no further off than this.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a tolerance outside [0, 1).
    pub fn with_tolerance(self, tolerance: f64) -> Result<Self> {
        let allowed = Domain(Included(0.0), Excluded(1.0));
        require(allowed.contains(tolerance), "target of the density", "tolerance", tolerance, allowed)?;
        Ok(DensityTarget { tolerance, ..self })
    }

    /// What is counted.
    #[must_use]
    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// The share that is asked for.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// How many steps the ramp has.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.by - self.from
    }

    /// The share that is wanted after step `n`.
    #[must_use]
    pub fn wanted(&self, n: u64) -> f64 {
        let left = (self.by.saturating_sub(n.max(self.from))) as f64 / (self.by - self.from) as f64;
        self.share + (1.0 - self.share) * left.powi(3)
    }
}

/// Where a controller stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Lambda follows the ramp.
    #[default]
    Follows,
    /// What was counted is what is asked for: lambda is 0 and zeros stay, until the next count says whether that holds. Weights come
    /// and go from step to step, and some do between a count and the step that knows of it.
    Holds,
    /// It was too much: zeros stay, so that the share can only fall, under a lambda that begins small.
    Approaches,
    /// It is met: lambda is 0, zeros stay, what is left is tuned.
    Met,
    /// After the ramp the share fell past what is asked for, because zeros come many at a time, as those of a whole unit do: lambda
    /// is 0 and zeros stay as well.
    Passed,
}

/// What a controller remembers: for a file beside the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityState {
    /// The natural logarithm of the factor of lambda.
    pub log_scale: f64,
    /// The error, see [`DensityControl`], when it was measured last.
    pub error: f64,
    /// The step of that measurement.
    pub step: u64,
    /// Where it stands.
    pub phase: Phase,
}

/// Has lambda follow until a share is met: a factor of every lambda, from what was counted.
///
/// ```
/// use maf_srl::schedule::{DensityControl, DensityTarget};
/// # fn train(lambda_scale: f64, freeze: bool) -> f64 { 1.0 - lambda_scale.min(0.95) }
/// let mut control = DensityControl::new(DensityTarget::new(0.05, 1000)?);
/// for step in 1..=1500 {
///     // one step with these (`StepParameters::with_lambda_scale`, `Settings::freeze`), and a count of what is left
///     let density = train(control.lambda_scale(step), control.frozen());
///     control.observe(step, density);
/// }
/// # Ok::<(), maf_srl::Error>(())
/// ```
///
/// **Law.** With the error e = ln(share / wanted) / ln(1 / target) and time as a share of the ramp, the logarithm of the factor grows by
/// `90 dt e + 3 de` at each measurement, by 0.3 and with a dt of 0.01 at most, from ln(factor) = -5: the lambdas that the tensors have
/// are a first guess that may be off by a
/// factor of 1000 either way, and small enough in the beginning that nothing dies early. From 0.7 of the ramp on, where the
/// share is close enough, lambda is 0 and zeros stay, so that the share no longer moves; the next count says whether it is met. If it is
/// too much, or still is at 1.15 of the ramp, zeros stay under a lambda that begins at a twentieth, so that the share comes down slowly
/// and never up; if it is too little, it is followed again.
///
/// These numbers were chosen on DIGITS by how many of eight penalties meet shares of 0.5, 0.2, 0.1 and 0.05, not by accuracy. What does
/// not meet them: `l0`, whose threshold goes by the root of lambda and the learning rate, so that a rate which falls to 0 leaves too
/// little; a penalty of groups alone where one unit is more than the tolerance ([`Phase::Passed`]); penalties by which units compete
/// (`cges`), at small shares, where whole layers die. Units that are gone for good do not come back, and
/// [`DensityControl::phase`] says what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensityControl {
    target: DensityTarget,
    state: DensityState,
}

// As the law says. Chosen with `maf-srl train` and a density, 60 epochs of DIGITS, out of -7 to -3, 45 to 90, 3 to 4.5, 60 to 200.

/// The logarithm of the first factor.
const START: f64 = -5.0;
/// From here on, as a share of the ramp, the target may be met.
const EARLIEST: f64 = 0.7;
/// And from here on it is approached with zeros that stay.
const LATEST: f64 = 1.15;
/// Per ramp and unit of error.
const GAIN: f64 = 90.0;
/// The same after the ramp.
const APPROACH: f64 = 200.0;
/// By how much the logarithm is less where an approach begins.
const SLOWLY: f64 = 3.0;
/// Per unit of change of the error.
const REACTION: f64 = 3.0;
/// Measurements that are further apart, as a share of the ramp, count as if they were this: each acts before its effect is seen.
const RARELY: f64 = 0.01;
/// The largest change of the logarithm at a measurement.
const LARGEST: f64 = 0.3;
/// The least error that the share is pressed down with after the ramp.
const PRESSURE: f64 = 0.05;
/// The factor of lambda stays within exp(-SPAN) and exp(SPAN).
const SPAN: f64 = 13.8;

impl DensityControl {
    /// Before the first step.
    #[must_use]
    pub fn new(target: DensityTarget) -> Self {
        let state = DensityState { log_scale: START, error: 0.0, step: target.from, phase: Phase::Follows };
        DensityControl { target, state }
    }

    /// Goes on where another one stopped.
    ///
    /// # Errors
    /// [`Error::Domain`](crate::Error::Domain) for a factor out of its range or an error that is not finite.
    pub fn with_state(self, state: DensityState) -> Result<Self> {
        let (place, span) = ("state of the density's controller", Domain(Included(-SPAN), Included(SPAN)));
        require(
            span.contains(state.log_scale),
            place,
            "logarithm of lambda's factor",
            state.log_scale,
            span,
        )?;
        require(state.error.is_finite(), place, "error", state.error, "(-inf, inf)")?;
        Ok(DensityControl { state, ..self })
    }

    /// What is to be remembered.
    #[must_use]
    pub fn state(&self) -> DensityState {
        self.state
    }

    /// What is asked for.
    #[must_use]
    pub fn target(&self) -> &DensityTarget {
        &self.target
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.state.phase
    }

    /// The factor of every lambda in step `n`: 0 before the ramp, where the share holds, and when all is done.
    #[must_use]
    pub fn lambda_scale(&self, n: u64) -> f64 {
        if n <= self.target.from || self.ended() || self.state.phase == Phase::Holds {
            0.0
        } else {
            self.state.log_scale.exp()
        }
    }

    /// Whether there is nothing left to do: met or passed.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.state.phase, Phase::Met | Phase::Passed)
    }

    /// Whether zeros stay.
    #[must_use]
    pub fn frozen(&self) -> bool {
        self.state.phase != Phase::Follows
    }

    /// Takes in the share that was counted after step `n`, which was taken with what was said after the count before. One of a step that
    /// is not later than the last one's, or before the ramp, says nothing. NaN counts as nothing left.
    pub fn observe(&mut self, n: u64, share: f64) {
        let DensityTarget { share: target, tolerance, from, by, .. } = self.target;
        if n <= self.state.step || self.ended() {
            return;
        }
        // as a share of the ramp
        let time = |steps: u64| steps as f64 / (by - from) as f64;
        let now = time(n.saturating_sub(from));
        let near = (share - target).abs() <= tolerance;
        let short = if now < LATEST { Phase::Follows } else { Phase::Passed };
        let next = match self.state.phase {
            Phase::Follows if now >= EARLIEST && near => Phase::Holds,
            Phase::Follows if now >= LATEST && share > target => Phase::Approaches,
            Phase::Holds if near => Phase::Met,
            Phase::Approaches if near => Phase::Holds,
            Phase::Holds | Phase::Approaches if share < target => short,
            Phase::Holds => Phase::Approaches,
            as_before => as_before,
        };
        if next != self.state.phase {
            if next == Phase::Approaches {
                self.state.log_scale = (self.state.log_scale - SLOWLY).max(-SPAN);
            }
            (self.state.phase, self.state.step) = (next, n);
            return;
        }
        // nothing left: as far off as one can be
        let mut error = (share.max(target / 1e3) / self.target.wanted(n)).ln() / -target.ln();
        let mut gain = GAIN;
        if self.state.phase == Phase::Approaches {
            (error, gain) = (error.max(PRESSURE), APPROACH);
        }
        let change =
            gain * error * time(n - self.state.step).min(RARELY) + REACTION * (error - self.state.error);
        self.state.log_scale = (self.state.log_scale + change.clamp(-LARGEST, LARGEST)).clamp(-SPAN, SPAN);
        (self.state.error, self.state.step) = (error, n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights that leave or come back towards an equilibrium of lambda, with a lag; `unit` of them at a time.
    struct Plant {
        share: f64,
        unit: f64,
        half: f64,
    }

    impl Plant {
        fn step(&mut self, lambda: f64, frozen: bool) -> f64 {
            let equilibrium = 1.0 / (1.0 + lambda / self.half);
            let next = self.share + 0.02 * (equilibrium - self.share);
            self.share = if frozen { next.min(self.share) } else { next };
            (self.share / self.unit).ceil() * self.unit
        }
    }

    fn run(target: DensityTarget, mut plant: Plant, steps: u64) -> (DensityControl, f64, Vec<Phase>) {
        let mut control = DensityControl::new(target);
        let (mut share, mut phases) = (1.0, Vec::new());
        for n in 1..=steps {
            share = plant.step(control.lambda_scale(n), control.frozen());
            control.observe(n, share);
            phases.push(control.phase());
        }
        (control, share, phases)
    }

    #[test]
    fn a_share_is_met_whatever_lambda_was_guessed() {
        for share in [0.02, 0.1, 0.5, 0.9] {
            for half in [1e-3, 1.0, 1e3] {
                let target = DensityTarget::new(share, 1000).unwrap();
                let (control, last, phases) = run(target, Plant { share: 1.0, unit: 1e-6, half }, 2000);
                assert_eq!(control.phase(), Phase::Met, "{share} {half}: {last}");
                assert!((last - share).abs() <= share / 50.0, "{share} {half}: {last}");
                // not before the ramp is nearly over, and then there is no penalty
                assert!(phases[..699].iter().all(|phase| *phase == Phase::Follows));
                assert!(control.frozen() && control.lambda_scale(2001) == 0.0);
            }
        }
    }

    #[test]
    fn large_units_are_passed_and_not_chased() {
        let target = DensityTarget::new(0.1, 1000).unwrap();
        let (control, last, _) = run(target, Plant { share: 1.0, unit: 0.06, half: 1.0 }, 3000);
        assert_eq!(control.phase(), Phase::Passed);
        assert_eq!((last, control.lambda_scale(3001)), (0.06, 0.0));
        // with a tolerance that a unit fits in they are met
        let wide = target.with_tolerance(0.03).unwrap();
        let (control, last, _) = run(wide, Plant { share: 1.0, unit: 0.06, half: 1.0 }, 3000);
        assert_eq!((control.phase(), last), (Phase::Met, 0.12));
    }

    #[test]
    fn the_ramp_is_that_of_its_formula_and_comes_after_its_start() {
        let target = DensityTarget::new(0.2, 110).unwrap().with_start(10).unwrap();
        assert_eq!([0, 10, 60, 110, 500].map(|n| target.wanted(n)), [1.0, 1.0, 0.2 + 0.8 / 8.0, 0.2, 0.2]);
        let mut control = DensityControl::new(target);
        assert_eq!([1, 10].map(|n| control.lambda_scale(n)), [0.0, 0.0]);
        let before = control;
        control.observe(10, 0.5);
        assert_eq!(control, before);
        assert!(control.lambda_scale(11) > 0.0);
        control.observe(11, 1.0);
        let once = control;
        control.observe(11, 0.1);
        assert_eq!(control, once);
    }

    #[test]
    fn a_controller_goes_on_where_it_stopped() {
        let target = DensityTarget::new(0.1, 300).unwrap();
        let (half, _, _) = run(target, Plant { share: 1.0, unit: 1e-6, half: 1.0 }, 150);
        let mut again = DensityControl::new(target).with_state(half.state()).unwrap();
        let mut on = half;
        for (n, share) in [(151, 0.4), (155, 0.39), (290, 0.12)] {
            on.observe(n, share);
            again.observe(n, share);
            assert_eq!(again, on);
        }
        let broken = DensityState { log_scale: f64::NAN, ..half.state() };
        assert!(DensityControl::new(target).with_state(broken).is_err());
    }

    #[test]
    fn shares_and_steps_outside_their_range_are_refused() {
        for (share, by) in [(0.0, 10), (1.0, 10), (f64::NAN, 10), (0.1, 1), (0.1, 1 << 53)] {
            assert!(DensityTarget::new(share, by).is_err(), "{share} {by}");
        }
        let target = DensityTarget::new(0.1, 10).unwrap();
        assert!(target.with_start(9).is_err() && target.with_start(8).is_ok());
        assert!(target.with_tolerance(-0.1).is_err() && target.with_tolerance(1.0).is_err());
    }

    #[test]
    fn a_share_of_nothing_is_whole_and_nothing_left_is_no_infinity() {
        assert_eq!(Measure::Weights.share(&[]), 1.0);
        let mut control = DensityControl::new(DensityTarget::new(0.5, 10).unwrap());
        control.observe(1, 0.0);
        assert!(control.state().log_scale.is_finite());
    }
}
