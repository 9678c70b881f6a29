//! The other ways to minimise loss + penalty: by subgradients, and by variable splitting.
//!
//! **Formula.** What the [`Solver`] says is added to the gradient G that a [`Optimizer`] step sees:
//!
//! ```text
//! subgradient           G + pull + lambda p'(|w|) sign(w)   W <- point
//! proximal-subgradient  G + pull                            W <- prox(point)
//! splitting             G + pull + beta (W - V)             W <- point, V <- prox of step size 1 / beta (W)
//! ```
//!
//! with the group lasso's pull lambda weight w / |w_g|, 0 for a group of zeros and for a tensor without groups; the slope at
//! w = 0 is taken as 0. Bui et al., section 2.4.
//!
//! **Memory.** Groups of up to 4,096 elements stay in a workgroup's registers: 12 bytes per element, 20 with momentum, 28
//! with Adam, and 8 more for the copy of variable splitting. Larger groups are read once more for their norm, 4 bytes per
//! element. Words are `vec4` where every group of every array starts and ends at a multiple of four elements; without groups,
//! where every array does.
//!
//! **Dispatches.** One for tensors of equal variant and buffers. Larger groups take three: the parts' sums, one row of
//! hyper-parameters per group with its norm, and the step.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the tensor's layout and the alignment of its arrays alone: the
//! same adapter gives the same bits each run, batched or not.
//!
//! **NaN and infinities.** Found by their bits. A weight that is not finite makes its whole group NaN (0x7fc00000), states
//! and copies included; any other input that is not finite, and an update that overflows, its own element. All are counted in
//! the tensor's status word. The slope of `lp` has no bound near 0: weights that come close to it overflow.
//!
//! **Accuracy.** [`SolverReference::judge`]: the pull within (D/2 + 11) 2^-23 of itself, D being the longest chain of additions of
//! the norm's sum, the slope within what its penalty states, and from there as in the kernel `step`.
//!
//! **Limits.** 256 invocations and 2 KiB of workgroup memory, 8 for larger groups; 8 storage buffers with Adam and splitting:
//! wgpu's default. Groups of fewer than 2^32 elements. A tile of groups must lie within one binding, as in the kernel `group`.

mod bench;
mod cases;
mod dispatch;
mod reference;

#[doc(hidden)]
pub use dispatch::bind;
pub(crate) use dispatch::lay;
pub use reference::SolverReference;

use super::operator::{Operator, Reference, Tabled, refuse_metric};
use super::packer::Tiled;
use super::program::{Host, Program, Struct, host_struct, listed};
use super::rule::{self, Rule};
use super::step::{Elementwise, Optimizer, StepParameters, f32_of};
use super::tiles::Tile;
use super::word::Reach;
use super::{Kernel, Mode};
use crate::error::{Result, require, unsupported};
use crate::penalty::{CONSTANTS, Domain, Group, GroupPenalty, Groups, NoPenalty, Penalty, Prox};
use crate::wgsl::compose;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::ops::Bound::{Excluded, Included};

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "solver", variants: || listed(variants()), cases: cases::all, benches: bench::all };

/// How the penalties of a tensor enter its step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Solver {
    /// By their operators: W <- group(prox(point)). The kernel [`step`](super::step), with groups
    /// [`group`](super::group).
    #[default]
    Proximal,
    /// By their subgradients, added to the gradient: no weight becomes exactly zero (Bui et al., direct gradient descent).
    Subgradient,
    /// The group lasso by its subgradient, the elementwise penalty by its prox (Bui et al., eq. (20)).
    ProximalSubgradient,
    /// Variable splitting (Bui et al., algorithm 1): W takes the gradient, the group lasso's subgradient and
    /// beta (W - V); the copy V <- prox of the elementwise penalty at W. **The result is V.**
    Splitting {
        /// The first weight of |W - V|^2 / 2, in (0, 1e6]; [`StepParameters::with_beta_scale`](super::step::StepParameters::with_beta_scale)
        /// makes it grow.
        beta: f64,
        /// SCAD's and MCP's V step as published: step size 1 and lambda / beta in place of step size 1 / beta and lambda,
        /// which is another map as these penalties are not homogeneous in lambda.
        published: bool,
    },
}

