// needs: learn
// gradient: theta - rate * g.

// The number k of all layers after its step: the bits of what it is, or QUIET_NAN.
fn advance(k: u32, rate: f32) -> u32 {
    let before = theta[job.theta + k];
    let raw = gradients[job.gradient + k];
    let value = bitcast<f32>(before);
    let after = bitcast<u32>(value - rate * (bitcast<f32>(raw) + job.decay * value));
    return select(after, QUIET_NAN, nonfinite(before) || nonfinite(raw) || nonfinite(after));
}
