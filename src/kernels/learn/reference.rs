//! The float64 reference of a step, and of the norm bound.

use super::{LearnJob, Method, Rates, UpdateParameters, start};
use crate::accuracy::{Approx, FLUSH, QUIET_NAN, RELATIVE, ulp};
use crate::error::Result;
use crate::kernels::step::reference::bias_correction;
use crate::kernels::{Judgement, Outcome};
use crate::matrix::Pattern;
use crate::penalty::Activation;
use crate::regulariser::{Floors, ParameterLayout};

/// The numbers of a step as the host has them: f32 at the places of all layers. The moments are empty without Adam.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// The learned numbers.
    pub learned: &'a [f32],
    /// First and second moments.
    pub moments: [&'a [f32]; 2],
}

/// One step in float64, from the user's numbers, with what WGSL permits of it and of the rounding of what the host makes of them.
#[derive(Clone, Copy, Debug)]
pub struct LearnReference {
    method: Method,
    rates: Rates,
    decay: f64,
    floors: Floors,
    places: ParameterLayout,
    layers: u32,
}

/// What a step comes to.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The learning rate over the correction of the first moment.
    rate: f64,
    /// 1 / sqrt of the correction of the second moment.
    root_scale: f64,
}

/// A number and its moments after a step; `lost` where it certainly is not finite, or certainly is.
#[derive(Clone, Copy, Debug)]
struct Stepped {
    value: Approx,
    moments: [Approx; 2],
    lost: Option<bool>,
}

fn exact(x: f32) -> Approx {
    Approx::exact(f64::from(x))
}

/// Lost if one of them is; not lost if none.
fn any(all: &[Option<bool>]) -> Option<bool> {
    if all.contains(&Some(true)) {
        return Some(true);
    }
    all.iter().all(|one| *one == Some(false)).then_some(false)
}

/// Within [low, high], both exact.
fn clamped(x: Approx, low: f64, high: f64) -> Approx {
    let error = if x.value + x.error <= low || x.value - x.error >= high { 0.0 } else { x.error };
    Approx { value: x.value.clamp(low, high), error, peak: x.peak }
}

impl LearnReference {
    /// The reference of a job's step, without its norm bound.
    #[must_use]
    pub fn new(job: &LearnJob) -> Self {
        LearnReference {
            method: job.method,
            rates: job.rates,
            decay: job.decay,
            floors: job.floors,
            places: job.learned.places,
            layers: job.learned.layers,
        }
    }

    /// The number k after the step, before any projection.
    fn step(&self, k: usize, rate: f64, pace: Pace, before: State<'_>, gradient: &[f32]) -> Stepped {
        let (theta, raw) = (before.learned[k], gradient[k]);
        let nothing = Approx::exact(0.0);
        let lost = |moments| Stepped { value: nothing, moments, lost: Some(true) };
        if !theta.is_finite() || !raw.is_finite() {
            return lost([nothing; 2]);
        }
        let g = exact(raw) + Approx::constant(self.decay) * exact(theta);
        let (direction, moments) = match self.method {
            Method::Gradient => (g, [nothing; 2]),
            Method::Adam { beta1, beta2, epsilon } => {
                let (m, v) = (before.moments[0][k], before.moments[1][k]);
                if !m.is_finite() || !v.is_finite() || v < 0.0 {
                    return lost([nothing; 2]);
                }
                let constant = Approx::constant;
                let first = constant(beta1) * exact(m) + constant(1.0 - beta1) * g;
                let second = constant(beta2) * exact(v) + (constant(1.0 - beta2) * g) * g;
                let mut root = second.sqrt();
                if second.value - second.error < FLUSH {
                    root.error += root.value;
                }
                (first / (constant(pace.root_scale) * root + constant(epsilon)), [first, second])
            }
        };
        let value = exact(theta) - Approx::constant(rate) * direction;
        let each = [value, moments[0], moments[1]].map(|x| x.finite().map(|finite| !finite));
        Stepped { value, moments, lost: any(&each) }
    }