/// Where beta may lie.
const BETA: Domain = Domain(Excluded(0.0), Included(1e6));

impl Solver {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] naming parameter, value and allowed range.
    pub fn check(&self) -> Result<()> {
        match *self {
            Solver::Splitting { beta, .. } => require(BETA.contains(beta), "splitting", "beta", beta, BETA),
            _ => Ok(()),
        }
    }

    /// The first beta; 1 where there is none.
    #[must_use]
    pub fn beta(&self) -> f64 {
        match *self {
            Solver::Splitting { beta, .. } => beta,
            _ => 1.0,
        }
    }

    /// Whether a sparse copy is kept beside the weights, as a last state.
    #[must_use]
    pub fn has_copy(&self) -> bool {
        matches!(self, Solver::Splitting { .. })
    }

    /// Whether the elementwise prox is taken of the weights themselves.
    #[must_use]
    pub fn has_prox_of_point(&self) -> bool {
        matches!(self, Solver::Proximal | Solver::ProximalSubgradient)
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Solver::Proximal => f.write_str("proximal"),
            Solver::Subgradient => f.write_str("subgradient"),
            Solver::ProximalSubgradient => f.write_str("proximal-subgradient"),
            Solver::Splitting { published: false, .. } => f.write_str("splitting"),
            Solver::Splitting { published: true, .. } => f.write_str("splitting-as-published"),
        }
    }
}

/// Penalties that enter by another solver than the proximal one, which takes no penalty of groups but the lasso.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Solved {
    solver: Solver,
    own: Elementwise,
    lasso: Option<Group>,
}

impl Solved {
    /// Of numbers that are in their domains; `place` is the tensor in messages.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for the solver `proximal`, for a penalty of groups other than the lasso, and for the
    /// subgradient of `l0`.
    pub fn new(place: &str, solver: Solver, own: Elementwise, lasso: Option<Group>) -> Result<Self> {
        let refused = |what: String, allowed: &str| Err(unsupported(place, what, allowed));
        match (solver, &lasso, own.penalty()) {
            (Solver::Proximal, ..) => refused(
                format!("{solver} among other solvers"),
                "subgradient, proximal-subgradient, splitting",
            ),
            (_, Some(Group { penalty, .. }), _) if !matches!(penalty, GroupPenalty::Lasso(_)) => {
                let what = format!("the solver {solver} with the group penalty {}", penalty.name());
                refused(what, "lasso, or the solver proximal")
            }
            (Solver::Subgradient, _, Penalty::L0(_)) => {
                let what = "the subgradient of l0, which is zero wherever it exists";
                refused(what.into(), "another penalty, or another solver")
            }
            _ => Ok(Solved { solver, own, lasso }),
        }
    }
}

impl Operator for Solved {
    fn check(&self, base: Optimizer, place: &str) -> Result<()> {
        if !base.has_gradient() {
            let what = format!("the solver {} after {}", self.solver, base.name());
            return Err(unsupported(place, what, "base steps with a gradient"));
        }
        refuse_metric(base, place, format_args!("the solver {}", self.solver), "the solver proximal")
    }

    fn groups(&self) -> Option<&Groups> {
        self.lasso.as_ref().map(|group| &group.groups)
    }

    fn set_lambdas(&mut self, own: f64, group: f64) {
        self.own = self.own.with_lambda(own);
        if let Some(lasso) = &mut self.lasso {
            lasso.lambda = group;
        }
    }

    fn keeps(&self) -> bool {
        self.solver.has_copy()
    }

    fn allowed_ulps(&self) -> f64 {
        self.own.allowed_ulps()
    }

    fn reference(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Box<dyn Reference> {
        Box::new(SolverReference::of(self, base, lr_scale, hyper))
    }
}

impl Tabled for Solved {
    type Row = SolverRow;

    fn alike(&self, other: &Self) -> bool {
        let key = |s: &Self| (s.solver, s.own, s.lasso.as_ref().map(|group| (group.penalty, group.lambda)));
        key(self) == key(other)
    }

