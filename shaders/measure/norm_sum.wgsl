// needs: measure/peak
// The norm, the sum and how many members they have: cges, cges_linear.
alias Sums = vec3<f32>;

fn prepare(lane: Lane) {
    reset_peaks(lane, 0u);
}

fn measured(tile: Tile, z: Held, threshold: f32, peak: f32, index: u32, lane: Lane, turn: u32) -> Measure {
    let range = range_of(peak - threshold);
    let large = peak - threshold > 0x1p90f;
    let square = squares_at(z, threshold, range);
    let own = vec3(square, sum_at(z, threshold, select(0, -64, large)), f32(positive(z, threshold)));
    let total = summed(own, index, lane, tile.lanes);
    return Measure(root(total.x), scale_of(range), total.y, large, peak, u32(total.z), NONE);
}
