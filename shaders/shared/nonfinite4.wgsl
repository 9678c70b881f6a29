// needs: shared/infinity
// The same as nonfinite, for each of four.
fn nonfinite4(bits: vec4<u32>) -> vec4<bool> {
    return (bits & vec4(0x7fffffffu)) >= vec4(INFINITY);
}
