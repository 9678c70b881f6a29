// mcp: slope lambda - y / gamma up to gamma lambda, then 0. 0 | steep | identity; the steep piece is empty
// for gamma <= t. It is ax - factor (gamma lambda - ax), which loses less than the usual quotient; the factor
// t/(gamma-t) has no bound, so the result is kept between 0 and ax.
struct Constants {
    threshold: f32,
    end: f32,
    factor: f32,
    lambda: f32,
    gamma: f32,
    t: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    if ax <= k.end {
        return clamp(ax - k.factor * (k.end - ax), 0.0, ax);
    }
    return ax;
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    // at 1e30 the slope is long 0; the bound keeps the quotient in range
    return max(k.lambda - min(ay, 1e30) / k.gamma, 0.0);
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    let t = k.t * scale;
    let d = k.gamma - t;
    scaled.t = t;
    if d > 0.0 {
        scaled.threshold = t * k.lambda;
        scaled.end = k.gamma * k.lambda;
        scaled.factor = t / d;
    } else {
        scaled.threshold = k.lambda * sqrt(t * k.gamma);
        scaled.end = scaled.threshold;
        scaled.factor = 0.0;
    }
    return scaled;
}
