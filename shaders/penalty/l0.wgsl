// l0: p(y) = 1 for y != 0. The threshold sqrt(2t) is compared with ax itself: squares would leave the range.
struct Constants {
    threshold: f32,
    unused1: f32,
    unused2: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    return select(0.0, ax, ax > k.threshold);
}

// lambda p'(ay) for ay > 0: zero wherever there is one: a subgradient cannot see this penalty.
fn slope(ay: f32, k: Constants) -> f32 {
    return 0.0;
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    // sqrt(0) is not defined on every device
    scaled.threshold = select(0.0, k.threshold * sqrt(max(scale, 1e-37)), scale > 0.0);
    return scaled;
}
