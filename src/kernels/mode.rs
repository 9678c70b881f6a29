//! How a step treats a tensor beside its numbers.

use super::program::host_struct;

host_struct! {
    /// WGSL's `Mode`, of `shaders/shared/held.wgsl`.
    #[derive(Eq)]
    pub struct Mode {
        /// Not 0: the tensor sits out; nothing of it is touched.
        pub rests: u32,
        /// Not 0: weights that are zero stay zero.
        pub freeze: u32,
        /// Padding to 16 bytes.
        pub unused0: u32,
        /// Padding to 16 bytes.
        pub unused1: u32,
    }
}

impl Mode {
    /// That of a tensor which sits out.
    pub(super) const RESTS: Mode = Mode { rests: 1, freeze: 0, unused0: 0, unused1: 0 };

    /// That of one which takes the step, with its zeros kept or not.
    pub(super) fn frozen(freeze: bool) -> Self {
        Mode { rests: 0, freeze: u32::from(freeze), unused0: 0, unused1: 0 }
    }
}
