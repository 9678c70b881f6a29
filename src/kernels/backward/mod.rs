//! What a layer's backward pass leaves, and where derivatives go: what the kernels of derivatives share, with the float64
//! reference of a layer and the batches that they have cases of.

pub(super) mod bench;
pub(super) mod cases;
pub(super) mod reference;

use super::window::{Strided, Window, refuse_overlap};
use super::{Batch, Data, LearnedParameters};
use crate::error::{Result, same};
use crate::gpu::View;
use crate::regulariser::ParameterLayout;

/// A layer's backward pass: what it reads and what it leaves, from which the derivatives by the layer's parameters are
/// computed.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedActivations {
    /// The learned numbers.
    pub learned: LearnedParameters,
    /// Whose numbers are the layer's: 0 where they are shared.
    pub layer: u32,
    /// The layer's input x.
    pub x: Batch,
    /// The data term there.
    pub data: Data,
    /// ȳ, the derivative by the output, or what is to be scaled to give it.
    pub grad_output: Batch,
    /// The layer whose 1 - 1/L multiplies `grad_output` to give ȳ: the next one, for phi = 1/2 ||x - c||² and `grad_output` that
    /// layer's r̄. ȳ = grad_output for `None`.
    pub scale_by: Option<u32>,
    /// u = Â r. For the kernel `layer` in [`Order::FeatureMajor`](super::Order::FeatureMajor) and in one buffer with the next two.
    pub u: Batch,
    /// w̄ = Â ȳ.
    pub w: Batch,
    /// r̄ = Âᵀ ū, with ū = q∘xi'(q∘u)∘w̄.
    pub grad_r: Batch,
}

/// Where derivatives go: to the places of the numbers by which they are.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientTarget {
    /// The gradient.
    pub gradient: LearnedParameters,
    /// The layer of the gradient.
    pub layer: u32,
    /// Whether the derivatives are added to what is there, as for layers that share parameters, or replace it.
    pub add: bool,
}

/// A batch's window, whose shape must be `components` x `vectors`, with at least one vector.
pub(super) fn window(
    place: &str,
    batch: &Batch,
    (components, vectors): (u32, u32),
    limits: &wgpu::Limits,
) -> Result<(Window, Strided)> {
    let said = |components: u32, vectors: u32| format!("{components} components of {vectors} vectors");
    same(place, "shape", said(batch.components, batch.vectors), said(components, vectors.max(1)))?;
    let window = Window::new(place, &batch.view, limits)?;
    let strided = window.strided(batch);
    Ok((window, strided))
}

impl SavedActivations {
    /// n and m.
    pub(super) fn shape(&self) -> (u32, u32) {
        (self.learned.places.components, self.x.vectors)
    }

    /// Checks what bindings do not, and returns the layer's gradient: layers, places, and that nothing that is read is
    /// written.
    pub(super) fn check(&self, place: &str, into: &GradientTarget) -> Result<View> {
        self.learned.has(place, "layer", self.layer)?;
        let gradient = into.gradient.of_layer(place, into.layer)?;
        let said = |of: &LearnedParameters| format!("{:?}", of.places);
        same(place, "gradient", said(&into.gradient), said(&self.learned))?;
        if let Some(layer) = self.scale_by {
            self.learned.has(place, "layer of the scale", layer)?;
        }
        let read = [
            ("x", &self.x.view),
            ("the data", &self.data.batch().view),
            ("ȳ", &self.grad_output.view),
            ("u", &self.u.view),
            ("w̄", &self.w.view),
            ("r̄", &self.grad_r.view),
            ("the learned numbers", &self.learned.view),
        ];
        refuse_overlap(&read, &[("the gradient", &gradient)])?;
        Ok(gradient)
    }

    /// The element of the layer's first learned number in the binding of them all.
    pub(super) fn theta(&self, learned: &Window) -> u32 {
        self.learned.first(learned, self.layer)
    }

    /// The element of the L of the scale there; `u32::MAX` without a scale.
    pub(super) fn scale_at(&self, learned: &Window) -> u32 {
        self.scale_by.map_or(u32::MAX, |layer| self.learned.first(learned, layer) + ParameterLayout::L as u32)
    }
}
