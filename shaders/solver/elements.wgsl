// needs: solver/update
// The step element by element: tensors without groups, and the last pass over groups that no workgroup holds, each of
// which has a row of its own.
@compute @workgroup_size(invocations)
fn solver(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    let lane = lane_of(tile, index);
    var bad = 0u;
    for (var q = lane.slot; q < tile.groups; q += round_of(tile)) {
        let site = site_of(tile, q);
        let row = rows[tile.row + q];
        if row.mode.rests != 0u {
            continue;
        }
        let p = row.pull;
        let norm = Norm(p.norm, p.scale, p.lambda * site.weight, p.spoiled != 0.0);
        for (var i = 0u; i < words(tile); i++) {
            let at = aim(tile, site, members(tile, lane.part, i));
            if live.x {
                bad += update(tile, row, norm, at, load_w(tile.w + at));
            }
        }
    }
    if bad != 0u {
        atomicAdd(&status[tile.tensor], bad);
    }
}
