// log: x v / R with R = |x|_2 / sqrt(scale) and v a root of v - R + 2 T v / (1 + v^2), T = t / scale. Newton's method is
// monotone from 0 up to the norm `switch_at` and from R beyond.
struct GroupConstants {
    t: f32,
    first: f32,
    inverse_root: f32,
    ratio: f32,
    switch_at: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn next(k: GroupConstants, weight: f32, m: Measure, s: Search) -> Search {
    return found(s);
}

fn shrink(k: GroupConstants, weight: f32, m: Measure, s: Search, measured: f32) -> Shrink {
    let scaled_norm = m.norm * k.inverse_root;
    // so far out that 2 T / R^2 is below the last digit; R^2 might overflow
    if scaled_norm >= 1e18 * m.scale {
        return Shrink(1.0, 0.0, 1.0, NONE);
    }
    let r = scaled_norm / m.scale;
    // so near that v^2 is below the last digit; R might be flushed
    if r < 1e-6 {
        return Shrink(1.0, 0.0, 1.0 / (1.0 + 2.0 * k.ratio), NONE);
    }
    var v = select(r, 0.0, r <= k.switch_at);
    for (var i = 0u; i < 24u; i++) {
        let square = v * v;
        let pull = 2.0 * k.ratio / (1.0 + square);
        let slope = 1.0 + pull * ((1.0 - square) / (1.0 + square));
        if slope <= 0.0 {
            break;
        }
        let better = clamp(v - ((v - r) + pull * v) / slope, 0.0, r);
        if better == v {
            break;
        }
        v = better;
    }
    return Shrink(1.0, 0.0, v / r, NONE);
}
