// needs: shared/nonfinite4, shared/tally_word
// A word of weights, measured for its norm; what is not finite is counted.
fn tally_finite(before: Partial, bits: vec4<u32>, k: vec4<u32>) -> Partial {
    let bad = nonfinite4(bits) & live;
    var p = tally_word(before, bitcast<vec4<f32>>(select(bits, vec4(0u), bad)), k, 0.0, 0u);
    p.bad += dot(vec4<u32>(bad), vec4(1u));
    return p;
}
