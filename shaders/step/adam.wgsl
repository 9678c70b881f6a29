// adam: M <- beta1 M + (1 - beta1) G; V <- beta2 V + (1 - beta2) G^2; keep W - rate M / (root_scale sqrt(V) + epsilon).
// The bias corrections are folded into rate and root_scale; keep = 1 - rate * decay is AdamW's weight decay.
struct Base {
    rate: f32,
    keep: f32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    root_scale: f32,
    epsilon: f32,
}

const PASS_NONFINITE = false;

fn advance(tile: Tile, i: u32, b: Base, before: vec4<u32>) -> Moved {
    let g = load_g(tile.g + i);
    let m = load_m(tile.m + i);
    let v = load_v(tile.v + i);
    let gradient = bitcast<vec4<f32>>(g);
    let first = b.beta1 * bitcast<vec4<f32>>(m) + b.rest1 * gradient;
    let second = b.beta2 * bitcast<vec4<f32>>(v) + (b.rest2 * gradient) * gradient;
    // A second moment below zero is no second moment: a damaged checkpoint, say.
    let negative = v > vec4(0x80000000u);
    let bad = nonfinite4(before) | nonfinite4(g) | nonfinite4(m) | nonfinite4(v) | negative
        | nonfinite4(bitcast<vec4<u32>>(first)) | nonfinite4(bitcast<vec4<u32>>(second));
    store_m(tile.m + i, poisoned(select(first, vec4(0.0), frozen), bad));
    store_v(tile.v + i, select(poisoned(second, bad), v, frozen & !bad));
    // WGSL leaves sqrt(0) open: it is 1 / inverseSqrt(0). What is subnormal may be flushed to 0 in there.
    let root = select(sqrt(second), vec4(0.0), second < vec4(1.17549435e-38));
    let denominator = b.root_scale * root + vec4(b.epsilon);
    let point = b.keep * bitcast<vec4<f32>>(before) - b.rate * (first / denominator);
    return Moved(point, bad, vec4(1.0) / denominator);
}
