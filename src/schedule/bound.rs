//! A tensor that is bound.

use super::operator::Checked;
use crate::gpu::View;

/// A tensor with all of its views, as the plan and its checks use it.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub checked: Checked,
    /// W, then G if the base step reads one, then the states.
    pub views: Vec<View>,
    /// Index of its row among those of its room.
    pub row: usize,
}
