// One element per word, in lane x: for tensors whose offsets differ modulo 4, and for heads and tails. The other
// lanes are zero and are dead code to the compiler.
// Every tensor is bound read_write: a page may hold weights and gradients alike, and one buffer cannot be bound
// both `read` and `read_write` in a dispatch.
@group(0) @binding(3) var<storage, read_write> w: array<u32>;
@group(0) @binding(4) var<storage, read_write> g: array<u32>;
@group(0) @binding(5) var<storage, read_write> m: array<u32>;
@group(0) @binding(6) var<storage, read_write> v: array<u32>;

fn load_w(i: u32) -> vec4<u32> {
    return vec4(w[i], 0u, 0u, 0u);
}

fn load_g(i: u32) -> vec4<u32> {
    return vec4(g[i], 0u, 0u, 0u);
}

fn load_m(i: u32) -> vec4<u32> {
    return vec4(m[i], 0u, 0u, 0u);
}

fn load_v(i: u32) -> vec4<u32> {
    return vec4(v[i], 0u, 0u, 0u);
}

fn store_w(i: u32, word: vec4<u32>) {
    w[i] = word.x;
}

fn store_m(i: u32, word: vec4<u32>) {
    m[i] = word.x;
}

fn store_v(i: u32, word: vec4<u32>) {
    v[i] = word.x;
}

fn count(bad: vec4<bool>) -> u32 {
    return u32(bad.x);
}
