//! What the derivative by a layer's input may be.

use crate::accuracy::RELATIVE;
use crate::kernels::Outcome;
use crate::kernels::backward::cases::demand;
use crate::kernels::backward::reference::Sum;

/// Judges every element.
pub(super) fn judge(l: f32, grad_r: &[f32], h: &[f32], got: &[f32], outcome: &mut Outcome) {
    let l = f64::from(l);
    for (k, (grad_r, h)) in grad_r.iter().zip(h).enumerate() {
        let step = if l.is_finite() { f64::from(*h) / l } else { f64::NAN };
        let mut one = Sum::default();
        one.add(f64::from(*grad_r), 0.0);
        one.add(-step, 2.5 * RELATIVE * step.abs());
        // one rounding, of which the bound of sums allows some more
        demand(outcome, &format!("element {k}"), &one, -3.0, got[k]);
    }
}
