// Four elements per word: all offsets of the tensor are equal modulo 4.
// Every tensor is bound read_write: a page may hold weights and gradients alike, and one buffer cannot be bound
// both `read` and `read_write` in a dispatch.
@group(0) @binding(3) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read_write> g: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<u32>>;

fn load_w(i: u32) -> vec4<u32> {
    return w[i];
}

fn load_g(i: u32) -> vec4<u32> {
    return g[i];
}

fn load_m(i: u32) -> vec4<u32> {
    return m[i];
}

fn load_v(i: u32) -> vec4<u32> {
    return v[i];
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

fn count(bad: vec4<bool>) -> u32 {
    return dot(vec4<u32>(bad), vec4(1u));
}
