// Rows of a matrix of which every entry is kept, zeros too.
fn row_sum(side: Side, row: u32, lane: u32, lanes: u32, from: u32) -> Word {
    let first = side.values + row * side.down;
    var sum = Word();
    for (var column = lane; column < side.columns; column += lanes) {
        sum += values[first + column * side.across] * operand(from, column);
    }
    return sum;
}
