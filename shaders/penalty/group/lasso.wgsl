// lasso: x (r - t) / r, zero for r <= t.
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
    let t = scaled(k.t * weight, m);
    if m.norm <= t {
        return ZERO;
    }
    return Shrink(1.0, 0.0, (m.norm - t) / m.norm, NONE);
}
