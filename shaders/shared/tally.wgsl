// needs: shared/true_size
// What is known of a group: with d = (|x| - threshold)+, the sums of squares and of d, the count of d > 0, the largest |x|
// and its first member. Squares are summed in three ranges, two of them scaled, so that none overflows or is flushed; the sum
// of d, which is not negative, stands with a minus sign for itself times 2^-64 where a d of more than 2^90 is part of it.
struct Partial {
    big: f32,
    mid: f32,
    small: f32,
    sum: f32,
    peak: f32,
    count: u32,
    index: u32,
    bad: u32,
}

const NOTHING = Partial(0.0, 0.0, 0.0, 0.0, -1.0, 0u, 0xffffffffu, 0u);

fn large_sum(sum: f32) -> f32 {
    return select(-shifted(sum, -64), sum, sum < 0.0);
}

fn tally(before: Partial, ax: f32, k: u32, threshold: f32) -> Partial {
    var p = before;
    let d = ax - threshold;
    if d > 0.0 {
        if p.sum < 0.0 || d > 0x1p90f {
            p.sum = large_sum(p.sum) - shifted(d, -64);
        } else {
            p.sum += d;
        }
        p.count += 1u;
        if d > 0x1p48f {
            let e = shifted(d, -80);
            p.big += e * e;
        } else if d < 0x1p-48f {
            let e = shifted(d, 80);
            p.small += e * e;
        } else {
            p.mid += d * d;
        }
    }
    if ax > p.peak {
        p.peak = ax;
        p.index = k;
    }
    return p;
}

fn merged(a: Partial, b: Partial) -> Partial {
    let second = b.peak > a.peak || (b.peak == a.peak && b.index < a.index);
    return Partial(
        a.big + b.big,
        a.mid + b.mid,
        a.small + b.small,
        select(a.sum + b.sum, large_sum(a.sum) + large_sum(b.sum), a.sum < 0.0 || b.sum < 0.0),
        select(a.peak, b.peak, second),
        a.count + b.count,
        select(a.index, b.index, second),
        a.bad + b.bad,
    );
}

fn measure_of(p: Partial) -> Measure {
    var square = p.mid + shifted(p.small, -160);
    var scale = 1.0;
    if p.big > 0.0 {
        square = p.big + shifted(p.mid, -160);
        scale = DOWN;
    } else if p.mid == 0.0 {
        square = p.small;
        scale = UP;
    }
    // WGSL leaves sqrt(0) open
    let norm = select(sqrt(square), 0.0, square == 0.0);
    return Measure(norm, scale, abs(p.sum), p.sum < 0.0, p.peak, p.count, p.index);
}

// As many as there are invocations: naga 30 cannot size an array of structs by an override.
var<workgroup> partials: array<Partial, 256>;

// The whole of each group, from its invocations, by a fixed tree; every invocation gets its group's. Once in a kernel: a
// second time it would write while others still read.
fn reduced(p: Partial, index: u32, lane: Lane, lanes: u32) -> Partial {
    partials[index] = p;
    workgroupBarrier();
    for (var half = lanes / 2u; half > 0u; half /= 2u) {
        if lane.part < half {
            partials[index] = merged(partials[index], partials[index + half * lane.step]);
        }
        workgroupBarrier();
    }
    return partials[index - lane.part * lane.step];
}
