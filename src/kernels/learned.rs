//! The learned numbers of layers on the device.

use crate::error::{Result, shape};
use crate::gpu::View;
use crate::regulariser::Places;

/// The learned numbers of one layer or several on the device: layer k starts k * [`Places::length`] elements in.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The numbers.
    pub view: View,
    /// Where they lie within a layer.
    pub places: Places,
    /// How many layers.
    pub layers: u32,
}

impl Learned {
    /// `layers` layers in `view`; `name` is used in messages.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the view's length is not that of the layers.
    pub fn new(name: &str, view: View, places: Places, layers: u32) -> Result<Self> {
        let expected = u64::from(places.length()) * u64::from(layers);
        if view.length() != expected {
            return Err(shape(
                name,
                "length",
                view.length(),
                format!("{layers} layers of {} numbers = {expected}", places.length()),
            ));
        }
        Ok(Learned { view, places, layers })
    }
}
