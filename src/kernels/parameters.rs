//! The learned numbers of layers on the device.

use super::window::Window;
use crate::error::{Result, same, shape};
use crate::gpu::View;
use crate::regulariser::ParameterLayout;

/// The learned numbers of one layer or several on the device: layer k starts k * [`ParameterLayout::length`] elements in.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedParameters {
    /// The numbers.
    pub view: View,
    /// Where they lie within a layer.
    pub places: ParameterLayout,
    /// How many layers.
    pub layers: u32,
}

impl LearnedParameters {
    /// `layers` layers in `view`; `name` is used in messages.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the view's length is not that of the layers.
    pub fn new(name: &str, view: View, places: ParameterLayout, layers: u32) -> Result<Self> {
        let length = u64::from(places.length()) * u64::from(layers);
        if view.len() != length {
            let expected = format!("{layers} layers of {} numbers = {length}", places.length());
            return Err(shape(name, "length", view.len(), expected));
        }
        Ok(LearnedParameters { view, places, layers })
    }

    /// Refuses a layer that there is not; `name` is what the message calls it.
    pub(super) fn has(&self, place: &str, name: &str, layer: u32) -> Result<()> {
        let expected = format_args!("one of {}", self.layers);
        if layer < self.layers { Ok(()) } else { Err(shape(place, name, layer, expected)) }
    }

    /// Refuses others, `name` in the message, that are not at the same places or of as many layers.
    pub(super) fn like(&self, place: &str, name: &str, other: &LearnedParameters) -> Result<()> {
        let [got, expected] = [other, self].map(|l| format!("{} layers of {:?}", l.layers, l.places));
        same(place, name, got, expected)
    }

    /// The numbers of one layer.
    pub(super) fn of_layer(&self, place: &str, layer: u32) -> Result<View> {
        self.has(place, "layer", layer)?;
        let length = u64::from(self.places.length());
        let offset = self.view.offset() + 4 * length * u64::from(layer);
        Ok(self.view.part(offset, length))
    }

    /// The element of a layer's first number in the binding of them all.
    pub(super) fn first(&self, window: &Window, layer: u32) -> u32 {
        window.first + layer * self.places.length()
    }

    /// From a layer's numbers to the next one's: none where all layers share them.
    pub(super) fn apart(&self) -> u32 {
        if self.layers == 1 { 0 } else { self.places.length() }
    }
}
