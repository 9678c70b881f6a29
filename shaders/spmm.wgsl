// needs: spmm/job
// spmm: a sparse matrix times a batch of vectors, row by row.
//
// chosen: spmm/word/<word> (Word: the vectors of an invocation), spmm/prologue/<operand> (prepare, operand, scaled),
// spmm/epilogue/<finish> (finished), matrix/<format> (row_sum). Wide batches and dense matrices: spmm/tiles in place of this file.

// As many as there are invocations.
var<workgroup> sums: array<Word, 256>;

// Barriers cost more than additions: a sum of up to 256 takes two rounds of 16.
const FAN = 16u;

// The sum of an invocation's own and what the row's lanes have left, `apart` lanes apart.
fn collected(own: Word, index: u32, lane: u32, apart: u32, lanes: u32) -> Word {
    var sum = own;
    for (var k = lane + apart; k < lanes; k += apart) {
        sum += sums[index + (k - lane) * job.lane_step];
    }
    return sum;
}

// The whole of each row, in a fixed order; its first lane gets it.
fn reduced(own: Word, index: u32, lane: u32) -> Word {
    var sum = own;
    if job.lanes > 1u {
        sums[index] = sum;
        workgroupBarrier();
    }
    if job.lanes > FAN {
        if lane < FAN {
            sum = collected(sum, index, lane, FAN, job.lanes);
            sums[index] = sum;
        }
        workgroupBarrier();
    }
    if lane == 0u {
        sum = collected(sum, index, lane, 1u, min(job.lanes, FAN));
    }
    return sum;
}

@compute @workgroup_size(invocations)
fn spmm(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    let first = (group % job.blocks) * WIDTH * job.beside + index % job.beside;
    let lane = (index / job.lane_step) % job.lanes;
    let row = (group / job.blocks) * job.rows_at_once + (index / job.row_step) % job.rows_at_once;
    let wanted = row < job.side.rows && first < job.vectors;
    aim(first, job.beside);
    prepare();
    var sum = Word();
    if wanted {
        sum = row_sum(job.side, row, lane, job.lanes, first);
    }
    sum = reduced(sum, index, lane);
    if wanted && lane == 0u {
        store(row, first, job.beside, finished(row, first, job.beside, scaled(sum)));
    }
}
