// What the parts of groups add up to, one word of 16 bytes each: here a tile's groups have `length` parts, `jump` words
// from part to part and `apart` from group to group, the first at `state`.
@group(0) @binding(1) var<storage, read_write> scratch: array<vec4<u32>>;

fn gathered(tile: Tile, q: u32, lane: Lane) -> Sum {
    var sum = NOTHING;
    if q < tile.groups {
        for (var k = lane.part; k < tile.length; k += tile.lanes) {
            sum = merged(sum, unpacked(scratch[tile.state + q * tile.stride + k * tile.run_stride]));
        }
    }
    return sum;
}
