// elastic-net: p(y) = mix |y| + (1-mix) y^2 / 2. Soft threshold at t mix, then division by 1 + t (1-mix).
struct Constants {
    threshold: f32,
    decay: f32,
    unused2: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    let soft = max(ax - k.threshold, 0.0);
    // a quotient by 1 need not be exact
    return select(soft / (1.0 + k.decay), soft, k.decay == 0.0);
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    return k.threshold + k.decay * ay;
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    scaled.threshold = k.threshold * scale;
    scaled.decay = k.decay * scale;
    return scaled;
}
