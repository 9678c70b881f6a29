// needs: shared/load_partial
// Where the searches of groups stand that no workgroup holds, in the scratch buffer: three words of 16 bytes per group.
struct State {
    search: Search,
    shrink: Shrink,
    bad: u32,
}

fn load_state(i: u32) -> State {
    let a = scratch[i];
    let b = scratch[i + 1u];
    let c = scratch[i + 2u];
    let f = bitcast<vec4<f32>>(a);
    let h = bitcast<vec4<f32>>(b);
    return State(Search(f.x, f.y, f.z, a.w, c.x), Shrink(h.x, h.y, h.z, b.w), c.y);
}

fn store_state(i: u32, s: State) {
    let a = bitcast<vec3<u32>>(vec3(s.search.threshold, s.search.low, s.search.high));
    let b = bitcast<vec3<u32>>(vec3(s.shrink.before, s.shrink.threshold, s.shrink.after));
    scratch[i] = vec4(a, s.search.count);
    scratch[i + 1u] = vec4(b, s.shrink.only);
    scratch[i + 2u] = vec4(s.search.done, s.bad, 0u, 0u);
}
