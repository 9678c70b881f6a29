//! W <- prox(W - rate * direction), fused in one pass over memory.
mod base;

pub use base::{Adam, Base, Hyper};
