// needs: shared/true_size, shared/infinity
// What groups measure that a workgroup holds: an invocation has up to sixteen members of one.
struct Held {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// The largest magnitude of each group, as bits. Those of a round and those of the next in turn, so that one half is set back
// while the other is read. Groups of one invocation need none.
var<workgroup> peaks: array<atomic<u32>, 256>;

fn reset_peaks(lane: Lane, turn: u32) {
    if lane.part == 0u && lane.slot < 128u {
        atomicStore(&peaks[turn + lane.slot], 0u);
    }
}

fn magnitude(z: Held) -> f32 {
    let m = max(max(abs(z.a), abs(z.b)), max(abs(z.c), abs(z.d)));
    return max(max(m.x, m.y), max(m.z, m.w));
}

// The bits of the largest magnitude of the invocation's group, those of an infinity where a member is not finite. `turn` is 0
// or 128, by the round.
fn peak_of(z: Held, bad: bool, lane: Lane, lanes: u32, turn: u32) -> u32 {
    let own = select(bitcast<u32>(magnitude(z)), INFINITY, bad);
    if lanes == 1u {
        return own;
    }
    atomicMax(&peaks[turn + lane.slot], own);
    workgroupBarrier();
    reset_peaks(lane, 128u - turn);
    return atomicLoad(&peaks[turn + lane.slot]);
}

// Magnitudes times 2^by.
fn shifted_word(x: vec4<f32>, by: i32) -> vec4<f32> {
    if by == 0 {
        return x;
    }
    return vec4(shifted(x.x, by), shifted(x.y, by), shifted(x.z, by), shifted(x.w, by));
}

// The exponent of the scale at which no square of magnitudes up to `peak` overflows, and none that counts is flushed.
fn range_of(peak: f32) -> i32 {
    return select(select(0, 80, peak < 0x1p-40f), -80, peak > 0x1p48f);
}

fn scale_of(range: i32) -> f32 {
    return select(select(1.0, UP, range > 0), DOWN, range < 0);
}

// d = (|z| - threshold)+, times 2^by.
fn above(z: vec4<f32>, threshold: f32, by: i32) -> vec4<f32> {
    return shifted_word(max(abs(z) - vec4(threshold), vec4(0.0)), by);
}

fn squared(z: vec4<f32>, threshold: f32, by: i32) -> vec4<f32> {
    let d = above(z, threshold, by);
    return d * d;
}

// The sum of the squares of d, word by word: so that few registers hold it.
fn squares(z: Held, threshold: f32, by: i32) -> f32 {
    var s = squared(z.a, threshold, by);
    s += squared(z.b, threshold, by);
    s += squared(z.c, threshold, by);
    s += squared(z.d, threshold, by);
    return (s.x + s.y) + (s.z + s.w);
}

fn sum(z: Held, threshold: f32, by: i32) -> f32 {
    var s = above(z.a, threshold, by);
    s += above(z.b, threshold, by);
    s += above(z.c, threshold, by);
    s += above(z.d, threshold, by);
    return (s.x + s.y) + (s.z + s.w);
}

// The same with the test outside, where ordinary magnitudes need it once.
fn squares_at(z: Held, threshold: f32, by: i32) -> f32 {
    if by == 0 {
        return squares(z, threshold, 0);
    }
    return squares(z, threshold, by);
}

fn sum_at(z: Held, threshold: f32, by: i32) -> f32 {
    if by == 0 {
        return sum(z, threshold, 0);
    }
    return sum(z, threshold, by);
}

fn positive(z: Held, threshold: f32) -> u32 {
    let zero = vec4(0.0);
    var n = vec4<u32>(above(z.a, threshold, 0) > zero);
    n += vec4<u32>(above(z.b, threshold, 0) > zero);
    n += vec4<u32>(above(z.c, threshold, 0) > zero);
    n += vec4<u32>(above(z.d, threshold, 0) > zero);
    return (n.x + n.y) + (n.z + n.w);
}

// WGSL leaves sqrt(0) open.
fn root(square: f32) -> f32 {
    return select(sqrt(square), 0.0, square == 0.0);
}

// As many as there are invocations. `Sums` is the choice of the file that measures.
var<workgroup> sums: array<Sums, 256>;

// Two rounds at most: a barrier costs more than the additions that it saves.
const FAN = 16u;

// Of `count` sums, an even number, `step` apart.
fn added(first: u32, step: u32, count: u32) -> Sums {
    var total = Sums();
    for (var k = 0u; k < count; k += 2u) {
        total += sums[first + k * step] + sums[first + (k + 1u) * step];
    }
    return total;
}

// The whole of each group, from its invocations, in a fixed order; every invocation gets its group's.
fn summed(own: Sums, index: u32, lane: Lane, lanes: u32) -> Sums {
    if lanes == 1u {
        return own;
    }
    sums[index] = own;
    workgroupBarrier();
    if lanes > FAN {
        if lane.part < FAN {
            sums[index] = added(index, FAN * lane.step, lanes / FAN);
        }
        workgroupBarrier();
    }
    return added(index - lane.part * lane.step, lane.step, min(lanes, FAN));
}
