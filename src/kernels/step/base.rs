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
pub struct Hyper {
    rate: f64,
    lambda_scale: f64,
    beta_scale: f64,
    step: u64,
    freeze: bool,
}

impl Hyper {
    /// The learning rate and the number of this step, counted from 1 (Adam's bias correction needs it).
    ///
    /// # Errors
    /// [`Error::Domain`] where `rate` is outside [`WEIGHT`] or `step` is 0.
    pub fn new(rate: f64, step: u64) -> Result<Self> {
        require(WEIGHT.contains(rate), "hyper-parameters", "learning rate", rate, WEIGHT)?;
        require(step >= 1, "hyper-parameters", "step", step as f64, "[1, inf)")?;
        Ok(Hyper { rate, lambda_scale: 1.0, beta_scale: 1.0, step, freeze: false })
    }

    /// The same step with every tensor's lambda multiplied by `scale`, for schedules of lambda.
    ///
    /// # Errors
    /// [`Error::Domain`] where `scale` is outside [`WEIGHT`].
    pub fn with_lambda_scale(self, scale: f64) -> Result<Self> {
        require(WEIGHT.contains(scale), "hyper-parameters", "lambda scale", scale, WEIGHT)?;
        Ok(Hyper { lambda_scale: scale, ..self })
    }

    /// The same step with every tensor's beta multiplied by `scale`: variable splitting makes it grow.
    ///
    /// # Errors
    /// [`Error::Domain`] where `scale` is outside (0, 1e6].
    pub fn with_beta_scale(self, scale: f64) -> Result<Self> {
        const SCALE: Domain = Domain(Excluded(0.0), Included(1e6));
        require(SCALE.contains(scale), "hyper-parameters", "beta scale", scale, SCALE)?;
        Ok(Hyper { beta_scale: scale, ..self })
    }

    /// The same step in which zeros stay zeros: a weight that is exactly 0 before it is +0.0 after it, and so is its momentum or
    /// first moment; its second moment stays as it is. What is not finite is treated as in any other step. Under variable
    /// splitting the zeros that stay are those of the sparse copy, and the weights move on; with a learned regulariser they are
    /// those of the coefficients v.
    #[must_use]
    pub fn with_frozen_zeros(self, freeze: bool) -> Self {
        Hyper { freeze, ..self }
    }

    /// The same as the step of this number, for a tensor that counts its own.
    pub(crate) fn numbered(self, step: u64) -> Self {
        Hyper { step, ..self }
    }

    /// The learning rate.
    #[must_use]
    pub fn rate(&self) -> f64 {
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
pub enum Base {
    /// Nothing: W <- prox(W), with t = rate * lambda and no gradient.
    Prox,
    /// Plain gradient step.
    Gradient,
    /// M <- momentum M + G; W - rate M.
    HeavyBall {
        /// In [0, 1).
        momentum: f64,
    },
    /// M <- momentum M + G; W - rate (G + momentum M).
    Nesterov {
        /// In [0, 1).
        momentum: f64,
    },
    /// Adam or AdamW; the prox has the plain threshold t = rate * lambda.
    Adam(Adam),
    /// Adam or AdamW; the prox is taken in Adam's metric: t = rate * lambda / denominator per weight (ProxGen).
    AdamMetric(Adam),
}

impl Base {
    /// Every base step with default parameters, in the order of the documentation.
    #[must_use]
    pub fn all() -> Vec<Base> {
        let adamw = Adam { decay: 0.01, ..Adam::default() };
        vec![
            Base::Prox,
            Base::Gradient,
            Base::HeavyBall { momentum: 0.9 },
            Base::Nesterov { momentum: 0.9 },
            Base::Adam(Adam::default()),
            Base::Adam(adamw),
            Base::AdamMetric(Adam::default()),
        ]
    }

    /// The name in text form.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Base::Prox => "prox",
            Base::Gradient => "gradient",
            Base::HeavyBall { .. } => "heavy-ball",
            Base::Nesterov { .. } => "nesterov",
            Base::Adam(Adam { decay: 0.0, .. }) => "adam",
            Base::Adam(_) => "adamw",
            Base::AdamMetric(_) => "adam-metric",
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
            Base::Prox | Base::Gradient => Ok(()),
            Base::HeavyBall { momentum } | Base::Nesterov { momentum } => inside("momentum", momentum, UNIT),
            Base::Adam(adam) | Base::AdamMetric(adam) => {
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
            Base::Prox | Base::Gradient => 0,
            Base::HeavyBall { .. } | Base::Nesterov { .. } => 1,
            Base::Adam(_) | Base::AdamMetric(_) => 2,
        }
    }

    /// The decoupled weight decay; none for base steps that have no such thing.
    pub(crate) fn decay(&self) -> Option<f64> {
        match self {
            Base::Adam(adam) | Base::AdamMetric(adam) => Some(adam.decay),
            _ => None,
        }
    }

    /// The same base step with another weight decay, where it has one.
    pub(crate) fn with_decay(self, decay: f64) -> Self {
        match self {
            Base::Adam(adam) => Base::Adam(Adam { decay, ..adam }),
            Base::AdamMetric(adam) => Base::AdamMetric(Adam { decay, ..adam }),
            other => other,
        }
    }

    /// Whether the base step reads a gradient.
    #[must_use]
    pub fn has_gradient(&self) -> bool {
        !matches!(self, Base::Prox)
    }

    /// The WGSL file that implements it; heavy ball and Nesterov, Adam and AdamW share one.
    pub(in crate::kernels) fn kernel(&self) -> &'static str {
        match self {
            Base::HeavyBall { .. } | Base::Nesterov { .. } => "momentum",
            Base::Adam(_) => "adam",
            other => other.name(),
        }
    }

