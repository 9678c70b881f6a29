//! The step with groups: W <- group(prox(W - rate * direction)), one pass over memory for groups that fit on chip.

mod reference;

pub(crate) use reference::QUIET_NAN;
pub use reference::Reference;

use crate::penalty::CONSTANTS;

/// The values that change from step to step. WGSL's `Row`: `Base`, `Constants` and `GroupConstants`, eight f32 each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row {
    /// WGSL's `Base`.
    pub base: [f32; CONSTANTS],
    /// WGSL's `Constants`, the elementwise penalty's.
    pub prox: [f32; CONSTANTS],
    /// WGSL's `GroupConstants`, the group penalty's.
    pub group: [f32; CONSTANTS],
}
