//! The step with groups: W <- group(prox(W - rate * direction)), one pass over memory for groups that fit on chip.
//!
//! **Formula.** A [`Optimizer`] step moves the weights, the prox of the elementwise [`Penalty`] is taken there, and the operator
//! of the [`GroupPenalty`] of that, group by group. The composition is the algorithm of that name (sparse group lasso,
//! integrated TL1, SGL0, CGES, ...); it is the prox of the sum of both penalties for l1 and the group lasso, and for either
//! penalty alone.
//!
//! **Memory.** Groups of up to 4,096 elements stay in a workgroup's registers: 8 bytes per element without a gradient, 12
//! with one, 20 with momentum, 28 with Adam, as in the step without groups. Larger groups take a second pass, 8 bytes per
//! element more, and penalties whose threshold is searched for (`exclusive`, `cges`) 4 bytes for each further measurement,
//! until they are done. Words are `vec4` where every group of every array starts and ends at a multiple of four elements.
//!
//! **Tiers and dispatches.** See `kernels/tiles.rs`. Tensors of equal variant and buffers share a dispatch; larger groups
//! take one dispatch per stage.
//!
//! **Determinism.** Sums follow a fixed tree that depends on the tensor's layout and the alignment of its arrays alone: the
//! same adapter gives the same bits each run, batched or not.
//!
//! **NaN and infinities.** Found by their bits. One member that is not finite, or an update that overflows, makes the whole
//! group NaN (0x7fc00000), and all its elements are counted in the tensor's status word. A group of zeros stays zero.
//!
//! **Accuracy.** [`GroupReference::judge`]: the elementwise result is known to within an interval, the group's operator to
//! within what its penalty says of that interval, plus (16 + D/2) ULP of the group's largest member, D being the
//! longest chain of additions. Where the operator is one factor for the whole group, the bound holds for each member by
//! itself. Norms and sums neither overflow nor vanish: the largest magnitude of a group says whether its members are scaled by a
//! power of two before they are squared or summed; parts of large groups are summed in several ranges at once.
//!
//! **Limits.** 256 invocations and 8 KiB of workgroup memory at most; 7 storage buffers with Adam. Groups of fewer than 2^32
//! elements. A tile of groups must lie within one binding: with wgpu's default limits that is 128 MiB of a tensor for
//! columns, and any tensor for rows.

mod bench;
mod cases;
mod dispatch;
pub(in crate::kernels) mod reference;

#[doc(hidden)]
pub use dispatch::bind;
pub(crate) use dispatch::lay;
pub use reference::GroupReference;

use super::operator::{Operator, Reference, Tabled, refuse_metric};
use super::packer::Tiled;
use super::program::{Host, Program, Struct, host_struct, listed};
use super::rule::{self, Rule};
use super::step::{Elementwise, Optimizer, StepParameters, StepRow, f32_of, rounded};
use super::tiles::Tile;
use super::word::Reach;
use super::{Kernel, Mode};
use crate::error::Result;
use crate::penalty::group::Lasso;
use crate::penalty::{CONSTANTS, Group, GroupPenalty, Groups, NoPenalty, Penalty};
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "group", variants: || listed(variants()), cases: cases::all, benches: bench::all };

host_struct! {
    /// The values that change from step to step. WGSL's `Row`: `Optimizer`, `Constants` and `GroupConstants`, eight f32 each, and
    /// `Mode`.
    #[doc(hidden)]
    pub struct GroupRow {
        /// WGSL's `Base`.
        pub base: [f32; CONSTANTS],
        /// WGSL's `Constants`, the elementwise penalty's.
        pub prox: [f32; CONSTANTS],
        /// WGSL's `GroupConstants`, the group penalty's.
        pub group: [f32; CONSTANTS],
        /// WGSL's `Mode`.
        pub mode: Mode,
    }
}

