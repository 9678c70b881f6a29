// Four adjacent elements per word: groups that start and end at multiples of four. Addresses count words.
// Every tensor is bound read_write: a page may hold weights and gradients alike, and one buffer cannot be bound
// both `read` and `read_write` in a dispatch.
@group(0) @binding(3) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> g: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> extra: array<vec4<u32>>;

// An address, of a number of elements.
fn unit(elements: u32) -> u32 {
    return elements >> 2u;
}

// The members of a group that make up its i-th word in this invocation.
fn members(tile: Tile, part: u32, i: u32) -> vec4<u32> {
    return vec4(4u * (part + tile.lanes * i)) + vec4(0u, 1u, 2u, 3u);
}

var<private> live: vec4<bool>;

// Where the word lies, from the tile's start; sets which of its elements exist.
fn aim(tile: Tile, site: Site, k: vec4<u32>) -> u32 {
    live = vec4(k.x < site.length);
    return unit(site.start) + unit(place(tile, k.x));
}

fn load_w(i: u32) -> vec4<u32> {
    return w[i];
}

fn read_g(i: u32) -> vec4<u32> {
    return g[i];
}

fn load_m(i: u32) -> vec4<u32> {
    return m[i];
}

fn load_v(i: u32) -> vec4<u32> {
    return v[i];
}

fn load_extra(i: u32) -> vec4<u32> {
    return extra[i];
}

fn store_w(i: u32, word: vec4<u32>) {
    w[i] = word;
}

fn store_m(i: u32, word: vec4<u32>) {
    m[i] = word;
}

fn store_v(i: u32, word: vec4<u32>) {
    v[i] = word;
}

fn store_extra(i: u32, word: vec4<u32>) {
    extra[i] = word;
}