    fn row(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> SolverRow {
        let beta = f32_of(self.solver.beta() * hyper.beta_scale());
        let lambda = f32_of(self.own.lambda() * hyper.lambda_scale());
        let rate = f32_of(hyper.lr() * lr_scale);
        let (step, weight) = match self.solver {
            Solver::Proximal | Solver::ProximalSubgradient => (rate, lambda),
            Solver::Subgradient => (1.0, lambda),
            Solver::Splitting { published: false, .. } => (1.0 / beta, lambda),
            Solver::Splitting { published: true, .. } => (1.0, lambda / beta),
        };
        let group = self.lasso.as_ref().map_or(0.0, |g| f32_of(g.lambda * hyper.lambda_scale()));
        // at the first step the copy is still that of the weights themselves
        let pull = if hyper.step() == 1 { 0.0 } else { beta };
        SolverRow {
            base: base.constants(rate, hyper.step()),
            prox: Prox::new(self.own.penalty(), step, weight).constants(),
            pull: [group as f32, pull as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            mode: Mode::frozen(hyper.frozen_zeros()),
        }
    }

    fn resting() -> SolverRow {
        SolverRow { mode: Mode::RESTS, ..bytemuck::Zeroable::zeroed() }
    }
}

host_struct! {
    /// The values that change from step to step. WGSL's `Row`: `Optimizer`, `Constants` and `Pull`, eight f32 each, and
    /// `Mode`.
    #[doc(hidden)]
    pub struct SolverRow {
        /// WGSL's `Base`.
        pub base: [f32; CONSTANTS],
        /// WGSL's `Constants`, the elementwise penalty's.
        pub prox: [f32; CONSTANTS],
        /// WGSL's `Pull`: the group penalty's lambda and beta; the rest is 0.
        pub pull: [f32; CONSTANTS],
        /// WGSL's `Mode`.
        pub mode: Mode,
    }
}

/// What a kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Everything, for groups that a workgroup holds.
    Held,
    /// Everything, for tensors without groups; the step, for larger groups.
    Elements,
    /// Larger groups: the norm of each part.
    Measure,
    /// The parts put together.
    Combine,
}

/// One kernel: what changes the code.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Variant {
    stage: Stage,
    solver: Solver,
    base: Optimizer,
    penalty: Penalty,
    reach: Reach,
}

impl Variant {
    /// The kernel of a stage; what it does not depend on is left out of its name and its code.
    fn new(stage: Stage, of: &Solved, base: Optimizer, reach: Reach) -> Self {
        let whole = Variant { stage, solver: of.solver, base, penalty: of.own.penalty(), reach };
        let shared = Variant {
            solver: Solver::ProximalSubgradient,
            base: Optimizer::Prox,
            penalty: NoPenalty.into(),
            ..whole
        };
        match stage {
            Stage::Held | Stage::Elements => whole,
            Stage::Measure => shared,
            Stage::Combine => Variant { reach: Reach::Vec4, ..shared },
        }
    }
}

/// What the group lasso's share of a row is called.
const PULL: [&str; 8] = ["lambda", "beta", "norm", "scale", "spoiled", "unused5", "unused6", "unused7"];

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        let reach = self.reach.name();
        let solver = match self.solver {
            Solver::Splitting { .. } => "splitting".into(),
            other => other.to_string(),
        };
        let step = format!("{solver}/{}/{}/{reach}", self.base.kernel(), self.penalty.name());
        match self.stage {
            Stage::Held => step,
            Stage::Elements => format!("elements/{step}"),
            Stage::Measure => format!("measure/{reach}"),
            Stage::Combine => "combine".into(),
        }
    }

    fn source(&self) -> String {
        let solver = match self.solver {
            Solver::Subgradient => "solver/subgradient",
            Solver::Splitting { .. } => "solver/splitting",
            _ => "solver/proximal",
        };
        let (penalty, base) = (self.penalty.rule().file(), self.base.file());
        let [words, places] = self.reach.files();
        match self.stage {
            Stage::Held => compose(&[words, places, &penalty, base, solver, "solver"]),
            Stage::Elements => compose(&[words, places, &penalty, base, solver, "solver/elements"]),
            Stage::Measure => compose(&[words, places, "solver/measure"]),
            Stage::Combine => compose(&[words, places, "solver/combine"]),
        }
    }

    fn structs(&self) -> Vec<Struct> {
        vec![
            Tile::layout("Tile"),
            SolverRow::layout("Row"),
            Mode::layout("Mode"),
            Struct::of_words("Base", &self.base.constant_names()),
            Struct::of_words("Constants", &self.penalty.rule().constant_names()),
            Struct::of_words("Pull", &PULL),
        ]
    }

    fn reads(&self) -> &'static [u32] {
        &[0, 1]
    }

    fn work(&self) -> &'static str {
        match self.stage {
            Stage::Held => "A workgroup takes one tile: whole groups of one tensor, and the whole step.",
            Stage::Elements => {
                "A workgroup takes one tile of a tensor without groups: blocks of 4096 numbers. Of large \
                 groups it is the last stage and takes parts of them; binding 1 then is the scratch buffer, \
                 with one `Row` per group."
            }
            Stage::Measure => {
                "The first stage of large groups. A workgroup takes one tile: parts of groups, whose norms it measures."
            }
            Stage::Combine => {
                "The second stage of large groups. A workgroup takes one tile: one group, whose parts it \
                 puts together and whose `Row` it writes, at `state` of binding 7, in words of 16 bytes."
            }
        }
    }

    fn rules(&self) -> &'static [Rule] {
        rule::GROUPS
    }
}

