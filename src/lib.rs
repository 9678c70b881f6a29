//! Proximal training steps as WGSL compute kernels: weights become exactly zero, on any GPU.
//!
//! A weight tensor comes in with its gradient, one kernel takes the step and the prox, the zeros are exact, and a float64
//! reference on the CPU agrees:
//!
//! ```text
//! W <- prox_{rate * lambda * p}( W - rate * direction(G) )
//! ```
//!
//! # Where to start
//!
//! - A pipeline with its own wgpu device embeds a [`schedule::Schedule`]: bind views of its buffers once, record each
//!   step into its own encoder.
//! - Weights and gradients in host memory: [`schedule::HostSchedule`], on a GPU or on the CPU.
//! - One penalty, in float64: [`Penalty::prox`].
//! - A regulariser that is learned: [`network::Trainer`]; on a device, queue and buffers of your own
//!   [`network::forward()`] and [`network::backward()`].
//! - Checking a GPU or driver: [`validate::run`], or the command `maf-srl validate`.
//!
//! # The house
//!
//! | module | what is in it |
//! |---|---|
//! | [`penalty`] | the vocabulary: penalties, domains, text form, float64 prox. No GPU |
//! | [`gpu`] | adapters, devices, pipelines, views, readback, timing. No penalties |
//! | [`kernels`] | one folder per kernel: WGSL, host structs, float64 reference, cases |
//! | [`matrix`] | sparsity patterns. No GPU |
//! | [`regulariser`] | a learned penalty as an object: parameters, prox, values, file. No GPU |
//! | [`network`] | MAF-SRL: learned regularisers, unfolded into networks and trained |
//! | [`schedule`] | many tensors in few dispatches; verification while training goes on |
//! | [`validate`] | every case of every kernel, on one adapter |
//! | [`compact`] | smaller networks: what exact zeros have cut off is removed |
//! | [`accuracy`] | what WGSL promises of f32 arithmetic, as float64 numbers with error bounds |
//!
//! Around the library: `crates/lab` (data sets and files, the experiments) and `crates/cli` (the command `maf-srl`).
//!
//! # Features
//!
//! There are none. [`validate`], [`bench`](mod@bench) and the cases of the kernels are part of what is embedded: they need no package
//! that the kernels and their verification do not, and make up 9 % of the processor time that the compiler spends on this
//! library (12 of 132 seconds in the dev profile on two cores), so that a pipeline can check the adapter it runs on.
//! Whatever reads data sets, draws charts or parses a command line is in `crates/`.
//!
//! # Accuracy
//!
//! The bound of each kernel follows from what WGSL guarantees of `+ - * /` and `sqrt` alone; [`penalty::accept`] states
//! the rules, [`penalty::Elementwise::backward_ulps`] each penalty's bound. A NaN or an infinity never turns into a
//! plausible number, and -0.0 never comes out.

pub mod accuracy;
pub mod bench;
pub mod compact;
pub mod error;
pub mod gpu;
pub mod kernels;
pub mod matrix;
pub mod network;
pub mod penalty;
pub mod regulariser;
pub mod schedule;
mod shape;
pub mod text;
pub mod validate;
mod wgsl;

pub use error::{Error, Result};
pub use gpu::View;
pub use kernels::solver::Solver;
pub use kernels::step::{Adam, Optimizer, StepParameters};
pub use penalty::{Group, GroupPenalty, Groups, Layout, Penalty};
pub use schedule::{Plan, Schedule, Settings, Spec, Tensor, Update, Verify};

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The example of the penalties of groups, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/PENALTIES.md")]
pub struct Penalties;

/// The example of the learned regularisers, compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/REGULARISERS.md")]
pub struct Regularisers;
