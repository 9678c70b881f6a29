// splitting: the group lasso and beta (W - V) enter the gradient; the copy V takes the elementwise prox of the new weights.
// The zeros that stay are those of V.
var<private> kept: vec4<bool>;

fn pulled(tile: Tile, row: Row, at: u32, w: vec4<f32>, group: vec4<f32>) -> vec4<f32> {
    let copy = load_extra(unit(tile.extra) + at);
    poison = poison | nonfinite4(copy);
    // not -0.0, which stands for a copy that is not there yet
    kept = (copy | vec4(u32(row.mode.freeze == 0u))) == vec4(0u);
    frozen = vec4(false);
    return group + row.pull.beta * (w - bitcast<vec4<f32>>(copy));
}

fn settle(tile: Tile, row: Row, at: u32, point: vec4<f32>, bad: vec4<bool>) {
    store_w(tile.w + at, settled(point, bad));
    store_extra(unit(tile.extra) + at, settled(select(prox_of(point, row.prox), vec4(0.0), kept), bad));
}
