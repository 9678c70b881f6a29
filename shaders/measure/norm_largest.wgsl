// needs: measure/peak
// The norm, and the first of the largest members: l1_l2.
alias Sums = f32;

// NONE less the number of the first of the largest members, in halves as the magnitudes.
var<workgroup> firsts: array<atomic<u32>, 256>;

fn reset_firsts(lane: Lane, turn: u32) {
    if lane.part == 0u && lane.slot < 128u {
        atomicStore(&firsts[turn + lane.slot], 0u);
    }
}

fn prepare(lane: Lane) {
    reset_peaks(lane, 0u);
    reset_firsts(lane, 0u);
}

fn first_in(z: vec4<f32>, k: vec4<u32>, peak: f32) -> u32 {
    let at = select(vec4(NONE), k, abs(z) == vec4(peak));
    return min(min(at.x, at.y), min(at.z, at.w));
}

fn measured(tile: Tile, z: Held, threshold: f32, peak: f32, index: u32, lane: Lane, turn: u32) -> Measure {
    var first = first_in(z.a, members(tile, lane.part, 0u), peak);
    first = min(first, first_in(z.b, members(tile, lane.part, 1u), peak));
    first = min(first, first_in(z.c, members(tile, lane.part, 2u), peak));
    first = NONE - min(first, first_in(z.d, members(tile, lane.part, 3u), peak));
    if tile.lanes > 1u {
        reset_firsts(lane, 128u - turn);
        atomicMax(&firsts[turn + lane.slot], first);
    }
    let range = range_of(peak - threshold);
    let total = summed(squares_at(z, threshold, range), index, lane, tile.lanes);
    if tile.lanes > 1u {
        first = atomicLoad(&firsts[turn + lane.slot]);
    }
    return Measure(root(total), scale_of(range), 0.0, false, peak, 0u, NONE - first);
}
