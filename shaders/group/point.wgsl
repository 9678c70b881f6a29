// needs: step/plain, shared/poisoned, shared/tile_at, load_store/gradient, shared/tally, shared/tally_word, shared/shrunk, group/row
// The base step and the elementwise prox of a word. What is not finite is counted and becomes 0 here.
struct Point {
    z: vec4<f32>,
    bad: vec4<bool>,
}

fn point_of(tile: Tile, row: Row, at: u32) -> Point {
    let before = load_w(tile.w + at);
    frozen = held(before, row.mode);
    let moved = advance(tile, at, row.base, before);
    let bad = (moved.bad | nonfinite4(bitcast<vec4<u32>>(moved.point))) & live;
    let ax = abs(moved.point);
    let m = vec4(
        prox(ax.x, constants_for(row.prox, moved.scale.x)),
        prox(ax.y, constants_for(row.prox, moved.scale.y)),
        prox(ax.z, constants_for(row.prox, moved.scale.z)),
        prox(ax.w, constants_for(row.prox, moved.scale.w)),
    );
    let z = select(m, -m, moved.point < vec4(0.0));
    return Point(select(z, vec4(0.0), bad | !live | frozen), bad);
}

fn count(bad: vec4<bool>) -> u32 {
    return dot(vec4<u32>(bad), vec4(1u));
}
