// needs: group/point, measure/peak
// group: W <- group(prox(W - rate * direction)) for groups that one workgroup holds in its registers, one pass over memory.
//
// chosen: MEASUREMENTS, measure/<what> (prepare, measured), penalty/<name> (Constants, prox), step/<base> (Base, advance),
// load_store/<width>, place/<how>, penalty/group/<name> (GroupConstants, next, shrink). Larger groups take several passes:
// group/{begin,measure,combine,apply} in place of this file.
//
// An invocation holds up to four words of a group; up to 256 invocations share one.

var<workgroup> open: atomic<u32>;
var<workgroup> still_open: u32;

// Whether any group of the workgroup goes on searching, the same answer for all invocations.
fn anyone(searches: bool, index: u32) -> bool {
    if index == 0u {
        atomicStore(&open, 0u);
    }
    workgroupBarrier();
    if searches {
        atomicStore(&open, 1u);
    }
    workgroupBarrier();
    if index == 0u {
        still_open = atomicLoad(&open);
    }
    return workgroupUniformLoad(&still_open) != 0u;
}

// The i-th word's point, and whether one of its elements is not finite: then nobody asks what the others are.
fn hold(tile: Tile, row: Row, site: Site, lane: Lane, i: u32, bad: ptr<function, bool>) -> vec4<f32> {
    if i >= words(tile) {
        return vec4(0.0);
    }
    let at = aim(tile, site, members(tile, lane.part, i));
    if !live.x {
        return vec4(0.0);
    }
    let point = point_of(tile, row, at);
    *bad = *bad || any(point.bad);
    return point.z;
}

fn release(tile: Tile, site: Site, lane: Lane, i: u32, z: vec4<f32>, s: Shrink, bad: bool) {
    if i >= words(tile) {
        return;
    }
    let k = members(tile, lane.part, i);
    let at = aim(tile, site, k);
    if live.x {
        store_w(tile.w + at, select(shrunk(z, k, s), vec4(QUIET_NAN), bad));
    }
}

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
    prepare(lane);
    workgroupBarrier();
    var turn = 0u;
    for (var first = 0u; first < tile.groups; first += round_of(tile)) {
        let site = site_of(tile, first + lane.slot);
        var own = false;
        let held = Held(
            hold(tile, row, site, lane, 0u, &own),
            hold(tile, row, site, lane, 1u, &own),
            hold(tile, row, site, lane, 2u, &own),
            hold(tile, row, site, lane, 3u, &own),
        );
        let peak = peak_of(held, own, lane, tile.lanes, turn);
        let bad = peak == INFINITY;
        let identity = row.group.t * site.weight < 1.17549435e-38;
        var search = Search(row.group.first * site.weight, 0.0, 0.0, NONE, u32(identity));
        var s = IDENTITY;
        if MEASUREMENTS == 1u {
            let m = measured(tile, held, search.threshold, bitcast<f32>(peak), index, lane, turn);
            if !identity {
                s = shrink(row.group, site.weight, m, next(row.group, site.weight, m, search), search.threshold);
            }
        } else {
            search.done |= u32(bad);
            for (var i = 1u; ; i++) {
                let measured_at = search.threshold;
                let m = measured(tile, held, measured_at, bitcast<f32>(peak), index, lane, turn);
                if search.done == 0u {
                    search = next(row.group, site.weight, m, search);
                    s = shrink(row.group, site.weight, m, search, measured_at);
                }
                if i >= MEASUREMENTS {
                    break;
                }
                if !anyone(search.done == 0u, index) {
                    break;
                }
            }
        }
        release(tile, site, lane, 0u, held.a, s, bad);
        release(tile, site, lane, 1u, held.b, s, bad);
        release(tile, site, lane, 2u, held.c, s, bad);
        release(tile, site, lane, 3u, held.d, s, bad);
        if bad && lane.part == 0u {
            atomicAdd(&status[tile.tensor], site.length);
        }
        turn = 128u - turn;
    }
}
