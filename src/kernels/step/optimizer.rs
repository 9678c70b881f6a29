//! The base steps: what happens before the prox.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result, require};
use crate::kernels::adam;
use crate::kernels::packer::Slot;
use crate::penalty::{CONSTANTS, Domain, WEIGHT};
use crate::text;
use std::ops::Bound::{Excluded, Included};

/// The values that change from step to step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepParameters {
    rate: f64,
    lambda_scale: f64,
    beta_scale: f64,
    step: u64,
    freeze: bool,
}

impl StepParameters {
    /// The learning rate and the number of this step, counted from 1 (Adam's bias correction needs it).
    ///
    /// # Errors
    /// [`Error::Domain`] where `rate` is outside [`WEIGHT`] or `step` is 0.
    pub fn new(rate: f64, step: u64) -> Result<Self> {
        require(WEIGHT.contains(rate), "hyper-parameters", "learning rate", rate, WEIGHT)?;
        require(step >= 1, "hyper-parameters", "step", step, "[1, inf)")?;
        Ok(StepParameters { rate, lambda_scale: 1.0, beta_scale: 1.0, step, freeze: false })
    }

    /// The same step with every tensor's lambda multiplied by `scale`, for schedules of lambda.
    ///
    /// # Errors
    /// [`Error::Domain`] where `scale` is outside [`WEIGHT`].
    pub fn with_lambda_scale(self, scale: f64) -> Result<Self> {
        require(WEIGHT.contains(scale), "hyper-parameters", "lambda scale", scale, WEIGHT)?;
        Ok(StepParameters { lambda_scale: scale, ..self })
    }

    /// The same step with every tensor's beta multiplied by `scale`: variable splitting makes it grow.
    ///
    /// # Errors
    /// [`Error::Domain`] where `scale` is outside (0, 1e6].
    pub fn with_beta_scale(self, scale: f64) -> Result<Self> {
        const SCALE: Domain = Domain(Excluded(0.0), Included(1e6));
        require(SCALE.contains(scale), "hyper-parameters", "beta scale", scale, SCALE)?;
        Ok(StepParameters { beta_scale: scale, ..self })
    }

    /// The same step in which zeros stay zeros: a weight that is exactly 0 before it is +0.0 after it, and so is its momentum or
    /// first moment; its second moment stays as it is. What is not finite is treated as in any other step. Under variable
    /// splitting the zeros that stay are those of the sparse copy, and the weights move on; with a learned regulariser they are
    /// those of the coefficients v. Before a tensor's first step neither is there, and none stays.
    #[must_use]
    pub fn with_frozen_zeros(self, freeze: bool) -> Self {
        StepParameters { freeze, ..self }
    }

    /// The same as the step of this number, for a tensor that counts its own.
    pub(crate) fn numbered(self, step: u64) -> Self {
        StepParameters { step, ..self }
    }

    /// The learning rate.
    #[must_use]
    pub fn lr(&self) -> f64 {
        self.rate
    }

    /// The factor of every tensor's lambda.
    #[must_use]
    pub fn lambda_scale(&self) -> f64 {
        self.lambda_scale
    }

    /// The factor of every tensor's beta.
    #[must_use]
    pub fn beta_scale(&self) -> f64 {
        self.beta_scale
    }

    /// Whether zeros stay zeros.
    #[must_use]
    pub fn frozen_zeros(&self) -> bool {
        self.freeze
    }

    /// The number of the step, from 1.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }
}

/// The parameters of Adam and AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment, in [1e-12, 1].
    pub epsilon: f64,
    /// Decoupled weight decay (AdamW), in [0, 1e6]; 0 is Adam.
    pub decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 }
    }
}

/// What happens to a weight before the prox.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Nothing: W <- prox(W), with t = rate * lambda and no gradient.
    Prox,
    /// Plain gradient step.
    Gradient,
    /// M <- momentum M + G; W - rate M. Where training stands still M is G / (1 - momentum), and the prox has the rate alone: that
    /// is a minimum of f + (1 - momentum) lambda P.
    HeavyBall {
        /// In [0, 1).
        momentum: f64,
    },
    /// M <- momentum M + G; W - rate (G + momentum M). Ends as [`Optimizer::HeavyBall`] does.
    Nesterov {
        /// In [0, 1).
        momentum: f64,
    },
    /// Adam or AdamW; the prox has the plain threshold t = rate * lambda.
    Adam(Adam),
    /// Adam or AdamW; the prox is taken in Adam's metric: t = rate * lambda / denominator per weight (ProxGen).
    AdamMetric(Adam),
}

impl Optimizer {
    /// Every base step with default parameters, in the order of the documentation.
    #[must_use]
    pub fn all() -> Vec<Optimizer> {
        let adamw = Adam { decay: 0.01, ..Adam::default() };
        vec![
            Optimizer::Prox,
            Optimizer::Gradient,
            Optimizer::HeavyBall { momentum: 0.9 },
            Optimizer::Nesterov { momentum: 0.9 },
            Optimizer::Adam(Adam::default()),
            Optimizer::Adam(adamw),
            Optimizer::AdamMetric(Adam::default()),
        ]
    }

