//! The experiments of [`maf_srl`]: what the command-line tool runs and what docs/EXPERIMENTS.md reports. No promise of
//! stability.
//!
//! | module | what is in it |
//! |---|---|
//! | [`data`] | data sets, weight files, graphs |
//! | [`train`] | the main job: a perceptron whose weights become sparse |
//! | [`denoise`] | learned regularisers on noisy pictures |
//! | [`cluster`] | learned regularisers on graphs |
//! | [`chart`] | SVG charts of all of them |
//! | [`mod@table`] | tables of text |

pub mod chart;
pub mod cluster;
pub mod data;
pub mod denoise;
mod memory;
mod noise;
mod rate;
mod statistics;
pub mod table;
pub mod train;
mod unfolded;

pub use memory::MEMORY;

use maf_srl::error::{Result, require};

/// `Ok` for a count within 1..=`most`, else the error of [`require`].
fn count(place: &str, name: &str, value: usize, most: usize) -> Result<()> {
    require((1..=most).contains(&value), place, name, value, format_args!("[1, {most}]"))
}

/// `Ok` for a share of the entries of Â that may be nonzero, given by an option, else the error of [`require`].
fn density(option: &str, share: f64) -> Result<()> {
    require(share > 0.0 && share <= 1.0, option, "density", share, "(0, 1]")
}