/// An elementwise prox and then the operator of groups, whose penalty's parameters are rounded to f32 as the kernel sees them.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Grouped {
    first: Elementwise,
    group: Group,
}

impl Grouped {
    /// Of penalties whose parameters are in their domains.
    #[must_use]
    pub fn new(first: Elementwise, group: Group) -> Self {
        Grouped { first, group: Group { penalty: rounded(group.penalty.rule()), ..group } }
    }
}

impl Operator for Grouped {
    fn check(&self, base: Optimizer, place: &str) -> Result<()> {
        refuse_metric(base, place, "a group penalty", "none of groups")
    }

    fn groups(&self) -> Option<&Groups> {
        Some(&self.group.groups)
    }

    fn set_lambdas(&mut self, own: f64, group: f64) {
        self.first = self.first.with_lambda(own);
        self.group.lambda = group;
    }

    fn allowed_ulps(&self) -> f64 {
        reference::allowed_ulps(self.group.groups.largest() as usize)
    }

    fn reference(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> Box<dyn Reference> {
        Box::new(GroupReference::of(self, base, lr_scale, hyper))
    }
}

impl Tabled for Grouped {
    type Row = GroupRow;

    fn alike(&self, other: &Self) -> bool {
        let key = |g: &Self| (g.first, g.group.penalty, g.group.lambda);
        key(self) == key(other)
    }

    fn row(&self, base: Optimizer, lr_scale: f64, hyper: &StepParameters) -> GroupRow {
        let StepRow { base, prox, mode } = self.first.row(base, lr_scale, hyper);
        let t = f32_of(hyper.lr() * lr_scale) * f32_of(self.group.lambda * hyper.lambda_scale());
        let largest = f64::from(f32::MAX);
        let group = self.group.penalty.rule().constants(t).map(|(_, c)| c.clamp(-largest, largest) as f32);
        GroupRow { base, prox, group, mode }
    }

    fn resting() -> GroupRow {
        GroupRow { mode: Mode::RESTS, ..bytemuck::Zeroable::zeroed() }
    }
}

/// What a kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Everything, for groups that a workgroup holds.
    Held,
    /// Larger groups: base step, elementwise prox and the first measurement of each part.
    Begin,
    /// The parts put together.
    Combine,
    /// Another measurement of each part.
    Measure,
    /// The operator.
    Apply,
}

/// One kernel: what changes the code.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Variant {
    stage: Stage,
    base: Optimizer,
    penalty: Penalty,
    group: GroupPenalty,
    reach: Reach,
}

