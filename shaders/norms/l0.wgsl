// How many members are not zero. NaN and infinities are not; zeros of either sign are.
alias Sum = u32;

const NOTHING = 0u;

fn add(sum: Sum, word: vec4<u32>) -> Sum {
    return sum + dot(vec4<u32>((word & vec4(0x7fffffffu)) != vec4(0u)), vec4(1u));
}

// Four words need nothing beside what one needs.
fn ordinary(a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> bool {
    return true;
}

fn add_ordinary(sum: Sum, a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32>) -> Sum {
    return add(add(add(add(sum, a), b), c), d);
}

fn merged(a: Sum, b: Sum) -> Sum {
    return a + b;
}

fn result(sum: Sum) -> u32 {
    return sum;
}

// The count of one element.
fn single(bits: u32) -> u32 {
    return u32((bits & 0x7fffffffu) != 0u);
}

fn packed(sum: Sum) -> vec4<u32> {
    return vec4(sum, 0u, 0u, 0u);
}

fn unpacked(word: vec4<u32>) -> Sum {
    return word.x;
}
