// needs: shared/quiet_nan, shared/infinity, norms/most
// The root of the sum of squares, in three ranges, so that no square overflows or is flushed: magnitudes from 2^48 on times
// 2^-80, the others, those below 2^-48 times 2^90, and what is not finite: 1 an infinity, 2 a NaN.
//
// Exponents are changed as integers where a compiler could join two factors into one that is zero or infinite.
alias Sum = vec4<f32>;

const NOTHING = vec4<f32>();
const LARGE = 0x57800000u;
const SMALL = 0x27800000u;
const ONE_EXPONENT = 0x800000u;

fn squares(x: vec4<f32>) -> f32 {
    let s = x * x;
    return (s.x + s.y) + (s.z + s.w);
}

fn add(sum: Sum, word: vec4<u32>) -> Sum {
    let bits = word & vec4(0x7fffffffu);
    let ordinary = (bits == vec4(0u)) | ((bits >= vec4(SMALL)) & (bits < vec4(LARGE)));
    if all(ordinary) {
        return Sum(sum.x, sum.y + squares(bitcast<vec4<f32>>(bits)), sum.zw);
    }
    let finite = bits < vec4(INFINITY);
    let large = finite & (bits >= vec4(LARGE));
    let big = bitcast<vec4<f32>>(select(vec4(0u), bits - vec4(80u * ONE_EXPONENT), large));
    let mid = bitcast<vec4<f32>>(select(vec4(0u), bits, ordinary));
    let little = bits < vec4(SMALL);
    let normal = bitcast<vec4<f32>>(bits + vec4(90u * ONE_EXPONENT));
    // a subnormal number is its bits times 2^-149
    let subnormal = vec4<f32>(bits) * 0x1p-59f;
    let small = select(vec4(0.0), select(normal, subnormal, bits < vec4(ONE_EXPONENT)), little);
    let special = select(f32(!all(finite)), 2.0, any(bits > vec4(INFINITY)));
    return Sum(sum.xyz + vec3(squares(big), squares(mid), squares(small)), max(sum.w, special));
}

// Whether four words need one range alone: none of their squares overflows, and those that are flushed are nothing beside
// that of the largest, which is 2^-40 at least.
fn ordinary(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> bool {
    let largest = most(a, b, c, d);
    return largest == 0u || (largest >= 0x2b800000u && largest < LARGE);
}

fn add_ordinary(sum: Sum, a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> Sum {
    let e = bitcast<vec4<f32>>(a);
    let f = bitcast<vec4<f32>>(b);
    let g = bitcast<vec4<f32>>(c);
    let h = bitcast<vec4<f32>>(d);
    let s = (e * e + f * f) + (g * g + h * h);
    return Sum(sum.x, sum.y + ((s.x + s.y) + (s.z + s.w)), sum.zw);
}

fn merged(a: Sum, b: Sum) -> Sum {
    return Sum(a.xyz + b.xyz, max(a.w, b.w));
}

// A sum of squares times 2^-160 or 2^-180; 0 where it is nothing beside any square of the next range.
fn lower(x: f32, exponents: u32) -> f32 {
    let bits = bitcast<u32>(x);
    return bitcast<f32>(select(0u, bits - exponents * ONE_EXPONENT, bits >= (exponents + 1u) * ONE_EXPONENT));
}

fn result(sum: Sum) -> u32 {
    if sum.w > 0.0 {
        return select(INFINITY, QUIET_NAN, sum.w > 1.0);
    }
    var square = sum.y + lower(sum.z, 180u);
    if sum.x > 0.0 {
        square = sum.x + lower(sum.y, 160u);
    } else if sum.y == 0.0 {
        square = sum.z;
    }
    // WGSL leaves sqrt(0) open
    if square == 0.0 {
        return 0u;
    }
    let root = sqrt(square);
    if sum.x > 0.0 {
        return select(bitcast<u32>(root) + 80u * ONE_EXPONENT, INFINITY, root >= 0x1p48f);
    }
    return bitcast<u32>(select(root, root * 0x1p-90f, sum.y == 0.0));
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
