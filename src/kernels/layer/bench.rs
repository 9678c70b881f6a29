//! What is timed.
pub(super) fn all() -> Vec<Box<dyn crate::kernels::Bench>> {
    Vec::new()
}