impl Tiled for Variant {
    type Key = (Stage, Discriminant<Solver>, &'static str, &'static str, Reach);
    type Tile = Tile;

    fn key(&self) -> Self::Key {
        (self.stage, discriminant(&self.solver), self.base.kernel(), self.penalty.name(), self.reach)
    }

    fn uses(&self, binding: u32) -> bool {
        match self.stage {
            // a copy has binding 7 as well, but is no binding that all dispatches share
            Stage::Held | Stage::Elements => binding < 3,
            Stage::Measure => binding == 7,
            Stage::Combine => [1, 7].contains(&binding),
        }
    }
}

/// The kernels: every solver with every base step, and with every penalty; and with every kind of groups. A kernel is put
/// together from independent files, so that any others are made of the same pairs.
fn variants() -> Vec<Variant> {
    let splitting = Solver::Splitting { beta: 1.0, published: false };
    let mut all = Vec::new();
    for solver in [Solver::Subgradient, Solver::ProximalSubgradient, splitting] {
        let with = |penalty| Solved::new(KERNEL.name, solver, Elementwise::new(penalty, 1.0), None).ok();
        let l1 = with(crate::penalty::L1.into());
        let stages = [
            (Stage::Held, [Reach::Vec4, Reach::Columns]),
            (Stage::Elements, [Reach::Vec4, Reach::Strided]),
            (Stage::Measure, [Reach::Vec4, Reach::Columns]),
            (Stage::Combine, [Reach::Vec4; 2]),
        ];
        // the step with which groups of every kind are tried
        let states = if solver.has_copy() { 2 } else { 0 };
        let usual = |base: &Optimizer| base.has_gradient() && base.states() == states;
        let usual = Optimizer::all().into_iter().find(usual);
        for base in Optimizer::all() {
            for of in l1.iter().filter(|of| of.check(base, KERNEL.name).is_ok()) {
                for (stage, common) in stages {
                    let reaches = Reach::ALL.into_iter();
                    let listed = reaches.filter(|reach| common.contains(reach) || Some(base) == usual);
                    all.extend(listed.map(|reach| Variant::new(stage, of, base, reach)));
                }
            }
        }
        let every = Penalty::all().into_iter().filter_map(with);
        all.extend(every.map(|of| Variant::new(Stage::Held, &of, Optimizer::Gradient, Reach::Vec4)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::step::Adam;

    #[test]
    fn what_has_no_kernel_is_refused() {
        let l1: Penalty = crate::penalty::L1.into();
        let checked = |solver, base, penalty| {
            Solved::new("w", solver, Elementwise::new(penalty, 1.0), None).and_then(|of| of.check(base, "w"))
        };
        for (checked, needle) in [
            (checked(Solver::Proximal, Optimizer::Gradient, l1), "proximal"),
            (checked(Solver::Subgradient, Optimizer::Prox, l1), "subgradient after prox"),
            (
                checked(Solver::Subgradient, Optimizer::AdamMetric(Adam::default()), l1),
                "subgradient after adam-metric",
            ),
            (checked(Solver::Subgradient, Optimizer::Gradient, crate::penalty::L0.into()), "l0"),
        ] {
            let error = checked.unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
