// The learned activation xi (MAF-SRL, eq. (23)) and its derivatives, from the right at every knee (DSRL appendix, eq. (12)
// to (14)).
struct Activation {
    eta1: f32,
    eta2: f32,
    delta1: f32,
    delta2: f32,
}

// The parameters of a layer, which start at `at` of its learned numbers: L, eta1, eta2, delta1, delta2.
fn activation_at(at: u32) -> Activation {
    return Activation(theta[at + 1u], theta[at + 2u], theta[at + 3u], theta[at + 4u]);
}

// xi(v); -0.0 never comes out.
fn activation(v: f32, a: Activation) -> f32 {
    let av = abs(v);
    let inner = max(min(av, a.delta2) - a.delta1, 0.0);
    let y = a.eta1 * inner + a.eta2 * max(av - a.delta2, 0.0);
    return select(select(y, -y, v < 0.0), 0.0, y == 0.0);
}

// The derivative by v.
fn activation_slope(v: f32, a: Activation) -> f32 {
    if v >= a.delta2 || v < -a.delta2 {
        return a.eta2;
    }
    return select(0.0, a.eta1, v >= a.delta1 || v < -a.delta1);
}

// The derivatives by eta1, eta2, delta1, delta2.
fn activation_partials(v: f32, a: Activation) -> vec4<f32> {
    let side = select(-1.0, 1.0, v >= 0.0);
    if v >= a.delta2 || v < -a.delta2 {
        return vec4(side * (a.delta2 - a.delta1), v - side * a.delta2, -side * a.eta1, side * (a.eta1 - a.eta2));
    }
    if v >= a.delta1 || v < -a.delta1 {
        return vec4(v - side * a.delta1, 0.0, -side * a.eta1, 0.0);
    }
    return vec4(0.0);
}
