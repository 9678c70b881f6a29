//! A learned regulariser in the step: a gradient step and the prox, both in the regulariser's own metric M, group by group.
//!
//! ```text
//! R(y) = sum_i g(v_i) / q_i,   v = Â^-T y,   ||y||_M^2 = sum_i v_i^2 / q_i,   M^-1 = Âᵀ diag(q) Â
//! x = W - rate * M^-1 direction,   W <- argmin_y 1/2 ||y - x||_M^2 + t R(y) = Âᵀ [ prox_tg(Â^-T x) ],
//! t = rate * rate scale * lambda
//! ```
//!
//! So it is the proximal gradient step of f + lambda R, and stands still where 0 is in diag(q) Â grad f + lambda dg(v). A
//! Euclidean gradient step before a prox in M would be the step of no objective. M^-1 multiplies the rate: steps converge up to
//! a rate of 1 / (||M^-1|| L), L being the Lipschitz constant of grad f and ||M^-1|| the square of
//! [`Diagnostics::norm`](crate::regulariser::Diagnostics::norm). Momentum is of the gradients; its direction goes through M^-1
//! too. So does Adam's, but that is no gradient: with the diagonal D that Adam divides by, it stands still where 0 is in diag(q) Â
//! D^-1 grad f + lambda dg(v), which is of no objective unless D is a multiple of the identity.
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
//! **Dispatches.** With x' = W - rate * direction, which the base step makes, Â^-T x = (Â^-T - diag(q) Â) W + diag(q) Â x'. So
//! there are three products per tensor, not batched across tensors: before the base step h = (Â^-T - diag(q) Â) W into memory of
//! the plan's own, after it w = prox_tg(h + diag(q) Â W), both with dense matrices, and W = Âᵀ w. With Â = I and q = 1 h is 0.
//! The numbers of prox_tg change with the rate; they are in the rows of hyper-parameters.
//!
//! The coefficients w are kept from step to step. Where zeros are frozen, those that are +0.0 stay so; -0.0 stands for one
//! that is not there yet.
//!
//! **NaN and infinities.** One member that is not finite makes its group NaN. Status words count what the base step met or
//! made; a group that overflows only in the products is counted from the next step on.
//!
//! **Accuracy.** [`MetricReference::judge`]: each product misses by n + 8 roundings of its terms' magnitudes, of which one
//! is for the matrix in f32, and hands on its operands' errors; q times one and their sum add 3 roundings; prox_tg hands errors
//! on by its slope, and adds 4 roundings of its result.

pub(super) mod bench;
pub(super) mod cases;
mod reference;

pub use reference::MetricReference;

use std::sync::Arc;

