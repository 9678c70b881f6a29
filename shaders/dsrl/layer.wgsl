// needs: shared/activation
// One layer of four elements, one pass of which lies side by side with those of the neighbouring invocations.
@group(0) @binding(1) var<storage, read_write> theta: array<f32>;
@group(0) @binding(2) var<storage, read_write> xs: array<f32>;
@group(0) @binding(3) var<storage, read_write> cs: array<f32>;
@group(0) @binding(5) var<storage, read_write> results: array<u32>;

struct Layer {
    a: Activation,
    inverse: f32,
    bad: bool,
}

fn layer_at(l: u32) -> Layer {
    let at = job.theta + l * job.apart;
    let a = activation_at(at);
    let step = theta[at];
    let bad = any(nonfinite4(bitcast<vec4<u32>>(vec4(a.eta1, a.eta2, a.delta1, a.delta2))))
        || any(nonfinite4(vec4(bitcast<u32>(step))));
    return Layer(a, 1.0 / step, bad);
}

// What is bad is NaN from here on.
fn marked(value: vec4<f32>, bad: vec4<bool>) -> vec4<f32> {
    return bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(value), vec4(QUIET_NAN), bad));
}

// The activation's argument.
fn argument(x: vec4<f32>, c: vec4<f32>, k: Layer) -> vec4<f32> {
    return x - (x - c) * k.inverse;
}

fn bad_at(v: vec4<f32>, k: Layer) -> vec4<bool> {
    return nonfinite4(bitcast<vec4<u32>>(v)) | vec4(k.bad);
}

fn next(x: vec4<f32>, c: vec4<f32>, k: Layer) -> vec4<f32> {
    let v = argument(x, c, k);
    let y = vec4(activation(v.x, k.a), activation(v.y, k.a), activation(v.z, k.a), activation(v.w, k.a));
    return marked(y, bad_at(v, k));
}

// Four places, neighbouring invocations side by side.
fn places(first: u32) -> vec4<u32> {
    return vec4(first) + invocations * vec4(0u, 1u, 2u, 3u);
}

// What lies beyond the end is read as the last element.
fn within(i: vec4<u32>) -> vec4<u32> {
    return min(i, vec4(job.elements - 1u));
}

fn load_x(i: vec4<u32>) -> vec4<f32> {
    let k = within(i) + vec4(job.x);
    return vec4(xs[k.x], xs[k.y], xs[k.z], xs[k.w]);
}

fn load_c(i: vec4<u32>) -> vec4<f32> {
    let k = within(i) + vec4(job.c);
    return vec4(cs[k.x], cs[k.y], cs[k.z], cs[k.w]);
}

fn store(i: vec4<u32>, value: vec4<f32>) {
    let raw = bitcast<vec4<u32>>(value);
    let bits = select(raw, vec4(QUIET_NAN), nonfinite4(raw));
    let live = i < vec4(job.elements);
    let k = i + vec4(job.output);
    if live.x {
        results[k.x] = bits.x;
    }
    if live.y {
        results[k.y] = bits.y;
    }
    if live.z {
        results[k.z] = bits.z;
    }
    if live.w {
        results[k.w] = bits.w;
    }
}