impl Variant {
    /// The kernel of a stage; what it does not depend on is left out of its name and its code.
    fn new(stage: Stage, base: Optimizer, penalty: Penalty, group: GroupPenalty, reach: Reach) -> Self {
        let whole = Variant { stage, base, penalty, group, reach };
        let (none, lasso) = (NoPenalty.into(), Lasso::default().into());
        match stage {
            Stage::Held => whole,
            Stage::Begin => Variant { group: lasso, ..whole },
            Stage::Combine => Variant { base: Optimizer::Prox, penalty: none, reach: Reach::Vec4, ..whole },
            Stage::Measure | Stage::Apply => {
                Variant { base: Optimizer::Prox, penalty: none, group: lasso, ..whole }
            }
        }
    }
}

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        let reach = self.reach.name();
        let (base, penalty, group) = (self.base.kernel(), self.penalty.name(), self.group.name());
        match self.stage {
            Stage::Held => format!("{base}/{penalty}/{group}/{reach}"),
            Stage::Begin => format!("begin/{base}/{penalty}/{reach}"),
            Stage::Combine => format!("combine/{group}"),
            Stage::Measure => format!("measure/{reach}"),
            Stage::Apply => format!("apply/{reach}"),
        }
    }

    fn source(&self) -> String {
        let stage = match self.stage {
            Stage::Held => "group",
            Stage::Begin => "group/begin",
            Stage::Combine => "group/combine",
            Stage::Measure => "group/measure",
            Stage::Apply => "group/apply",
        };
        let (penalty, group) = (self.penalty.rule().file(), self.group.rule().file());
        let [words, places] = self.reach.files();
        let measurements = self.group.rule().measurements();
        let mut files = vec![&*penalty, self.base.file(), words, places, &*group, stage];
        if self.stage == Stage::Held {
            files.push(self.group.rule().measure());
        }
        let files = compose(&files);
        format!("const MEASUREMENTS = {measurements}u;\n{files}")
    }

    fn structs(&self) -> Vec<Struct> {
        vec![
            Tile::layout("Tile"),
            GroupRow::layout("Row"),
            Mode::layout("Mode"),
            Struct::of_words("Base", &self.base.constant_names()),
            Struct::of_words("Constants", &self.penalty.rule().constant_names()),
            Struct::of_words("GroupConstants", &self.group.rule().constant_names()),
        ]
    }

    fn reads(&self) -> &'static [u32] {
        &[0, 1]
    }

    fn work(&self) -> &'static str {
        match self.stage {
            Stage::Held => "A workgroup takes one tile: whole groups of one tensor, and the whole step.",
            Stage::Begin => {
                "The first stage of large groups. A workgroup takes one tile: parts of groups, of which it \
                 takes the base step and the prox of single weights, and measures what comes out."
            }
            Stage::Combine => {
                "The stage behind begin and behind each measure. A workgroup takes one tile: one group, \
                 whose parts it puts together. Binding 7 has 3 words of 16 bytes per group at `state`, and \
                 2 per part at `extra`."
            }
            Stage::Measure => {
                "For penalties that are searched for, MEASUREMENTS - 1 times with combine behind it. A \
                 workgroup takes one tile: parts of groups, which it measures again."
            }
            Stage::Apply => {
                "The last stage of large groups. A workgroup takes one tile: parts of groups, which it shrinks."
            }
        }
    }

    fn rules(&self) -> &'static [Rule] {
        rule::GROUPS
    }
}

impl Tiled for Variant {
    type Key = (Stage, &'static str, &'static str, &'static str, Reach);
    type Tile = Tile;

    fn key(&self) -> Self::Key {
        (self.stage, self.base.kernel(), self.penalty.name(), self.group.name(), self.reach)
    }

    fn uses(&self, binding: u32) -> bool {
        match self.stage {
            Stage::Held => binding < 3,
            Stage::Begin | Stage::Combine => [1, 7].contains(&binding),
            Stage::Measure => binding == 7,
            Stage::Apply => [1, 2, 7].contains(&binding),
        }
    }
}

/// The kernels: every pair of base step and group penalty, of elementwise and group penalty, and every stage, for rows and
/// columns. A kernel is put together from independent files, so that any other triple, and any other groups, are made of the
/// same pairs.
fn variants() -> Vec<Variant> {
    let l1: Penalty = crate::penalty::L1.into();
    let bases = Optimizer::all().into_iter().filter(|b| !matches!(b, Optimizer::AdamMetric(_)));
    let pairs: Vec<(Optimizer, Penalty)> = bases
        .map(|base| (base, l1))
        .chain(Penalty::all().into_iter().map(|penalty| (Optimizer::Gradient, penalty)))
        .chain([(Optimizer::Prox, NoPenalty.into())])
        .collect();
    let mut all = Vec::new();
    for reach in Reach::ALL {
        let common = matches!(reach, Reach::Vec4 | Reach::Columns);
        let few = (Optimizer::Gradient, l1);
        for &(base, penalty) in pairs.iter().filter(|pair| common || **pair == few) {
            for group in GroupPenalty::all() {
                for stage in [Stage::Held, Stage::Begin, Stage::Combine, Stage::Measure, Stage::Apply] {
                    all.push(Variant::new(stage, base, penalty, group, reach));
                }
            }
        }
    }
    all
}
