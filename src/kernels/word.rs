//! Words of elements and invocations of a workgroup, as the kernels of whole tensors have them.

/// Invocations per workgroup.
pub const WORKGROUP: u32 = 256;

/// Elements of a vec4.
pub const VECTOR_WIDTH: u64 = 4;

/// Elements per word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    /// One.
    Scalar,
    /// Four.
    Vec4,
}

impl Width {
    /// Elements per word.
    #[must_use]
    pub fn elements(self) -> u64 {
        match self {
            Width::Scalar => 1,
            Width::Vec4 => VECTOR_WIDTH,
        }
    }

    /// How kernels with groups read and write: elements that may lie apart, or words of four. A file in `shaders/words`.
    pub(super) fn reach(self) -> &'static str {
        match self {
            Width::Scalar => "strided",
            Width::Vec4 => "vec4",
        }
    }
}
