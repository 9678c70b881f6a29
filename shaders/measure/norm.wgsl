// needs: measure/peak
// The norm alone, from 0: lasso, log.
alias Sums = f32;

fn prepare(lane: Lane) {
    reset_peaks(lane, 0u);
}

fn measured(tile: Tile, z: Held, threshold: f32, peak: f32, index: u32, lane: Lane, turn: u32) -> Measure {
    let range = range_of(peak);
    let total = summed(squares_at(z, 0.0, range), index, lane, tile.lanes);
    return Measure(root(total), scale_of(range), 0.0, false, peak, 0u, NONE);
}
