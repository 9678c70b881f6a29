// needs: shared/broken
// bound: A <- A / max(1, sigma), sigma the norm of diag(sqrt q) A by power iteration; a workgroup per layer.

struct Job {
    // where layer 0 starts in the binding, from layer to layer, and within a layer
    theta: u32,
    length: u32,
    values: u32,
    layers: u32,
    n: u32,
    nonzeros: u32,
    rounds: u32,
    unused0: u32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
// starts and columns of the rows; starts and rows of the columns, and the numbers of their entries
@group(0) @binding(1) var<storage, read> structure: array<u32>;
@group(0) @binding(2) var<storage, read_write> theta: array<f32>;
// the first vector; then two per layer: the latest p, and q A p
@group(0) @binding(3) var<storage, read_write> vectors: array<f32>;
@group(0) @binding(4) var<storage, read_write> norms: array<f32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

const HEAD = 8u;

// WGSL leaves sqrt(0) open.
fn root(x: f32) -> f32 {
    return select(sqrt(x), 0.0, x < 1.17549435e-38);
}

var<workgroup> sums: array<f32, 256>;

// The sum over all invocations, by a fixed tree; all of them get it.
fn total(own: f32, lane: u32) -> f32 {
    sums[lane] = own;
    workgroupBarrier();
    for (var half = invocations / 2u; half > 0u; half /= 2u) {
        if lane < half {
            sums[lane] += sums[lane + half];
        }
        workgroupBarrier();
    }
    let all = sums[0];
    workgroupBarrier();
    return all;
}

// One round: the norm of diag(sqrt q) A p / |p|, and p <- AᵀqA p, its length then 1.
fn grown(base: u32, p: u32, s: u32, lane: u32) -> f32 {
    var length = 0.0;
    var image = 0.0;
    for (var i = lane; i < job.n; i += invocations) {
        var u = 0.0;
        let end = structure[i + 1u];
        for (var k = structure[i]; k < end; k++) {
            u += theta[base + job.values + k] * vectors[p + structure[job.n + 1u + k]];
        }
        let v = theta[base + HEAD + i] * u;
        vectors[s + i] = v;
        image += v * u;
        length += vectors[p + i] * vectors[p + i];
    }
    image = total(image, lane);
    length = total(length, lane);
    storageBarrier();
    let starts = job.n + 1u + job.nonzeros;
    let rows = starts + job.n + 1u;
    var square = 0.0;
    for (var j = lane; j < job.n; j += invocations) {
        var x = 0.0;
        let end = structure[starts + j + 1u];
        for (var k = structure[starts + j]; k < end; k++) {
            let entry = structure[rows + job.nonzeros + k];
            x += theta[base + job.values + entry] * vectors[s + structure[rows + k]];
        }
        vectors[p + j] = x;
        square += x * x;
    }
    square = total(square, lane);
    let size = root(square);
    let lost = broken(square) || broken(image);
    for (var j = lane; j < job.n; j += invocations) {
        // nothing left to iterate on: from the beginning
        if lost || size == 0.0 {
            vectors[p + j] = vectors[j];
        } else {
            vectors[p + j] /= size;
        }
    }
    storageBarrier();
    return select(root(image) / root(length), bitcast<f32>(bitcast<u32>(image) | QUIET_NAN), lost);
}

@compute @workgroup_size(invocations)
fn learn(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var layer = group.x; layer < job.layers; layer += groups.x) {
        let base = job.theta + layer * job.length;
        let p = job.n + 2u * layer * job.n;
        var sigma = 0.0;
        for (var round = 0u; round < job.rounds; round++) {
            sigma = grown(base, p, p + job.n, lane);
        }
        let lost = broken(sigma);
        if lane == 0u {
            norms[layer] = sigma;
            if lost {
                atomicAdd(&status[layer], 1u);
            }
        }
        if !lost && sigma > 1.0 {
            for (var k = lane; k < job.nonzeros; k += invocations) {
                theta[base + job.values + k] /= sigma;
            }
        }
    }
}
