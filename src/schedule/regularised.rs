//! A learned regulariser in the step: W <- prox(W - rate * direction), group by group, in the regulariser's own metric.
//!
//! ```text
//! R(y) = sum_i g(v_i) / q_i,   v = Â^-T y,   ||y||_M^2 = sum_i v_i^2 / q_i
//! argmin_y 1/2 ||y - x||_M^2 + t R(y) = Âᵀ [ prox_tg(Â^-T x) ],   t = rate * rate scale * lambda
//! ```
//!
//! R is the penalty in G(y) = R(y) + (||y||_M^2 - ||y||^2) / 2; it is not negative, and sparse in the learned atoms,
//! the rows of Â: y = sum_i w_i (row i of Â). In the metric M the operator is exact for every t, q cancels, and t = 0
//! leaves the weights as they are. The prox of G itself is that of step size 1 in the Euclidean metric: taken at
//! every step it would shrink the weights whatever the learning rate. With g the penalty of the [`Activation`] (eta1,
//! eta2, delta1, delta2), c = eta1 (delta2 - delta1), prox_tg is the activation
//!
//! ```text
//! eta_i' = 1 / (1 + t (1 - eta_i) / eta_i),   delta1' = t delta1,   delta2' = c + t (delta2 - c)
//! ```
//!
//! for slopes of at most 1; with larger ones it jumps once t is large, and no such activation is it.
//!
//! **Dispatches.** After the base step two products per tensor, not batched across tensors: w = prox_tg(Â^-T W) with the
//! dense inverse, W = Âᵀ w. The numbers of prox_tg change with the rate; they are in the rows of hyper-parameters.
//!
//! **NaN and infinities.** One member that is not finite makes its group NaN. Status words count what the base step met or
//! made; a group that overflows only in the products is counted from the next step on.
//!
//! **Accuracy.** [`Reference::judge`]: each product misses by n + 8 roundings of its terms' magnitudes, of which one
//! is for the matrix in f32, and hands on its operands' errors; prox_tg hands them on by its slope, and adds 4
//! roundings of its result.

use std::sync::Arc;

use crate::accuracy::{Approx, FLUSH, RELATIVE, ulp};
use crate::error::{Error, Result, require, shape};
use crate::gpu::{self, View};
use crate::kernels::step::{self, Base, Element, Hyper};
use crate::kernels::{Batch, Dispatches, Format, Judgement, Kernels, Learned, Matrix, Order, product};
use crate::matrix::Pattern;
use crate::penalty::{Activation, Groups, Layout, NoPenalty};
use crate::regulariser::Regulariser;
use crate::regulariser::{HEAD, Places};

/// A learned regulariser on groups of weights, one vector of n components each.
#[derive(Clone, Debug, PartialEq)]
pub struct Regularised {
    /// The regulariser.
    pub regulariser: Arc<Regulariser>,
    /// The groups.
    pub groups: Groups,
}

impl Regularised {
    /// Whether the operator exists for every t, and every group is a vector that lies in one of the two orders of a batch.
    pub(super) fn check(&self, place: &str) -> Result<()> {
        let p = self.regulariser.parameters();
        let n = p.components();
        let most = Regulariser::AT_ONCE;
        let place = format!("{place}: regulariser");
        require(n <= most, &place, "components", f64::from(n), format!("[1, {most}]"))?;
        for (name, eta) in [("eta1", p.activation.eta1), ("eta2", p.activation.eta2)] {
            require(eta <= 1.0, &place, name, eta, "[1e-6, 1], without which the operator jumps")?;
        }
        if let Some((k, &b)) = p.b.iter().enumerate().find(|(_, b)| **b != 0.0) {
            return require(false, &place, &format!("b[{k}]"), b, "{0}: zero weights have to stay zero");
        }
        self.regulariser.inverse_transposed()?;
        self.batch(&place).map(drop)
    }

    /// How many vectors there are, and how they lie.
    fn batch(&self, place: &str) -> Result<(u32, Order)> {
        let (groups, n) = (&self.groups, u64::from(self.regulariser.parameters().components()));
        let unsupported = |what: String| {
            let allowed = "rows, columns, filters, blocks or whole, without weights, columns of two axes";
            Err(Error::Unsupported { place: place.into(), what, allowed: allowed.into() })
        };
        if groups.weighted() {
            return unsupported("weights of single groups".into());
        }
        let order = match (groups.layout(), groups.run()) {
            (Layout::Ragged(_) | Layout::Channels, _) => None,
            (_, 0) => Some(Order::Samples),
            (_, 1) => Some(Order::Components),
            _ => None,
        };
        let Some(order) = order else { return unsupported(format!("groups {}", groups.layout())) };
        let (count, last) = (groups.count(), groups.size(groups.count().saturating_sub(1)));
        if count > 0 && (groups.largest() != n || last != n) {
            let got = if groups.largest() == n { last } else { groups.largest() };
            let expected = format_args!("{n}, as the regulariser has");
            return Err(shape(place, "elements of a group", got, expected));
        }
        match u32::try_from(count) {
            Ok(count) => Ok((count, order)),
            Err(_) => Err(shape(place, "number of groups", count, "less than 2^32")),
        }
    }
}

