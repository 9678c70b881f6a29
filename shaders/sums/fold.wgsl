// needs: shared/tree
// Partial sums put together, in a fixed order: numbers with a few parts by one invocation each, totals of many by a
// workgroup each.
struct Job {
    // where the result starts in its binding, and, from there, where the numbers, the totals and the zeros at the end go
    out: u32,
    numbers_at: u32,
    zeros_at: u32,
    // whether the sums are added to what is there
    add: u32,
    // how many numbers, how many parts each has, and from part to part
    numbers: u32,
    splits: u32,
    apart: u32,
    // how many totals, from the result's start on, how many parts each has, side by side, and where they start
    totals: u32,
    parts: u32,
    parts_at: u32,
    // numbers that are set to 0: three behind the totals, then those at the end
    zeros: u32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read_write> scratch: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

fn keep(at: u32, sum: f32) {
    if job.add != 0u {
        result[at] += sum;
    } else {
        result[at] = sum;
    }
}

@compute @workgroup_size(invocations)
fn sums(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    let groups = (job.numbers + job.zeros + 255u) / 256u;
    if group >= groups + job.totals {
        return;
    }
    if group < groups {
        let k = 256u * group + index;
        if k < job.numbers {
            var sum = scratch[k];
            for (var split = 1u; split < job.splits; split += 1u) {
                sum += scratch[split * job.apart + k];
            }
            keep(job.out + job.numbers_at + k, sum);
        } else if k < job.numbers + job.zeros {
            let zero = k - job.numbers;
            result[job.out + select(job.zeros_at + zero - 3u, job.totals + zero, zero < 3u)] = 0.0;
        }
        return;
    }
    let total = group - groups;
    var sum = 0.0;
    for (var part = index; part < job.parts; part += 256u) {
        sum += scratch[job.parts_at + total * job.parts + part];
    }
    sum = tree(sum, index);
    if index == 0u {
        keep(job.out + total, sum);
    }
}
