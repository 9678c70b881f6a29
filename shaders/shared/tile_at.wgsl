// Tiles of grouped tensors: the groups, or parts of groups, that one workgroup works on.
struct Tile {
    // first element of the first group in the weights, the gradient and the states, counted as loads and stores count; and in
    // what else a kernel binds
    w: u32,
    g: u32,
    m: u32,
    v: u32,
    extra: u32,
    groups: u32,
    // members of each group, or the most that one has
    length: u32,
    // members that lie side by side, from one such run to the next, and from group to group
    run_length: u32,
    run_stride: u32,
stride: u32,
    // invocations per group, a power of two; whether neighbouring invocations work on neighbouring groups
    lanes: u32,
    across: u32,
    row: u32,
    tensor: u32,
    // the first group's entry, or NONE for groups that are all alike
    entry: u32,
    weight: f32,
    // the first member, where a group has several tiles; the first group's state
    member: u32,
    state: u32,
    unused0: u32,
    unused1: u32,
}

const NONE = 0xffffffffu;

override invocations: u32 = 256u;

// Five words of 16 bytes per tile; then the entries of groups that differ: start, length, weight, and
// number from the first group.
@group(0) @binding(0) var<storage, read> table: array<vec4<u32>>;

fn tile_at(group: vec3<u32>, groups: vec3<u32>) -> Tile {
    let i = 5u * (group.x + group.y * groups.x);
    let a = table[i];
    let b = table[i + 1u];
    let c = table[i + 2u];
    let d = table[i + 3u];
    let e = table[i + 4u];
    return Tile(
        unit(a.x), unit(a.y), unit(a.z), unit(a.w), b.x, b.y, b.z, b.w, c.x, c.y, c.z, c.w, d.x, d.y, d.z, bitcast<f32>(d.w), e.x, e.y, e.z, e.w,
    );
}

// How many groups are worked on at a time. The same for all invocations, also to a compiler that proves it: loops with
// barriers count by it.
fn round_of(tile: Tile) -> u32 {
    return invocations >> firstTrailingBit(tile.lanes);
}

// What one invocation does: its place among the invocations of a group, the group's place among those worked on at a
// time, and the distance to the group's next invocation.
struct Lane {
    part: u32,
    slot: u32,
    step: u32,
}

// One group of a tile, from the tile's first element. No members where there is no such group.
struct Site {
    start: u32,
    length: u32,
    weight: f32,
}

fn site_of(tile: Tile, group: u32) -> Site {
    if group >= tile.groups {
        return Site(0u, 0u, 0.0);
    }
    if tile.entry == NONE {
        return Site(group * tile.stride, tile.length, tile.weight);
    }
    let entry = table[tile.entry + group];
    return Site(entry.x, entry.y, bitcast<f32>(entry.z));
}

// How many words an invocation has of a group. `lanes` is a power of two.
fn words(tile: Tile) -> u32 {
    return (tile.length + 4u * tile.lanes - 1u) >> (2u + firstTrailingBit(tile.lanes));
}