/// t of a step, from the f32 numbers that kernels see.
fn t(lambda: f64, rate_scale: f64, hyper: &Hyper) -> f64 {
    let [rate, lambda] = [hyper.rate() * rate_scale, lambda * hyper.lambda_scale()].map(|x| x as f32);
    f64::from(rate) * f64::from(lambda)
}

/// prox_tg of the penalty g of an activation, rounded as the kernel sees it. Nothing cancels, nor leaves the range of f32.
fn scaled(a: &Activation, t: f64) -> Activation {
    let round = |x: f64| f64::from(x as f32);
    let slope = |eta: f64| round(1.0 / (1.0 + t * ((1.0 - eta) / eta)));
    let c = a.eta1 * (a.delta2 - a.delta1);
    Activation {
        eta1: slope(a.eta1),
        eta2: slope(a.eta2),
        delta1: round(t * a.delta1),
        delta2: round(c + t * (a.delta2 - c)),
    }
}

/// The learned numbers of one regulariser at one lambda and rate, as a product reads them: the head changes each step.
#[derive(Debug)]
pub(super) struct Row {
    regulariser: Arc<Regulariser>,
    lambda: f64,
    rate_scale: f64,
    /// q = 1 and b = 0: they are in the scaled activation already.
    rest: Vec<f32>,
    /// First byte among the rows.
    pub at: u64,
}

impl Row {
    pub fn new(of: &Regularised, lambda: f64, rate_scale: f64) -> Self {
        let regulariser = of.regulariser.clone();
        let places = places(&regulariser);
        let mut rest = vec![0.0; (places.length() - HEAD) as usize];
        rest[..places.q().len()].fill(1.0);
        Row { regulariser, lambda, rate_scale, rest, at: 0 }
    }

    /// Whether it is the row of such a tensor.
    pub fn fits(&self, of: &Regularised, lambda: f64, rate_scale: f64) -> bool {
        Arc::ptr_eq(&self.regulariser, &of.regulariser)
            && (self.lambda, self.rate_scale) == (lambda, rate_scale)
    }

    pub fn bytes(&self) -> u64 {
        4 * u64::from(places(&self.regulariser).length())
    }

    /// Writes the values of one step.
    pub fn write(&self, hyper: &Hyper, write: &mut dyn FnMut(u64, &[u8])) {
        let t = t(self.lambda, self.rate_scale, hyper);
        let a = scaled(&self.regulariser.parameters().activation, t);
        let mut head = [0.0_f32; HEAD as usize];
        for (at, x) in [
            (Places::L, 1.0),
            (Places::ETA1, a.eta1),
            (Places::ETA2, a.eta2),
            (Places::DELTA1, a.delta1),
            (Places::DELTA2, a.delta2),
        ] {
            head[at] = x as f32;
        }
        write(self.at, bytemuck::cast_slice(&head));
        write(self.at + 4 * u64::from(HEAD), bytemuck::cast_slice(&self.rest));
    }
}

fn places(regulariser: &Regulariser) -> Places {
    Places { components: regulariser.parameters().components(), nonzeros: 0 }
}

/// One tensor's work.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The name that errors use.
    pub name: String,
    /// The regulariser and the groups.
    pub of: Regularised,
    /// W.
    pub weights: View,
    /// First byte of its [`Row`] among the rows.
    pub row: u64,
}

