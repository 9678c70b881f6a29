//! What a layer's backward pass leaves, and where derivatives go: what the rooms of derivatives share, with the float64
//! twin of a layer and the batches that they have cases of.

pub(super) mod bench;
pub(super) mod cases;
pub(super) mod reference;

use super::window::{Strided, Window, refuse_overlap};
use super::{Batch, Data, Learned};
use crate::error::{Result, shape};
use crate::gpu::View;
use crate::regulariser::Places;

/// What a layer's backward pass has left: what the derivatives by its parameters are computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// The learned numbers.
    pub learned: Learned,
    /// The layer.
    pub layer: u32,
    /// The layer's input x.
    pub x: Batch,
    /// phi's gradient there.
    pub data: Data,
    /// ȳ, the derivative by the output, or what is to be scaled to give it.
    pub bar: Batch,
    /// The layer whose 1 - 1/L multiplies `bar` to give ȳ: the next one, for phi = 1/2 ||x - c||² and `bar` that
    /// layer's r̄. ȳ = bar for `None`.
    pub scale_by: Option<u32>,
    /// u = Â r.
    pub u: Batch,
    /// w̄ = Â ȳ.
    pub w: Batch,
    /// r̄ = Âᵀ ū.
    pub r_bar: Batch,
}

/// Where derivatives go: to the places of the numbers by which they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Into {
    /// The gradient.
    pub gradient: Learned,
    /// The layer of the gradient.
    pub layer: u32,
    /// Whether the derivatives are added to what is there, as for layers that share parameters, or replace it.
    pub add: bool,
}

/// Layer `layer` of learned numbers, or of a gradient.
pub(super) fn layer_of(place: &str, of: &Learned, layer: u32) -> Result<View> {
    if layer >= of.layers {
        return Err(shape(place, "layer", layer, format_args!("one of {}", of.layers)));
    }
    let length = u64::from(of.places.length());
    let offset = of.view.offset() + 4 * length * u64::from(layer);
    Ok(View { buffer: of.view.buffer().clone(), offset, length })
}

/// A batch's window, whose shape must be `components` x `vectors`, with at least one vector.
pub(super) fn window(
    place: &str,
    batch: &Batch,
    (components, vectors): (u32, u32),
    limits: &wgpu::Limits,
) -> Result<(Window, Strided)> {
    if (batch.components, batch.vectors) != (components, vectors) || vectors == 0 {
        return Err(shape(
            place,
            "shape",
            format_args!("{} components of {} vectors", batch.components, batch.vectors),
            format_args!("{components} components of {} vectors", vectors.max(1)),
        ));
    }
    let window = Window::new(place, &batch.view, limits)?;
    let strided = window.strided(batch);
    Ok((window, strided))
}

impl Passed {
    /// n and m.
    pub(super) fn shape(&self) -> (u32, u32) {
        (self.learned.places.components, self.x.vectors)
    }

    /// Checks what bindings do not, and returns the layer's gradient: layers, places, and that nothing that is read is
    /// written.
    pub(super) fn check(&self, place: &str, into: &Into) -> Result<View> {
        layer_of(place, &self.learned, self.layer)?;
        let gradient = layer_of(place, &into.gradient, into.layer)?;
        let (own, other) = (self.learned.places, into.gradient.places);
        if own != other {
            return Err(shape(place, "gradient", format_args!("{other:?}"), format_args!("{own:?}")));
        }
        let layers = self.learned.layers;
        if let Some(layer) = self.scale_by.filter(|&layer| layer >= layers) {
            return Err(shape(place, "layer of the scale", layer, format_args!("one of {layers}")));
        }
        let read = [
            ("x", &self.x.view),
            ("the data", &self.data.batch().view),
            ("ȳ", &self.bar.view),
            ("u", &self.u.view),
            ("w̄", &self.w.view),
            ("r̄", &self.r_bar.view),
            ("the learned numbers", &self.learned.view),
        ];
        refuse_overlap(&read, &[("the gradient", &gradient)])?;
        Ok(gradient)
    }

    /// The element of the layer's first learned number in the binding of them all.
    pub(super) fn theta(&self, learned: &Window) -> u32 {
        learned.first + self.layer * self.learned.places.length()
    }

    /// The element of the L of the scale there.
    pub(super) fn scale_at(&self, learned: &Window) -> Option<u32> {
        self.scale_by.map(|layer| learned.first + layer * self.learned.places.length() + Places::L as u32)
    }

    /// Whether the data is phi's gradient.
    pub(super) fn given(&self) -> u32 {
        u32::from(matches!(self.data, Data::Given(_)))
    }
}
