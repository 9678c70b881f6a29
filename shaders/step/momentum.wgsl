// momentum: M <- momentum M + G; W - rate (look G + follow M).
// Heavy ball is look = 0, follow = 1; Nesterov is look = 1, follow = momentum.
struct Base {
    rate: f32,
    momentum: f32,
    look: f32,
    follow: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

const PASS_NONFINITE = false;

fn advance(tile: Tile, i: u32, b: Base, before: vec4<u32>) -> Moved {
    let g = load_g(tile.g + i);
    let m = load_m(tile.m + i);
    let gradient = bitcast<vec4<f32>>(g);
    let velocity = b.momentum * bitcast<vec4<f32>>(m) + gradient;
    let bad = nonfinite4(before) | nonfinite4(g) | nonfinite4(m) | nonfinite4(bitcast<vec4<u32>>(velocity));
    store_m(tile.m + i, poisoned(select(velocity, vec4(0.0), frozen), bad));
    let point = bitcast<vec4<f32>>(before) - b.rate * (b.look * gradient + b.follow * velocity);
    return Moved(point, bad, vec4(1.0));
}
