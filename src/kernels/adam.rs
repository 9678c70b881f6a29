//! What the hosts of all kernels that take a step of Adam compute for it.

/// 1 - beta^step, by which a moment that started at 0 is divided; without cancellation where beta^step is near 1.
pub(crate) fn correction(beta: f64, step: u64) -> f64 {
    -(step as f64 * beta.ln()).exp_m1()
}

/// The corrections as factors: the rate divided by that of the first moment, and 1 / sqrt of that of the second.
pub(crate) fn corrected(rate: f64, beta1: f64, beta2: f64, step: u64) -> (f64, f64) {
    (rate / correction(beta1, step), 1.0 / correction(beta2, step).sqrt())
}
