// Four single elements per word, as far apart as a group has invocations: columns, and groups that start or end
// anywhere. Addresses count elements.
// Every tensor is bound read_write: a page may hold weights and gradients alike, and one buffer cannot be bound
// both `read` and `read_write` in a dispatch.
@group(0) @binding(3) var<storage, read_write> w: array<u32>;
@group(0) @binding(4) var<storage, read_write> g: array<u32>;
@group(0) @binding(5) var<storage, read_write> m: array<u32>;
@group(0) @binding(6) var<storage, read_write> v: array<u32>;
@group(0) @binding(7) var<storage, read_write> extra: array<u32>;

// An address, of a number of elements.
fn unit(elements: u32) -> u32 {
    return elements;
}

// The members of a group that make up its i-th word in this invocation.
fn members(tile: Tile, part: u32, i: u32) -> vec4<u32> {
    return vec4(part) + tile.lanes * (vec4(4u * i) + vec4(0u, 1u, 2u, 3u));
}

var<private> live: vec4<bool>;
var<private> spread: vec4<u32>;

// Where the word lies, from the tile's start; sets which of its elements exist, and where they are from there. If any does,
// the first does: it stands for those that do not, so that a word is read and written without branches.
fn aim(tile: Tile, site: Site, k: vec4<u32>) -> u32 {
    live = k < vec4(site.length);
    let all = places(tile, k);
    spread = select(vec4(all.x), all, live);
    return site.start;
}

fn load_w(i: u32) -> vec4<u32> {
    return vec4(w[i + spread.x], w[i + spread.y], w[i + spread.z], w[i + spread.w]);
}

fn read_g(i: u32) -> vec4<u32> {
    return vec4(g[i + spread.x], g[i + spread.y], g[i + spread.z], g[i + spread.w]);
}

fn load_m(i: u32) -> vec4<u32> {
    return vec4(m[i + spread.x], m[i + spread.y], m[i + spread.z], m[i + spread.w]);
}

fn load_v(i: u32) -> vec4<u32> {
    return vec4(v[i + spread.x], v[i + spread.y], v[i + spread.z], v[i + spread.w]);
}

fn load_extra(i: u32) -> vec4<u32> {
    return vec4(extra[i + spread.x], extra[i + spread.y], extra[i + spread.z], extra[i + spread.w]);
}

// The first element in place of those that do not exist.
fn doubled(word: vec4<u32>) -> vec4<u32> {
    return select(vec4(word.x), word, live);
}

fn store_w(i: u32, word: vec4<u32>) {
    let own = doubled(word);
    w[i + spread.x] = own.x;
    w[i + spread.y] = own.y;
    w[i + spread.z] = own.z;
    w[i + spread.w] = own.w;
}

fn store_m(i: u32, word: vec4<u32>) {
    let own = doubled(word);
    m[i + spread.x] = own.x;
    m[i + spread.y] = own.y;
    m[i + spread.z] = own.z;
    m[i + spread.w] = own.w;
}

fn store_v(i: u32, word: vec4<u32>) {
    let own = doubled(word);
    v[i + spread.x] = own.x;
    v[i + spread.y] = own.y;
    v[i + spread.z] = own.z;
    v[i + spread.w] = own.w;
}

fn store_extra(i: u32, word: vec4<u32>) {
    let own = doubled(word);
    extra[i + spread.x] = own.x;
    extra[i + spread.y] = own.y;
    extra[i + spread.z] = own.z;
    extra[i + spread.w] = own.w;
}
