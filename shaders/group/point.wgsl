// needs: step/plain, shared/poisoned, shared/tile_at, load_store/gradient, shared/true_size, shared/shrunk, shared/signed, group/row
// The base step and the elementwise prox of a word, and which of its elements are not finite.
struct Point {
    z: vec4<f32>,
    bad: vec4<bool>,
}

fn point_of(tile: Tile, row: Row, at: u32) -> Point {
    let before = load_w(tile.w + at);
    frozen = held(before, row.mode);
    let moved = advance(tile, at, row.base, before);
    let bad = moved.bad | nonfinite4(bitcast<vec4<u32>>(moved.point));
    let ax = abs(moved.point);
    let m = vec4(
        prox(ax.x, constants_for(row.prox, moved.scale.x)),
        prox(ax.y, constants_for(row.prox, moved.scale.y)),
        prox(ax.z, constants_for(row.prox, moved.scale.z)),
        prox(ax.w, constants_for(row.prox, moved.scale.w)),
    );
    return Point(bitcast<vec4<f32>>(select(signed(m, moved.point), vec4(0u), !live | frozen)), bad);
}

fn count(bad: vec4<bool>) -> u32 {
    return dot(vec4<u32>(bad), vec4(1u));
}
