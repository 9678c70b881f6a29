// lp: p(y) = |y|^p. Newton from ax on y - ax + c (y/jump)^(p-1), which is monotone; jump is the smallest
// nonzero result, so that the power is at most 1. at_one is lambda p, the slope at y = 1 for any step size.
struct Constants {
    threshold: f32,
    jump: f32,
    inverse: f32,
    limit: f32,
    c: f32,
    power: f32,
    at_one: f32,
    unused7: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    var y = ax;
    // 6 rounds at most, a bit for each: what a compiler can count it unrolls, for each of up to sixteen elements
    for (var left = 0x3fu; left != 0u; left &= left - 1u) {
        // beyond the limit e is far below the last digit of y, and what is computed from z stays in range
        let z = min(y, k.limit);
        let e = k.c * exp2(k.power * log2(max(z * k.inverse, 1.0)));
        let next = y - ((y - ax) + e) / (1.0 + k.power * (e / z));
        if next >= y {
            break;
        }
        y = max(next, k.jump);
    }
    return y;
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    return k.at_one * exp2(k.power * log2(max(ay, 1.17549435e-38)));
}
