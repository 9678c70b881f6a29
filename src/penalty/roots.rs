//! Roots of functions of one number, in float64.

/// The root in [low, high] of a function that increases there, given with its derivative.
///
/// Newton from `start`, which is monotone for a convex function and a start above the root, kept inside a shrinking
/// bracket.
pub(super) fn newton(f: impl Fn(f64) -> (f64, f64), low: f64, high: f64, start: f64) -> f64 {
    let (mut low, mut high, mut y) = (low, high, start);
    for _ in 0..200 {
        let (residual, slope) = f(y);
        let step = residual / slope;
        // Before the bracket is asked: at a large start the first step is below the last digit and ends at `high`.
        if step.abs() <= f64::EPSILON * y {
            return (y - step).clamp(low, high);
        }
        if residual > 0.0 {
            high = y
        } else {
            low = y
        }
        let mut next = y - step;
        if !(next > low && next < high) {
            next = 0.5 * (low + high);
        }
        if high - low <= f64::EPSILON * high {
            return next;
        }
        y = next;
    }
    y
}

/// The neighbouring numbers in [low, high] between which `below` turns from true to false.
pub(super) fn bisect(low: f64, high: f64, below: impl Fn(f64) -> bool) -> (f64, f64) {
    let (mut low, mut high) = (low, high);
    loop {
        let middle = 0.5 * (low + high);
        if !(middle > low && middle < high) {
            return (low, high);
        }
        if below(middle) { low = middle } else { high = middle }
    }
}
