//! Runs the library's WGSL on the host, whole workgroups of it, and finds what no GPU shows for certain: data races, barriers that
//! not all invocations reach, and accesses outside what is bound.
//!
//! naga's module of a kernel becomes a list of operations ([`code`], [`compile`], [`expressions`], [`layout`]), which a [`machine`] runs in
//! the arithmetic of choice ([`arithmetic`]) on words of which it knows who has accessed them ([`memory`]). [`host`] has the
//! dispatches that [`maf_srl::kernels::PipelineCache`] hands over.

pub mod arithmetic;
pub mod code;
pub mod compile;
mod expressions;
#[path = "../files.rs"]
mod files;
pub mod host;
mod layout;
pub mod machine;
pub mod memory;
pub mod rig;
#[cfg(test)]
mod tests;
