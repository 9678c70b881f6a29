//! An elementwise penalty and a penalty of groups.

use std::fmt;

use super::share::Share;
use maf_srl::penalty::{GroupPenalty, Layout, Penalty};

/// An elementwise penalty, a penalty of groups or none, and a rule how their weights are shared out over the layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalties {
    /// The elementwise penalty of the weight matrices, with all its parameters.
    pub penalty: Penalty,
    /// The penalty of groups of weights.
    pub group: Option<GroupPenalty>,
    /// How the weights of both are shared out over the layers.
    pub share: Share,
}

impl Penalties {
    /// Both penalties.
    pub(super) fn new(penalty: impl Into<Penalty>, group: impl Into<GroupPenalty>, share: Share) -> Self {
        Penalties { penalty: penalty.into(), group: Some(group.into()), share }
    }

    /// The groups of a matrix where none are asked for: what makes hidden neurons superfluous. A row holds the weights
    /// into a hidden neuron, a column of the last matrix those out of one. `l1-l2` is a penalty of the whole matrix.
    #[must_use]
    pub fn layout(&self, last: bool) -> Layout {
        match self.group {
            Some(GroupPenalty::L1L2(_)) => Layout::Whole,
            _ if last => Layout::Columns,
            _ => Layout::Rows,
        }
    }
}

/// `P` or `P+GP`.
impl fmt::Display for Penalties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.penalty)?;
        self.group.iter().try_for_each(|group| write!(f, "+{group}"))
    }
}
