// etp: p(y) = (1 - exp(-gamma |y|)) / (1 - exp(-gamma)); c = t gamma / (1 - exp(-gamma)), rate = gamma.
struct Constants {
    threshold: f32,
    jump: f32,
    c: f32,
    rate: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    return exponential_root(ax, k.jump, k.c, k.rate);
}
