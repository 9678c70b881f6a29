//! Many tensors, few dispatches: bound once, recorded each step, verified while it runs.
//!
//! [`Schedule::bind`] makes every check and every allocation and returns a [`Plan`]; [`Plan::record`] writes one step
//! into the caller's encoder. Tensors fall into buckets of equal kernel variant and buffers, and a bucket is one
//! dispatch, however many tensors it holds; only a learned regulariser takes two more for each tensor that has one.
//! [`HostSchedule`] is the easy layer above: weights and gradients in host memory, on a GPU or on the CPU.

mod bound;
mod host;
mod plan;
mod regularised;
mod report;
mod rooms;
mod twin;
mod verify;

pub use host::{Backend, HostSchedule, StepReport};
pub use plan::{Plan, Schedule, Tensor};
pub use regularised::Regularised;
pub use report::{FirstMismatch, TensorReport, Verification};
pub use verify::Verify;

use std::sync::Arc;

use crate::error::{Error, Result, require};
use crate::kernels::solver::Solver;
use crate::kernels::step::Base;
use crate::penalty::{Group, GroupPenalty, Groups, Penalty, WEIGHT};
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
    pub rate_scale: f64,
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
            rate_scale: 1.0,
            group: None,
            solver: Solver::Proximal,
            regulariser: None,
        }
    }

    /// The same tensor at `scale` times the learning rate.
    #[must_use]
    pub fn with_rate_scale(self, scale: f64) -> Self {
        Spec { rate_scale: scale, ..self }
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
    /// step is the proximal operator of its penalty R in its own metric, where it is exact, and the identity at rate 0:
    ///
    /// ```text
    /// R(y) = sum_i g(v_i) / q_i,   v = Â^-T y,   W <- Âᵀ [ prox_tg(Â^-T x) ],   t = rate * rate scale * lambda
    /// ```
    ///
    /// It is not [`Regulariser::prox`], which is one of step size 1 and would shrink the weights at any rate. Weights become
    /// sparse in the rows of Â; those of a group become zeros where all of v is within t delta1. The penalty is `none`,
    /// without a group penalty, the solver proximal, and not after adam-metric. b is 0, both slopes are at most 1, and n is
    /// at most [`Regulariser::AT_ONCE`]. Groups have n members each, side by side or as columns of a matrix.
    ///
    /// Two dispatches per tensor, which are not batched across tensors. A member that is not finite makes its group so; status
    /// words count what the base step met or made, and the rest of such a group from the next step on.
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

    /// The groups by which the tensor is stepped, if by any.
    fn groups(&self) -> Option<&Groups> {
        let group = self.group.as_ref().map(|group| &group.groups);
        group.or(self.regulariser.as_ref().map(|regulariser| &regulariser.groups))
    }

    /// The same tensor with another solver.
    #[must_use]
    pub fn with_solver(self, solver: Solver) -> Self {
        Spec { solver, ..self }
    }

    /// How many arrays the tensor keeps beside its weights: the base step's states, and the copy of variable splitting.
    #[must_use]
    pub fn states(&self, base: Base) -> usize {
        base.states() + usize::from(self.solver.has_copy())
    }

    /// Whether there is a kernel for this tensor after `base`.
    fn check_base(&self, base: Base) -> Result<()> {
        let refuse = |what: String, allowed: &str| {
            Err(Error::Unsupported { place: self.name.clone(), what, allowed: allowed.into() })
        };
        let plain = self.groups().is_none() && self.solver == Solver::Proximal;
        if matches!(base, Base::AdamMetric(_)) && !plain {
            return refuse(
                format!("{} with groups, a regulariser, or the solver {}", base.name(), self.solver),
                "elementwise penalties and the solver proximal, or adam",
            );
        }
        if self.solver == Solver::Proximal {
            return Ok(());
        }
        if !base.has_gradient() {
            return refuse(
                format!("the solver {} after {}", self.solver, base.name()),
                "base steps with a gradient",
            );
        }
        match &self.group {
            Some(group) if !matches!(group.penalty, GroupPenalty::Lasso(_)) => refuse(
                format!("the solver {} with the group penalty {}", self.solver, group.penalty.name()),
                "lasso, or the solver proximal",
            ),
            _ if self.solver == Solver::Subgradient && self.penalty.name() == "l0" => refuse(
                "the subgradient of l0, which is zero wherever it exists".into(),
                "another penalty, or another solver",
            ),
            _ => Ok(()),
        }
    }

    /// Checks the parameters of the penalties, of the regulariser and of the solver, the lambdas and the rate's scale.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] naming tensor or penalty, parameter, value and range; [`crate::Error::Unsupported`] for group
    /// weights that the penalty does not take, and for what goes with no regulariser; [`crate::Error::Shape`] for groups that
    /// have not its n members.
    pub fn check(&self) -> Result<()> {
        self.solver.check()?;
        if let Some(group) = &self.group {
            group.penalty.check()?;
            let name = format!("{}: group penalty", self.name);
            require(WEIGHT.contains(group.lambda), &name, "lambda", group.lambda, WEIGHT)?;
            if group.groups.weighted() && !group.penalty.rule().weighable() {
                return Err(Error::Unsupported {
                    place: self.name.clone(),
                    what: format!("weights of single groups with {}", group.penalty.name()),
                    allowed: "groups without weights".into(),
                });
            }
        }
        if let Some(regulariser) = &self.regulariser {
            let alone = self.penalty.name() == "none" && self.group.is_none();
            if !alone || self.solver != Solver::Proximal {
                return Err(Error::Unsupported {
                    place: self.name.clone(),
                    what: format!(
                        "a regulariser with the penalty {}{}, by the solver {}",
                        self.penalty,
                        self.group.as_ref().map_or_else(String::new, |g| format!("+{}", g.penalty)),
                        self.solver
                    ),
                    allowed: "the penalty none, without a group penalty, and the solver proximal".into(),
                });
            }
            regulariser.check(&self.name)?;
        }
        self.penalty.check()?;
        require(WEIGHT.contains(self.lambda), &self.name, "lambda", self.lambda, WEIGHT)?;
        require(WEIGHT.contains(self.rate_scale), &self.name, "rate scale", self.rate_scale, WEIGHT)
    }
}
