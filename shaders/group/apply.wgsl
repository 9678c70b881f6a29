// needs: group/point, group/scratch
// The last pass over groups that no workgroup holds.
@compute @workgroup_size(invocations)
fn group(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    if rows[tile.row].mode.rests != 0u {
        return;
    }
    let lane = lane_of(tile, index);
    let q = lane.slot;
    let site = site_of(tile, q);
    let state = load_state(tile.state + 3u * select(0u, q, q < tile.groups));
    for (var i = 0u; i < words(tile); i++) {
        let k = members(tile, lane.part, i);
        let at = aim(tile, site, k);
        if live.x {
            let z = bitcast<vec4<f32>>(load_w(tile.w + at));
            let y = shrunk(z, k + vec4(tile.member), state.shrink);
            store_w(tile.w + at, select(y, vec4(QUIET_NAN), state.bad != 0u));
        }
    }
    if state.bad != 0u && lane.part == 0u {
        atomicAdd(&status[tile.tensor], site.length);
    }
}
