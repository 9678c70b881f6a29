//! What is done to which parameters, in a framework's words.

use std::fmt;

use burn::module::{ParamGroup, ParamId};
use maf_srl::error::{Result, unsupported};
use maf_srl::kernels::solver::Solver;
use maf_srl::penalty::{Group, GroupPenalty, Groups, Layout, Penalty};
use maf_srl::schedule::{DensityTarget, Spec};

/// What becomes zero as a whole.
///
/// | unit | of a linear layer `[in, out]` | of a convolution `[out, in, ...]` | of a transposed one `[in, out, ...]` |
/// |---|---|---|---|
/// | `Neuron`, `Filter` | the weights into one output: axis 1 | axis 0 | axis 1 |
/// | `Input`, `Channel` | the weights out of one input: axis 0 | axis 1 | axis 0 |
/// | `Head(k)` | the outputs of one of k heads, side by side | | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// An output of a linear layer.
    Neuron,
    /// An input of a linear layer.
    Input,
    /// An output channel of a convolution.
    Filter,
    /// An input channel of a convolution.
    Channel,
    /// One of so many heads that share the outputs of a linear layer, each with as many of them.
    Head(usize),
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Neuron => f.write_str("neuron"),
            Unit::Input => f.write_str("input"),
            Unit::Filter => f.write_str("filter"),
            Unit::Channel => f.write_str("channel"),
            Unit::Head(k) => write!(f, "head of {k}"),
        }
    }
}

/// The layers whose weights have units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Linear,
    Convolution,
    Transposed,
    /// Any other, and what is no weight.
    Other,
}

impl Layer {
    /// By the module that holds a parameter, as Burn names it, and the parameter's name.
    pub fn of(container: &str, name: &str) -> Self {
        let module = container.strip_prefix("Struct:").unwrap_or_default();
        match module {
            _ if name != "weight" => Layer::Other,
            "Linear" => Layer::Linear,
            _ if module.starts_with("ConvTranspose") => Layer::Transposed,
            _ if module.starts_with("Conv") || module.starts_with("DeformConv") => Layer::Convolution,
            _ => Layer::Other,
        }
    }

    /// What one output of it is called; none without weights.
    pub fn output(self) -> Option<Unit> {
        match self {
            Layer::Linear => Some(Unit::Neuron),
            Layer::Convolution | Layer::Transposed => Some(Unit::Filter),
            Layer::Other => None,
        }
    }
}

impl Unit {
    /// The units of a layer's weights.
    pub(crate) fn groups(self, layer: Layer, path: &str, shape: &[u64]) -> Result<Groups> {
        match (self, layer) {
            (Unit::Neuron, Layer::Linear) => Groups::axis(1, shape),
            (Unit::Input, Layer::Linear) => Groups::axis(0, shape),
            (Unit::Filter, Layer::Convolution) | (Unit::Channel, Layer::Transposed) => Groups::axis(0, shape),
            (Unit::Channel, Layer::Convolution) | (Unit::Filter, Layer::Transposed) => Groups::axis(1, shape),
            (Unit::Head(k), Layer::Linear) if k > 0 && shape[1].is_multiple_of(k as u64) => {
                Groups::axis(1, &[shape[0], k as u64, shape[1] / k as u64])
            }
            _ => {
                let what = format!("groups by {self} for a parameter {shape:?} of a {layer:?} layer");
                let allowed = "neuron, input and heads that share the outputs evenly for linear layers, filter and channel \
                               for convolutions";
                Err(unsupported(path, what, allowed))
            }
        }
    }
}

/// Which penalties some parameters have.
///
/// ```
/// use burn::module::ParamGroup;
/// use maf_srl_burn::{Rule, Unit};
/// // l1 on every weight of linear and convolution layers, and whole neurons of the first layer
/// let all = Rule::new("l1".parse()?, 1e-4);
/// let first = Rule::new("l1".parse()?, 1e-4)
///     .with_group("lasso(weight=sqrt-size)".parse()?, 1e-3, Unit::Neuron)
///     .on(ParamGroup::from_path("fc1.weight"));
/// # Ok::<(), maf_srl::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    penalty: Penalty,
    lambda: f64,
    group: Option<(GroupPenalty, f64, Unit)>,
    solver: Solver,
    density: Option<DensityTarget>,
    uses: u64,
    on: On,
}

/// Which parameters.
#[derive(Clone, Debug)]
enum On {
    /// The weights of linear layers and convolutions.
    Weights,
    Linear,
    Convolutions,
    Group(ParamGroup),
}

impl Rule {
    /// A penalty and its weight for the weights of linear layers and convolutions, not for biases and norms.
    #[must_use]
    pub fn new(penalty: Penalty, lambda: f64) -> Self {
        Rule {
            penalty,
            lambda,
            group: None,
            solver: Solver::Proximal,
            density: None,
            uses: 1,
            on: On::Weights,
        }
    }

