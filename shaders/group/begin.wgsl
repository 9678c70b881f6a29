// needs: group/point, shared/tally_word, group/scratch
// The first pass over groups that no workgroup holds: base step and elementwise prox into the weights, and the first
// measurement of each part.
@compute @workgroup_size(invocations)
fn group(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    let row = rows[tile.row];
    if row.mode.rests != 0u {
        return;
    }
    let lane = lane_of(tile, index);
    let q = lane.slot;
    let site = site_of(tile, q);
    let threshold = row.group.first * site.weight;
    var p = NOTHING;
    for (var i = 0u; i < words(tile); i++) {
        let k = members(tile, lane.part, i);
        let at = aim(tile, site, k);
        if live.x {
            let point = point_of(tile, row, at);
            let finite = select(point.z, vec4(0.0), point.bad);
            let z = select(bitcast<vec4<u32>>(finite), vec4(0u), finite == vec4(0.0));
            store_w(tile.w + at, select(z, vec4(QUIET_NAN), point.bad));
            p = tally_word(p, finite, k, threshold, tile.member);
            p.bad += count(point.bad & live);
        }
    }
    let whole = reduced(p, index, lane, tile.lanes);
    if lane.part == 0u && q < tile.groups {
        store_partial(tile.extra + 2u * q, whole);
        if tile.member == 0u {
            let identity = row.group.t * site.weight < 1.17549435e-38;
            store_state(
                tile.state + 3u * q,
                State(Search(threshold, 0.0, 0.0, NONE, u32(identity)), IDENTITY, 0u),
            );
        }
    }
}
