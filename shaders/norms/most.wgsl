// The bits of the largest magnitude of four words.
fn most(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> u32 {
    let sign = vec4(0x7fffffffu);
    let m = max(max(a & sign, b & sign), max(c & sign, d & sign));
    return max(max(m.x, m.y), max(m.z, m.w));
}
