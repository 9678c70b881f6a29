//! What the hosts of all kernels that take a step of Adam compute for it.

/// 1 - beta^step, by which a moment that started at 0 is divided; without cancellation where beta^step is near 1.
pub(crate) fn correction(beta: f64, step: u64) -> f64 {
    -(step as f64 * beta.ln()).exp_m1()
}
