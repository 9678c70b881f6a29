//! PLACEHOLDERS, none of which ships: the commands whose files are still to come.

use clap::Args;

use super::Global;
use crate::error::{Error, Result};

macro_rules! pending {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Args, Clone, Debug)]
        pub struct $name {}

        impl $name {
            pub(super) fn run(&self, _global: &Global) -> Result<()> {
                Err(Error::Unsupported {
                    place: stringify!($name).to_lowercase(),
                    what: "the command is not there yet".into(),
                    allowed: "devices, prox, bench".into(),
                })
            }
        }
    )*};
}

pending! {
    /// Train a classifier with and without structured sparsity and compare
    Train,
    /// Run every kernel on every case and adapter against float64
    Validate
}
