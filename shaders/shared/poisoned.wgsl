// needs: shared/quiet_nan, shared/nonfinite4
// What a base step hands to the prox. `scale` multiplies the step size of the prox (1, or 1 / Adam's denominator).
struct Moved {
    point: vec4<f32>,
    bad: vec4<bool>,
    scale: vec4<f32>,
}

fn poisoned(value: vec4<f32>, bad: vec4<bool>) -> vec4<u32> {
    return select(bitcast<vec4<u32>>(value), vec4(QUIET_NAN), bad);
}
