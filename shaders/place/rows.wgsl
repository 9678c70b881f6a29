// needs: shared/tile_at
// Groups whose members lie side by side, and so do the invocations of a group.
fn lane_of(tile: Tile, lane: u32) -> Lane {
    return Lane(lane & (tile.lanes - 1u), lane >> firstTrailingBit(tile.lanes), 1u);
}

// Where member k lies in its group.
fn place(tile: Tile, k: u32) -> u32 {
    return k;
}
