// needs: shared/tally
// Scratch for groups that no workgroup holds; two words of 16 bytes for what a part measures.
@group(0) @binding(7) var<storage, read_write> scratch: array<vec4<u32>>;

fn load_partial(i: u32) -> Partial {
    let a = bitcast<vec4<f32>>(scratch[i]);
    let b = scratch[i + 1u];
    return Partial(a.x, a.y, a.z, a.w, bitcast<f32>(b.x), b.y, b.z, b.w);
}

fn store_partial(i: u32, p: Partial) {
    scratch[i] = bitcast<vec4<u32>>(vec4(p.big, p.mid, p.small, p.sum));
    scratch[i + 1u] = vec4(bitcast<u32>(p.peak), p.count, p.index, p.bad);
}
