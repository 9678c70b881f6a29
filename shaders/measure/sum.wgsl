// needs: measure/peak
// The sum and how many members it has: exclusive, exclusive_linear.
alias Sums = vec2<f32>;

fn prepare(lane: Lane) {
    reset_peaks(lane, 0u);
}

fn measured(tile: Tile, z: Held, threshold: f32, peak: f32, index: u32, lane: Lane, turn: u32) -> Measure {
    let large = peak - threshold > 0x1p90f;
    let own = vec2(sum_at(z, threshold, select(0, -64, large)), f32(positive(z, threshold)));
    let total = summed(own, index, lane, tile.lanes);
    return Measure(0.0, 1.0, total.x, large, peak, u32(total.y), NONE);
}
