// Four single elements per word, as far apart as a group has invocations: columns, and groups that start or end
// anywhere. Addresses count elements.
// Every tensor is bound read_write: a page may hold weights and gradients alike, and one buffer cannot be bound
// both `read` and `read_write` in a dispatch.
@group(0) @binding(3) var<storage, read_write> w: array<u32>;
@group(0) @binding(4) var<storage, read_write> g: array<u32>;
@group(0) @binding(5) var<storage, read_write> m: array<u32>;
@group(0) @binding(6) var<storage, read_write> v: array<u32>;
@group(0) @binding(7) var<storage, read_write> extra: array<u32>;

// The members of a group that make up its i-th word in this invocation.
fn members(tile: Tile, part: u32, i: u32) -> vec4<u32> {
    return vec4(part) + tile.lanes * (vec4(4u * i) + vec4(0u, 1u, 2u, 3u));
}

var<private> live: vec4<bool>;
var<private> spread: vec4<u32>;

// Where the word lies, from the tile's start; sets which of its elements exist, and where they are from there.
fn aim(tile: Tile, site: Site, k: vec4<u32>) -> u32 {
    live = k < vec4(site.length);
    spread = vec4(place(tile, k.x), place(tile, k.y), place(tile, k.z), place(tile, k.w));
    return site.start;
}

fn load_w(i: u32) -> vec4<u32> {
    var word = vec4(0u);
    if live.x {
        word.x = w[i + spread.x];
    }
    if live.y {
        word.y = w[i + spread.y];
    }
    if live.z {
        word.z = w[i + spread.z];
    }
    if live.w {
        word.w = w[i + spread.w];
    }
    return word;
}

fn read_g(i: u32) -> vec4<u32> {
    var word = vec4(0u);
    if live.x {
        word.x = g[i + spread.x];
    }
    if live.y {
        word.y = g[i + spread.y];
    }
    if live.z {
        word.z = g[i + spread.z];
    }
    if live.w {
        word.w = g[i + spread.w];
    }
    return word;
}

fn load_m(i: u32) -> vec4<u32> {
    var word = vec4(0u);
    if live.x {
        word.x = m[i + spread.x];
    }
    if live.y {
        word.y = m[i + spread.y];
    }
    if live.z {
        word.z = m[i + spread.z];
    }
    if live.w {
        word.w = m[i + spread.w];
    }
    return word;
}

fn load_v(i: u32) -> vec4<u32> {
    var word = vec4(0u);
    if live.x {
        word.x = v[i + spread.x];
    }
    if live.y {
        word.y = v[i + spread.y];
    }
    if live.z {
        word.z = v[i + spread.z];
    }
    if live.w {
        word.w = v[i + spread.w];
    }
    return word;
}

fn load_extra(i: u32) -> vec4<u32> {
    var word = vec4(0u);
    if live.x {
        word.x = extra[i + spread.x];
    }
    if live.y {
        word.y = extra[i + spread.y];
    }
    if live.z {
        word.z = extra[i + spread.z];
    }
    if live.w {
        word.w = extra[i + spread.w];
    }
    return word;
}

fn store_w(i: u32, word: vec4<u32>) {
    if live.x {
        w[i + spread.x] = word.x;
    }
    if live.y {
        w[i + spread.y] = word.y;
    }
    if live.z {
        w[i + spread.z] = word.z;
    }
    if live.w {
        w[i + spread.w] = word.w;
    }
}

fn store_m(i: u32, word: vec4<u32>) {
    if live.x {
        m[i + spread.x] = word.x;
    }
    if live.y {
        m[i + spread.y] = word.y;
    }
    if live.z {
        m[i + spread.z] = word.z;
    }
    if live.w {
        m[i + spread.w] = word.w;
    }
}

fn store_v(i: u32, word: vec4<u32>) {
    if live.x {
        v[i + spread.x] = word.x;
    }
    if live.y {
        v[i + spread.y] = word.y;
    }
    if live.z {
        v[i + spread.z] = word.z;
    }
    if live.w {
        v[i + spread.w] = word.w;
    }
}

fn store_extra(i: u32, word: vec4<u32>) {
    if live.x {
        extra[i + spread.x] = word.x;
    }
    if live.y {
        extra[i + spread.y] = word.y;
    }
    if live.z {
        extra[i + spread.z] = word.z;
    }
    if live.w {
        extra[i + spread.w] = word.w;
    }
}
