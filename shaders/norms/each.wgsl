// needs: shared/tile_at
// Groups of one element: four of them on their way at a time.
@group(0) @binding(7) var<storage, read_write> results: array<u32>;

fn one(tile: Tile, q: u32, bits: u32) {
    results[tile.extra + q] = single(bits);
}

@compute @workgroup_size(invocations)
fn norms(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    for (var first = 0u; first < tile.groups; first += 4u * invocations) {
        spread = vec4(first + index) + invocations * vec4(0u, 1u, 2u, 3u);
        live = spread < vec4(tile.groups);
        if live.x {
            spread = select(vec4(spread.x), spread, live);
            let word = load_w(tile.w);
            one(tile, spread.x, word.x);
            one(tile, spread.y, word.y);
            one(tile, spread.z, word.z);
            one(tile, spread.w, word.w);
        }
    }
}
