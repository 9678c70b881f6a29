//! What is done to a tensor after its base step: the one place that tells the kernels apart.

use std::ops::Deref;

use super::{Settings, Spec};
use crate::error::{Result, require, unsupported};
use crate::gpu::View;
use crate::kernels::group::Grouped;
use crate::kernels::operator::{self, Reference};
use crate::kernels::solver::{Solved, Solver};
use crate::kernels::spmm::metric::Weighed;
use crate::kernels::step::{Elementwise, Optimizer, StepParameters};
use crate::penalty::WEIGHT;

/// The operator of a tensor: one variant per way of stepping it.
///
/// A second penalty of groups would be a list in [`Grouped`]; splitting with a group penalty in the step of V one in the group of
/// [`Solved`]; groups whose members lie in several tensors a variant that names the others, as [`Weighed`] names its regulariser.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// The prox of every element by itself.
    Elementwise(Elementwise),
    /// That, and then the operator of groups.
    Grouped(Grouped),
    /// Another solver than the proximal one.
    Solved(Solved),
    /// The base step, and then a learned regulariser.
    Learned(Weighed),
}

impl Operator {
    fn set_lambdas(&mut self, own: f64, group: f64) {
        let of: &mut dyn operator::Operator = match self {
            Operator::Elementwise(of) => of,
            Operator::Grouped(of) => of,
            Operator::Solved(of) => of,
            Operator::Learned(of) => of,
        };
        of.set_lambdas(own, group);
    }
}

impl Deref for Operator {
    type Target = dyn operator::Operator;

    fn deref(&self) -> &Self::Target {
        match self {
            Operator::Elementwise(of) => of,
            Operator::Grouped(of) => of,
            Operator::Solved(of) => of,
            Operator::Learned(of) => of,
        }
    }
}

/// A tensor's name, rate and operator after its base step. There is no other way to one than through [`Checked::new`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    name: String,
    /// With the tensor's own weight decay.
    base: Optimizer,
    settings: Settings,
    operator: Operator,
}

impl Checked {
    /// Checks that the numbers are in their domains, and that there is a kernel after this base step, whose numbers are.
    pub fn new(base: Optimizer, spec: &Spec) -> Result<Self> {
        spec.check()?;
        let Spec { name, penalty, lambda, lr_scale, solver, group, regulariser } = spec.clone();
        let own = Elementwise::new(penalty, lambda);
        let settings = Settings {
            lr_scale,
            lambda,
            group_lambda: group.as_ref().map_or(0.0, |group| group.lambda),
            decay: base.decay().unwrap_or(0.0),
            step: None,
            rests: false,
            freeze: false,
        };
        let operator = match (regulariser, group, solver) {
            (Some(of), ..) => Operator::Learned(Weighed::new(of, lambda)),
            (None, None, Solver::Proximal) => Operator::Elementwise(own),
            (None, Some(group), Solver::Proximal) => Operator::Grouped(Grouped::new(own, group)),
            (None, group, _) => Operator::Solved(Solved::new(&name, solver, own, group)?),
        };
        operator.check(base, &name)?;
        Ok(Checked { name, base, settings, operator })
    }

    /// Takes other settings from now on.
    pub fn set(&mut self, settings: Settings) -> Result<()> {
        let grouped = match &self.operator {
            Operator::Grouped(_) => true,
            Operator::Solved(of) => operator::Operator::groups(of).is_some(),
            Operator::Elementwise(_) | Operator::Learned(_) => false,
        };
        settings.check(&self.name, self.base, grouped)?;
        self.operator.set_lambdas(settings.lambda, settings.group_lambda);
        self.base = self.base.with_decay(settings.decay);
        self.settings = settings;
        Ok(())
    }

    /// Counts a step that is recorded.
    pub fn count(&mut self) {
        if let (Some(step), false) = (&mut self.settings.step, self.settings.rests) {
            *step += 1;
        }
    }

    /// How the tensor takes its next step.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The base step, with the tensor's own weight decay.
    pub fn base(&self) -> Optimizer {
        self.base
    }

    /// The values of a step as they are for this tensor.
    pub fn hyper(&self, hyper: &StepParameters) -> StepParameters {
        let hyper = hyper.with_frozen_zeros(hyper.frozen_zeros() || self.settings.freeze);
        self.settings.step.map_or(hyper, |step| hyper.numbered(step))
    }

    /// The name that errors and reports use.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// How many arrays the tensor keeps beside its weights.
    pub fn states(&self) -> usize {
        self.base.states() + usize::from(self.operator.keeps())
    }

    /// The float64 reference of one step that is not sat out.
    pub fn reference(&self, hyper: &StepParameters) -> Box<dyn Reference> {
        self.operator.reference(self.base, self.settings.lr_scale, &self.hyper(hyper))
    }

    /// The name, and the largest backward error that the bound allows.
    pub fn allowed_ulps(&self) -> (String, f64) {
        (self.name.clone(), self.operator.allowed_ulps())
    }
}

/// Gives one of these tensors other settings.
pub(super) fn set<'a>(
    mut tensors: impl ExactSizeIterator<Item = &'a mut Checked>,
    tensor: usize,
    settings: Settings,
) -> Result<()> {
    let range = format!("[0, {})", tensors.len());
    match tensors.nth(tensor) {
        Some(checked) => checked.set(settings),
        None => require(false, "settings", "tensor", tensor, range),
    }
}

/// A tensor with all of its views, as the plan and its checks use it.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub checked: Checked,
    /// W, then G if the base step reads one, then the states.
    pub views: Vec<View>,
    /// Index of its row among those of its kernel.
    pub row: usize,
}

impl Spec {
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
                let what = format!("weights of single groups with {}", group.penalty.name());
                return Err(unsupported(&self.name, what, "groups without weights"));
            }
        }
        if let Some(regulariser) = &self.regulariser {
            let mut wrong = Vec::new();
            if self.penalty.name() != "none" {
                wrong.push((format!("the penalty {}", self.penalty), "the penalty none"));
            }
            if let Some(group) = &self.group {
                wrong.push((format!("the group penalty {}", group.penalty), "no group penalty"));
            }
            if self.solver != Solver::Proximal {
                wrong.push((format!("the solver {}", self.solver), "the solver proximal"));
            }
            if !wrong.is_empty() {
                let (what, allowed): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
                let what = format!("a regulariser with {}", what.join(" and "));
                return Err(unsupported(&self.name, what, allowed.join(" and ")));
            }
            regulariser.check(&self.name)?;
        }
        self.penalty.check()?;
        require(WEIGHT.contains(self.lambda), &self.name, "lambda", self.lambda, WEIGHT)?;
        require(WEIGHT.contains(self.lr_scale), &self.name, "learning-rate scale", self.lr_scale, WEIGHT)
    }
}
