// The largest root y in [0, ax] of (ax - y)(a + y)^2 = c, without arccos: TL1 and Geman.
// With s = a + ax and ax - y = s w the equation is w (1 - w)^2 = k, k = c / s^3 in [0, 4/27], w in [0, 1/3].
// d = 1/3 - w solves d^2 (1 + d) = 4/27 - k: a polynomial in r = sqrt(4/27 - k) starts within 1e-5 of it, a
// series where w is small; one Newton step on y itself removes the roundings of s and k. It is left out at
// the double root, where it divides by zero, and from s = 1e12 on, where the correction is below the last
// digit of ax and the squares would overflow.
fn cubic_root(ax: f32, a: f32, c: f32) -> f32 {
    // the bound keeps the sum in range; there ax - y is far below the last digit of ax
    let s = a + min(ax, 1e30);
    let k = min(((c / s) / s) / s, 4.0 / 27.0);
    // sqrt(0) is not defined on every device, hence the lower bound
    let r = sqrt(max(4.0 / 27.0 - k, 1e-30));
    let d = r * (0.99999012 + r * (-0.49854847 + r * (0.59023872 + r * (-0.68839473 + r * 0.444125))));
    let small = k * (1.0 + k * (2.0 + k * (7.0 + k * 30.0)));
    let w = select(max(1.0 / 3.0 - d, 0.0), small, k < 0.02);
    var y = max(ax - s * w, 0.0);
    if s < 1e12 {
        let z = a + y;
        let u = ax - y;
        let e = z - 2.0 * u;
        if e > 0.02 * s {
            y = clamp(y - (c - u * z * z) / (z * e), 0.0, ax);
        }
    }
    return y;
}