    /// For these parameters, whatever they are.
    #[must_use]
    pub fn on(self, parameters: ParamGroup) -> Self {
        Rule { on: On::Group(parameters), ..self }
    }

    /// For the weights of linear layers.
    #[must_use]
    pub fn on_linear(self) -> Self {
        Rule { on: On::Linear, ..self }
    }

    /// For the weights of convolutions, transposed ones among them.
    #[must_use]
    pub fn on_convolutions(self) -> Self {
        Rule { on: On::Convolutions, ..self }
    }

    /// With a penalty of whole units. A unit that a layer does not have is an error of the first step.
    #[must_use]
    pub fn with_group(self, penalty: GroupPenalty, lambda: f64, unit: Unit) -> Self {
        Rule { group: Some((penalty, lambda, unit)), ..self }
    }

    /// With another way of combining gradient and penalties than the proximal step.
    #[must_use]
    pub fn with_solver(self, solver: Solver) -> Self {
        Rule { solver, ..self }
    }

    /// With a share that is to be left of all parameters together that this rule decides on: their lambdas follow it, as
    /// [`DensityControl`](maf_srl::schedule::DensityControl) says, and once it is met their zeros stay.
    #[must_use]
    pub fn with_density(self, target: DensityTarget) -> Self {
        Rule { density: Some(target), ..self }
    }

    /// With the number of times that a forward pass of one example uses each weight, for
    /// [`Measure::Multiplications`](maf_srl::schedule::Measure::Multiplications): the output positions of a convolution. 1 without this.
    #[must_use]
    pub fn with_uses(self, uses: u64) -> Self {
        Rule { uses, ..self }
    }

    pub(crate) fn density(&self) -> Option<DensityTarget> {
        self.density
    }

    pub(crate) fn uses(&self) -> u64 {
        self.uses
    }

    /// What is counted as one unit of a parameter: that of the penalty, else an output.
    pub(crate) fn units(&self, path: &str, layer: Layer, shape: &[u64]) -> Result<Groups> {
        match self.group.as_ref().map(|(_, _, unit)| *unit).or(layer.output()) {
            Some(unit) => unit.groups(layer, path, shape),
            None => Groups::new(Layout::Whole, shape),
        }
    }

    pub(crate) fn matches(&self, id: ParamId, path: &str, layer: Layer) -> bool {
        match &self.on {
            On::Weights => layer != Layer::Other,
            On::Linear => layer == Layer::Linear,
            On::Convolutions => matches!(layer, Layer::Convolution | Layer::Transposed),
            On::Group(group) => group.matches(&id, Some(path)),
        }
    }

    pub(crate) fn spec(&self, path: &str, layer: Layer, shape: &[u64]) -> Result<Spec> {
        let mut spec = Spec::new(path, self.penalty, self.lambda).with_solver(self.solver);
        if let Some((penalty, lambda, unit)) = &self.group {
            spec = spec.with_group(Group::new(*penalty, *lambda, unit.groups(layer, path, shape)?));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_the_axes_of_burns_layouts() {
        let count =
            |unit: Unit, layer, shape: &[u64]| unit.groups(layer, "w", shape).map(|groups| groups.count());
        assert_eq!(count(Unit::Neuron, Layer::Linear, &[3, 4]), Ok(4));
        assert_eq!(count(Unit::Input, Layer::Linear, &[3, 4]), Ok(3));
        assert_eq!(count(Unit::Filter, Layer::Convolution, &[5, 2, 3, 3]), Ok(5));
        assert_eq!(count(Unit::Channel, Layer::Transposed, &[5, 2, 3, 3]), Ok(5));
        assert!(count(Unit::Head(5), Layer::Linear, &[3, 4]).is_err());
        assert!(count(Unit::Filter, Layer::Linear, &[3, 4]).is_err());
        // the second head of two has the outputs 2 and 3 of every input
        let heads = Unit::Head(2).groups(Layer::Linear, "w", &[2, 4]).unwrap();
        assert_eq!(heads.members(1).collect::<Vec<_>>(), [2, 3, 6, 7]);
    }

    #[test]
    fn layers_are_known_by_burns_names() {
        assert_eq!(Layer::of("Struct:Linear", "weight"), Layer::Linear);
        assert_eq!(Layer::of("Struct:Linear", "bias"), Layer::Other);
        assert_eq!(Layer::of("Struct:Conv2d", "weight"), Layer::Convolution);
        assert_eq!(Layer::of("Struct:ConvTranspose1d", "weight"), Layer::Transposed);
        assert_eq!(Layer::of("Vec", "weight"), Layer::Other);
    }
}
