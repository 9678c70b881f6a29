// Rows of a sparse matrix as bits: `structure` has, per 128 columns of a row, the number of the first entry and four words
// of bits, the lowest for the first column. Values are packed.
fn row_sum(side: Side, row: u32, lane: u32, lanes: u32, first: u32) -> Word {
    let blocks = (side.columns + 127u) / 128u;
    var sum = Word();
    for (var block = lane; block < blocks; block += lanes) {
        let at = side.structure + 5u * (row * blocks + block);
        var k = side.values + structure[at];
        for (var w = 0u; w < 4u; w += 1u) {
            var bits = structure[at + 1u + w];
            while bits != 0u {
                let column = 128u * block + 32u * w + firstTrailingBit(bits);
                sum += values[k] * operand(first, column);
                k += 1u;
                bits &= bits - 1u;
            }
        }
    }
    return sum;
}
