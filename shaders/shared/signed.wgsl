// Magnitudes with the signs of x, as bits.
fn signed(magnitude: vec4<f32>, x: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(magnitude) | (bitcast<vec4<u32>>(x) & vec4(0x80000000u));
}