    /// The text of that file.
    pub(in crate::kernels) fn file(&self) -> &'static str {
        match self {
            Base::Prox => "step/prox",
            Base::Gradient => "step/gradient",
            Base::HeavyBall { .. } | Base::Nesterov { .. } => "step/momentum",
            Base::Adam(_) | Base::AdamMetric(_) => "step/adam",
        }
    }

    /// Where a tensor's views go: W, then G if it is read, then the states.
    pub(in crate::kernels) fn slots(&self) -> Vec<Slot> {
        let gradient = self.has_gradient().then_some(Slot::G);
        let states = [Slot::M, Slot::V].into_iter().take(self.states());
        [Slot::W].into_iter().chain(gradient).chain(states).collect()
    }

    /// The names of the fields of WGSL's `struct Base`, in order.
    #[must_use]
    pub fn constant_names(&self) -> [&'static str; CONSTANTS] {
        let used: &[&str] = match self {
            Base::Prox => &[],
            Base::Gradient => &["rate"],
            Base::HeavyBall { .. } | Base::Nesterov { .. } => &["rate", "momentum", "look", "follow"],
            Base::Adam(_) | Base::AdamMetric(_) => {
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
            Base::Prox => [0.0; CONSTANTS],
            Base::Gradient => [rate, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            Base::HeavyBall { momentum } => [rate, momentum, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
            Base::Nesterov { momentum } => [rate, momentum, 1.0, momentum, 0.0, 0.0, 0.0, 0.0],
            Base::Adam(Adam { beta1, beta2, epsilon, decay })
            | Base::AdamMetric(Adam { beta1, beta2, epsilon, decay }) => {
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

impl Base {
    /// The parameters as the text form has them.
    fn parameters(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Base::Prox | Base::Gradient => Vec::new(),
            Base::HeavyBall { momentum } | Base::Nesterov { momentum } => vec![("momentum", momentum)],
            Base::Adam(Adam { beta1, beta2, epsilon, decay })
            | Base::AdamMetric(Adam { beta1, beta2, epsilon, decay }) => {
                vec![("beta1", beta1), ("beta2", beta2), ("epsilon", epsilon), ("decay", decay)]
            }
        }
    }

    /// The same base step with other parameters, in the order of [`Base::parameters`].
    fn with(&self, values: &[f64]) -> Self {
        match (*self, values) {
            (Base::HeavyBall { .. }, &[momentum]) => Base::HeavyBall { momentum },
            (Base::Nesterov { .. }, &[momentum]) => Base::Nesterov { momentum },
            (Base::Adam(_), &[beta1, beta2, epsilon, decay]) => {
                Base::Adam(Adam { beta1, beta2, epsilon, decay })
            }
            (Base::AdamMetric(_), &[beta1, beta2, epsilon, decay]) => {
                Base::AdamMetric(Adam { beta1, beta2, epsilon, decay })
            }
            (without, _) => without,
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self.name(), &self.parameters(), &[])
    }
}

impl FromStr for Base {
    type Err = Error;

    /// Reads `name` or `name(parameter=value, ...)` with a name of [`Base::all`]; parameters left out keep their
    /// defaults.
    ///
    /// # Errors
    /// [`Error::Text`] for an unknown name or parameter (with the known ones), [`Error::Domain`] for a value
    /// outside its domain.
    fn from_str(text: &str) -> Result<Self> {
        let find = |name: &str| {
            let default = Base::all().into_iter().find(|b| b.name() == name)?;
            Some((default, default.parameters()))
        };
        let known = || Base::all().iter().map(Base::name).collect();
        let (default, values) = text::read("base step", text, find, known, |_| &[])?;
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
        for base in Base::all() {
            assert_eq!(base.to_string().parse::<Base>().unwrap(), base);
            assert_eq!(base.name().parse::<Base>().unwrap(), base);
        }
        assert_eq!("nesterov( momentum = 0.5 )".parse::<Base>().unwrap(), Base::Nesterov { momentum: 0.5 });
    }

    #[test]
    fn wrong_text_is_named_with_what_is_allowed() {
        for (text, needle) in [
            ("sgd", "there are prox, gradient"),
            ("heavy-ball(momentum=1)", "heavy-ball: momentum = 1 is outside [0, 1)"),
            ("adam(beta3=0.5)", "it has: beta1, beta2, epsilon, decay"),
            ("gradient(momentum=0.5)", "it has: none"),
        ] {
            let error = text.parse::<Base>().unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
