// subgradient: both penalties enter the gradient, the elementwise one by its slope, which at a zero is taken as 0.
fn pulled(tile: Tile, row: Row, at: u32, w: vec4<f32>, group: vec4<f32>) -> vec4<f32> {
    let k = row.prox;
    let ay = abs(w);
    let s = vec4(slope(ay.x, k), slope(ay.y, k), slope(ay.z, k), slope(ay.w, k));
    return group + select(select(s, -s, w < vec4(0.0)), vec4(0.0), w == vec4(0.0));
}

fn settle(tile: Tile, row: Row, at: u32, point: vec4<f32>, bad: vec4<bool>) {
    store_w(tile.w + at, settled(select(point, vec4(0.0), frozen), bad));
}
