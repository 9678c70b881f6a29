// Rows of a sparse matrix, compressed: `structure` has where each row starts, then the column of each entry.
fn row_sum(side: Side, row: u32, lane: u32, lanes: u32, first: u32) -> Word {
    let end = structure[side.structure + row + 1u];
    var sum = Word();
    for (var k = structure[side.structure + row] + lane; k < end; k += lanes) {
        let column = structure[side.structure + side.rows + 1u + k];
        sum += values[side.values + k] * operand(first, column);
    }
    return sum;
}
