// needs: shared/quiet_nan, shared/infinity
// The largest magnitude, compared by its bits: they are in the order of the numbers, infinity above them, NaN above it.
alias Sum = u32;

const NOTHING = 0u;

fn add(sum: Sum, word: vec4<u32>) -> Sum {
    let bits = word & vec4(0x7fffffffu);
    return max(sum, max(max(bits.x, bits.y), max(bits.z, bits.w)));
}

// Four words need nothing beside what one needs.
fn ordinary(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> bool {
    return true;
}

fn add_ordinary(sum: Sum, a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> Sum {
    return add(add(add(add(sum, a), b), c), d);
}

fn merged(a: Sum, b: Sum) -> Sum {
    return max(a, b);
}

fn result(sum: Sum) -> u32 {
    return select(sum, QUIET_NAN, sum > INFINITY);
}

// The norm of one element.
fn single(bits: u32) -> u32 {
    return select(bits & 0x7fffffffu, QUIET_NAN, (bits & 0x7fffffffu) > INFINITY);
}

fn packed(sum: Sum) -> vec4<u32> {
    return vec4(sum, 0u, 0u, 0u);
}

fn unpacked(word: vec4<u32>) -> Sum {
    return word.x;
}
