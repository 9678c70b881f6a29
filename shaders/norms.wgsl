// needs: shared/tile_at
// norms: one number per group of weights: l1, l2 or l-inf norm, or the count of what is not zero; one pass over memory.
//
// chosen: norms/<norm> (Sum, NOTHING, add, merged, result, single, packed, unpacked), and for
// - groups in one piece: load_store/<width>, norms/members (gathered), norms/deliver;
// - parts of larger ones: load_store/<width>, norms/members, norms/keep (deliver);
// - the parts put together: norms/parts (gathered), norms/deliver.

// As many as there are invocations.
var<workgroup> sums: array<Sum, 256>;

// Barriers cost more than additions: a sum of up to 256 takes two rounds of 16.
const FAN = 16u;

// The sum of an invocation's own and what others have left, `apart` invocations of its group apart.
fn collected(own: Sum, index: u32, lane: Lane, apart: u32, lanes: u32) -> Sum {
    var sum = own;
    for (var k = lane.part + apart; k < lanes; k += apart) {
        sum = merged(sum, sums[index + (k - lane.part) * lane.step]);
    }
    return sum;
}

// The whole of each group, from its invocations, in a fixed order; the group's first invocation gets it.
fn reduced(own: Sum, index: u32, lane: Lane, lanes: u32) -> Sum {
    var sum = own;
    if lanes > 1u {
        sums[index] = sum;
        workgroupBarrier();
    }
    if lanes > FAN {
        if lane.part < FAN {
            sum = collected(sum, index, lane, FAN, lanes);
            sums[index] = sum;
        }
        workgroupBarrier();
    }
    if lane.part == 0u {
        sum = collected(sum, index, lane, 1u, min(lanes, FAN));
    }
    return sum;
}

@compute @workgroup_size(invocations)
fn norms(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = tile_at(id, ids);
    let lane = lane_of(tile, index);
    for (var first = 0u; first < tile.groups; first += round_of(tile)) {
        let q = first + lane.slot;
        let sum = reduced(gathered(tile, q, lane), index, lane, tile.lanes);
        if lane.part == 0u && q < tile.groups {
            deliver(tile, q, sum);
        }
        if tile.lanes > 1u {
            workgroupBarrier();
        }
    }
}
