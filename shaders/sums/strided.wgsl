// A batch in its binding: the first element, and from a component and from a vector to the next.
struct Strided {
    first: u32,
    down: u32,
    across: u32,
}

const NONE = 0xffffffffu;

fn place(batch: Strided, row: u32, column: u32) -> u32 {
    return batch.first + row * batch.down + column * batch.across;
}

// A NaN or an infinity, by the bits: arithmetic may be compiled as if there were none.
fn broken(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) >= 0x7f800000u;
}

// x, or NaN: the exponent's bits and the quiet one are set in those of any number, so that no compiler sees a constant.
fn nan_if(bad: bool, x: f32) -> f32 {
    return select(x, bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u), bad);
}
