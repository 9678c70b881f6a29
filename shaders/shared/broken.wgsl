// needs: shared/quiet_nan
// A NaN or an infinity, by the bits: a WGSL compiler may assume that comparisons and arithmetic never see one.
fn broken(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u;
}
