//! What is done to a tensor after its base step: the one place that tells the kernels apart.

use super::Spec;
use super::twin::Twin;
use crate::error::{Result, require, unsupported};
use crate::kernels::product::metric::{self, Regularised};
use crate::kernels::solver::Solver;
use crate::kernels::step::{Base, Hyper, Variant, Width};
use crate::kernels::{group, solver, step};
use crate::penalty::{Group, GroupPenalty, Groups, NoPenalty, Penalty, WEIGHT};

/// An elementwise penalty and its weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weighted {
    pub penalty: Penalty,
    pub lambda: f64,
}

/// The operator of a tensor: one variant per way of stepping it. What a solver goes with is held by [`Checked::new`].
///
/// A second penalty of groups would be a list in [`Operator::Grouped`]; splitting with a group penalty in the step of V one in
/// the group of [`Operator::Solved`]; groups whose members lie in several tensors a variant that names the others, as
/// [`Operator::Learned`] names its regulariser.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// The prox of every element by itself.
    Elementwise(Weighted),
    /// That, and then the operator of groups.
    Grouped(Weighted, Group),
    /// Another solver than the proximal one; its groups have the lasso.
    Solved(Weighted, Solver, Option<Group>),
    /// The base step, and then a learned regulariser of this weight.
    Learned(Regularised, f64),
}

/// The kernels that read rows of hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Step,
    Group,
    Solver,
}

impl Kernel {
    pub const ALL: [Kernel; 3] = [Kernel::Step, Kernel::Group, Kernel::Solver];

    /// Bytes of a row.
    pub fn row(self) -> usize {
        match self {
            Kernel::Step => size_of::<step::Row>(),
            Kernel::Group => size_of::<group::Row>(),
            Kernel::Solver => size_of::<solver::Row>(),
        }
    }
}

impl Operator {
    /// What of it tensors that share a row have in common: parameters are rounded to f32, so that recording allocates
    /// nothing. A learned regulariser's row in the step's kernel is that without a penalty.
    pub fn rounded(&self) -> Self {
        let of = |w: &Weighted| Weighted { penalty: step::rounded(w.penalty), ..*w };
        match self {
            Operator::Elementwise(w) => Operator::Elementwise(of(w)),
            Operator::Grouped(w, group) => Operator::Grouped(of(w), group::rounded(group)),
            Operator::Solved(w, solver, group) => {
                Operator::Solved(of(w), *solver, group.as_ref().map(group::rounded))
            }
            Operator::Learned(_, lambda) => {
                Operator::Elementwise(Weighted { penalty: NoPenalty.into(), lambda: *lambda })
            }
        }
    }

    /// Whether two that are rounded can share a row.
    pub fn alike(&self, other: &Self) -> bool {
        let group = |g: &Group| (g.penalty, g.lambda);
        match (self, other) {
            (Operator::Elementwise(a), Operator::Elementwise(b)) => a == b,
            (Operator::Grouped(a, g), Operator::Grouped(b, h)) => (*a, group(g)) == (*b, group(h)),
            (Operator::Solved(a, s, g), Operator::Solved(b, t, h)) => {
                (*a, *s, g.as_ref().map(group)) == (*b, *t, h.as_ref().map(group))
            }
            _ => false,
        }
    }

    /// The kernel that takes the tensor's base step.
    pub fn kernel(&self) -> Kernel {
        match self {
            Operator::Elementwise(_) | Operator::Learned(..) => Kernel::Step,
            Operator::Grouped(..) => Kernel::Group,
            Operator::Solved(..) => Kernel::Solver,
        }
    }

    /// Hands the row of one step on; `self` is rounded.
    pub fn write(&self, base: Base, rate_scale: f64, hyper: &Hyper, write: &mut dyn FnMut(&[u8])) {
        match self {
            Operator::Elementwise(Weighted { penalty, lambda }) => {
                let twin = step::Reference::of_rounded(base, *penalty, *lambda, rate_scale, hyper);
                write(bytemuck::bytes_of(&twin.row()));
            }
            Operator::Grouped(Weighted { penalty, lambda }, group) => {
                let twin = group::Reference::of_rounded(base, *penalty, *lambda, group, rate_scale, hyper);
                write(bytemuck::bytes_of(&twin.row()));
            }
            Operator::Solved(Weighted { penalty, lambda }, solver, group) => {
                let group = group.as_ref();
                let twin =
                    solver::Reference::of_rounded(*solver, base, *penalty, *lambda, group, rate_scale, hyper);
                write(bytemuck::bytes_of(&twin.row()));
            }
            // its row is that of `rounded`
            Operator::Learned(..) => {}
        }
    }

    /// The groups by which the tensor is stepped, if by any.
    fn groups(&self) -> Option<&Groups> {
        match self {
            Operator::Elementwise(_) => None,
            Operator::Grouped(_, group) => Some(&group.groups),
            Operator::Solved(_, _, group) => group.as_ref().map(|group| &group.groups),
            Operator::Learned(of, _) => Some(&of.groups),
        }
    }
}

/// A tensor's name, rate and operator. There is no other way to one than through the checks of [`Checked::new`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    name: String,
    rate_scale: f64,
    operator: Operator,
}

