// needs: shared/tile_at, shared/tally_finite, shared/load_partial
// The first pass over groups that no workgroup holds: what each part adds to its group's norm.
@compute @workgroup_size(invocations)
fn solver(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    let lane = lane_of(tile, index);
    let q = lane.slot;
    let site = site_of(tile, q);
    var p = NOTHING;
    for (var i = 0u; i < words(tile); i++) {
        let k = members(tile, lane.part, i);
        let at = aim(tile, site, k);
        if live.x {
            p = tally_finite(p, load_w(tile.w + at), k);
        }
    }
    let whole = reduced(p, index, lane, tile.lanes);
    if lane.part == 0u && q < tile.groups {
        store_partial(tile.extra + 2u * q, whole);
    }
}
