// norms: one number per group of weights: l1, l2 or l-inf norm, or the count of what is not zero; one pass over memory.
//
// Composed as: shared/tile_at.wgsl, words/<width>.wgsl, norms/<norm>.wgsl (Sum, NOTHING, add, merged, result, packed,
// unpacked), and
// - groups in one piece: norms/members.wgsl (gathered), norms/deliver.wgsl, this file;
// - parts of larger ones: norms/members.wgsl, norms/keep.wgsl (deliver), this file;
// - the parts put together: norms/parts.wgsl (gathered), norms/deliver.wgsl, this file;
// - groups of one element: norms/deliver.wgsl, norms/each.wgsl.

// As many as there are invocations.
var<workgroup> sums: array<Sum, 256>;

// The whole of each group, from its invocations, by a fixed tree; the group's first invocation gets it.
fn reduced(part_sum: Sum, index: u32, lane: Lane, lanes: u32) -> Sum {
    var sum = part_sum;
    for (var half = lanes / 2u; half > 0u; half /= 2u) {
        // what this round writes nobody reads in the one before or after it, so that one barrier is enough
        if lane.part >= half && lane.part < 2u * half {
            sums[index] = sum;
        }
        workgroupBarrier();
        if lane.part < half {
            sum = merged(sum, sums[index + half * lane.step]);
        }
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
    for (var first = 0u; first < tile.groups; first += lane.round) {
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
