// needs: shared/quiet_nan
// What a base step hands to the prox. `scale` multiplies the step size of the prox (1, or 1 / Adam's denominator).
struct Moved {
    point: vec4<f32>,
    bad: vec4<bool>,
    scale: vec4<f32>,
}

// Tested on the bits: a WGSL compiler may assume that comparisons never see a NaN or an infinity.
fn nonfinite(bits: vec4<u32>) -> vec4<bool> {
    return (bits & vec4(0x7fffffffu)) >= vec4(0x7f800000u);
}

fn poisoned(value: vec4<f32>, bad: vec4<bool>) -> vec4<u32> {
    return select(bitcast<vec4<u32>>(value), vec4(QUIET_NAN), bad);
}
