// gradient: W - rate G.
struct Base {
    rate: f32,
    unused1: f32,
    unused2: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

const PASS_NONFINITE = false;

fn advance(tile: Tile, i: u32, b: Base, before: vec4<u32>) -> Moved {
    let g = load_g(tile.g + i);
    let point = bitcast<vec4<f32>>(before) - b.rate * bitcast<vec4<f32>>(g);
    return Moved(point, nonfinite4(before) | nonfinite4(g), vec4(1.0));
}
