//! How many weights and units of a module are zero.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use maf_srl::error::{Result, unsupported};
use maf_srl::penalty::Groups;

use crate::rule::Layer;

/// What of a module is zero: its linear layers and convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Density {
    /// Weights, without biases.
    pub weights: u64,
    /// Weights that are not zero.
    pub nonzeros: u64,
    /// Outputs of linear layers and filters of convolutions.
    pub units: u64,
    /// Those of them whose weights are all zero.
    pub dead_units: u64,
}

impl Density {
    /// The share of weights that are not zero; 1 without weights.
    #[must_use]
    pub fn density(&self) -> f64 {
        if self.weights == 0 { 1.0 } else { self.nonzeros as f64 / self.weights as f64 }
    }
}

/// Counts the zeros of a module's linear layers and convolutions. Reads the weights back, and so waits: for the end of an epoch, not
/// for every step.
///
/// # Errors
/// [`maf_srl::Error::Unsupported`] where Burn cannot read weights back.
pub fn density<M: Module>(module: &M) -> Result<Density> {
    let mut counting = Counting { path: Vec::new(), found: Ok(Density::default()) };
    module.visit(&mut counting);
    counting.found
}

struct Counting {
    path: Vec<(String, String)>,
    found: Result<Density>,
}

impl ModuleVisitor for Counting {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.to_owned(), container.to_owned()));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some((name, container)) = self.path.last() else { return };
        let layer = Layer::of(container, name);
        let Some(unit) = layer.output() else { return };
        let Ok(found) = &mut self.found else { return };
        let shape: Vec<u64> = param.shape().to_vec().iter().map(|&n| n as u64).collect();
        let counted = || -> Result<(Vec<f32>, Groups)> {
            let data = param.val().inner().try_into_data();
            let data = data
                .map_err(|error| unsupported(name, format!("{error:?}"), "weights that can be read back"))?;
            let values = data.convert::<f32>().try_to_vec::<f32>();
            let values =
                values.map_err(|error| unsupported(name, format!("{error:?}"), "weights in floats"))?;
            Ok((values, unit.groups(layer, name, &shape)?))
        };
        match counted() {
            Ok((values, groups)) => {
                found.weights += values.len() as u64;
                found.nonzeros += values.iter().filter(|w| **w != 0.0).count() as u64;
                found.units += groups.count();
                let dead = |g: &u64| groups.members(*g).all(|k| values[k] == 0.0);
                found.dead_units += (0..groups.count()).filter(dead).count() as u64;
            }
            Err(error) => self.found = Err(error),
        }
    }
}
