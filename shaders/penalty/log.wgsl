// log: p(y) = log(1 + gamma |y|) / log(1 + gamma), with epsilon = 1 / gamma and t = step lambda / log(1 +
// gamma). The larger root of y^2 - (ax - epsilon) y + t - epsilon ax = 0, written as ax minus a correction: s
// and the root enter it relatively only, so that epsilon >> ax costs nothing.
struct Constants {
    threshold: f32,
    epsilon: f32,
    t: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    // beyond 1e30 the correction is far below the last digit of ax; the bound keeps s in range
    let s = min(ax, 1e30) + k.epsilon;
    // sqrt(0) is not defined on every device, hence the lower bound
    let root = s * sqrt(max(1.0 - (4.0 * k.t / s) / s, 1e-30));
    return max(ax - 2.0 * k.t / (s + root), 0.0);
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    // a quarter of the divisor stays where a quotient is exact to 2.5 ULP
    return 0.25 * k.t / (0.25 * k.epsilon + 0.25 * ay);
}
