// needs: shared/place, shared/broken
// x, or NaN: the exponent's bits and the quiet one are set in those of any number, so that no compiler sees a constant.
fn nan_if(bad: bool, x: f32) -> f32 {
    return select(x, bitcast<f32>(bitcast<u32>(x) | QUIET_NAN), bad);
}
