// One word per group.
@group(0) @binding(7) var<storage, read_write> results: array<u32>;

fn deliver(tile: Tile, q: u32, sum: Sum) {
    var number = q;
    if tile.entry != NONE {
        number = table[tile.entry + q].w;
    }
    results[tile.extra + number] = result(sum);
}
