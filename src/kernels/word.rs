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
}

/// How a kernel with groups reaches their members: elements per word, and where the members lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// Words of four of members that lie side by side.
    Vec4,
    /// Words of four within runs of members.
    Vec4Runs,
    /// Single elements of members that lie equally far apart.
    Columns,
    /// Single elements of any groups.
    Strided,
}

impl Reach {
    /// All.
    pub const ALL: [Reach; 4] = [Reach::Vec4, Reach::Vec4Runs, Reach::Columns, Reach::Strided];

    /// Elements per word that memory is read in.
    #[must_use]
    pub fn width(self) -> Width {
        match self {
            Reach::Vec4 | Reach::Vec4Runs => Width::Vec4,
            Reach::Columns | Reach::Strided => Width::Scalar,
        }
    }

    /// As names of kernels have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reach::Vec4 => "vec4",
            Reach::Vec4Runs => "vec4-runs",
            Reach::Columns => "columns",
            Reach::Strided => "strided",
        }
    }

    /// The files of its code: loads and stores, and the members' places.
    pub(super) fn files(self) -> [&'static str; 2] {
        let words = match self.width() {
            Width::Vec4 => "load_store/vec4",
            Width::Scalar => "load_store/strided",
        };
        let places = match self {
            Reach::Vec4 => "place/rows",
            Reach::Columns => "place/columns",
            Reach::Vec4Runs | Reach::Strided => "place/runs",
        };
        [words, places]
    }
}
