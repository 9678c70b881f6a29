//! What is trained against what: methods, their text form, and their default lambdas.
//!
//! A method is an elementwise penalty, a penalty of groups or none, and a rule how their weights are shared out over
//! the layers. Some pairs have names of their own ([`Named`]); any other pair is written `P+GP`, as in
//! `tl1(a=0.5)+lasso(weight=sqrt-size)`. [`MAF`] is a learned regulariser out of a file; `dsrl` and `maf-srl` are
//! regularisers learned from the weights of a dense network with the same seed ([`super::learned`]).

mod choices;
mod lambdas;
mod list;
mod named;
mod parse;
mod penalties;
mod share;
mod specs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use choices::{BETA_RATIO, Choices, SOLVERS};
pub use lambdas::{default_lambda, learned_lambda};
pub use list::ROWS;
pub use named::{NAMED, Named};
pub use penalties::Penalties;
pub use share::Share;

use super::learned::{Learned, Learning};
use maf_srl::error::{Error, Result, require, unsupported};
use maf_srl::kernels::solver::Solver;
use maf_srl::penalty::{L1, WEIGHT};
use maf_srl::regulariser::Regulariser;

/// The method without a penalty.
pub const DENSE: &str = "dense";

/// The method with a learned regulariser, [`Choices::regulariser`].
pub const MAF: &str = "maf";

/// The methods of a run that names none.
pub const DEFAULT_METHODS: &str = "dense,l1,tl1,mcp,sgl0,integrated-tl1";

/// What a method adds to the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum Regularisation {
    /// Nothing: [`DENSE`].
    None,
    /// Penalties of single weights and of groups.
    Penalties(Penalties),
    /// A learned regulariser out of a file: [`MAF`].
    File(Arc<Regulariser>),
    /// A regulariser that is learned from the weights of a dense network before training: `dsrl` and `maf-srl`.
    Learned {
        /// What is learned.
        learning: Learning,
        /// What was learned; [`super::run`] finds it for each seed.
        learned: Option<Arc<Learned>>,
    },
}

/// A regularisation with its lambdas and a solver: one row of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// The name in tables: `dense`, or the text form as it was given.
    pub name: String,
    /// The name, and what sets this row apart from others of that name: solver and lambda.
    pub label: String,
    /// What the weight matrices are regularised by.
    pub regularisation: Regularisation,
    /// Its weight; that of the elementwise penalty.
    pub lambda: f64,
    /// The weight of the penalty of groups; 0 without one.
    pub group_lambda: f64,
    /// How the penalties enter the step.
    pub solver: Solver,
}

fn wrong(place: &str, text: &str, reason: impl Into<String>) -> Error {
    Error::Text { place: place.into(), text: text.into(), reason: reason.into() }
}

fn weight(place: &str, lambda: f64) -> Result<()> {
    require(WEIGHT.contains(lambda), place, "lambda", lambda, WEIGHT.to_string())
}

impl Method {
    fn new(name: &str, lambda: f64, regularisation: Regularisation) -> Self {
        let (name, label) = (name.to_owned(), name.to_owned());
        Method { name, label, regularisation, lambda, group_lambda: 0.0, solver: Solver::Proximal }
    }

    /// The method [`DENSE`].
    #[must_use]
    pub fn dense() -> Self {
        Method::new(DENSE, 0.0, Regularisation::None)
    }

    /// The method [`MAF`]. Without `lambda`, it is that of l1 times ||diag(sqrt q) Â|| / delta1, which holds weights at zero
    /// about as l1 does; that was not tuned.
    ///
    /// # Errors
    /// [`Error::Domain`] for a lambda outside its domain; [`Error::Unsupported`] without one for a regulariser without a
    /// threshold.
    pub fn maf(regulariser: &Arc<Regulariser>, lambda: Option<f64>) -> Result<Self> {
        let threshold = regulariser.parameters().activation.delta1;
        let default = default_lambda(&L1.into())
            .map(|l1| l1 * specs::weight(regulariser))
            .filter(|l| WEIGHT.contains(*l));
        let lambda = lambda.or(default).ok_or_else(|| {
            unsupported(
                "`regulariser`",
                format!("a default lambda for the threshold delta1 = {threshold}"),
                "an explicit `lambda`",
            )
        })?;
        weight("`lambda`", lambda)?;
        Ok(Method::new(MAF, lambda, Regularisation::File(regulariser.clone())))
    }

    /// A method with a regulariser that is learned from the weights of a dense network. Without `lambda` that of
    /// [`learned_lambda`].
    ///
    /// # Errors
    /// [`Error::Domain`] for a lambda outside its domain; those of [`Learning::check`].
    pub fn learned(learning: Learning, lambda: Option<f64>) -> Result<Self> {
        learning.check()?;
        let lambda = lambda.unwrap_or(learned_lambda(learning.kind));
        weight("`lambda`", lambda)?;
        let regularisation = Regularisation::Learned { learning, learned: None };
        Ok(Method::new(learning.kind.name(), lambda, regularisation))
    }

    /// What is learned from the weights of a dense network before training.
    #[must_use]
    pub fn learning(&self) -> Option<Learning> {
        match self.regularisation {
            Regularisation::Learned { learning, .. } => Some(learning),
            _ => None,
        }
    }

    /// The same with what was learned, for a method that learns.
    #[must_use]
    pub fn with_learned(&self, found: Learned) -> Self {
        let mut method = self.clone();
        if let Regularisation::Learned { learned, .. } = &mut method.regularisation {
            *learned = Some(Arc::new(found));
        }
        method
    }

    /// Whether there is a penalty.
    #[must_use]
    pub fn penalised(&self) -> bool {
        self.regularisation != Regularisation::None
    }

    /// Refuses a method whose weights never become exactly zero.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn can_be_sparse(&self) -> Result<()> {
        if self.solver == Solver::Subgradient {
            let what = format!("{} by subgradients, which make no weight exactly zero", self.name);
            return Err(unsupported("`density`", what, "proximal, proximal-subgradient, splitting"));
        }
        Ok(())
    }

    /// Both penalties, as `P` or `P+GP`; `maf(n=N)` for a regulariser of N components, and likewise for learned ones.
    #[must_use]
    pub fn penalties(&self) -> String {
        match &self.regularisation {
            Regularisation::None => "none".into(),
            Regularisation::Penalties(penalties) => penalties.to_string(),
            Regularisation::File(regulariser) => {
                format!("{MAF}(n={})", regulariser.parameters().components())
            }
            Regularisation::Learned { learning, .. } => {
                format!("{}(n={},layers={})", self.name, learning.block, learning.layers)
            }
        }
    }
}