/// Binds two products per tensor; the rows lie in `target`.
pub(super) fn bind(kernels: &Kernels, jobs: &[Job], target: &wgpu::Buffer) -> Result<Dispatches> {
    let mut made = Dispatches::default();
    let Some(largest) = jobs.iter().map(|job| job.weights.length).max() else { return Ok(made) };
    let bytes = (4 * largest).max(16);
    let usage = wgpu::BufferUsages::STORAGE;
    // one for all: dispatches take effect one after another
    let scratch = gpu::buffer(kernels.device(), "coefficients", bytes, usage, false)?;
    let mut matrices: Vec<(Arc<Regulariser>, Format, [Matrix; 2])> = Vec::new();
    for Job { name, of, weights, row } in jobs {
        let (vectors, order) = of.batch(name)?;
        let p = of.regulariser.parameters();
        let (n, format) = (p.components(), Format::guess(p.pattern.density(), vectors));
        let known = |(r, f, _): &&_| Arc::ptr_eq(r, &of.regulariser) && *f == format;
        let [inverse, atoms] = match matrices.iter().find(known) {
            Some((_, _, both)) => both.clone(),
            None => {
                let single = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
                let inverse = single(of.regulariser.inverse_transposed()?);
                let full = Arc::new(Pattern::full(n, n)?);
                let both = [
                    Matrix::of(kernels, full, Format::Dense, &inverse)?,
                    Matrix::of(kernels, p.pattern.clone(), format, &single(&p.values))?,
                ];
                matrices.push((of.regulariser.clone(), format, both.clone()));
                both
            }
        };
        let places = places(&of.regulariser);
        let learned = View::new(name, target, *row, u64::from(places.length()))?;
        let learned = Learned::new(name, learned, places, 1)?;
        let w = Batch::new(name, weights.clone(), n, vectors, order)?;
        let coefficients = View::new(name, &scratch, 0, weights.length)?;
        let coefficients = Batch::new(name, coefficients, n, vectors, Order::Components)?;
        let there = product::Job {
            finish: product::Finish::Activated,
            learned: Some(learned),
            ..product::Job::plain(inverse, false, w.clone(), coefficients.clone())
        };
        let back = product::Job::plain(atoms, true, coefficients, w);
        for job in [there, back] {
            made.extend(product::bind(kernels, &job)?);
        }
    }
    Ok(made)
}

/// The float64 twin.
#[derive(Debug)]
pub(super) struct Reference {
    base: Base,
    step: step::Reference,
    of: Regularised,
    activation: Activation,
}

/// A number of which f32 arithmetic makes another.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    value: f64,
    /// What the operator's own arithmetic may miss it by.
    own: f64,
    /// What the errors of the points come to.
    carried: f64,
}

impl Known {
    fn reach(self) -> f64 {
        self.value.abs() + self.own + self.carried
    }
}

/// A sum of products as it is made.
#[derive(Clone, Copy, Default)]
struct Sum {
    known: Known,
    /// Of the terms.
    magnitude: f64,
}

impl Sum {
    fn add(&mut self, a: f64, x: Known) {
        let (size, reach) = (a.abs(), x.reach());
        if reach == 0.0 {
            return;
        }
        self.known.value += a * x.value;
        self.known.carried += size * x.carried;
        // an entry below 2^-126 may count as zero; so may the product, and the sum so far
        let tiny = if size < FLUSH { size } else { 0.0 };
        self.known.own += size * x.own + tiny * reach + 2.0 * FLUSH;
        self.magnitude += size * reach;
    }

    /// The sum of products with n numbers, and whether f32 may overflow on the way.
    fn total(self, n: usize) -> (Known, bool) {
        let Known { value, own, carried } = self.known;
        // 1 %: errors of errors
        let own = 1.01 * (own + (n as f64 + 8.0) * RELATIVE * self.magnitude);
        (Known { value, own, carried }, 1.01 * self.magnitude + own > f64::from(f32::MAX))
    }
}

impl Reference {
    /// The twin of one tensor's step.
    pub fn new(base: Base, of: &Regularised, lambda: f64, rate_scale: f64, hyper: &Hyper) -> Self {
        let step = step::Reference::new(base, NoPenalty.into(), lambda, rate_scale, hyper);
        let activation = scaled(&of.regulariser.parameters().activation, t(lambda, rate_scale, hyper));
        Reference { base, step, of: of.clone(), activation }
    }

    fn activated(&self, v: Known) -> Known {
        let a = &self.activation;
        let (reach, most) = (v.reach(), a.value(v.reach()));
        // flushed, a threshold is 0
        if reach == 0.0 || (most == 0.0 && a.delta1 >= FLUSH) {
            return Known::default();
        }
        let slope = a.lipschitz();
        Known {
            value: a.value(v.value),
            own: slope * v.own + 4.0 * RELATIVE * most + 8.0 * FLUSH,
            carried: slope * v.carried,
        }
    }

    /// The operator on the members of a group, and whether f32 may overflow on the way.
    fn operator(&self, x: &[Known]) -> (Vec<Known>, bool) {
        let (p, n) = (self.of.regulariser.parameters(), x.len());
        // checked before: there is one
        let inverse = self.of.regulariser.inverse_transposed().unwrap_or_default();
        let mut overflows = false;
        let mut sums = vec![Sum::default(); n];
        let mut total = |sum: Sum| {
            let (known, over) = sum.total(n);
            overflows |= over;
            known
        };
        for (i, row) in inverse.chunks_exact(n).enumerate() {
            let mut v = Sum::default();
            row.iter().zip(x).for_each(|(a, x)| v.add(*a, *x));
            let w = self.activated(total(v));
            for k in p.pattern.row(i as u32) {
                sums[p.pattern.indices()[k] as usize].add(p.values[k], w);
            }
        }
        let y = sums.into_iter().map(&mut total).collect();
        (y, overflows)
    }

