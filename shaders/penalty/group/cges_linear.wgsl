// cges_linear: z = x (r - group) / r, then soft(z, exclusive |z|_1).
struct GroupConstants {
    t: f32,
    first: f32,
    group: f32,
    exclusive: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn next(k: GroupConstants, weight: f32, m: Measure, s: Search) -> Search {
    return found(s);
}

fn shrink(k: GroupConstants, weight: f32, m: Measure, s: Search, measured: f32) -> Shrink {
    let t = scaled(k.group * weight, m);
    let exclusive = k.exclusive * weight;
    // the sum is no smaller than any member
    if m.norm <= t || exclusive >= 1.0 {
        return ZERO;
    }
    let before = (m.norm - t) / m.norm;
    return Shrink(before, true_size(exclusive * (before * m.sum), m), 1.0, NONE);
}
