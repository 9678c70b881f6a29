// prox: no step before the prox. A NaN or an infinity is handed through.
struct Base {
    unused0: f32,
    unused1: f32,
    unused2: f32,
    unused3: f32,
    unused4: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

const PASS_NONFINITE = true;

fn advance(tile: Tile, i: u32, b: Base, before: vec4<u32>) -> Moved {
    return Moved(bitcast<vec4<f32>>(before), nonfinite4(before), vec4(1.0));
}
