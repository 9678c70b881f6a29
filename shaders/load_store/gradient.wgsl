// The gradient as it lies in memory.
fn load_g(i: u32) -> vec4<u32> {
    return read_g(i);
}
