//! Many tensors, few dispatches: bound once, recorded each step, verified while it runs.
//!
//! [`Schedule::bind`] makes every check and every allocation and returns a [`Plan`]; [`Plan::record`] writes one step
//! into the caller's encoder. Tensors fall into buckets of equal kernel variant and buffers, and a bucket is one
//! dispatch, however many tensors it holds; only a learned regulariser takes three more for each tensor that has one.
//! [`HostSchedule`] is the easy layer above: weights and gradients in host memory, on a GPU or on the CPU.

mod bindings;
mod density;
mod host;
mod kernels;
mod nonzeros;
mod operator;
mod plan;
mod reference;
mod report;
mod settings;
mod verify;

pub use crate::kernels::spmm::metric::Regularised;
pub use density::{DensityControl, DensityState, DensityTarget, Measure, Phase, Tally};
pub use host::{Backend, HostSchedule, StepReport};
pub use nonzeros::{Counted, Nonzeros};
pub use plan::{Plan, Schedule, Staged, Tensor, Update};
pub use report::{FirstMismatch, TensorReport, Verification};
pub use settings::Settings;
pub use verify::Verify;

use std::sync::Arc;

use crate::kernels::solver::Solver;
use crate::kernels::step::Optimizer;
use crate::penalty::{Group, Groups, Penalty};
use crate::regulariser::Regulariser;

/// One tensor of a schedule: its name in messages and what is done to it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Spec {
    /// The name that errors and reports use.
    pub name: String,
    /// The penalty.
    pub penalty: Penalty,
    /// Its weight.
    pub lambda: f64,
    /// A factor of the learning rate, 1 for most tensors.
    pub lr_scale: f64,
    /// A penalty of groups of weights, whose operator follows the elementwise one.
    pub group: Option<Group>,
    /// How the penalties enter the step.
    pub solver: Solver,
    /// A learned regulariser in the place of penalties; lambda is its weight.
    pub regulariser: Option<Regularised>,
}

impl Spec {
    /// A tensor with its penalty and lambda, at the full learning rate.
    #[must_use]
    pub fn new(name: impl Into<String>, penalty: Penalty, lambda: f64) -> Self {
        Spec {
            name: name.into(),
            penalty,
            lambda,
            lr_scale: 1.0,
            group: None,
            solver: Solver::Proximal,
            regulariser: None,
        }
    }

    /// The same tensor at `scale` times the learning rate.
    #[must_use]
    pub fn with_lr_scale(self, scale: f64) -> Self {
        Spec { lr_scale: scale, ..self }
    }

    /// The same tensor with a penalty of groups.
    ///
    /// ```
    /// use maf_srl::penalty::{Group, Groups, Layout};
    /// use maf_srl::schedule::Spec;
    /// // the sparse group lasso on the neurons of a layer [128, 64]
    /// let rows = Groups::new(Layout::Rows, &[128, 64])?;
    /// let lasso = Group::new("lasso(weight=sqrt-size)".parse()?, 1e-3, rows);
    /// let spec = Spec::new("fc1.weight", "l1".parse()?, 1e-3).with_group(lasso);
    /// # spec.check()?;
    /// # Ok::<(), maf_srl::Error>(())
    /// ```
    #[must_use]
    pub fn with_group(self, group: Group) -> Self {
        Spec { group: Some(group), ..self }
    }

    /// The same tensor with a learned regulariser on vectors of n weights, `groups`, whose weight is the spec's lambda. The
    /// step is the proximal gradient step of f + lambda R in the metric of R, ||y||_M^2 = sum_i v_i^2 / q_i, where the proximal
    /// operator is exact, and the identity at rate 0:
    ///
    /// ```text
    /// R(y) = sum_i g(v_i) / q_i,   v = Â^-T y,   M^-1 = Âᵀ diag(q) Â
    /// x = W - rate * rate scale * M^-1 direction,   W <- Âᵀ [ prox_tg(Â^-T x) ],   t = rate * rate scale * lambda
    /// ```
    ///
    /// M^-1 multiplies the rate: where its norm, the square of [`Diagnostics::norm`](crate::regulariser::Diagnostics::norm), is not
    /// 1, divide the rate scale by it. The direction is that of the base step, with its momentum; Adam's is no gradient, so
    /// that steps end where 0 is in diag(q) Â D^-1 grad f + lambda dg(v), D being the diagonal that Adam divides by, which is the
    /// minimum of no objective.
    ///
    /// It is not [`Regulariser::prox`], which is one of step size 1 and would shrink the weights at any rate. Weights become
    /// sparse in the rows of Â; those of a group become zeros where all of v is within t delta1. A weight that is zero stays so
    /// while |q_i (Â grad f)_i| is at most lambda delta1 for all i: next to l1, whose threshold is lambda, that of single
    /// weights is scaled by Â. The penalty is `none`,
    /// without a group penalty, the solver proximal, and not after adam-metric. b is 0, both slopes are at most 1, and n is
    /// at most [`Regulariser::AT_ONCE`]. Groups have n members each, side by side or as columns of a matrix.
    ///
    /// Three dispatches per tensor, which are not batched across tensors, and 4 bytes of the plan's memory per weight. A member that is not finite makes its group so; status
    /// words count what the base step met or made, and the rest of such a group from the next step on. The coefficients
    /// prox_tg(Â^-T x), which are sparse, are kept as a last state, where the weights are.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use maf_srl::matrix::Pattern;
    /// use maf_srl::regulariser::{Parameters, Regulariser};
    /// use maf_srl::penalty::{Activation, Groups, Layout};
    /// use maf_srl::schedule::Spec;
    /// // one from a file: maf_srl::regulariser::file::load
    /// let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.1, delta2: 0.3 };
    /// let parameters = Parameters::identity(Arc::new(Pattern::diagonal(64)?), activation, 1.0)?;
    /// let regulariser = Arc::new(Regulariser::new(parameters)?);
    /// let rows = Groups::new(Layout::Rows, &[128, 64])?;
    /// let spec = Spec::new("fc1.weight", "none".parse()?, 1e-3).with_regulariser(regulariser, rows);
    /// # spec.check()?;
    /// # Ok::<(), maf_srl::Error>(())
    /// ```
    #[must_use]
    pub fn with_regulariser(self, regulariser: Arc<Regulariser>, groups: Groups) -> Self {
        Spec { regulariser: Some(Regularised { regulariser, groups }), ..self }
    }

    /// The same tensor with another solver.
    #[must_use]
    pub fn with_solver(self, solver: Solver) -> Self {
        Spec { solver, ..self }
    }

    /// How many arrays the tensor keeps beside its weights: the base step's states, and the copy of variable splitting or the
    /// coefficients of a learned regulariser.
    #[must_use]
    pub fn states(&self, base: Optimizer) -> usize {
        base.states() + usize::from(self.solver.has_copy() || self.regulariser.is_some())
    }
}
