// The largest root y in [low, ax] of y - ax + c exp(-rate y) = 0: Laplace and ETP.
// Newton from ax comes down to the root without crossing it; the first step that does not go down is made of
// rounding errors and ends the loop. Where c rate comes close to 1 the root is nearly double: the derivative
// is kept above the level where its own error, and that of the residual over it, would throw y across the
// root.
fn exponential_root(ax: f32, low: f32, c: f32, rate: f32) -> f32 {
    var y = ax;
    // 14 rounds at most, a bit for each: what a compiler can count it unrolls, for each of up to sixteen elements
    for (var left = 0x3fffu; left != 0u; left &= left - 1u) {
        // both bounds only act where e is far below the last digit of y: they keep the exponent in range
        let e = c * exp(-min(rate * min(y, 1e30), 87.0));
        let next = y - ((y - ax) + e) / max(1.0 - rate * e, 0.002);
        if next >= y {
            break;
        }
        y = max(next, low);
    }
    return y;
}
