//! What may differ from tensor to tensor and from step to step.

use crate::error::{Result, require, unsupported};
use crate::kernels::step::Optimizer;
use crate::penalty::WEIGHT;

/// How one tensor takes its next steps. A plan begins with what its [`Spec`](super::Spec)s say; [`Plan::set`](super::Plan::set)
/// changes it between any two steps, without another binding.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// A factor of the learning rate, in [0, 1e6].
    pub lr_scale: f64,
    /// The weight of the elementwise penalty, or of the learned regulariser, in [0, 1e6].
    pub lambda: f64,
    /// The weight of the group penalty, in [0, 1e6]; 0 for a tensor without one.
    pub group_lambda: f64,
    /// Decoupled weight decay, in [0, 1e6], after Adam; 0 after other base steps, which have none.
    pub decay: f64,
    /// The number of the tensor's next step, in [1, 2^53], where the tensor counts its own: Adam's bias correction, and the first
    /// step of variable splitting, go by it. It grows by one with each step that is recorded and not sat out. None: the number
    /// is that of the [`StepParameters`](crate::kernels::step::StepParameters).
    pub step: Option<u64>,
    /// Whether the tensor sits out: no element, state or status word of it is touched.
    pub rests: bool,
    /// Whether zeros stay zeros, as with [`StepParameters::with_frozen_zeros`](crate::kernels::step::StepParameters::with_frozen_zeros); either
    /// suffices.
    pub freeze: bool,
}

/// The last step number: float64 tells it from its neighbours.
const LAST: u64 = 1 << 53;

impl Settings {
    /// Checks them for a tensor of this name after a base step, with a group penalty or without.
    pub(super) fn check(&self, name: &str, base: Optimizer, grouped: bool) -> Result<()> {
        let inside = |what, value| require(WEIGHT.contains(value), name, what, value, WEIGHT);
        inside("learning-rate scale", self.lr_scale)?;
        inside("lambda", self.lambda)?;
        inside("lambda of the group penalty", self.group_lambda)?;
        inside("decay", self.decay)?;
        if let Some(step) = self.step {
            require((1..=LAST).contains(&step), name, "step", step, "[1, 2^53]")?;
        }
        if !grouped && self.group_lambda != 0.0 {
            let what = "a lambda of groups for a tensor without a group penalty";
            return Err(unsupported(name, what, "0"));
        }
        if base.decay().is_none() && self.decay != 0.0 {
            let what = format!("weight decay after {}", base.name());
            return Err(unsupported(name, what, "adam, adamw and adam-metric"));
        }
        Ok(())
    }
}
