// needs: shared/poisoned, shared/held, shared/signed
// step: W <- prox(W - rate * direction) for many tensors in one dispatch, one pass over memory.
//
// chosen: penalty/<name> (Constants, prox), step/plain or step/metric (constants_for), step/<base> (Base, advance), step/vec4 or
// step/scalar (the bindings of the tensors).

// A run of elements of one tensor, the work of one workgroup. Offsets and length count words: elements in the
// scalar variant, groups of four in the vec4 variant.
struct Tile {
    w: u32,
    g: u32,
    m: u32,
    v: u32,
    length: u32,
    row: u32,
    tensor: u32,
    unused: u32,
}

// The values that change from step to step, shared by tensors with equal settings.
struct Row {
    base: Base,
    prox: Constants,
    mode: Mode,
}

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> status: array<atomic<u32>>;

// Updates the word at i and returns how many of its elements are not finite.
fn update(tile: Tile, row: Row, i: u32) -> u32 {
    let before = load_w(tile.w + i);
    frozen = held(before, row.mode);
    let moved = advance(tile, i, row.base, before);
    let bad = moved.bad | nonfinite4(bitcast<vec4<u32>>(moved.point));
    let ax = abs(moved.point);
    let m = vec4(
        prox(ax.x, constants_for(row.prox, moved.scale.x)),
        prox(ax.y, constants_for(row.prox, moved.scale.y)),
        prox(ax.z, constants_for(row.prox, moved.scale.z)),
        prox(ax.w, constants_for(row.prox, moved.scale.w)),
    );
    // An integer zero, so that -0.0 never comes out and hosts count zeros by their bits.
    let y = select(signed(m, moved.point), vec4(0u), (m == vec4(0.0)) | frozen);
    store_w(tile.w + i, select(y, select(vec4(QUIET_NAN), before, vec4(PASS_NONFINITE)), bad));
    return count(bad);
}

@compute @workgroup_size(invocations)
fn step(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    if index >= arrayLength(&tiles) {
        return;
    }
    let tile = tiles[index];
    let row = rows[tile.row];
    if row.mode.rests != 0u {
        return;
    }
    var bad = 0u;
    for (var i = lane; i < tile.length; i += invocations) {
        bad += update(tile, row, i);
    }
    if bad != 0u {
        atomicAdd(&status[tile.tensor], bad);
    }
}
