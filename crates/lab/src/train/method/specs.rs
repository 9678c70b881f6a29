//! The tensors of a network with a method's penalties.

use std::sync::Arc;

use super::penalties::Penalties;
use super::share::Share;
use super::{Method, Regularisation};
use maf_srl::error::Result;
use maf_srl::kernels::step::Optimizer;
use maf_srl::penalty::{Group, Groups, Layout, NoPenalty};
use maf_srl::regulariser::Regulariser;
use maf_srl::schedule::{Backend, HostSchedule, Spec, Verify};

impl Method {
    /// The tensors of a network as a schedule wants them: `layers.K.weight` with the method's penalties,
    /// `layers.K.bias` with none. `layout` divides every matrix; without it see [`Penalties::layout`].
    ///
    /// # Errors
    /// [`maf_srl::Error::Shape`] for a layout that needs more than two axes.
    pub fn specs(&self, widths: &[usize], layout: Option<&Layout>) -> Result<Vec<Spec>> {
        let layers = widths.len().saturating_sub(1);
        if let Regularisation::Learned { learning, learned: None } = &self.regularisation {
            // to find what cannot be trained before anything is learned
            return self.with_learned(learning.stand_in(&widths[..layers])?).specs(widths, layout);
        }
        let mut specs = Vec::with_capacity(2 * layers);
        for (k, pair) in widths.windows(2).enumerate() {
            specs.push(self.weights(k, layers, [pair[1] as u64, pair[0] as u64], layout)?);
            specs.push(Spec::new(format!("layers.{k}.bias"), NoPenalty.into(), 0.0));
        }
        Ok(specs)
    }

    /// The weight matrix [outputs, inputs] of layer k out of `layers`, counted from 0.
    fn weights(&self, k: usize, layers: usize, shape: [u64; 2], layout: Option<&Layout>) -> Result<Spec> {
        let spec = |penalty, lambda| Spec::new(format!("layers.{k}.weight"), penalty, lambda);
        let bare = |lambda| spec(NoPenalty.into(), lambda);
        match &self.regularisation {
            Regularisation::None => Ok(bare(0.0)),
            Regularisation::Penalties(penalties) => {
                let Penalties { penalty, mut group, share } = *penalties;
                let (mut lambda, mut group_lambda) = (self.lambda, self.group_lambda);
                match (share, share.mu(k + 1, layers)) {
                    (Share::Integrated { .. }, Some(mu)) => {
                        (lambda, group_lambda) = (lambda * mu, group_lambda * (1.0 - mu));
                    }
                    (Share::Cges, Some(mu)) => group = group.map(|g| g.rule().with(&[mu])),
                    _ => {}
                }
                let spec = spec(penalty, lambda).with_solver(self.solver);
                let Some(group) = group else { return Ok(spec) };
                let layout = layout.cloned().unwrap_or_else(|| penalties.layout(k + 1 == layers));
                Ok(spec.with_group(Group::new(group, group_lambda, Groups::new(layout, &shape)?)))
            }
            Regularisation::File(regulariser) => Ok(match vectors(regulariser, shape)? {
                Some(groups) => regularised(bare(self.lambda), regulariser, groups),
                None => bare(self.lambda),
            }),
            Regularisation::Learned { learning, learned } => {
                let regulariser = learned.as_ref().and_then(|l| l.regularisers.get(k)?.clone());
                let Some(regulariser) = regulariser else { return Ok(bare(self.lambda)) };
                let groups = Groups::new(Layout::Blocks(u64::from(learning.block)), &shape)?;
                Ok(regularised(bare(self.lambda * weight(&regulariser)), &regulariser, groups))
            }
        }
    }

    /// The weight matrices of a network that the regulariser does not fit, and that are left without a penalty.
    ///
    /// # Errors
    /// As [`Method::specs`]; [`maf_srl::Error::Shape`] where there is one to learn, and it fits none.
    pub fn left_out(&self, widths: &[usize]) -> Result<Vec<String>> {
        if let Regularisation::None | Regularisation::Penalties(_) = self.regularisation {
            return Ok(Vec::new());
        }
        let specs = self.specs(widths, None)?.into_iter().step_by(2);
        let names: Vec<_> = specs.filter(|spec| spec.regulariser.is_none()).map(|spec| spec.name).collect();
        match self.learning() {
            Some(learning) if names.len() + 1 >= widths.len() => Err(learning.no_block(&self.name)),
            _ => Ok(names),
        }
    }

    /// Finds what no step can be made of, on a network of one neuron per layer and of as many inputs as a regulariser has
    /// components.
    ///
    /// # Errors
    /// Those of [`HostSchedule::new`].
    pub fn check(&self, base: Optimizer, layout: Option<&Layout>) -> Result<()> {
        let n = match &self.regularisation {
            Regularisation::None | Regularisation::Penalties(_) => 1,
            Regularisation::File(regulariser) => regulariser.parameters().components() as usize,
            Regularisation::Learned { learning, .. } => learning.block as usize,
        };
        let specs = self.specs(&[n, 1, 1], layout)?;
        let zeros = vec![0.0; n];
        let lengths = [n, 1, 1, 1].map(|length| &zeros[..length]);
        HostSchedule::new(&Backend::Cpu, &specs, &lengths, base, Verify::Off).map(drop)
    }
}

/// The weight with which a regulariser holds a weight at zero about as l1 of weight 1 does: while |q_i (Â g)_i| is at most the
/// weight times delta1 for all i, g being the gradient; so with Â a multiple of the identity just as l1.
pub(super) fn weight(regulariser: &Regulariser) -> f64 {
    regulariser.norm() / regulariser.parameters().activation.delta1
}

/// A tensor with a regulariser whose metric leaves the length of steps as it is.
fn regularised(spec: Spec, regulariser: &Arc<Regulariser>, groups: Groups) -> Spec {
    let scale = regulariser.norm().powi(-2);
    spec.with_lr_scale(scale).with_regulariser(regulariser.clone(), groups)
}

/// A matrix [outputs, inputs] as vectors of a regulariser's n components: its rows, else blocks of n; none where n does not
/// divide it.
fn vectors(regulariser: &Regulariser, shape: [u64; 2]) -> Result<Option<Groups>> {
    let n = u64::from(regulariser.parameters().components());
    let layout = match shape {
        [_, columns] if columns == n => Layout::Rows,
        [rows, columns] if (rows * columns).is_multiple_of(n) => Layout::Blocks(n),
        _ => return Ok(None),
    };
    Groups::new(layout, &shape).map(Some)
}
