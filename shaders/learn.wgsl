// needs: shared/quiet_nan, shared/nonfinite
// learn: one step of an optimiser on the learned numbers of every layer, with the projections; one pass over memory.
//
// learn/<method> has `advance`; the norm bound is learn/bound.

// Places are in elements; those of q, b and the values are within a layer.
struct Job {
    // where layer 0 starts in each binding
    theta: u32,
    gradient: u32,
    first: u32,
    second: u32,
    layers: u32,
    // from layer to layer
    length: u32,
    b: u32,
    values: u32,
    end: u32,
    decay: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    epsilon: f32,
    // the floors of slopes and scales, and of L
    floor: f32,
    floor_l: f32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

// What changes from step to step. A rate of 0 keeps its numbers as they are.
struct Rates {
    values: f32,
    q: f32,
    b: f32,
    activation: f32,
    l: f32,
    root_scale: f32,
    unused0: u32,
    unused1: u32,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Job;
@group(0) @binding(1) var<storage, read> rates: Rates;
@group(0) @binding(2) var<storage, read_write> theta: array<u32>;
@group(0) @binding(3) var<storage, read_write> gradients: array<u32>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

// L, eta1, eta2, delta1, delta2 and three that stay 0
const HEAD = 8u;

// At least `floor`; bits that are right already stay as they are.
fn raised(bits: u32, floor: f32) -> u32 {
    return select(bits, bitcast<u32>(floor), !nonfinite(bits) && bitcast<f32>(bits) < floor);
}

// A number of the head.
fn headed(k: u32, rate: f32) -> u32 {
    if rate != 0.0 {
        return advance(k, rate);
    }
    let bits = theta[job.theta + k];
    return select(bits, QUIET_NAN, nonfinite(bits));
}

// The nearest delta1, delta2 with kappa delta2 <= delta1 <= delta2 and delta1 >= 0, kappa = max(0, (eta1 - 1) / eta1).
fn knees(d1: u32, d2: u32, eta1: f32) -> vec2<u32> {
    let a = bitcast<f32>(d1);
    let b = bitcast<f32>(d2);
    let kappa = clamp((eta1 - 1.0) / eta1, 0.0, 1.0);
    if a > b {
        let middle = bitcast<u32>(max(0.5 * a + 0.5 * b, 0.0));
        return vec2(middle);
    }
    // in f32 kappa may be 1: then nothing but b < 0 tells that both are negative
    if a < kappa * b || b < 0.0 {
        let along = max((kappa * a + b) / (1.0 + kappa * kappa), 0.0);
        return vec2(bitcast<u32>(kappa * along), bitcast<u32>(along));
    }
    return vec2(d1, d2);
}

// The head of a layer that starts at `base`: how many of its numbers are not finite.
fn head(base: u32) -> u32 {
    let l = raised(headed(base, rates.l), job.floor_l);
    let eta1 = raised(headed(base + 1u, rates.activation), job.floor);
    let free2 = raised(headed(base + 2u, rates.activation), job.floor);
    let eta2 = select(free2, bitcast<u32>(1.0), !nonfinite(free2) && bitcast<f32>(free2) > 1.0);
    let d1 = headed(base + 3u, rates.activation);
    let d2 = headed(base + 4u, rates.activation);
    var d = vec2(QUIET_NAN);
    if !(nonfinite(eta1) || nonfinite(d1) || nonfinite(d2)) {
        d = knees(d1, d2, bitcast<f32>(eta1));
    }
    let at = job.theta + base;
    theta[at] = l;
    theta[at + 1u] = eta1;
    theta[at + 2u] = eta2;
    theta[at + 3u] = d.x;
    theta[at + 4u] = d.y;
    return u32(nonfinite(l)) + u32(nonfinite(eta1)) + u32(nonfinite(eta2)) + u32(nonfinite(d.x)) + u32(nonfinite(d.y));
}

@compute @workgroup_size(invocations)
fn learn(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var layer = group.y; layer < job.layers; layer += groups.y) {
        let base = layer * job.length;
        var bad = 0u;
        if group.x == 0u && lane == 0u {
            bad += head(base);
        }
        for (var p = HEAD + group.x * invocations + lane; p < job.end; p += groups.x * invocations) {
            let rate = select(select(rates.values, rates.b, p < job.values), rates.q, p < job.b);
            if rate != 0.0 {
                var bits = advance(base + p, rate);
                if p < job.b {
                    bits = raised(bits, job.floor);
                }
                theta[job.theta + base + p] = bits;
                bad += u32(nonfinite(bits));
            }
        }
        if bad != 0u {
            atomicAdd(&status[layer], bad);
        }
    }
}
