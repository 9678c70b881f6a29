// needs: shared/poisoned, shared/tile_at, solver/row
// Takes the step of the word at `at`, whose weights were `before`; returns how many of its elements are not finite.
fn update(tile: Tile, row: Row, norm: Norm, at: u32, before: vec4<u32>) -> u32 {
    let w = bitcast<vec4<f32>>(before);
    poison = vec4(norm.spoiled);
    frozen = held(before, row.mode);
    var group = vec4(0.0);
    if norm.norm > 0.0 {
        group = norm.strength * ((w * norm.scale) / norm.norm);
    }
    pull = pulled(tile, row, at, w, group);
    let moved = advance(tile, at, row.base, before);
    let bad = moved.bad | nonfinite4(bitcast<vec4<u32>>(moved.point));
    settle(tile, row, at, moved.point, bad);
    return dot(vec4<u32>(bad & live), vec4(1u));
}
