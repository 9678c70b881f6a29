// scad: slope lambda up to lambda, falling linearly to 0 at a lambda. One code for the three regimes of the
// step size: 0 | soft | steep | identity, where pieces that a regime lacks end where they begin.
// The steep piece is ax - factor (a lambda - ax), which loses less than the usual quotient; its factor
// t/(a-1-t) has no bound, so the result is kept between those of the neighbouring pieces.
struct Constants {
    threshold: f32,
    shift: f32,
    soft_end: f32,
    end: f32,
    factor: f32,
    lambda: f32,
    a_less_1: f32,
    t: f32,
}

fn prox(ax: f32, k: Constants) -> f32 {
    if ax <= k.threshold {
        return 0.0;
    }
    let soft = max(ax - k.shift, 0.0);
    if ax <= k.soft_end {
        return soft;
    }
    if ax <= k.end {
        return clamp(ax - k.factor * (k.end - ax), soft, ax);
    }
    return ax;
}

// lambda p'(ay) for ay > 0, by the constants of step size 1.
fn slope(ay: f32, k: Constants) -> f32 {
    // at 1e30 the slope is long 0; the bound keeps the quotient in range
    return clamp(k.lambda - (min(ay, 1e30) - k.lambda) / k.a_less_1, 0.0, k.lambda);
}

fn at_step(k: Constants, scale: f32) -> Constants {
    var scaled = k;
    let t = k.t * scale;
    let d = k.a_less_1 - t;
    scaled.t = t;
    scaled.shift = t * k.lambda;
    scaled.threshold = scaled.shift;
    scaled.factor = 0.0;
    if d > 0.0 {
        scaled.soft_end = k.lambda + scaled.shift;
        scaled.end = (k.a_less_1 + 1.0) * k.lambda;
        scaled.factor = t / d;
    } else {
        scaled.end = 0.5 * ((k.a_less_1 + 2.0) + t) * k.lambda;
        if d < -2.0 {
            scaled.end = k.lambda * sqrt(t * (k.a_less_1 + 2.0));
            scaled.threshold = scaled.end;
        }
        scaled.soft_end = scaled.end;
    }
    return scaled;
}
