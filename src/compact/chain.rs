//! The chain: which layers fit together, and which neurons the zeros cut off.

use std::borrow::Cow;

use ndarray::{Array1, ArrayD, IxDyn};

use super::Layer;
use crate::error::{self, Result, unsupported};

/// The geometry of one layer. Its weights lie as `[outputs, units, span]`, row-major: a unit is a neuron or channel of
/// the layer before, and `span` the weights between a unit and a neuron.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub outputs: usize,
    pub units: usize,
    pub span: usize,
    /// Rows and columns of a convolution's kernel.
    pub kernel: Option<[usize; 2]>,
}

/// What a set of weights has in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub zero: bool,
    pub finite: bool,
}

/// Each layer's geometry.
pub(super) fn links(layers: &[Layer]) -> Result<Vec<Link>> {
    if layers.is_empty() {
        return Err(unsupported("network", "it has no layers", "one or more"));
    }
    let mut links: Vec<Link> = Vec::with_capacity(layers.len());
    for (k, layer) in layers.iter().enumerate() {
        let shape = layer.weight.shape();
        let place = format!("layer {:?}", layer.name);
        let wrong =
            |expected: &str| error::shape(&place, "shape of the weights", format!("{shape:?}"), expected);
        let (outputs, inputs, kernel) = match *shape {
            [outputs, inputs] => (outputs, inputs, None),
            [outputs, inputs, rows, columns] => (outputs, inputs, Some([rows, columns])),
            _ => {
                return Err(wrong(
                    "[outputs, inputs] or [outputs, inputs, rows, columns]; `layers` names those of the chain",
                ));
            }
        };
        if shape.contains(&0) {
            return Err(wrong("no dimension of 0"));
        }
        if let Some(bias) = layer.bias.as_ref().filter(|bias| bias.len() != outputs) {
            let expected = format!("{outputs}, the outputs of the weights {shape:?}");
            return Err(error::shape(place, "length of the bias", bias.len(), expected));
        }
        let taps = kernel.map_or(1, |[rows, columns]| rows * columns);
        let (units, span) = match links.last() {
            None => (inputs, taps),
            Some(last) if inputs == last.outputs && kernel.is_some() == last.kernel.is_some() => {
                (inputs, taps)
            }
            // flattened: all positions of the first channel, then those of the second ...
            Some(last) if kernel.is_none() && last.kernel.is_some() && inputs % last.outputs == 0 => {
                (last.outputs, inputs / last.outputs)
            }
            Some(last) => {
                let before = &layers[k - 1];
                let fitting = match (last.kernel, kernel) {
                    (None, Some(_)) => "a dense layer: no convolution follows one".to_owned(),
                    (Some(_), None) => format!("a multiple of {} inputs", last.outputs),
                    _ => format!("{} inputs", last.outputs),
                };
                return Err(wrong(&format!(
                    "{fitting}, as the layer before, {:?}, is {:?}; `layers` names the layers of the chain in order",
                    before.name,
                    before.weight.shape()
                )));
            }
        };
        links.push(Link { outputs, units, span, kernel });
    }
    Ok(links)
}

/// The weights in row-major order.
pub(super) fn row_major(weight: &ArrayD<f32>) -> Cow<'_, [f32]> {
    match weight.as_slice() {
        Some(values) => values.into(),
        None => weight.iter().copied().collect::<Vec<_>>().into(),
    }
}

/// A chain in which neurons die.
pub(super) struct Chain<'a> {
    layers: &'a [Layer],
    pub links: Vec<Link>,
    weights: Vec<Cow<'a, [f32]>>,
    /// Level 0 are the inputs, level k + 1 the outputs of layer k.
    alive: Vec<Vec<bool>>,
    /// In float64, so that what is folded in is rounded once.
    bias: Vec<Option<Vec<f64>>>,
    /// How many neurons of each layer were folded into the next layer's bias.
    pub folded: Vec<usize>,
}

impl<'a> Chain<'a> {
    pub fn new(layers: &'a [Layer]) -> Result<Self> {
        let links = links(layers)?;
        let mut alive = vec![vec![true; links[0].units]];
        alive.extend(links.iter().map(|link| vec![true; link.outputs]));
        let wide = |bias: &Array1<f32>| bias.iter().map(|&b| f64::from(b)).collect();
        Ok(Chain {
            layers,
            alive,
            weights: layers.iter().map(|layer| row_major(&layer.weight)).collect(),
            bias: layers.iter().map(|layer| layer.bias.as_ref().map(wide)).collect(),
            folded: vec![0; links.len()],
            links,
        })
    }

    /// The weights from a unit to a neuron of a layer.
    fn between(&self, layer: usize, neuron: usize, unit: usize) -> &[f32] {
        let Link { units, span, .. } = self.links[layer];
        &self.weights[layer][(neuron * units + unit) * span..][..span]
    }

    /// What the weights of a layer between living units and living neurons are, per neuron or per unit.
    pub fn seen(&self, layer: usize, per_unit: bool) -> Vec<Seen> {
        let (units, neurons) = (&self.alive[layer], &self.alive[layer + 1]);
        let count = if per_unit { units.len() } else { neurons.len() };
        let mut seen = vec![Seen { zero: true, finite: true }; count];
        for neuron in living(neurons) {
            for unit in living(units) {
                let seen = &mut seen[if per_unit { unit } else { neuron }];
                for w in self.between(layer, neuron, unit) {
                    seen.zero &= *w == 0.0;
                    seen.finite &= w.is_finite();
                }
            }
        }
        seen
    }

