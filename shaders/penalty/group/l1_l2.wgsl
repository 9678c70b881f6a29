// l1_l2: measured at the threshold t. Above it z (|z| + push) / |z|, z = soft(x, t); between keep and t the largest
// member alone.
struct GroupConstants {
    t: f32,
    first: f32,
    keep: f32,
    push: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

fn next(k: GroupConstants, weight: f32, m: Measure, s: Search) -> Search {
    return found(s);
}

fn shrink(k: GroupConstants, weight: f32, m: Measure, s: Search, measured: f32) -> Shrink {
    if m.peak > measured && m.norm > 0.0 {
        return Shrink(1.0, measured, (m.norm + scaled(k.push * weight, m)) / m.norm, NONE);
    }
    let keep = k.keep * weight;
    if m.peak > keep {
        return Shrink(1.0, keep, 1.0, m.index);
    }
    return ZERO;
}
