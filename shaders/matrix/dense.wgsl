// Rows of a matrix of which every entry is kept, zeros too.
fn row_sum(side: Side, row: u32, lane: u32, lanes: u32, first: u32) -> Word {
    let start = side.values + row * side.down;
    var sum = Word();
    for (var column = lane; column < side.columns; column += lanes) {
        sum += values[start + column * side.across] * operand(first, column);
    }
    return sum;
}
