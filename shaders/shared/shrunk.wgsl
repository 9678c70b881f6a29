// needs: shared/signed
// The operators of groups: y = sign(x) max(before |x| - threshold, 0) after, or that for the member `only` alone.
struct Shrink {
    before: f32,
    threshold: f32,
    after: f32,
    only: u32,
}

const ZERO = Shrink(1.0, 0.0, 0.0, NONE);
const IDENTITY = Shrink(1.0, 0.0, 1.0, NONE);

// Where the search for a threshold stands; `count` is that of the measurement before.
struct Search {
    threshold: f32,
    low: f32,
    high: f32,
    count: u32,
    done: u32,
}

fn found(s: Search) -> Search {
    return Search(s.threshold, s.low, s.high, s.count, 1u);
}

// t in the units of the measured norm. A norm that is scaled up is below 2^-24 for any group, and t of more than 1e6 is
// as good as 1e6.
fn scaled(t: f32, m: Measure) -> f32 {
    return select(t, min(t, 1e6), m.scale > 1.0) * m.scale;
}

// The results as bits. An integer zero, so that -0.0 never comes out and hosts count zeros by their bits.
fn shrunk(x: vec4<f32>, k: vec4<u32>, s: Shrink) -> vec4<u32> {
    let m = max(s.before * abs(x) - vec4(s.threshold), vec4(0.0)) * s.after;
    let zero = (m == vec4(0.0)) | (vec4(s.only != NONE) & (k != vec4(s.only)));
    return select(signed(m, x), vec4(0u), zero);
}
