// needs: solver/update, measure/norm
// solver: one step by subgradients or by variable splitting for groups that one workgroup holds in its registers, one pass
// over memory.
//
// chosen: load_store/<width>, place/<how>, penalty/<name> (Constants, prox, slope), step/<base> (Base, advance), solver/<solver> (pulled, settle).
// Larger groups: solver/{measure,combine,elements} in place of this file; tensors without groups: solver/elements.
//
// An invocation holds up to four words of a group; up to 256 invocations share one.

// The i-th word's bits, and whether one is not finite: then nobody asks for the norm.
fn hold(tile: Tile, site: Site, lane: Lane, i: u32, bad: ptr<function, bool>) -> vec4<u32> {
    if i >= words(tile) {
        return vec4(0u);
    }
    let at = aim(tile, site, members(tile, lane.part, i));
    if !live.x {
        return vec4(0u);
    }
    let bits = select(vec4(0u), load_w(tile.w + at), live);
    *bad = *bad || any(nonfinite4(bits));
    return bits;
}

fn release(tile: Tile, row: Row, site: Site, lane: Lane, i: u32, norm: Norm, bits: vec4<u32>) -> u32 {
    if i >= words(tile) {
        return 0u;
    }
    let at = aim(tile, site, members(tile, lane.part, i));
    if !live.x {
        return 0u;
    }
    return update(tile, row, norm, at, bits);
}

@compute @workgroup_size(invocations)
fn solver(
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
    prepare(lane);
    workgroupBarrier();
    var turn = 0u;
    for (var first = 0u; first < tile.groups; first += round_of(tile)) {
        let site = site_of(tile, first + lane.slot);
        var own = false;
        let a = hold(tile, site, lane, 0u, &own);
        let b = hold(tile, site, lane, 1u, &own);
        let c = hold(tile, site, lane, 2u, &own);
        let d = hold(tile, site, lane, 3u, &own);
        let held =
            Held(bitcast<vec4<f32>>(a), bitcast<vec4<f32>>(b), bitcast<vec4<f32>>(c), bitcast<vec4<f32>>(d));
        let peak = peak_of(held, own, lane, tile.lanes, turn);
        let m = measured(tile, held, 0.0, bitcast<f32>(peak), index, lane, turn);
        let norm = Norm(m.norm, m.scale, row.pull.lambda * site.weight, peak == INFINITY);
        var bad = release(tile, row, site, lane, 0u, norm, a);
        bad += release(tile, row, site, lane, 1u, norm, b);
        bad += release(tile, row, site, lane, 2u, norm, c);
        bad += release(tile, row, site, lane, 3u, norm, d);
        if bad != 0u {
            atomicAdd(&status[tile.tensor], bad);
        }
        turn = 128u - turn;
    }
}
