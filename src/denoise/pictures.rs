//! The pictures of a run, as SVG.

use super::Report;
use crate::error::Result;

/// x
pub fn gallery(_r: &Report) -> Result<String> {
    Ok(String::new())
}
/// x
pub fn atoms(_r: &Report) -> Result<String> {
    Ok(String::new())
}
/// x
pub fn regulariser(_r: &Report) -> Result<String> {
    Ok(String::new())
}
/// x
pub fn course(_r: &Report) -> Result<String> {
    Ok(String::new())
}
