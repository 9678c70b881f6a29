// needs: learn
// adam: M <- beta1 M + (1 - beta1) g; V <- beta2 V + (1 - beta2) g^2; theta - rate M / (root_scale sqrt(V) + epsilon). The
// bias corrections are folded into the rate and into root_scale.
@group(0) @binding(4) var<storage, read_write> firsts: array<u32>;
@group(0) @binding(5) var<storage, read_write> seconds: array<u32>;

// The number k of all layers after its step: the bits of what it is, or QUIET_NAN. So are its moments then.
fn advance(k: u32, rate: f32) -> u32 {
    let before = theta[job.theta + k];
    let raw = gradients[job.gradient + k];
    let m = firsts[job.first + k];
    let v = seconds[job.second + k];
    let value = bitcast<f32>(before);
    let g = bitcast<f32>(raw) + job.decay * value;
    let first = job.beta1 * bitcast<f32>(m) + job.rest1 * g;
    let second = job.beta2 * bitcast<f32>(v) + (job.rest2 * g) * g;
    // WGSL leaves sqrt(0) open: it is 1 / inverseSqrt(0). What is subnormal may be flushed to 0 in there.
    let root = select(sqrt(second), 0.0, second < 1.17549435e-38);
    let after = bitcast<u32>(value - rate * (first / (rates.root_scale * root + job.epsilon)));
    // a second moment below zero is no second moment: a damaged checkpoint, say
    let bad = nonfinite(before) || nonfinite(raw) || nonfinite(m) || nonfinite(v) || v > 0x80000000u
        || nonfinite(bitcast<u32>(first)) || nonfinite(bitcast<u32>(second)) || nonfinite(after);
    firsts[job.first + k] = select(bitcast<u32>(first), QUIET_NAN, bad);
    seconds[job.second + k] = select(bitcast<u32>(second), QUIET_NAN, bad);
    return select(after, QUIET_NAN, bad);
}
