// needs: dsrl, dsrl/layer
// Backward through all layers, eight elements of each invocation in registers: each layer's input anew from the first one,
// and its sums over the workgroup. A workgroup takes several tiles, and adds up its sums in its own words of scratch.
@group(0) @binding(4) var<storage, read_write> grad_outputs: array<f32>;
// By layer, by sum, by workgroup.
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

// By L (times L^2), and by eta1, eta2, delta1, delta2.
struct Sums {
    step: f32,
    shape: vec4<f32>,
}

const SUMS = 5u;

var<workgroup> terms: array<f32, 1280>;
var<workgroup> rows: array<f32, 80>;

// Nothing beyond the end.
fn load_bar(i: vec4<u32>) -> vec4<f32> {
    let k = within(i) + vec4(job.grad_output);
    return select(vec4(0.0), vec4(grad_outputs[k.x], grad_outputs[k.y], grad_outputs[k.z], grad_outputs[k.w]), i < vec4(job.elements));
}

struct Back {
    grad_output: vec4<f32>,
    sums: Sums,
}

// One layer backward: x is its input, grad_output the derivative by its output.
fn back(x: vec4<f32>, c: vec4<f32>, grad_output: vec4<f32>, k: Layer) -> Back {
    let v = argument(x, c, k);
    let w = marked(grad_output, bad_at(v, k));
    let slopes = vec4(
        activation_slope(v.x, k.a), activation_slope(v.y, k.a), activation_slope(v.z, k.a), activation_slope(v.w, k.a),
    );
    let r = slopes * w;
    let steps = r * (x - c);
    let shape = (activation_partials(v.x, k.a) * w.x + activation_partials(v.y, k.a) * w.y)
        + (activation_partials(v.z, k.a) * w.z + activation_partials(v.w, k.a) * w.w);
    return Back(r * (1.0 - k.inverse), Sums((steps.x + steps.y) + (steps.z + steps.w), shape));
}

// Adds a layer's sums over the workgroup to its words of scratch, by a fixed tree.
fn collect(sums: Sums, l: u32, group: u32, lane: u32, first: bool, scale: f32) {
    terms[lane] = sums.step;
    terms[256u + lane] = sums.shape.x;
    terms[512u + lane] = sums.shape.y;
    terms[768u + lane] = sums.shape.z;
    terms[1024u + lane] = sums.shape.w;
    workgroupBarrier();
    if lane < 16u * SUMS {
        var row = 0.0;
        let start = 256u * (lane / 16u) + lane % 16u;
        for (var k = 0u; k < 16u; k++) {
            row += terms[start + 16u * k];
        }
        rows[lane] = row;
    }
    workgroupBarrier();
    if lane < SUMS {
        var sum = 0.0;
        for (var k = 0u; k < 16u; k++) {
            sum += rows[16u * lane + k];
        }
        if lane == 0u {
            sum *= scale;
        }
        let at = (SUMS * l + lane) * job.groups + group;
        if !first {
            sum += partials[at];
        }
        partials[at] = sum;
    }
}

@compute @workgroup_size(invocations)
fn dsrl(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = id.x;
    for (var tile = group; tile < job.tiles; tile += job.groups) {
        let i = places(8u * invocations * tile + lane);
        let j = i + vec4(4u * invocations);
        let x0 = load_x(i);
        let x1 = load_x(j);
        let c0 = load_c(i);
        let c1 = load_c(j);
        var bar0 = load_bar(i);
        var bar1 = load_bar(j);
        for (var left = job.layers; left > 0u; left--) {
            let l = left - 1u;
            var y0 = x0;
            var y1 = x1;
            for (var before = 0u; before < l; before++) {
                let k = layer_at(before);
                y0 = next(y0, c0, k);
                y1 = next(y1, c1, k);
            }
            let k = layer_at(l);
            let a = back(y0, c0, bar0, k);
            let b = back(y1, c1, bar1, k);
            bar0 = a.grad_output;
            bar1 = b.grad_output;
            let sums = Sums(a.sums.step + b.sums.step, a.sums.shape + b.sums.shape);
            collect(sums, l, group, lane, tile == group, k.inverse * k.inverse);
        }
        if job.delivers != 0u {
            store(i, bar0);
            store(j, bar1);
        }
    }
}
