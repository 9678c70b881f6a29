// needs: shared/exponential_root
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

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    // both bounds only act where the slope is below 1e-37 c: they keep the exponent in range
    return k.c * exp(-min(k.rate * min(ay, 1e30), 87.0));
}
