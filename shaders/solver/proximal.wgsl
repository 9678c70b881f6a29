// proximal-subgradient: the group lasso enters the gradient, the elementwise penalty by its prox.
fn pulled(tile: Tile, row: Row, at: u32, w: vec4<f32>, group: vec4<f32>) -> vec4<f32> {
    return group;
}

fn settle(tile: Tile, row: Row, at: u32, point: vec4<f32>, bad: vec4<bool>) {
    store_w(tile.w + at, settled(select(prox_of(point, row.prox), vec4(0.0), frozen), bad));
}
