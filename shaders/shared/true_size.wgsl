// What the operators of groups are computed from. With d = (|x| - threshold)+: the norm of d is norm / scale, their sum sum,
// or sum times 2^64 where it is large; then the largest |x|, the count of d > 0, and the first member that is the largest.
struct Measure {
    norm: f32,
    scale: f32,
    sum: f32,
    large: bool,
    peak: f32,
    count: u32,
    index: u32,
}

const DOWN = 0x1p-80f;
const UP = 0x1p80f;
const LARGEST = 0x1.fffffep127f;

// x >= 0 times 2^by, by its exponent; 0 below the normal range. WGSL lets a compiler take the factors of a product
// together, and 2^160, the square of a scale, has no place in f32.
fn shifted(x: f32, by: i32) -> f32 {
    let bits = bitcast<i32>(x);
    let moved = bits + (by << 23u);
    return select(0.0, bitcast<f32>(moved), bits >= 0x00800000 && moved >= 0x00800000);
}

// A multiple of m.sum in its true size, at most the largest number.
fn true_size(x: f32, m: Measure) -> f32 {
    return select(x, select(LARGEST, x * 0x1p64f, x < 0x1p64f), m.large);
}
