// needs: shared/held, shared/signed
// The values that change from step to step. The group lasso's lambda and beta; then, for groups that no workgroup holds,
// their norm as `combine` found it: norm / scale, and whether a member is not finite. Both are 0 in a schedule's rows.
struct Pull {
    lambda: f32,
    beta: f32,
    norm: f32,
    scale: f32,
    spoiled: f32,
    unused5: f32,
    unused6: f32,
    unused7: f32,
}

struct Row {
    base: Base,
    prox: Constants,
    pull: Pull,
    mode: Mode,
}

@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> status: array<atomic<u32>>;

// What the group lasso pulls its members by: strength (w scale) / norm, and nothing where the norm is 0.
struct Norm {
    norm: f32,
    scale: f32,
    strength: f32,
    spoiled: bool,
}

// What is added to the gradient that the base step sees, and which elements become NaN with their states.
var<private> pull: vec4<f32>;
var<private> poison: vec4<bool>;

fn load_g(i: u32) -> vec4<u32> {
    let word = read_g(i);
    let sum = bitcast<vec4<u32>>(bitcast<vec4<f32>>(word) + pull);
    return select(select(sum, word, nonfinite4(word)), vec4(QUIET_NAN), poison);
}

// An integer zero, so that -0.0 never comes out and hosts count zeros by their bits.
fn settled(z: vec4<f32>, bad: vec4<bool>) -> vec4<u32> {
    return select(select(bitcast<vec4<u32>>(z), vec4(0u), z == vec4(0.0)), vec4(QUIET_NAN), bad);
}

fn prox_of(x: vec4<f32>, k: Constants) -> vec4<f32> {
    let ax = abs(x);
    let y = vec4(prox(ax.x, k), prox(ax.y, k), prox(ax.z, k), prox(ax.w, k));
    return bitcast<vec4<f32>>(signed(y, x));
}
