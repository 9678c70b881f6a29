// needs: shared/nan_if, shared/each, shared/tree
// loss: the derivative of the loss by each output, and the loss, as sums over runs of elements.
struct Job {
    output: Strided,
    aim: Strided,
    grad_output: Strided,
    // whether the derivatives lie vector by vector
    samples: u32,
    rows: u32,
    columns: u32,
    // elements of a workgroup
    span: u32,
    scale: f32,
    // of the outputs' l1 norm
    lambda: f32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read_write> aim: array<f32>;
@group(0) @binding(3) var<storage, read_write> grad_output: array<f32>;
@group(0) @binding(4) var<storage, read_write> scratch: array<f32>;

@compute @workgroup_size(invocations)
fn loss(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    let count = job.rows * job.columns;
    // a workgroup too many would wrap round
    if group >= (count - 1u) / job.span + 1u {
        return;
    }
    let first = group * job.span;
    let length = min(job.span, count - first);
    var sum = 0.0;
    for (var k = index; k < length; k += 256u) {
        let at = each(first + k, job.samples, job.rows, job.columns);
        let x = output[place(job.output, at.x, at.y)];
        let d = x - aim[place(job.aim, at.x, at.y)];
        var by_x = d;
        sum += d * d;
        // not 0 times the norm: without it the bits are those of the squares alone
        if job.lambda != 0.0 {
            by_x += job.lambda * sign(x);
            sum += 2.0 * job.lambda * abs(x);
        }
        grad_output[place(job.grad_output, at.x, at.y)] = by_x * job.scale;
    }
    sum = tree(sum, index);
    if index == 0u {
        scratch[group] = sum * (0.5 * job.scale);
    }
}
