//! One room per kernel.
pub mod step;