    /// Judges a step from `before` to `after`, and its status words. Zeros between the layers, and numbers whose rate is 0, must
    /// be as they were.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] as [`super::Update::set`].
    pub fn judge(
        &self,
        hyper: UpdateParameters,
        before: State<'_>,
        gradient: &[f32],
        after: State<'_>,
        status: &[u32],
    ) -> Result<Outcome> {
        hyper.check()?;
        let pace = self.pace(hyper);
        let mut outcome = Outcome::default();
        for (layer, &word) in status.iter().enumerate().take(self.layers as usize) {
            let base = layer * self.places.length() as usize;
            let mut lost = 0;
            for p in 0..self.places.length() as usize {
                let (k, rate) = (base + p, self.rate(p, pace));
                let moved = rate != 0.0;
                if !moved || p < 5 {
                    self.judge_kept(k, moved, before, after, &mut outcome);
                }
                if p < 5 {
                    lost += u32::from(after.learned[k].to_bits() == QUIET_NAN);
                } else if moved {
                    let mut stepped = self.step(k, rate, pace, before, gradient);
                    if self.places.q().contains(&p) {
                        let floor = f64::from(self.floors.epsilon as f32);
                        stepped.value = clamped(stepped.value, floor, f64::INFINITY);
                    }
                    lost += u32::from(after.learned[k].to_bits() == QUIET_NAN);
                    self.judge_moved(k, &stepped, after, &mut outcome);
                } else {
                    same(k, "a number at rest", before.learned, after.learned, &mut outcome);
                }
            }
            self.judge_head(base, pace, before, gradient, after, &mut outcome);
            outcome.demand(word == lost, || format!("status of layer {layer}: {word}, lost numbers {lost}"));
        }
        Ok(outcome)
    }

    fn pace(&self, hyper: UpdateParameters) -> Pace {
        match self.method {
            Method::Gradient => Pace { rate: hyper.rate, root_scale: 1.0 },
            Method::Adam { beta1, beta2, .. } => {
                let [mean, square] = [beta1, beta2].map(|beta| bias_correction(beta, hyper.step));
                Pace { rate: hyper.rate / mean, root_scale: 1.0 / square.sqrt() }
            }
        }
    }

    /// The rate of the number at `p` of a layer; 0 where it is none in f32.
    fn rate(&self, p: usize, pace: Pace) -> f64 {
        let rate = pace.rate
            * match p {
                ParameterLayout::L => self.rates.l,
                _ if p <= ParameterLayout::DELTA2 => self.rates.activation,
                _ if self.places.q().contains(&p) => self.rates.q,
                _ if self.places.b().contains(&p) => self.rates.b,
                _ if self.places.values().contains(&p) => self.rates.values,
                _ => 0.0,
            };
        if rate as f32 == 0.0 { 0.0 } else { rate }
    }

    /// Moments of what has not moved.
    fn judge_kept(&self, k: usize, moved: bool, before: State<'_>, after: State<'_>, outcome: &mut Outcome) {
        if moved || before.moments[0].is_empty() {
            return;
        }
        for (b, a) in before.moments.iter().zip(after.moments) {
            same(k, "a moment at rest", b, a, outcome);
        }
    }

    fn judge_moved(&self, k: usize, stepped: &Stepped, after: State<'_>, outcome: &mut Outcome) {
        near(k, "number", stepped.value, stepped.lost, after.learned[k], outcome);
        self.judge_moments(k, stepped, after, outcome);
    }

    fn judge_moments(&self, k: usize, stepped: &Stepped, after: State<'_>, outcome: &mut Outcome) {
        if matches!(self.method, Method::Adam { .. }) {
            let lost = after.learned[k].to_bits() == QUIET_NAN;
            for (moment, numbers) in stepped.moments.iter().zip(after.moments) {
                // they are lost with the number, but a knee may be lost for another's sake
                let expected = if stepped.lost.is_none() && lost { None } else { stepped.lost };
                near(k, "moment of number", *moment, expected, numbers[k], outcome);
            }
        }
    }