use super::{Epilogue, SpmmJob as Product, bind as bind_product};
use crate::error::{Result, require, shape, unsupported};
use crate::gpu::View;
use crate::kernels::operator::{Operator, Reference, refuse_metric};
use crate::kernels::step::{Elementwise, Optimizer, StepParameters};
use crate::kernels::{Batch, Dispatches, Format, LearnedParameters, Matrix, Order, PipelineCache};
use crate::matrix::Pattern;
use crate::penalty::{Activation, Groups, Layout, NoPenalty};
use crate::regulariser::{HEAD, ParameterLayout, Parameters, Regulariser};

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
    pub(crate) fn check(&self, place: &str) -> Result<()> {
        let p = self.regulariser.parameters();
        let n = p.components();
        let most = Regulariser::AT_ONCE;
        let place = format!("{place}: regulariser");
        require(n <= most, &place, "components", n, format_args!("[1, {most}]"))?;
        for (name, eta) in [("eta1", p.activation.eta1), ("eta2", p.activation.eta2)] {
            require(eta <= 1.0, &place, name, eta, "[1e-6, 1], without which the operator jumps")?;
        }
        if let Some((k, &b)) = p.b.iter().enumerate().find(|(_, b)| **b != 0.0) {
            return require(false, &place, format_args!("b[{k}]"), b, "{0}: zero weights have to stay zero");
        }
        self.regulariser.inverse_transposed()?;
        self.batch(&place).map(drop)
    }

    /// How many vectors there are, and how they lie.
    fn batch(&self, place: &str) -> Result<(u32, Order)> {
        let (groups, n) = (&self.groups, u64::from(self.regulariser.parameters().components()));
        let allowed = "groups without weights that are runs of elements (rows, filters, blocks, whole, axis:0) or the \
                       columns of a matrix (columns of two axes, the last axis)";
        if groups.weighted() {
            return Err(unsupported(place, "weights of single groups", allowed));
        }
        let order = match (groups.layout(), groups.run_length()) {
            (Layout::Ragged(_), _) => None,
            (_, 0) => Some(Order::BatchMajor),
            (_, 1) => Some(Order::FeatureMajor),
            _ => None,
        };
        let Some(order) = order else {
            return Err(unsupported(place, format!("groups {}", groups.layout()), allowed));
        };
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

/// The operator of a learned regulariser of this weight.
#[derive(Clone, Debug)]
pub(crate) struct Weighed {
    of: Regularised,
    /// The base step before it.
    first: Elementwise,
}

impl Weighed {
    /// Of a regulariser that has been checked, and its weight.
    pub fn new(of: Regularised, lambda: f64) -> Self {
        Weighed { of, first: Elementwise::new(NoPenalty.into(), lambda) }
    }

    /// The regulariser and the groups.
    pub fn of(&self) -> &Regularised {
        &self.of
    }

    /// The step of the weights before the regulariser's operator.
    pub fn first(&self) -> &Elementwise {
        &self.first
    }
}

impl Operator for Weighed {
    fn check(&self, base: Optimizer, place: &str) -> Result<()> {
        refuse_metric(base, place, "a regulariser", "no regulariser")
    }

    fn groups(&self) -> Option<&Groups> {
        Some(&self.of.groups)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn set_lambdas(&mut self, own: f64, _: f64) {
        self.first = self.first.with_lambda(own);
    }

    fn allowed_ulps(&self) -> f64 {
        reference::allowed_ulps(&self.of)
    }

    fn reference(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Box<dyn Reference> {
        Box::new(MetricReference::new(base, &self.of, self.first.lambda(), lr_scale, hyper))
    }
}

/// t of a step, from the f32 numbers that kernels see.
fn t(lambda: f64, lr_scale: f64, hyper: &StepParameters) -> f64 {
    let [rate, lambda] = [hyper.lr() * lr_scale, lambda * hyper.lambda_scale()].map(|x| x as f32);
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

/// The learned numbers of one tensor's regulariser as a product reads them: the head changes each step.
#[derive(Debug)]
pub(crate) struct MetricRow {
    regulariser: Arc<Regulariser>,
    /// q, and b = 0.
    rest: Vec<f32>,
    /// First byte among the rows.
    pub at: u64,
}

impl MetricRow {
    pub fn new(of: &Regularised) -> Self {
        let regulariser = of.regulariser.clone();
        let places = places(&regulariser);
        let mut rest = vec![0.0; (places.length() - HEAD) as usize];
        rest.iter_mut().zip(&regulariser.parameters().q).for_each(|(at, q)| *at = *q as f32);
        MetricRow { regulariser, rest, at: 0 }
    }

    pub fn bytes(&self) -> u64 {
        4 * u64::from(places(&self.regulariser).length())
    }

    /// The bytes of one step, of a row that lies by itself.
    fn alone(&self, lambda: f64, lr_scale: f64, hyper: &StepParameters) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes() as usize];
        self.write(lambda, lr_scale, hyper, &mut |at, part| {
            bytes[at as usize..][..part.len()].copy_from_slice(part)
        });
        bytes
    }

    /// Writes the values of one step.
    pub fn write(
        &self,
        lambda: f64,
        lr_scale: f64,
        hyper: &StepParameters,
        write: &mut dyn FnMut(u64, &[u8]),
    ) {
        let t = t(lambda, lr_scale, hyper);
        let a = scaled(&self.regulariser.parameters().activation, t);
        let mut head = [0.0_f32; HEAD as usize];
        for (at, x) in [
            (ParameterLayout::L, 1.0),
            (ParameterLayout::ETA1, a.eta1),
            (ParameterLayout::ETA2, a.eta2),
            (ParameterLayout::DELTA1, a.delta1),
            (ParameterLayout::DELTA2, a.delta2),
            (ParameterLayout::FROZEN, f64::from(u8::from(hyper.frozen_zeros()))),
        ] {
            head[at] = x as f32;
        }
        write(self.at, bytemuck::cast_slice(&head));
        write(self.at + 4 * u64::from(HEAD), bytemuck::cast_slice(&self.rest));
    }
}

fn places(regulariser: &Regulariser) -> ParameterLayout {
    ParameterLayout { components: regulariser.parameters().components(), nonzeros: 0 }
}

/// One tensor's work.
#[derive(Clone, Debug)]
pub(crate) struct MetricJob {
    /// The name that errors use.
    pub name: String,
    /// The regulariser and the groups.
    pub of: Regularised,
    /// W.
    pub weights: View,
    /// The coefficients prox_tg(Â^-T x), which are kept from step to step.
    pub coefficients: View,
    /// What is computed of W before the base step.
    pub scratch: View,
    /// First byte of its [`Row`] among the rows.
    pub row: u64,
}

/// The matrices of the regularisers that a plan's tensors share.
#[derive(Debug, Default)]
pub(crate) struct Matrices(Vec<(Arc<Regulariser>, Format, [Matrix; 3])>);

impl Matrices {
    /// Â^-T - diag(q) Â and Â, dense, and Â for the product of its transpose with so many vectors. Dense with all zeros, so that
    /// a member that is not finite is none of the group's others' either.
    fn of(
        &mut self,
        kernels: &PipelineCache,
        regulariser: &Arc<Regulariser>,
        vectors: u32,
    ) -> Result<[Matrix; 3]> {
        let p = regulariser.parameters();
        let (n, format) = (p.components(), Format::guess(p.pattern.density(), vectors));
        let known = |(r, f, _): &&_| Arc::ptr_eq(r, regulariser) && *f == format;
        if let Some((_, _, both)) = self.0.iter().find(known) {
            return Ok(both.clone());
        }
        let single = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<_>>();
        let full = Arc::new(Pattern::full(n, n)?);
        let dense = |values: &[f64]| Matrix::of(kernels, full.clone(), Format::Dense, &single(values));
        let both = [
            dense(&rest(regulariser)?)?,
            dense(&atoms(p))?,
            Matrix::of(kernels, p.pattern.clone(), format, &single(&p.values))?,
        ];
        self.0.push((regulariser.clone(), format, both.clone()));
        Ok(both)
    }
}

/// Â, row by row with its zeros.
fn atoms(p: &Parameters) -> Vec<f64> {
    let n = p.q.len();
    let mut all = vec![0.0; n * n];
    p.pattern.entries().zip(&p.values).for_each(|((i, j), a)| all[i as usize * n + j as usize] = *a);
    all
}

/// Â^-T - diag(q) Â, row by row.
fn rest(regulariser: &Regulariser) -> Result<Vec<f64>> {
    let p = regulariser.parameters();
    let n = p.q.len();
    let atoms = atoms(p).into_iter().enumerate().map(|(k, a)| p.q[k / n] * a);
    Ok(regulariser.inverse_transposed()?.iter().zip(atoms).map(|(inverse, atom)| inverse - atom).collect())
}

/// Binds the products of a tensor, the one before its base step and those after it; its row lies in `target`.
pub(crate) fn bind(
    kernels: &PipelineCache,
    job: &MetricJob,
    matrices: &mut Matrices,
    target: &wgpu::Buffer,
) -> Result<[Dispatches; 2]> {
    let MetricJob { name, of, weights, coefficients, scratch, row } = job;
    let (vectors, order) = of.batch(name)?;
    let [rest, dense, atoms] = matrices.of(kernels, &of.regulariser, vectors)?;
    let (n, places) = (of.regulariser.parameters().components(), places(&of.regulariser));
    let learned = View::new(name, target, *row, u64::from(places.length()))?;
    let learned = LearnedParameters::new(name, learned, places, 1)?;
    let batch = |view: &View| Batch::new(name, view.clone(), n, vectors, order);
    let (w, v, h) = (batch(weights)?, batch(coefficients)?, batch(scratch)?);
    let there = Product {
        epilogue: Epilogue::Held,
        learned: Some(learned),
        second: Some(h.clone()),
        ..Product::plain(dense, false, w.clone(), v.clone())
    };
    let before = bind_product(kernels, &Product::plain(rest, false, w.clone(), h))?;
    let mut after = bind_product(kernels, &there)?;
    after.extend(bind_product(kernels, &Product::plain(atoms, true, v, w))?);
    Ok([before, after])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::FLUSH;
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
