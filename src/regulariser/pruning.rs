//! Pruning: fewer entries of Â, chosen by what has been learned.

use std::sync::Arc;

use super::object::invert;
use super::{Parameters, Regulariser};
use crate::error::{Result, require, shape};
use crate::matrix::Pattern;

/// The sets with fewer entries of Â, all on one pattern: the diagonal, and of the others those with the largest
/// sqrt(q_i) |Â_ij| in any set (ties go to the earlier), to the share `density` of all n^2. Where the pattern holds no more,
/// nothing changes.
///
/// # Errors
/// As [`Parameters::check`] for each; [`crate::Error::Shape`] for no sets, [`crate::Error::Unsupported`] for sets on different patterns;
/// [`crate::Error::Domain`] where the density is outside (0, 1], or a pruned Â has a condition number above
/// [`Regulariser::CONDITION`] (not looked at beyond [`Regulariser::AT_ONCE`] components).
pub fn pruned(sets: &[Parameters], density: f64) -> Result<Vec<Parameters>> {
    let place = "pruning";
    require(density > 0.0 && density <= 1.0, place, "density", density, "(0, 1]")?;
    let Some(first) = sets.first() else {
        return Err(shape(place, "number of parameter sets", "0", "at least 1"));
    };
    Parameters::check_all(sets, "pruning: ")?;
    let n = first.components();
    let wanted = (density * f64::from(n) * f64::from(n)).round() as usize;
    let weight = |&(k, (i, j)): &(usize, (u32, u32))| {
        let size = |p: &Parameters| p.q[i as usize].sqrt() * p.values[k].abs();
        if i == j { f64::INFINITY } else { sets.iter().map(size).fold(0.0, f64::max) }
    };
    let mut ranked: Vec<(usize, (u32, u32))> = first.pattern.entries().enumerate().collect();
    // stable: equal ones stay in order
    ranked.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    ranked.truncate(wanted.max(n as usize));
    ranked.sort_unstable();
    let pattern = Arc::new(Pattern::new(n, n, ranked.iter().map(|&(_, at)| at))?);
    let mut made = Vec::new();
    for (k, p) in sets.iter().enumerate() {
        let values = ranked.iter().map(|&(k, _)| p.values[k]).collect();
        let p = Parameters { pattern: pattern.clone(), values, ..p.clone() };
        if n <= Regulariser::AT_ONCE {
            invert(&p, &format!("{place}: layer {k}"))?;
        }
        made.push(p);
    }
    Ok(made)
}