    /// The head, all of which is projected.
    fn judge_head(
        &self,
        base: usize,
        pace: Pace,
        before: State<'_>,
        gradient: &[f32],
        after: State<'_>,
        outcome: &mut Outcome,
    ) {
        let stepped = [0, 1, 2, 3, 4].map(|p| {
            let rate = self.rate(p, pace);
            if rate != 0.0 {
                let stepped = self.step(base + p, rate, pace, before, gradient);
                self.judge_moments(base + p, &stepped, after, outcome);
                return stepped;
            }
            let value = before.learned[base + p];
            Stepped { value: exact(value), moments: [exact(0.0); 2], lost: Some(!value.is_finite()) }
        });
        let got = |p: usize| after.learned[base + p];
        let floor = f64::from(self.floors.epsilon as f32);
        let ranges = [(f64::from(self.floors.l as f32), f64::INFINITY), (floor, f64::INFINITY), (floor, 1.0)];
        for (p, (low, high)) in ranges.into_iter().enumerate() {
            let value = clamped(stepped[p].value, low, high);
            near(base + p, "head", value, stepped[p].lost, got(p), outcome);
            if self.rate(p, pace) == 0.0 && stepped[p].lost == Some(false) {
                let kept = f64::from(before.learned[base + p]).clamp(low, high) as f32;
                let bits = got(p).to_bits();
                outcome.demand(bits == kept.to_bits(), || {
                    format!("head {p} at rest: {bits:#010x}, not {kept:e}")
                });
            }
        }
        let eta1 = clamped(stepped[1].value, floor, f64::INFINITY);
        let [d1, d2] = [stepped[3].value, stepped[4].value];
        let size = d1.value.abs().max(d2.value.abs()) + d1.error + d2.error;
        let sum = if 2.0 * size <= f64::from(f32::MAX) { Some(false) } else { None };
        let lost = any(&[stepped[1].lost, stepped[3].lost, stepped[4].lost, sum]);
        let free = Activation { eta1: eta1.value, eta2: 1.0, delta1: d1.value, delta2: d2.value };
        let nearest = free.projected(floor);
        // a projection moves no further than its argument; the cone's edge turns by the change of kappa = 1 - 1 / eta1; and
        // kappa, the foot and its multiple are rounded a few times each
        let turn = eta1.error / (eta1.value - eta1.error).max(1.0).powi(2);
        let error = d1.error + d2.error + 2.0 * size * turn + 16.0 * RELATIVE * size + 4.0 * FLUSH;
        for (p, value) in [(3, nearest.delta1), (4, nearest.delta2)] {
            near(base + p, "knee", Approx { value, error, peak: size }, lost, got(p), outcome);
        }
        let [slope, low, high] = [1, 3, 4].map(|p| f64::from(got(p)));
        if low.is_nan() || high.is_nan() {
            return;
        }
        let kappa = ((slope - 1.0) / slope).max(0.0);
        let feasible = 0.0 <= low && low <= high && kappa * high - low <= 5.0 * ulp(high);
        outcome.demand(feasible, || {
            format!("layer at {base}: eta1 {slope}, knees {low:e}, {high:e}: not feasible")
        });
        if self.rate(3, pace) == 0.0
            && d2.value >= 0.0
            && kappa * d2.value * (1.0 + 8.0 * RELATIVE) < d1.value
            && d1.value <= d2.value
        {
            same(base + 3, "a knee at rest", before.learned, after.learned, outcome);
            same(base + 4, "a knee at rest", before.learned, after.learned, outcome);
        }
    }
}

fn same(k: usize, what: &str, before: &[f32], after: &[f32], outcome: &mut Outcome) {
    let (b, a) = (before[k].to_bits(), after[k].to_bits());
    outcome.demand(a == b, || format!("index {k}: {what} was {b:#010x}, is {a:#010x}"));
}

fn near(k: usize, what: &str, expected: Approx, lost: Option<bool>, got: f32, outcome: &mut Outcome) {
    let j = Judgement::near(expected, lost.map(|lost| !lost), got);
    outcome.judge(&j, got, || format!("{what} {k}: {}, lost {lost:?}", j.told(got)));
}

