// needs: dsrl, shared/nonfinite
// The sums over workgroups: a workgroup per layer of the gradient.
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;
@group(0) @binding(7) var<storage, read_write> gradients: array<f32>;

const SUMS = 5u;

var<workgroup> terms: array<f32, 256>;

@compute @workgroup_size(invocations)
fn dsrl(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let layers = select(job.layers, 1u, job.apart == 0u);
    for (var layer = id.x; layer < layers; layer += ids.x) {
        let at = job.gradient + HEAD * layer;
        for (var s = 0u; s < SUMS; s++) {
            var sum = 0.0;
            let row = (SUMS * layer + s) * job.groups;
            for (var k = lane; k < job.groups; k += invocations) {
                sum += partials[row + k];
            }
            terms[lane] = sum;
            workgroupBarrier();
            for (var half = invocations / 2u; half > 0u; half /= 2u) {
                if lane < half {
                    terms[lane] += terms[lane + half];
                }
                workgroupBarrier();
            }
            if lane == 0u {
                var all = terms[0];
                if job.adds != 0u {
                    all += gradients[at + s];
                }
                let bits = bitcast<u32>(all);
                gradients[at + s] = bitcast<f32>(select(bits, QUIET_NAN, nonfinite(bits)));
            }
            // no barrier: since the last one nobody but invocation 0 has touched terms[0], and nobody the others
        }
        if job.adds == 0u && lane < 3u {
            gradients[at + SUMS + lane] = 0.0;
        }
    }
}
