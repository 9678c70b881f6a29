// exclusive: soft threshold tau, the root of tau = t sum (|x| - tau)+, climbed to from tau = 0 by Newton's method.
struct GroupConstants {
    t: f32,
    first: f32,
    unused2: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn next(k: GroupConstants, weight: f32, m: Measure, s: Search) -> Search {
    // t = 0, or one flushed to it, is the identity
    let inverse = 1.0 / max(k.t * weight, 1e-37);
    let before = select(s.threshold, shifted(s.threshold, -64), m.large);
    let further = true_size((m.sum - before * inverse) / (inverse + f32(m.count)), m);
    // the root is below the largest member
    let threshold = s.threshold + min(further, m.peak - s.threshold);
    // the same members above the threshold: the equation was solved for them already
    let done = m.count == s.count || threshold <= s.threshold;
    return Search(max(threshold, s.threshold), 0.0, 0.0, m.count, u32(done));
}

fn shrink(k: GroupConstants, weight: f32, m: Measure, s: Search, measured: f32) -> Shrink {
    return Shrink(1.0, s.threshold, 1.0, NONE);
}
