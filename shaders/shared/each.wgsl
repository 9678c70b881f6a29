// Element k of a batch in the order of its memory: its component and its vector.
fn each(k: u32, samples: u32, rows: u32, columns: u32) -> vec2<u32> {
    if samples != 0u {
        return vec2(k % rows, k / rows);
    }
    return vec2(k / columns, k % columns);
}
