//! What minimises, found from the values of a penalty alone.
//!
//! 0 is the prox of x exactly while `step p(y) + (y - x)^2 / 2 >= x^2 / 2` for all y > 0, that is, up to
//!
//! ```text
//! X = inf over y > 0 of  step p(y) / y + y / 2
//! ```
//!
//! and where that is not approached at y = 0, the prox jumps to the y at which it is attained. References take their
//! thresholds from here, so that one shared with a kernel's constants cannot be wrong in both.

use super::{Elementwise, Threshold};

/// Points of the grid from which the infimum is narrowed down, over fifteen decades.
const GRID: usize = 90;

/// The golden ratio's inverse.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Where the prox leaves zero. step * lambda > 0.
pub(super) fn threshold(rule: &dyn Elementwise, step: f64, lambda: f64) -> Threshold {
    let height = |y: f64| step * (rule.value(lambda, y) / y) + 0.5 * y;
    // any value bounds the place of the smallest: it is at least y / 2
    let bound = (-40..=40).map(|k| height(10f64.powi(k))).fold(f64::INFINITY, f64::min);
    let (top, ratio) = (2.0 * bound, 10f64.powf(15.0 / GRID as f64));
    // from above `top` down to as good as 0
    let mut points = [(0.0, 0.0); GRID + 2];
    for (k, point) in points.iter_mut().enumerate() {
        let y = top * ratio.powi(1 - k as i32);
        *point = (height(y), y);
    }
    let last = points[GRID + 1];
    let mut least = Threshold { at: last.0, jump: 0.0 };
    for three in points.windows(3) {
        let [high, (at, _), low] = [three[0], three[1], three[2]];
        // what is as good as 0 is flat but for roundings
        if at < high.0 * (1.0 - 1e-13) && at <= low.0 {
            let found = narrowed(height, low.1, high.1);
            least = if found.at < least.at { found } else { least };
        }
    }
    least
}

/// The smallest value between `low` and `high`, where there is one minimum, and where it is: golden section.
fn narrowed(height: impl Fn(f64) -> f64, low: f64, high: f64) -> Threshold {
    let (mut low, mut high) = (low, high);
    let inner = |low: f64, high: f64| (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut a, mut b) = inner(low, high);
    let (mut at_a, mut at_b) = (height(a), height(b));
    while high - low > 1e-10 * high {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = inner(low, high).0;
            at_a = height(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = inner(low, high).1;
            at_b = height(b);
        }
    }
    if at_a <= at_b { Threshold { at: at_a, jump: a } } else { Threshold { at: at_b, jump: b } }
}

/// Of the stationary points of the pieces of an objective, each given with the range of y that it is one in, the one with the
/// lowest value; the first at ties. Where rounding leaves none in its range, the nearest to it.
pub(super) fn best<const N: usize>(pieces: &[(f64, f64, f64); N], objective: impl Fn(f64) -> f64) -> f64 {
    let lowest = |points: &mut dyn Iterator<Item = f64>| {
        let mut found: Option<(f64, f64)> = None;
        for y in points {
            let value = objective(y);
            if found.is_none_or(|(least, _)| value < least) {
                found = Some((value, y));
            }
        }
        found.map(|(_, y)| y)
    };
    let inside = pieces.iter().filter(|(y, low, high)| low <= y && y <= high);
    let near = pieces.iter().filter(|(_, low, high)| low <= high);
    lowest(&mut inside.map(|piece| piece.0))
        .or_else(|| lowest(&mut near.map(|(y, low, high)| y.clamp(*low, *high))))
        .unwrap_or(0.0)
}
