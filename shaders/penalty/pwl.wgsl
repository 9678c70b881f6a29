// pwl: the prox is 0 | steep (ax - threshold) | flat ax - offset, with steep = 1/kappa1 and flat = 1/kappa2.
// Where kappa1 <= 0 the prox jumps over the steep piece, which then ends where it begins.
// flat and offset are kept apart so that flat = 1, offset = 0 is the identity to the last digit, and nothing
// overflows. inner and outer are lambda times the second derivatives of the two pieces of the penalty.
struct Constants {
    threshold: f32,
    knee: f32,
    c: f32,
    steep: f32,
    flat: f32,
    offset: f32,
    inner: f32,
    outer: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    if ax <= k.knee {
        return min((ax - k.threshold) * k.steep, k.c);
    }
    return max(ax * k.flat - k.offset, 0.0);
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    return k.offset / k.flat + k.outer * max(ay, k.c) + k.inner * min(ay - k.c, 0.0);
}
