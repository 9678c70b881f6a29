//! What is done to a tensor after its base step, as the kernels that take steps share it: an operator with its numbers, the
//! work of one tensor, and the float64 reference.

use std::fmt::{Debug, Display};

use super::Judgement;
use super::element::Element;
use super::step::{Optimizer, StepParameters};
use crate::error::{Result, unsupported};
use crate::gpu::View;
use crate::penalty::Groups;

/// An operator with its numbers, those that kernels see as f32 rounded. There is none whose parts do not go together;
/// whether it goes with a base step is said by [`Operator::check`].
pub(crate) trait Operator: Debug + Send + Sync {
    /// Whether there is a kernel of it after `base`; `place` is the tensor in messages.
    fn check(&self, base: Optimizer, place: &str) -> Result<()>;

    /// The groups by which a tensor is stepped, if by any.
    fn groups(&self) -> Option<&Groups>;

    /// Gives the penalty of single weights and that of groups other weights.
    fn set_lambdas(&mut self, own: f64, group: f64);

    /// Whether an array is kept beside weights and states, as the last one: a sparse copy, or coefficients.
    fn keeps(&self) -> bool {
        false
    }

    /// The largest backward error that the bound allows, in ULP of |x|; with groups, of their largest member.
    fn allowed_ulps(&self) -> f64;

    /// The float64 reference of one step.
    fn reference(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Box<dyn Reference>;
}

/// An operator whose kernel reads a row of hyper-parameters per distinct setting.
pub(crate) trait Tabled: Operator + Clone {
    /// The row of one step.
    type Row: bytemuck::Pod;

    /// Whether tensors with these operators and one rate can share a row.
    fn alike(&self, other: &Self) -> bool;

    /// The row of one step. Allocates nothing.
    fn row(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Self::Row;

    /// The row of a tensor that sits out.
    fn resting() -> Self::Row;
}

/// One tensor's work.
#[derive(Clone, Copy, Debug)]
pub struct TensorJob<'a, O> {
    /// What is done to it.
    pub operator: &'a O,
    /// W, then G if the base step reads one, then the states, then the copy where the operator keeps one; all of one length
    /// and free of overlaps.
    pub views: &'a [View],
    /// Index of its row of hyper-parameters.
    pub row: usize,
    /// Index of its status word.
    pub tensor: usize,
}

/// The step of one tensor in float64.
pub trait Reference: Send + Sync {
    /// The tensor's groups, where it has to be taken group by group.
    fn groups(&self) -> Option<&Groups>;

    /// Takes the step of the members of group `g` in their order, or of any elements, in place; returns how many the status
    /// word counts as not finite.
    fn step(&self, g: u64, members: &mut [Element]) -> u32;

    /// Judges what a kernel made of the members of group `g` in their order, or of any elements. One verdict each.
    fn judge(&self, g: u64, before: &[Element], after: &[Element]) -> Vec<Judgement>;
}

/// Refuses Adam's metric, in which only elementwise operators have closed forms, for `what`; `instead` can be had with it.
pub(super) fn refuse_metric(base: Optimizer, place: &str, what: impl Display, instead: &str) -> Result<()> {
    match base {
        Optimizer::AdamMetric(_) => {
            let what = format!("{what} after {}", base.name());
            Err(unsupported(place, what, format!("{instead}, or adam")))
        }
        _ => Ok(()),
    }
}
