// capped-l1: p(y) = min(|y|, a). 0 | soft | identity; the soft piece is empty from t = 2a on.
struct Constants {
    threshold: f32,
    end: f32,
    t: f32,
    a: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    return select(ax, max(ax - k.t, 0.0), ax <= k.end);
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    return select(0.0, k.t, ay < k.a);
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    let t = k.t * scale;
    scaled.t = t;
    if t < 2.0 * k.a {
        scaled.threshold = t;
        scaled.end = k.a + 0.5 * t;
    } else {
        scaled.threshold = sqrt(2.0 * t * k.a);
        scaled.end = scaled.threshold;
    }
    return scaled;
}
