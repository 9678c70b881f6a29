//! Batches: m vectors of n components each, in a view, in either order.

use crate::error::{Result, shape};
use crate::gpu::View;

/// Which numbers of a batch are neighbours in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The m first components, then the m second ones: an n x m matrix, row by row.
    #[default]
    FeatureMajor,
    /// The n components of the first vector, then those of the second: a batch of samples, as frameworks keep it.
    BatchMajor,
}

/// `vectors` vectors of `components` components each in a view of exactly as many elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The numbers.
    pub view: View,
    /// n: components of a vector.
    pub components: u32,
    /// m: how many vectors.
    pub vectors: u32,
    /// How they lie in memory.
    pub order: Order,
}

impl Batch {
    /// Components of `view`, whose length is that of the batch; `name` is used in messages.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the view's length is not components * vectors.
    pub fn new(name: &str, view: View, components: u32, vectors: u32, order: Order) -> Result<Self> {
        let length = u64::from(components) * u64::from(vectors);
        if view.len() != length {
            let expected = format!("{components} components times {vectors} vectors = {length}");
            return Err(shape(name, "length", view.len(), expected));
        }
        Ok(Batch { view, components, vectors, order })
    }

    /// The distance between neighbouring components of a vector, in elements, and between neighbouring vectors.
    #[must_use]
    pub fn strides(&self) -> (u32, u32) {
        match self.order {
            Order::FeatureMajor => (self.vectors, 1),
            Order::BatchMajor => (1, self.components),
        }
    }
}

/// The data term phi at a layer's input x, as a kernel that needs its gradient g reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// phi = 1/2 ||x - c||^2 of this c: g = x - c, computed on the way.
    Near(Batch),
    /// A gradient g, computed elsewhere.
    Given(Batch),
}

impl Data {
    /// c or g.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        match self {
            Data::Near(batch) | Data::Given(batch) => batch,
        }
    }

    /// Whether it is g.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self, Data::Given(_))
    }
}
