// needs: shared/activation, shared/any_broken, shared/nan_if
// sums: the derivatives by q, b, the activation and L, as sums over some rows and columns: a workgroup has 256 / lanes rows
// of one split of the columns.
struct Job {
    x: Strided,
    data: Strided,
    u: Strided,
    w: Strided,
    grad_r: Strided,
    // the layer's first learned number
    theta: u32,
    // whether `data` is phi's gradient, and not c
    given: u32,
    rows: u32,
    columns: u32,
    // invocations to a row
    lanes: u32,
    // row blocks, and workgroups
    blocks: u32,
    groups: u32,
    // columns of a split
    span: u32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> data: array<f32>;
@group(0) @binding(3) var<storage, read_write> u: array<f32>;
@group(0) @binding(4) var<storage, read_write> w: array<f32>;
@group(0) @binding(5) var<storage, read_write> grad_r: array<f32>;
@group(0) @binding(6) var<storage, read_write> theta: array<f32>;
// per split the sums by q of all rows, then by b; then per scalar those of all workgroups
@group(0) @binding(7) var<storage, read_write> scratch: array<f32>;

// by q, b, L, eta1; by eta2, delta1, delta2
var<workgroup> firsts: array<vec4<f32>, 256>;
var<workgroup> seconds: array<vec4<f32>, 256>;

@compute @workgroup_size(invocations)
fn sums(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    if group >= job.groups {
        return;
    }
    let split = group / job.blocks;
    let row = (group % job.blocks) * (256u / job.lanes) + index / job.lanes;
    let end = min((split + 1u) * job.span, job.columns);
    let step_size = theta[job.theta];
    let a = activation_at(job.theta);
    let no_knees = any_broken(a);
    var first = vec4(0.0);
    var second = vec4(0.0);
    if row < job.rows {
        let q = theta[job.theta + 8u + row];
        for (var column = split * job.span + index % job.lanes; column < end; column += job.lanes) {
            let u_here = u[place(job.u, row, column)];
            let w_here = w[place(job.w, row, column)];
            let v = q * u_here;
            let bad = no_knees || broken(v) || broken(w_here);
            let slope = nan_if(bad, activation_slope(v, a));
            let partials = activation_partials(v, a);
            let x_here = x[place(job.x, row, column)];
            let d = data[place(job.data, row, column)];
            let g = select(x_here - d, d, job.given != 0u);
            let r = grad_r[place(job.grad_r, row, column)];
            first += vec4(slope * w_here * u_here, -w_here, r * g, w_here * nan_if(bad, partials.x));
            second += vec4(
                w_here * nan_if(bad, partials.y),
                w_here * nan_if(bad, partials.z),
                w_here * nan_if(bad, partials.w),
                0.0,
            );
        }
    }
    firsts[index] = first;
    seconds[index] = second;
    workgroupBarrier();
    for (var step = 1u; step < 512u; step *= 2u) {
        // now a row's first invocation has its sum
        if step == job.lanes && index % job.lanes == 0u && row < job.rows {
            let at = 2u * split * job.rows + row;
            scratch[at] = first.x;
            scratch[at + job.rows] = first.y;
        }
        if step < 256u && index % (2u * step) == 0u {
            first += firsts[index + step];
            second += seconds[index + step];
            firsts[index] = first;
            seconds[index] = second;
        }
        workgroupBarrier();
    }
    if index == 0u {
        let at = 2u * (job.groups / job.blocks) * job.rows + group;
        scratch[at] = nan_if(broken(step_size), first.z / (step_size * step_size));
        scratch[at + job.groups] = first.w;
        scratch[at + 2u * job.groups] = second.x;
        scratch[at + 3u * job.groups] = second.y;
        scratch[at + 4u * job.groups] = second.z;
    }
}
