// cges: group(soft(x, tau), group) with tau the root of tau = exclusive |y|_1: Newton's method inside a bracket.
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

fn kept(k: GroupConstants, weight: f32, m: Measure) -> f32 {
    let t = scaled(k.group * weight, m);
    return select(0.0, (m.norm - t) / max(m.norm, 1.17549435e-38), m.norm > t);
}

fn next(k: GroupConstants, weight: f32, m: Measure, s: Search) -> Search {
    let exclusive = k.exclusive * weight;
    let after = kept(k, weight, m);
    // at the first measurement, at 0, the value is an upper end of the bracket, and so is the largest member: the value may
    // overflow; all zero there, all zero
    let value = true_size(exclusive * m.sum * after, m);
    let residual = s.threshold - value;
    if value == 0.0 && s.threshold == 0.0 {
        return Search(0.0, 0.0, 0.0, m.count, 1u);
    }
    let high = select(select(s.high, min(value, m.peak), s.count == NONE), s.threshold, residual > 0.0);
    let low = select(s.threshold, s.low, residual > 0.0);
    let spread = select(0.0, m.sum * select(m.scale, DOWN * 0x1p64f, m.large) / max(m.norm, 1.17549435e-38), after > 0.0);
    let pull = select(0.0, scaled(k.group * weight, m) / max(m.norm, 1.17549435e-38), after > 0.0);
    let slope = f32(m.count) * after + pull * spread * spread;
    var threshold = s.threshold - residual / (1.0 + exclusive * slope);
    // a value beyond the range of f32 says where the root is, and not how far
    if value >= LARGEST || !(threshold > low && threshold < high) {
        // not half the sum, which may overflow
        threshold = low + 0.5 * (high - low);
    }
    let done = abs(threshold - s.threshold) <= 2.4e-7 * threshold || high - low <= 2.4e-7 * high;
    // what was measured last is used: so the threshold stays where it was measured
    return Search(select(threshold, s.threshold, done), low, high, m.count, u32(done));
}

fn shrink(k: GroupConstants, weight: f32, m: Measure, s: Search, measured: f32) -> Shrink {
    return Shrink(1.0, measured, kept(k, weight, m), NONE);
}