    /// The name in text form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Optimizer::Prox => "prox",
            Optimizer::Gradient => "gradient",
            Optimizer::HeavyBall { .. } => "heavy-ball",
            Optimizer::Nesterov { .. } => "nesterov",
            Optimizer::Adam(Adam { decay: 0.0, .. }) => "adam",
            Optimizer::Adam(_) => "adamw",
            Optimizer::AdamMetric(_) => "adam-metric",
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Domain`] naming parameter, value and allowed range.
    pub fn check(&self) -> Result<()> {
        const UNIT: Domain = Domain(Included(0.0), Excluded(1.0));
        const EPSILON: Domain = Domain(Included(1e-12), Included(1.0));
        let inside =
            |name, value, domain: Domain| require(domain.contains(value), self.name(), name, value, domain);
        match *self {
            Optimizer::Prox | Optimizer::Gradient => Ok(()),
            Optimizer::HeavyBall { momentum } | Optimizer::Nesterov { momentum } => {
                inside("momentum", momentum, UNIT)
            }
            Optimizer::Adam(adam) | Optimizer::AdamMetric(adam) => {
                inside("beta1", adam.beta1, UNIT)?;
                inside("beta2", adam.beta2, UNIT)?;
                inside("epsilon", adam.epsilon, EPSILON)?;
                inside("decay", adam.decay, WEIGHT)
            }
        }
    }

    /// How many f32 arrays of the weights' size the base step keeps: 0, 1 (momentum) or 2 (Adam).
    #[must_use]
    pub fn states(&self) -> usize {
        match self {
            Optimizer::Prox | Optimizer::Gradient => 0,
            Optimizer::HeavyBall { .. } | Optimizer::Nesterov { .. } => 1,
            Optimizer::Adam(_) | Optimizer::AdamMetric(_) => 2,
        }
    }

    /// The decoupled weight decay; none for base steps that have no such thing.
    pub(crate) fn decay(&self) -> Option<f64> {
        match self {
            Optimizer::Adam(adam) | Optimizer::AdamMetric(adam) => Some(adam.decay),
            _ => None,
        }
    }

    /// The same base step with another weight decay, where it has one.
    pub(crate) fn with_decay(self, decay: f64) -> Self {
        match self {
            Optimizer::Adam(adam) => Optimizer::Adam(Adam { decay, ..adam }),
            Optimizer::AdamMetric(adam) => Optimizer::AdamMetric(Adam { decay, ..adam }),
            other => other,
        }
    }

    /// Whether the base step reads a gradient.
    #[must_use]
    pub fn has_gradient(&self) -> bool {
        !matches!(self, Optimizer::Prox)
    }

    /// The WGSL file that implements it; heavy ball and Nesterov, Adam and AdamW share one.
    pub(in crate::kernels) fn kernel(&self) -> &'static str {
        match self {
            Optimizer::HeavyBall { .. } | Optimizer::Nesterov { .. } => "momentum",
            Optimizer::Adam(_) => "adam",
            other => other.name(),
        }
    }

    /// The text of that file.
    pub(in crate::kernels) fn file(&self) -> &'static str {
        match self {
            Optimizer::Prox => "step/prox",
            Optimizer::Gradient => "step/gradient",
            Optimizer::HeavyBall { .. } | Optimizer::Nesterov { .. } => "step/momentum",
            Optimizer::Adam(_) | Optimizer::AdamMetric(_) => "step/adam",
        }
    }

    /// Where a tensor's views go: W, then G if it is read, then the states.
    pub(in crate::kernels) fn slots(&self) -> Vec<Slot> {
        let gradient = self.has_gradient().then_some(Slot::G);
        let states = [Slot::M, Slot::V].into_iter().take(self.states());
        [Slot::W].into_iter().chain(gradient).chain(states).collect()
    }

    /// The names of the fields of WGSL's `struct Optimizer`, in order.
    #[must_use]
    pub fn constant_names(&self) -> [&'static str; CONSTANTS] {
        let used: &[&str] = match self {
            Optimizer::Prox => &[],
            Optimizer::Gradient => &["rate"],
            Optimizer::HeavyBall { .. } | Optimizer::Nesterov { .. } => {
                &["rate", "momentum", "look", "follow"]
            }
            Optimizer::Adam(_) | Optimizer::AdamMetric(_) => {
                &["rate", "keep", "beta1", "rest1", "beta2", "rest2", "root_scale", "epsilon"]
            }
        };
        let mut names =
            ["unused0", "unused1", "unused2", "unused3", "unused4", "unused5", "unused6", "unused7"];
        names[..used.len()].copy_from_slice(used);
        names
    }

    /// Their values for a learning rate and a step number, in float64, rounded once.
    #[must_use]
    pub fn constants(&self, rate: f64, step: u64) -> [f32; CONSTANTS] {
        let wide = match *self {
            Optimizer::Prox => [0.0; CONSTANTS],
            Optimizer::Gradient => [rate, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            Optimizer::HeavyBall { momentum } => [rate, momentum, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            Optimizer::Nesterov { momentum } => [rate, momentum, 1.0, momentum, 0.0, 0.0, 0.0, 0.0],
            Optimizer::Adam(Adam { beta1, beta2, epsilon, decay })
            | Optimizer::AdamMetric(Adam { beta1, beta2, epsilon, decay }) => {
                let (rate1, root_scale) = adam::corrected(rate, beta1, beta2, step);
                [rate1, 1.0 - rate * decay, beta1, 1.0 - beta1, beta2, 1.0 - beta2, root_scale, epsilon]
            }
        };
        wide.map(|c| c as f32)
    }

    /// Bytes moved per f32 element: the floor that the kernel holds. 8, 12, 20 or 28.
    #[must_use]
    pub fn bytes_per_element(&self) -> u64 {
        8 + 4 * u64::from(self.has_gradient()) + 8 * self.states() as u64
    }
}

impl Optimizer {
    /// The parameters as the text form has them.
    fn parameters(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Optimizer::Prox | Optimizer::Gradient => Vec::new(),
            Optimizer::HeavyBall { momentum } | Optimizer::Nesterov { momentum } => {
                vec![("momentum", momentum)]
            }
            Optimizer::Adam(Adam { beta1, beta2, epsilon, decay })
            | Optimizer::AdamMetric(Adam { beta1, beta2, epsilon, decay }) => {
                vec![("beta1", beta1), ("beta2", beta2), ("epsilon", epsilon), ("decay", decay)]
            }
        }
    }

    /// The same base step with other parameters, in the order of [`Optimizer::parameters`].
    fn with(&self, values: &[f64]) -> Self {
        match (*self, values) {
            (Optimizer::HeavyBall { .. }, &[momentum]) => Optimizer::HeavyBall { momentum },
            (Optimizer::Nesterov { .. }, &[momentum]) => Optimizer::Nesterov { momentum },
            (Optimizer::Adam(_), &[beta1, beta2, epsilon, decay]) => {
                Optimizer::Adam(Adam { beta1, beta2, epsilon, decay })
            }
            (Optimizer::AdamMetric(_), &[beta1, beta2, epsilon, decay]) => {
                Optimizer::AdamMetric(Adam { beta1, beta2, epsilon, decay })
            }
            (without, _) => without,
        }
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self.name(), &self.parameters(), &[])
    }
}

impl FromStr for Optimizer {
    type Err = Error;

    /// Reads `name` or `name(parameter=value, ...)` with a name of [`Optimizer::all`], `sgd` for `gradient` or `momentum` for
    /// `heavy-ball`; parameters left out keep their defaults.
    ///
    /// # Errors
    /// [`Error::Text`] for an unknown name or parameter (with the known ones), [`Error::Domain`] for a value
    /// outside its domain.
    fn from_str(text: &str) -> Result<Self> {
        let find = |name: &str| {
            // as frameworks call them
            let name = match name {
                "sgd" => "gradient",
                "momentum" => "heavy-ball",
                other => other,
            };
            let default = Optimizer::all().into_iter().find(|b| b.name() == name)?;
            Some((default, default.parameters()))
        };
        let known = || Optimizer::all().iter().map(Optimizer::name).collect();
        let (default, values) = text::read("optimizer", text, find, known, |_| &[])?;
        let base = default.with(&values);
        base.check()?;
        Ok(base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        for base in Optimizer::all() {
            assert_eq!(base.to_string().parse::<Optimizer>().unwrap(), base);
            assert_eq!(base.name().parse::<Optimizer>().unwrap(), base);
        }
        assert_eq!("sgd".parse::<Optimizer>().unwrap(), Optimizer::Gradient);
        assert_eq!("momentum(momentum=0.5)".parse(), Ok(Optimizer::HeavyBall { momentum: 0.5 }));
        assert_eq!(
            "nesterov( momentum = 0.5 )".parse::<Optimizer>().unwrap(),
            Optimizer::Nesterov { momentum: 0.5 }
        );
    }

    #[test]
    fn wrong_text_is_named_with_what_is_allowed() {
        for (text, needle) in [
            ("rmsprop", "there are prox, gradient"),
            ("heavy-ball(momentum=1)", "heavy-ball: momentum = 1 is outside [0, 1)"),
            ("adam(beta3=0.5)", "it has: beta1, beta2, epsilon, decay"),
            ("gradient(momentum=0.5)", "it has: none"),
        ] {
            let error = text.parse::<Optimizer>().unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
