// A batch in its binding: the first element, and from a component and from a vector to the next.
struct Strided {
    first: u32,
    down: u32,
    across: u32,
}

fn place(batch: Strided, row: u32, column: u32) -> u32 {
    return batch.first + row * batch.down + column * batch.across;
}
