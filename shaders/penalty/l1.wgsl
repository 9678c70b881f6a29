// l1: p(y) = |y|.
struct Constants {
    t: f32,
    unused1: f32,
    unused2: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    return max(ax - k.t, 0.0);
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    return k.t;
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    scaled.t = k.t * scale;
    return scaled;
}
