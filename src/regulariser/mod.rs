//! A learned penalty as an object: its parameters, its prox and values, what is known about it, and its file. No GPU.
//!
//! [`Parameters`] are what a MAF-SRL layer learns; [`Regulariser`] is the penalty G that they make; [`ParameterLayout`] says where
//! they lie in a vector, on the device as on the host; [`mod@file`] keeps them; [`pruned`] makes Â sparser.

pub mod file;
mod layout;
mod object;
mod parameters;
mod pruning;

pub use layout::{HEAD, ParameterLayout};
pub use object::{Diagnostics, Regulariser};
pub use parameters::{Floors, Parameters};
pub use pruning::pruned;
