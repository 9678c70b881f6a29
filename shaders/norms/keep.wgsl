// What parts of groups add up to, for the stage that puts them together.
@group(0) @binding(1) var<storage, read_write> scratch: array<vec4<u32>>;

fn deliver(tile: Tile, q: u32, sum: Sum) {
    scratch[tile.state + q] = packed(sum);
}
