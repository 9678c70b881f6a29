//! What the loss and its derivative may be.

use super::span_of;
use crate::accuracy::{FLUSH, RELATIVE};
use crate::kernels::Outcome;
use crate::kernels::backward::cases::demand;
use crate::kernels::backward::reference::{Near, Sum};

/// Judges the loss and its derivative.
pub(super) fn judge(
    (scale, lambda): (f32, f32),
    [output, target]: [&[f32]; 2],
    grad_output: &[f32],
    loss: f32,
    outcome: &mut Outcome,
) {
    let mut sum = Sum::default();
    for (k, (a, b)) in output.iter().zip(target).enumerate() {
        let (a, b) = (f64::from(*a), f64::from(*b));
        let d = Near { value: a - b, error: RELATIVE * (a - b).abs() + FLUSH };
        sum.add_product(d, d);
        let mut by_x = d;
        if lambda != 0.0 {
            let lambda = f64::from(lambda);
            let norm = 2.0 * lambda * a.abs();
            sum.add(norm, 2.0 * RELATIVE * norm + FLUSH);
            // a subnormal number may be flushed to 0
            let flushed = if a != 0.0 && a.abs() < FLUSH { lambda } else { 0.0 };
            by_x.value += lambda * if a == 0.0 { 0.0 } else { a.signum() };
            by_x.error += RELATIVE * by_x.value.abs() + flushed + FLUSH;
        }
        let mut one = Sum::default();
        one.add_product(by_x, Near { value: f64::from(scale), error: 0.0 });
        // one rounding, of which the bound of sums allows some more
        demand(outcome, &format!("element {k}"), &one, -3.0, grad_output[k]);
    }
    let span = span_of(output.len() as u64) as f64;
    let chain = span / 256.0 + output.len() as f64 / span / 256.0 + 20.0;
    demand(outcome, "the loss", &sum.times(0.5 * f64::from(scale)), chain, loss);
}
