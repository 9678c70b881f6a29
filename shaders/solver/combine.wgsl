// needs: shared/tile_at, shared/load_partial
// The parts of each group put together, by one workgroup per group, into a row of its own: its tensor's row with the
// group's norm. The last pass reads that row in place of the tensor's, so that it binds no buffer more than a step
// without groups.
@group(0) @binding(1) var<storage, read> row_words: array<vec4<u32>>;

@compute @workgroup_size(invocations)
fn solver(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // a tile of one group: `extra` is its first part, `length` their number, `apart` the distance between them, `state`
    // its row; a row is seven words
    let tile = tile_at(id, ids);
    var p = NOTHING;
    for (var i = index; i < tile.length; i += invocations) {
        p = merged(p, load_partial(tile.extra + i * tile.stride));
    }
    let whole = reduced(p, index, Lane(index, 0u, 1u), invocations);
    if index == 0u && tile.groups > 0u {
        let m = measure_of(whole);
        for (var i = 0u; i < 4u; i++) {
            scratch[tile.state + i] = row_words[7u * tile.row + i];
        }
        let pull = row_words[7u * tile.row + 4u];
        scratch[tile.state + 4u] = vec4(pull.xy, bitcast<vec2<u32>>(vec2(m.norm, m.scale)));
        scratch[tile.state + 5u] = vec4(bitcast<u32>(f32(whole.bad != 0u)), 0u, 0u, 0u);
        scratch[tile.state + 6u] = row_words[7u * tile.row + 6u];
    }
}