impl Checked {
    /// Checks that the numbers are in their domains, and that there is a kernel after this base step.
    pub fn new(base: Base, spec: &Spec) -> Result<Self> {
        spec.check()?;
        let Spec { name, penalty, lambda, rate_scale, solver, .. } = spec;
        let own = Weighted { penalty: *penalty, lambda: *lambda };
        let operator = match (&spec.regulariser, &spec.group, solver) {
            (Some(of), ..) => Operator::Learned(of.clone(), *lambda),
            (None, None, Solver::Proximal) => Operator::Elementwise(own),
            (None, Some(group), Solver::Proximal) => Operator::Grouped(own, group.clone()),
            (None, group, _) => Operator::Solved(own, *solver, group.clone()),
        };
        after(base, name, &operator)?;
        Variant::new(base, *penalty, Width::Scalar)?;
        Ok(Checked { name: name.clone(), rate_scale: *rate_scale, operator })
    }

    /// The name that errors and reports use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A factor of the learning rate.
    pub fn rate_scale(&self) -> f64 {
        self.rate_scale
    }

    pub fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The groups by which the tensor is stepped, if by any.
    pub fn groups(&self) -> Option<&Groups> {
        self.operator.groups()
    }

    /// Whether the tensor keeps a sparse copy, its last array.
    pub fn has_copy(&self) -> bool {
        matches!(&self.operator, Operator::Solved(_, solver, _) if solver.has_copy())
    }

    /// How many arrays the tensor keeps beside its weights.
    pub fn states(&self, base: Base) -> usize {
        base.states() + usize::from(self.has_copy())
    }

    /// The float64 twin of one step.
    pub fn twin(&self, base: Base, hyper: &Hyper) -> Box<dyn Twin> {
        let scale = self.rate_scale;
        match &self.operator {
            Operator::Elementwise(Weighted { penalty, lambda }) => {
                Box::new(step::Reference::new(base, *penalty, *lambda, scale, hyper))
            }
            Operator::Grouped(Weighted { penalty, lambda }, group) => {
                Box::new(group::Reference::new(base, *penalty, *lambda, group, scale, hyper))
            }
            Operator::Solved(Weighted { penalty, lambda }, solver, group) => {
                let group = group.as_ref();
                Box::new(solver::Reference::new(*solver, base, *penalty, *lambda, group, scale, hyper))
            }
            Operator::Learned(of, lambda) => {
                Box::new(metric::Reference::new(base, of, *lambda, scale, hyper))
            }
        }
    }

    /// The name, and the largest backward error that the bound allows, in ULP of |x|; with groups, of their largest member.
    pub fn allowed_ulps(&self) -> (String, f64) {
        let allowed = match &self.operator {
            Operator::Elementwise(own) | Operator::Solved(own, ..) => own.penalty.rule().backward_ulps(),
            Operator::Grouped(_, group) => group::allowed_ulps(group.groups.largest() as usize),
            Operator::Learned(of, _) => metric::allowed_ulps(of),
        };
        (self.name.clone(), allowed)
    }
}

/// Whether the operator has a kernel after `base`.
fn after(base: Base, name: &str, operator: &Operator) -> Result<()> {
    let solver = match operator {
        Operator::Solved(_, solver, _) => *solver,
        _ => Solver::Proximal,
    };
    if matches!(base, Base::AdamMetric(_)) && !matches!(operator, Operator::Elementwise(_)) {
        let what = format!("{} with groups, a regulariser, or the solver {solver}", base.name());
        return Err(unsupported(name, what, "elementwise penalties and the solver proximal, or adam"));
    }
    let Operator::Solved(own, _, group) = operator else { return Ok(()) };
    if !base.has_gradient() {
        let what = format!("the solver {solver} after {}", base.name());
        return Err(unsupported(name, what, "base steps with a gradient"));
    }
    match group {
        Some(group) if !matches!(group.penalty, GroupPenalty::Lasso(_)) => {
            let what = format!("the solver {solver} with the group penalty {}", group.penalty.name());
            Err(unsupported(name, what, "lasso, or the solver proximal"))
        }
        _ if solver == Solver::Subgradient && own.penalty.name() == "l0" => {
            let what = "the subgradient of l0, which is zero wherever it exists";
            Err(unsupported(name, what, "another penalty, or another solver"))
        }
        _ => Ok(()),
    }
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
            let alone = self.penalty.name() == "none" && self.group.is_none();
            if !alone || self.solver != Solver::Proximal {
                let group = self.group.as_ref().map_or_else(String::new, |g| format!("+{}", g.penalty));
                let what = format!(
                    "a regulariser with the penalty {}{group}, by the solver {}",
                    self.penalty, self.solver
                );
                let allowed = "the penalty none, without a group penalty, and the solver proximal";
                return Err(unsupported(&self.name, what, allowed));
            }
            regulariser.check(&self.name)?;
        }
        self.penalty.check()?;
        require(WEIGHT.contains(self.lambda), &self.name, "lambda", self.lambda, WEIGHT)?;
        require(WEIGHT.contains(self.rate_scale), &self.name, "rate scale", self.rate_scale, WEIGHT)
    }
}
