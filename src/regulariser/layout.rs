//! Where the learned numbers of a layer lie in a vector of f32, on the device as on the host.

use std::ops::Range;

/// Numbers before the components: L, eta1, eta2, delta1, delta2, whether zeros stay, and two that stay 0.
pub const HEAD: u32 = 8;

/// The places of the parameters of a layer with n components and `nonzeros` entries of Â: head, q, b, then the values of Â
/// row by row in the pattern's order. A gradient has the same places, and so have the moments of an optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterLayout {
    /// n.
    pub components: u32,
    /// Entries of Â.
    pub nonzeros: u32,
}

impl ParameterLayout {
    /// L: the step size of a layer is 1/L.
    pub const L: usize = 0;
    /// The activation's inner slope.
    pub const ETA1: usize = 1;
    /// The activation's outer slope.
    pub const ETA2: usize = 2;
    /// The activation's first knee.
    pub const DELTA1: usize = 3;
    /// The activation's second knee.
    pub const DELTA2: usize = 4;

    /// Not 0 where zeros of the coefficients stay zeros; 0 in a network.
    pub const FROZEN: usize = 5;

    /// The scales q.
    #[must_use]
    pub fn q(self) -> Range<usize> {
        let start = HEAD as usize;
        start..start + self.components as usize
    }

    /// The offsets b.
    #[must_use]
    pub fn b(self) -> Range<usize> {
        let start = self.q().end;
        start..start + self.components as usize
    }

    /// The values of Â.
    #[must_use]
    pub fn values(self) -> Range<usize> {
        let start = self.b().end;
        start..start + self.nonzeros as usize
    }

    /// Numbers from one layer to the next: a multiple of four.
    #[must_use]
    pub fn length(self) -> u32 {
        // beyond the range: no view is as long
        u32::try_from(self.values().end.next_multiple_of(4)).unwrap_or(u32::MAX)
    }
}
