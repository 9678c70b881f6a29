// needs: shared/cubic_root
// geman: p(y) = |y| / (|y| + gamma). The largest root of (ax - y)(gamma + y)^2 = c, c = t gamma.
struct Constants {
    threshold: f32,
    gamma: f32,
    c: f32,
    t: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    return cubic_root(ax, k.gamma, k.c);
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    // a quarter of the divisor stays where a quotient is exact to 2.5 ULP
    let z = 0.25 * k.gamma + 0.25 * ay;
    return (0.25 * k.c / z) * 0.25 / z;
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    scaled.t = k.t * scale;
    scaled.c = k.c * scale;
    // continuous up to t = gamma^2 / 2, a jump beyond
    if 2.0 * scaled.t <= k.gamma * k.gamma {
        scaled.threshold = scaled.t / k.gamma;
    } else {
        scaled.threshold = sqrt(2.0 * scaled.t) - 0.5 * k.gamma;
    }
    return scaled;
}
