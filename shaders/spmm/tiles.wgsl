// needs: spmm/job
// 64 x 64 outputs per workgroup, 4 x 4 per invocation: rows and vectors 16 apart, so that loads and stores are neighbours.
// Blocks of 64 rows and 16 columns in which the matrix has no entry are skipped: `structure` has where each block row
// starts in the list that follows, and the list: which blocks of 16 columns it has.
const EDGE = 64u;
const DEPTH = 16u;
// from one column of a staged block to the next, in words: one more than there are, so that neighbours lie in other banks
const PITCH = 17u;

var<workgroup> left: array<vec4<f32>, 272>;
var<workgroup> right: array<vec4<f32>, 272>;

fn staged_left(starts: vec4<u32>, column: u32) -> vec4<f32> {
    if column >= job.side.columns {
        return vec4(0.0);
    }
    let at = starts + column * job.side.across;
    return vec4(values[at.x], values[at.y], values[at.z], values[at.w]);
}

fn staged_right(first: u32, column: u32) -> vec4<f32> {
    if column >= job.side.columns {
        return vec4(0.0);
    }
    return operand(first, column);
}

@compute @workgroup_size(invocations)
fn spmm(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    if group >= job.groups {
        return;
    }
    let block_row = group / job.blocks;
    let low = index % 16u;
    let high = index / 16u;

    // neighbouring invocations load neighbours, whichever way the matrix and the batch lie
    let left_by_column = job.side.across == 1u;
    let left_column = select(high, low, left_by_column);
    let left_row = select(low, high, left_by_column);
    let rows = min(EDGE * block_row + left_row + vec4(0u, 16u, 32u, 48u), vec4(job.side.rows - 1u));
    let starts = job.side.values + rows * job.side.down;
    let right_by_column = job.x.across != 1u;
    let right_column = select(high, low, right_by_column);
    let right_vector = select(low, high, right_by_column);
    let vectors = EDGE * (group % job.blocks);
    aim(vectors + right_vector, 16u);
    prepare();

    let list = job.side.structure + (job.side.rows + EDGE - 1u) / EDGE + 1u;
    let begin = structure[job.side.structure + block_row];
    let end = structure[job.side.structure + block_row + 1u];
    var a = vec4<f32>();
    var b = vec4<f32>();
    if begin < end {
        let block = DEPTH * structure[list + begin];
        a = staged_left(starts, block + left_column);
        b = staged_right(vectors + right_vector, block + right_column);
    }
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var at = begin; at < end; at += 1u) {
        left[PITCH * left_column + left_row] = a;
        right[PITCH * right_column + right_vector] = b;
        workgroupBarrier();
        // the next block is on its way while this one is worked on
        if at + 1u < end {
            let block = DEPTH * structure[list + at + 1u];
            a = staged_left(starts, block + left_column);
            b = staged_right(vectors + right_vector, block + right_column);
        }
        for (var k = 0u; k < DEPTH; k += 1u) {
            let of_rows = left[PITCH * k + high];
            let of_vectors = right[PITCH * k + low];
            sum0 += of_rows.x * of_vectors;
            sum1 += of_rows.y * of_vectors;
            sum2 += of_rows.z * of_vectors;
            sum3 += of_rows.w * of_vectors;
        }
        workgroupBarrier();
    }
    let row = EDGE * block_row + high;
    let first = vectors + low;
    if row < job.side.rows {
        store(row, first, 16u, finished(row, first, 16u, scaled(sum0)));
    }
    if row + 16u < job.side.rows {
        store(row + 16u, first, 16u, finished(row + 16u, first, 16u, scaled(sum1)));
    }
    if row + 32u < job.side.rows {
        store(row + 32u, first, 16u, finished(row + 32u, first, 16u, scaled(sum2)));
    }
    if row + 48u < job.side.rows {
        store(row + 48u, first, 16u, finished(row + 48u, first, 16u, scaled(sum3)));
    }
}
