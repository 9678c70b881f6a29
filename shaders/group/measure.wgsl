// needs: group/point, shared/tally_word, group/scratch
// Another pass over groups whose search goes on: each part against the group's threshold of now.
@compute @workgroup_size(invocations)
fn group(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    let lane = lane_of(tile, index);
    let q = lane.slot;
    let site = site_of(tile, q);
    let inside = q < tile.groups;
    let search = load_state(tile.state + 3u * select(0u, q, inside)).search;
    var p = NOTHING;
    if inside && search.done == 0u {
        for (var i = 0u; i < words(tile); i++) {
            let k = members(tile, lane.part, i);
            let at = aim(tile, site, k);
            if live.x {
                p = tally_word(p, bitcast<vec4<f32>>(load_w(tile.w + at)), k, search.threshold, tile.member);
            }
        }
    }
    let whole = reduced(p, index, lane, tile.lanes);
    if lane.part == 0u && inside && search.done == 0u {
        store_partial(tile.extra + 2u * q, whole);
    }
}