    /// Lets neurons die until no more do.
    pub fn prune(&mut self) {
        let hidden = 1..self.links.len();
        let mut any = true;
        while any {
            any = false;
            // Silence travels forwards, having no way out backwards.
            for level in hidden.clone().chain(hidden.clone().rev()) {
                any |= self.sweep(level);
            }
        }
    }

    /// Lets the neurons of one level die; whether any did.
    fn sweep(&mut self, level: usize) -> bool {
        let (into, out) = (self.seen(level - 1, false), self.seen(level, true));
        let mut any = false;
        for (neuron, (into, out)) in into.into_iter().zip(out).enumerate() {
            let bias = self.bias_of(level - 1, neuron);
            let sound = into.finite && out.finite && bias.is_finite();
            if !self.alive[level][neuron] || !sound {
                continue;
            }
            if out.zero || into.zero && (bias <= 0.0 || self.fold(level, neuron, bias)) {
                self.alive[level][neuron] = false;
                any = true;
            }
        }
        any
    }

    fn bias_of(&self, layer: usize, neuron: usize) -> f64 {
        self.bias[layer].as_ref().map_or(0.0, |bias| bias[neuron])
    }

    /// Folds a neuron with the constant output `c` into the bias of `layer`, if that can be done: see the module.
    fn fold(&mut self, layer: usize, neuron: usize, c: f64) -> bool {
        let Some(bias) = self.bias[layer].as_ref().filter(|_| self.links[layer].kernel.is_none()) else {
            return false;
        };
        let mut bias = bias.clone();
        for next in living(&self.alive[layer + 1]) {
            let sum: f64 = self.between(layer, next, neuron).iter().map(|&w| f64::from(w)).sum();
            bias[next] += c * sum;
            if !(bias[next] as f32).is_finite() {
                return false;
            }
        }
        self.bias[layer] = Some(bias);
        self.folded[layer - 1] += 1;
        true
    }

    /// The neurons of a level that contribute.
    pub fn alive(&self, level: usize) -> usize {
        living(&self.alive[level]).count()
    }

    /// The neurons of a level in the small network: those alive, or the first where none is.
    pub fn kept(&self, level: usize) -> Vec<usize> {
        let kept: Vec<usize> = living(&self.alive[level]).collect();
        if kept.is_empty() { vec![0] } else { kept }
    }

    /// The living neurons of a layer whose output is a positive constant.
    pub fn constants(&self, layer: usize) -> usize {
        let into = self.seen(layer, false);
        living(&self.alive[layer + 1])
            .filter(|&neuron| into[neuron].zero && self.bias_of(layer, neuron) > 0.0)
            .count()
    }

    /// The inputs that nothing depends on.
    pub fn dead_inputs(&self) -> usize {
        self.seen(0, true).iter().filter(|seen| seen.zero).count()
    }

    /// The small network. What is kept in a layer without living neurons has zeros in place of its weights.
    pub fn small(&self) -> Vec<Layer> {
        let layer = |(k, layer): (usize, &Layer)| {
            let (units, neurons) = (self.kept(k), self.kept(k + 1));
            let mut values = Vec::with_capacity(neurons.len() * units.len() * self.links[k].span);
            for &neuron in &neurons {
                for &unit in &units {
                    let between = self.between(k, neuron, unit);
                    let both = self.alive[k][unit] && self.alive[k + 1][neuron];
                    values.extend(between.iter().map(|&w| if both { w } else { 0.0 }));
                }
            }
            let mut shape = layer.weight.shape().to_vec();
            shape[0] = neurons.len();
            shape[1] = values.len() / neurons.len();
            if let Some([rows, columns]) = self.links[k].kernel {
                shape[1] /= rows * columns;
            }
            let weight = ArrayD::from_shape_vec(IxDyn(&shape), values);
            let weight = weight.unwrap_or_else(|_| ArrayD::zeros(IxDyn(&shape)));
            let bias = self.kept_bias(k).map(|bias| bias.iter().map(|&b| b as f32).collect());
            Layer { name: layer.name.clone(), weight, bias }
        };
        self.layers.iter().enumerate().map(layer).collect()
    }

    fn kept_bias(&self, layer: usize) -> Option<Vec<f64>> {
        let bias = self.bias[layer].as_ref()?;
        let value = |&neuron: &usize| if self.alive[layer + 1][neuron] { bias[neuron] } else { 0.0 };
        Some(self.kept(layer + 1).iter().map(value).collect())
    }

    /// The kept biases before their rounding, of the layers that something was folded into.
    pub fn exact(&self) -> Vec<Option<Vec<f64>>> {
        let folded = |layer: usize| layer > 0 && self.folded[layer - 1] > 0;
        (0..self.links.len()).map(|layer| self.kept_bias(layer).filter(|_| folded(layer))).collect()
    }
}

fn living(alive: &[bool]) -> impl Iterator<Item = usize> + '_ {
    alive.iter().enumerate().filter_map(|(k, &alive)| alive.then_some(k))
}
