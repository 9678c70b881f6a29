// needs: group/point, group/scratch
// The parts of each group put together, by one workgroup per group, and the next step of its search.
@compute @workgroup_size(invocations)
fn group(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    // a tile of one group: `extra` is its first part, `length` their number, `apart` the distance between them
    let tile = tile_at(id, ids);
    let row = rows[tile.row];
    if row.mode.rests != 0u {
        return;
    }
    var p = NOTHING;
    for (var i = index; i < tile.length; i += invocations) {
        p = merged(p, load_partial(tile.extra + i * tile.stride));
    }
    let whole = reduced(p, index, Lane(index, 0u, 1u), invocations);
    if index == 0u && tile.groups > 0u {
        var state = load_state(tile.state);
        if whole.bad != 0u {
            state.bad = 1u;
            state.search.done = 1u;
        }
        if state.search.done == 0u {
            let m = measure_of(whole);
            let measured = state.search.threshold;
            state.search = next(row.group, tile.weight, m, state.search);
            state.shrink = shrink(row.group, tile.weight, m, state.search, measured);
        }
        store_state(tile.state, state);
    }
}
