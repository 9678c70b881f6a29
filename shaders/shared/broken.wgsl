// needs: shared/quiet_nan, shared/nonfinite
// Whether a number that was computed is a NaN or an infinity.
fn broken(x: f32) -> bool {
    return nonfinite(bitcast<u32>(x));
}
