// needs: shared/nan_if, shared/each
// chain: the derivative by a layer's input: grad_r - h / L.
struct Job {
    grad_r: Strided,
    h: Strided,
    out: Strided,
    // whether the result lies vector by vector
    samples: u32,
    rows: u32,
    columns: u32,
    // the layer's first learned number
    theta: u32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read_write> grad_r: array<f32>;
@group(0) @binding(2) var<storage, read_write> h: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> theta: array<f32>;

@compute @workgroup_size(invocations)
fn chain(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let group = id.x + id.y * ids.x;
    let count = job.rows * job.columns;
    if group > (count - 1u) / 256u {
        return;
    }
    let k = 256u * group + index;
    if k < count {
        let at = each(k, job.samples, job.rows, job.columns);
        let l = theta[job.theta];
        let step = nan_if(broken(l), h[place(job.h, at.x, at.y)] / l);
        out[place(job.out, at.x, at.y)] = grad_r[place(job.grad_r, at.x, at.y)] - step;
    }
}
