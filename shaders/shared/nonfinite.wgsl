// needs: shared/infinity
// A NaN or an infinity, by the bits: a WGSL compiler may assume that comparisons and arithmetic never see one.
fn nonfinite(bits: u32) -> bool {
    return (bits & 0x7fffffffu) >= INFINITY;
}
