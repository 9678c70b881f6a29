//! What a step works on, element by element.

/// One element of a tensor with its gradient and states; what a base step does not use is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Element {
    /// Weight.
    pub w: f32,
    /// Gradient.
    pub g: f32,
    /// First state: velocity, or Adam's first moment.
    pub m: f32,
    /// Second state: Adam's second moment.
    pub v: f32,
    /// What is kept beside the weight: the sparse copy of variable splitting, a coefficient of a learned regulariser; no other
    /// step reads or writes it.
    pub copy: f32,
}
