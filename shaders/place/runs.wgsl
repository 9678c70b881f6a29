// needs: shared/tile_at
// Groups of any kind: runs of members that lie side by side.
fn lane_of(tile: Tile, lane: u32) -> Lane {
    if tile.across == 0u {
        return Lane(lane & (tile.lanes - 1u), lane >> firstTrailingBit(tile.lanes), 1u);
    }
    let round = round_of(tile);
    return Lane(lane >> firstTrailingBit(round), lane & (round - 1u), round);
}

// Where member k lies in its group.
fn place(tile: Tile, k: u32) -> u32 {
    if tile.run_length >= tile.length {
        return k;
    }
    let run = k / tile.run_length;
    return run * tile.run_stride + (k - run * tile.run_length);
}

// The same of the members of a word.
fn places(tile: Tile, k: vec4<u32>) -> vec4<u32> {
    return vec4(place(tile, k.x), place(tile, k.y), place(tile, k.z), place(tile, k.w));
}