    /// The groups.
    pub fn groups(&self) -> &Groups {
        &self.of.groups
    }

    /// Takes the step of one group, and returns how many of its members the base step met or made not finite.
    pub fn step(&self, members: &mut [Element]) -> u32 {
        let mut bad = 0;
        let mut points = Vec::with_capacity(members.len());
        for e in members.iter_mut() {
            let (after, finite) = self.step.step(*e);
            *e = after;
            bad += u32::from(!finite);
            points.push(Known { value: f64::from(e.w), ..Known::default() });
        }
        let (made, overflows) = self.operator(&points);
        let lost = bad > 0 || overflows;
        for (e, y) in members.iter_mut().zip(made) {
            // as in f32, where an overflow on the way is an overflow; the sum takes -0.0 away
            e.w = if lost { f32::NAN } else { y.value as f32 + 0.0 };
        }
        bad
    }

    /// Judges what the kernels made of a group.
    pub fn judge(&self, before: &[Element], after: &[Element]) -> Vec<Judgement> {
        let moved: Vec<_> = before.iter().map(|e| self.step.advance(*e)).collect();
        let mut fits = moved.iter().flat_map(|m| self.step.fits(m));
        let lost = before.iter().any(|e| !self.step.readable(*e)) || fits.clone().any(|f| f == Some(false));
        let known = |p: &Approx| Known { value: p.value, own: 0.0, carried: p.error };
        let points: Vec<Known> = moved.iter().map(|m| known(&m.point)).collect();
        let largest = points.iter().fold(0.0_f64, |most, x| most.max(x.reach()));
        let (made, overflows) = self.operator(&points);
        let open = overflows || fits.any(|fit| fit.is_none());
        let verdict = |k: usize| {
            let (got, y) = (after[k].w, made[k]);
            let (distance, bound) = ((f64::from(got) - y.value).abs(), y.own + y.carried);
            let right = match got.is_finite() {
                // a bound that overflows with the points is none
                true => !lost && (distance <= bound || (open && !bound.is_finite())),
                false => lost || open,
            };
            let states = self.base.states() == 0 || self.step.states_hold(before[k], &moved[k], after[k]);
            Judgement {
                ok: right && states,
                in_band: false,
                ulps: if lost || open { 0.0 } else { (distance - y.carried).max(0.0) / ulp(largest) },
                expected: if lost { f64::NAN } else { y.value },
                bound,
            }
        };
        (0..after.len()).map(verdict).collect()
    }
}

/// The largest error that [`Reference::judge`] allows the operator itself, in ULP of the group's largest member.
pub(super) fn allowed_ulps(of: &Regularised) -> f64 {
    let p = of.regulariser.parameters();
    let Ok(inverse) = of.regulariser.inverse_transposed() else { return f64::NAN };
    let mut sums = vec![0.0_f64; p.q.len()];
    for (i, row) in inverse.chunks_exact(p.q.len()).enumerate() {
        let reach: f64 = row.iter().map(|a| a.abs()).sum();
        for k in p.pattern.row(i as u32) {
            sums[p.pattern.indices()[k] as usize] += p.values[k].abs() * reach;
        }
    }
    // both products and prox_tg, each with 1 % for errors of errors; an ULP is half a rounding or more
    2.0 * (2.1 * (p.q.len() as f64 + 8.0) + 5.0) * sums.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::penalty::Prox;

    #[test]
    fn the_scaled_activation_is_the_prox_of_t_times_its_penalty() {
        for (eta1, eta2, delta1, delta2) in
            [(0.5, 0.75, 0.25, 1.0), (1.0, 0.25, 0.5, 0.5), (0.125, 1.0, 0.0, 2.0), (1.0, 1.0, 0.5, 3.0)]
        {
            let a = Activation { eta1, eta2, delta1, delta2 };
            assert_eq!(scaled(&a, 1.0), a);
            for t in [0.0, 1e-6, 0.25, 1.0, 7.0, 1e5] {
                let (made, prox) = (scaled(&a, t), Prox::new(a.penalty(), t, 1.0));
                for v in (-40..=40).map(|k| f64::from(k) / 8.0) {
                    let (got, expected) = (made.value(v), prox.apply(v));
                    // the numbers of the activation are rounded to f32
                    let near = (got - expected).abs() <= 1e-6 * v.abs();
                    assert!(near, "{a:?} {t} {v}: {got} {expected}");
                    assert!(t != 0.0 || got == v);
                }
            }
        }
        // the largest t there is, and the widest domain
        let a = Activation { eta1: 1e-6, eta2: 1e-6, delta1: 1e6, delta2: 1e6 };
        let made = scaled(&a, 1e24);
        assert!([made.eta1, made.eta2].iter().all(|x| *x > FLUSH) && made.delta2.is_finite());
    }
}
