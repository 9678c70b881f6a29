// exclusive_linear: soft(x, t |x|_1).
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
    return found(s);
}

fn shrink(k: GroupConstants, weight: f32, m: Measure, s: Search, measured: f32) -> Shrink {
    let t = k.t * weight;
    // the sum is no smaller than any member
    if t >= 1.0 {
        return ZERO;
    }
    return Shrink(1.0, true_size(t * m.sum, m), 1.0, NONE);
}
