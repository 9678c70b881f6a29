// needs: solver/update
// solver: one step by subgradients or by variable splitting for groups that one workgroup holds in its registers, one pass
// over memory.
//
// chosen: load_store/<width>, penalty/<name> (Constants, prox, slope), step/<base> (Base, advance), solver/<solver> (pulled, settle).
// Larger groups: solver/{measure,combine,elements} in place of this file; tensors without groups: solver/elements.
//
// An invocation holds up to four words of a group; up to 256 invocations share one.

struct Word {
    bits: vec4<u32>,
    total: Partial,
}

// The i-th word, and the members up to it measured.
fn hold(tile: Tile, site: Site, lane: Lane, i: u32, before: Partial) -> Word {
    if i >= words(tile) {
        return Word(vec4(0u), before);
    }
    let k = members(tile, lane.part, i);
    let at = aim(tile, site, k);
    if !any(live) {
        return Word(vec4(0u), before);
    }
    let bits = load_w(tile.w + at);
    return Word(bits, tally_finite(before, bits, k));
}

fn release(tile: Tile, row: Row, site: Site, lane: Lane, i: u32, norm: Norm, bits: vec4<u32>) -> u32 {
    if i >= words(tile) {
        return 0u;
    }
    let at = aim(tile, site, members(tile, lane.part, i));
    if !any(live) {
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
    for (var first = 0u; first < tile.groups; first += round_of(tile)) {
        let site = site_of(tile, first + lane.slot);
        let a = hold(tile, site, lane, 0u, NOTHING);
        let b = hold(tile, site, lane, 1u, a.total);
        let c = hold(tile, site, lane, 2u, b.total);
        let d = hold(tile, site, lane, 3u, c.total);
        let whole = reduced(d.total, index, lane, tile.lanes);
        let m = measure_of(whole);
        let norm = Norm(m.norm, m.scale, row.pull.lambda * site.weight, whole.bad != 0u);
        var bad = release(tile, row, site, lane, 0u, norm, a.bits);
        bad += release(tile, row, site, lane, 1u, norm, b.bits);
        bad += release(tile, row, site, lane, 2u, norm, c.bits);
        bad += release(tile, row, site, lane, 3u, norm, d.bits);
        if bad != 0u {
            atomicAdd(&status[tile.tensor], bad);
        }
    }
}
