// mcp: slope lambda - y / gamma up to gamma lambda, then 0. The steep piece is factor (ax - t lambda), never negative,
// with factor gamma / (gamma - t); its largest value is ax. Where gamma <= t the steep piece is empty.
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
        return min(k.factor * (ax - k.threshold), ax);
    }
    return ax;
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    let t = k.t * scale;
    let d = k.gamma - t;
    scaled.t = t;
    if d > 0.0 {
        scaled.threshold = t * k.lambda;
        scaled.end = k.gamma * k.lambda;
        scaled.factor = k.gamma / d;
    } else {
        scaled.threshold = k.lambda * sqrt(t * k.gamma);
        scaled.end = scaled.threshold;
        scaled.factor = 1.0;
    }
    return scaled;
}
