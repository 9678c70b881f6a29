// needs: dsrl, dsrl/layer
// Backward through all layers, eight elements of each invocation in registers. On the way forward every SPAN-th layer's input is
// kept in scratch, from which those between are made anew. Sums of layers of their own are taken over the workgroup layer by
// layer, and added up in the workgroup's words of scratch; sums of numbers that layers share stay in registers to the end.
//
// chosen: SHARED, whether layers share their numbers.
@group(0) @binding(4) var<storage, read_write> grad_outputs: array<f32>;
// By layer of the gradient, by sum, by workgroup; then, from `kept` on, inputs by span, by workgroup, by word of an invocation.
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

// By L (times L^2), and by eta1, eta2, delta1, delta2.
struct Sums {
    step: f32,
    shape: vec4<f32>,
}

const SUMS = 5u;
const SPAN = 4u;

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

// Where an invocation keeps the inputs of a span but the first.
fn kept_at(span: u32, group: u32, lane: u32) -> u32 {
    return job.kept + 8u * invocations * ((span - 1u) * job.groups + group) + lane;
}

fn keep(at: u32, x: vec4<f32>) {
    partials[at] = x.x;
    partials[at + invocations] = x.y;
    partials[at + 2u * invocations] = x.z;
    partials[at + 3u * invocations] = x.w;
}

fn kept(at: u32) -> vec4<f32> {
    return vec4(partials[at], partials[at + invocations], partials[at + 2u * invocations], partials[at + 3u * invocations]);
}

fn added(a: Sums, b: Sums) -> Sums {
    return Sums(a.step + b.step, a.shape + b.shape);
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
    let last = (job.layers - 1u) / SPAN;
    var total = Sums(0.0, vec4(0.0));
    for (var tile = group; tile < job.tiles; tile += job.groups) {
        let i = places(8u * invocations * tile + lane);
        let j = i + vec4(4u * invocations);
        let x0 = load_x(i);
        let x1 = load_x(j);
        let c0 = load_c(i);
        let c1 = load_c(j);
        var start0 = x0;
        var start1 = x1;
        for (var span = 1u; span <= last; span++) {
            for (var l = SPAN * (span - 1u); l < SPAN * span; l++) {
                let k = layer_at(l);
                start0 = next(start0, c0, k);
                start1 = next(start1, c1, k);
            }
            let at = kept_at(span, group, lane);
            keep(at, start0);
            keep(at + 4u * invocations, start1);
        }
        var bar0 = load_bar(i);
        var bar1 = load_bar(j);
        var of_tile = Sums(0.0, vec4(0.0));
        for (var left = last + 1u; left > 0u; left--) {
            let span = left - 1u;
            let first = SPAN * span;
            if span == 0u {
                start0 = x0;
                start1 = x1;
            } else {
                let at = kept_at(span, group, lane);
                start0 = kept(at);
                start1 = kept(at + 4u * invocations);
            }
            for (var behind = min(first + SPAN, job.layers); behind > first; behind--) {
                let l = behind - 1u;
                var y0 = start0;
                var y1 = start1;
                for (var before = first; before < l; before++) {
                    let k = layer_at(before);
                    y0 = next(y0, c0, k);
                    y1 = next(y1, c1, k);
                }
                let k = layer_at(l);
                let a = back(y0, c0, bar0, k);
                let b = back(y1, c1, bar1, k);
                bar0 = a.grad_output;
                bar1 = b.grad_output;
                let sums = added(a.sums, b.sums);
                if SHARED {
                    of_tile = added(of_tile, sums);
                } else {
                    collect(sums, l, group, lane, tile == group, k.inverse * k.inverse);
                }
            }
        }
        total = added(total, of_tile);
        if job.delivers != 0u {
            store(i, bar0);
            store(j, bar1);
        }
    }
    if SHARED {
        let k = layer_at(0u);
        collect(total, 0u, group, lane, true, k.inverse * k.inverse);
    }
}
