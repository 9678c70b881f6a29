// needs: shared/tile_at
// Groups whose members lie equally far apart: neighbouring invocations work on neighbouring groups.
fn lane_of(tile: Tile, lane: u32) -> Lane {
    let round = round_of(tile);
    return Lane(lane >> firstTrailingBit(round), lane & (round - 1u), round);
}

// Where the members of a word lie in their group.
fn places(tile: Tile, k: vec4<u32>) -> vec4<u32> {
    return vec4(k.x * tile.run_stride) + (tile.lanes * tile.run_stride) * vec4(0u, 1u, 2u, 3u);
}
