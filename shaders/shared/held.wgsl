// How a step treats a tensor: whether it sits out, and whether its zeros stay zeros.
struct Mode {
    rests: u32,
    freeze: u32,
    unused0: u32,
    unused1: u32,
}

// The elements of the word at hand that stay zero, of which a base step keeps no momentum.
var<private> frozen: vec4<bool>;

// Which elements are zeros that stay; by their bits, as subnormal numbers may compare equal to zero.
fn held(word: vec4<u32>, mode: Mode) -> vec4<bool> {
    return ((word << vec4(1u)) | vec4(u32(mode.freeze == 0u))) == vec4(0u);
}
