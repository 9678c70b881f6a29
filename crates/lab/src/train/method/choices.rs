//! What the methods of a list are combined with.

use std::sync::Arc;

use super::super::learned;
use super::{weight, wrong};
use maf_srl::error::Result;
use maf_srl::kernels::solver::Solver;
use maf_srl::regulariser::Regulariser;
use maf_srl::text::there_are;

/// What the methods of a list are combined with: every lambda and every solver makes a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// Lambdas; none means each method's default.
    pub lambdas: Vec<f64>,
    /// The group penalty's lambda; without it, lambda.
    pub group_lambda: Option<f64>,
    /// Names out of [`SOLVERS`]; none means `proximal`.
    pub solvers: Vec<String>,
    /// The first beta of variable splitting; without it `beta_ratio` times lambda.
    pub beta: Option<f64>,
    /// beta / lambda where no beta is given.
    pub beta_ratio: f64,
    /// SCAD's and MCP's V step as published, see [`Solver::Splitting`].
    pub published: bool,
    /// What [`MAF`](super::MAF) trains with; it is a row of every list then.
    pub regulariser: Option<Arc<Regulariser>>,
    /// Weights per block of `dsrl` and `maf-srl`.
    pub block: u32,
    /// Layers of the network that learns them; each number makes a row.
    pub layers: Vec<u32>,
    /// The share of entries of maf-srl's Â that may be nonzero.
    pub matrix_density: f64,
}

/// The solvers' names.
pub const SOLVERS: [&str; 4] = ["proximal", "proximal-subgradient", "subgradient", "splitting"];

/// beta / lambda of Bui et al., section 3.1, for 200 epochs of Adam. In shorter runs a beta so small leaves V behind.
pub const BETA_RATIO: f64 = 25.0;

impl Default for Choices {
    fn default() -> Self {
        Choices {
            lambdas: Vec::new(),
            group_lambda: None,
            solvers: Vec::new(),
            beta: None,
            beta_ratio: BETA_RATIO,
            published: false,
            regulariser: None,
            block: learned::BLOCK,
            layers: vec![learned::DEPTH],
            matrix_density: learned::DENSITY,
        }
    }
}

impl Choices {
    /// Finds what is named twice and a group lambda outside its domain.
    pub(super) fn check(&self) -> Result<()> {
        once("solver", "a solver", &self.solvers)?;
        once("lambda", "a lambda", &self.lambdas)?;
        once("layers", "a number of layers", &self.layers)?;
        self.group_lambda.map_or(Ok(()), |lambda| weight("`group_lambda`", lambda))
    }

    /// The solver of that name for a method with that lambda.
    pub(super) fn solver(&self, name: &str, lambda: f64) -> Result<Solver> {
        let solver = match name {
            "proximal" => Solver::Proximal,
            "proximal-subgradient" => Solver::ProximalSubgradient,
            "subgradient" => Solver::Subgradient,
            "splitting" => {
                let beta = self.beta.unwrap_or(self.beta_ratio * lambda);
                Solver::Splitting { beta, published: self.published }
            }
            other => return Err(wrong("`solver`", other, there_are(other, SOLVERS))),
        };
        solver.check()?;
        Ok(solver)
    }
}

/// The error that a value is among the others.
fn once<T: PartialEq + ToString>(option: &str, one: &str, values: &[T]) -> Result<()> {
    match values.iter().enumerate().find(|&(k, value)| values[..k].contains(value)) {
        None => Ok(()),
        Some((_, value)) => {
            Err(wrong(&format!("`{option}`"), &value.to_string(), format!("{one} is named twice")))
        }
    }
}