/// Power iterations in float64, warm from call to call, with the distance that f32 may have from them.
#[derive(Clone, Debug)]
pub struct Iteration {
    start: Vec<f64>,
    p: Vec<f64>,
    error: Vec<f64>,
}

/// A number and how far f32 may be from it.
type Bounded = (f64, f64);

impl Iteration {
    /// Before the first round.
    #[must_use]
    pub fn new(n: u32) -> Self {
        let start: Vec<f64> = start(n).into_iter().map(|x| f64::from(x as f32)).collect();
        Iteration { p: start.clone(), error: vec![0.0; start.len()], start }
    }

    /// sigma after `rounds` rounds with these values and q, and how far it may be off. Not finite where the device's is not.
    pub fn run(&mut self, pattern: &Pattern, values: &[f32], q: &[f32], rounds: u32) -> Bounded {
        let mut sigma = (0.0, 0.0);
        for _ in 0..rounds {
            sigma = self.round(pattern, values, q);
        }
        sigma
    }

    fn round(&mut self, pattern: &Pattern, values: &[f32], q: &[f32]) -> Bounded {
        let n = self.p.len();
        let chain = n.div_ceil(256) as f64 + 12.0;
        let (mut v, mut v_error) = (vec![0.0; n], vec![0.0; n]);
        let (mut image, mut length) = (Sum::default(), Sum::default());
        for i in 0..n {
            let mut u = Sum::default();
            for k in pattern.row(i as u32) {
                let (a, j) = (f64::from(values[k]), pattern.indices()[k] as usize);
                u.add(a * self.p[j], a.abs() * self.error[j]);
            }
            let (u, u_error) = u.bounded(pattern.row(i as u32).len() as f64 + 1.0);
            let scale = f64::from(q[i]);
            v[i] = scale * u;
            v_error[i] = scale * u_error + RELATIVE * v[i].abs();
            image.add(v[i] * u, v[i].abs() * u_error + u.abs() * v_error[i]);
            length.add(self.p[i] * self.p[i], 2.0 * self.p[i].abs() * self.error[i]);
        }
        let mut x: Vec<Sum> = vec![Sum::default(); n];
        for (k, (i, j)) in pattern.entries().enumerate() {
            let (a, i) = (f64::from(values[k]), i as usize);
            x[j as usize].add(a * v[i], a.abs() * v_error[i]);
        }
        let x: Vec<Bounded> = x.iter().map(|sum| sum.bounded(sum.terms + 1.0)).collect();
        let mut square = Sum::default();
        x.iter().for_each(|(x, error)| square.add(x * x, 2.0 * x.abs() * error));
        let (image, length, square) = (image.bounded(chain), length.bounded(chain), square.bounded(chain));
        let relative = |(x, error): Bounded| if x > 0.0 { error / x } else { 0.0 };
        let sigma = (image.0 / length.0).sqrt();
        let error = sigma * (0.5 * (relative(image) + relative(length)) + 14.0 * RELATIVE);
        let largest = f64::from(f32::MAX);
        if !(square.0 <= largest && image.0 <= largest) || square.0 < FLUSH {
            (self.p, self.error) = (self.start.clone(), vec![0.0; n]);
        } else {
            let size = square.0.sqrt();
            let rounding = 0.5 * relative(square) + 8.0 * RELATIVE;
            self.p = x.iter().map(|(x, _)| x / size).collect();
            self.error = x.iter().map(|(x, error)| (error + rounding * x.abs()) / size).collect();
        }
        if square.0 <= largest && image.0 <= largest {
            (sigma, error + 2.0 * FLUSH.sqrt())
        } else {
            (f64::NAN, 0.0)
        }
    }
}

/// A sum in float64 with its terms' errors and magnitudes.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    error: f64,
    magnitude: f64,
    terms: f64,
}

impl Sum {
    fn add(&mut self, term: f64, error: f64) {
        self.value += term;
        self.error += error;
        self.magnitude += term.abs();
        self.terms += 1.0;
    }

    /// The sum in chains of at most `chain` roundings.
    fn bounded(&self, chain: f64) -> Bounded {
        (self.value, self.error + chain * RELATIVE * self.magnitude)
    }
}
