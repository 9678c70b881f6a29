// needs: shared/quiet_nan, shared/infinity, norms/most
// The sum of magnitudes, in two ranges, so that it overflows at the end only: those from 2^90 on times 2^-64, the others,
// nothing, and what is not finite: 1 an infinity, 2 a NaN. Exponents are changed as integers, which no compiler undoes.
alias Sum = vec4<f32>;

const NOTHING = vec4<f32>();
const LARGE = 0x6c800000u;
const DOWN = 0x20000000u; // 64 exponents

fn total(x: vec4<f32>) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}

fn add(sum: Sum, word: vec4<u32>) -> Sum {
    let bits = word & vec4(0x7fffffffu);
    if all(bits < vec4(LARGE)) {
        return Sum(sum.x, sum.y + total(bitcast<vec4<f32>>(bits)), 0.0, sum.w);
    }
    let finite = bits < vec4(INFINITY);
    let large = finite & (bits >= vec4(LARGE));
    let big = bitcast<vec4<f32>>(select(vec4(0u), bits - vec4(DOWN), large));
    let other = bitcast<vec4<f32>>(select(vec4(0u), bits, bits < vec4(LARGE)));
    let special = select(f32(!all(finite)), 2.0, any(bits > vec4(INFINITY)));
    return Sum(sum.x + total(big), sum.y + total(other), 0.0, max(sum.w, special));
}

// Whether four words need one range alone.
fn ordinary(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> bool {
    return most(a, b, c, d) < LARGE;
}

fn add_ordinary(sum: Sum, a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> Sum {
    let s = (abs(bitcast<vec4<f32>>(a)) + abs(bitcast<vec4<f32>>(b)))
        + (abs(bitcast<vec4<f32>>(c)) + abs(bitcast<vec4<f32>>(d)));
    return Sum(sum.x, sum.y + total(s), 0.0, sum.w);
}

fn merged(a: Sum, b: Sum) -> Sum {
    return Sum(a.xyz + b.xyz, max(a.w, b.w));
}

fn result(sum: Sum) -> u32 {
    if sum.w > 0.0 {
        return select(INFINITY, QUIET_NAN, sum.w > 1.0);
    }
    if sum.x == 0.0 {
        return bitcast<u32>(sum.y);
    }
    let scaled = sum.x + sum.y * 0x1p-64f;
    return select(bitcast<u32>(scaled) + DOWN, INFINITY, scaled >= 0x1p64f);
}

// The norm of one element.
fn single(bits: u32) -> u32 {
    return select(bits & 0x7fffffffu, QUIET_NAN, (bits & 0x7fffffffu) > INFINITY);
}

fn packed(sum: Sum) -> vec4<u32> {
    return bitcast<vec4<u32>>(sum);
}

fn unpacked(word: vec4<u32>) -> Sum {
    return bitcast<vec4<f32>>(word);
}
