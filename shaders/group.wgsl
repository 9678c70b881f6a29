// needs: group/point
// group: W <- group(prox(W - rate * direction)) for groups that one workgroup holds in its registers, one pass over memory.
//
// chosen: MEASUREMENTS, penalty/<name> (Constants, prox), step/<base> (Base, advance), load_store/<width>, penalty/group/<name>
// (GroupConstants, next, shrink). Larger groups take several passes: group/{begin,measure,combine,apply} in place of this file.
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

struct Held {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// What the group's members measure against a threshold, as this invocation holds them.
fn tally_held(tile: Tile, site: Site, lane: Lane, held: Held, threshold: f32, bad: u32) -> Partial {
    var p = NOTHING;
    p.bad = bad;
    let n = words(tile);
    if n > 0u {
        let k = members(tile, lane.part, 0u);
        live = k < vec4(site.length);
        p = tally_word(p, held.a, k, threshold, 0u);
    }
    if n > 1u {
        let k = members(tile, lane.part, 1u);
        live = k < vec4(site.length);
        p = tally_word(p, held.b, k, threshold, 0u);
    }
    if n > 2u {
        let k = members(tile, lane.part, 2u);
        live = k < vec4(site.length);
        p = tally_word(p, held.c, k, threshold, 0u);
    }
    if n > 3u {
        let k = members(tile, lane.part, 3u);
        live = k < vec4(site.length);
        p = tally_word(p, held.d, k, threshold, 0u);
    }
    return p;
}

// The i-th word's point, and how many of its elements are not finite.
fn hold(tile: Tile, row: Row, site: Site, lane: Lane, i: u32, bad: ptr<function, u32>) -> vec4<f32> {
    if i >= words(tile) {
        return vec4(0.0);
    }
    let at = aim(tile, site, members(tile, lane.part, i));
    if !any(live) {
        return vec4(0.0);
    }
    let point = point_of(tile, row, at);
    *bad += count(point.bad);
    return point.z;
}

fn release(tile: Tile, site: Site, lane: Lane, i: u32, z: vec4<f32>, s: Shrink, bad: bool) {
    if i >= words(tile) {
        return;
    }
    let k = members(tile, lane.part, i);
    let at = aim(tile, site, k);
    if any(live) {
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
    for (var first = 0u; first < tile.groups; first += round_of(tile)) {
        let site = site_of(tile, first + lane.slot);
        var bad = 0u;
        let held = Held(
            hold(tile, row, site, lane, 0u, &bad),
            hold(tile, row, site, lane, 1u, &bad),
            hold(tile, row, site, lane, 2u, &bad),
            hold(tile, row, site, lane, 3u, &bad),
        );
        let identity = row.group.t * site.weight < 1.17549435e-38;
        var search = Search(row.group.first * site.weight, 0.0, 0.0, NONE, u32(identity));
        var s = IDENTITY;
        for (var i = 1u; ; i++) {
            let whole = reduced(tally_held(tile, site, lane, held, search.threshold, bad), index, lane, tile.lanes);
            bad = u32(whole.bad != 0u);
            if bad != 0u {
                search.done = 1u;
            }
            if search.done == 0u {
                let m = measure_of(whole);
                let measured = search.threshold;
                search = next(row.group, site.weight, m, search);
                s = shrink(row.group, site.weight, m, search, measured);
            }
            if i >= MEASUREMENTS {
                break;
            }
            if !anyone(search.done == 0u, index) {
                break;
            }
        }
        release(tile, site, lane, 0u, held.a, s, bad != 0u);
        release(tile, site, lane, 1u, held.b, s, bad != 0u);
        release(tile, site, lane, 2u, held.c, s, bad != 0u);
        release(tile, site, lane, 3u, held.d, s, bad != 0u);
        if bad != 0u && lane.part == 0u {
            atomicAdd(&status[tile.tensor], site.length);
        }
    }
}
