// needs: shared/activation
// The passes between the products of a layer: r = x - (x - c) / L, or e = xi(q u) - b, or ū = q xi'(q u) w̄.
override invocations: u32 = 256u;

// components, columns, which pass, workgroups side by side
@group(0) @binding(0) var<storage, read> sizes: array<u32>;
@group(0) @binding(1) var<storage, read> theta: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> to: array<f32>;

@compute @workgroup_size(invocations)
fn elementwise(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let k = (id.x + id.y * sizes[3]) * invocations + index;
    if k >= sizes[0] * sizes[1] {
        return;
    }
    if sizes[2] == 0u {
        to[k] = a[k] - (a[k] - b[k]) / theta[0];
        return;
    }
    let i = k / sizes[1];
    let q = theta[8u + i];
    let knees = activation_at(0u);
    if sizes[2] == 1u {
        to[k] = activation(q * a[k], knees) - theta[8u + sizes[0] + i];
    } else {
        to[k] = q * activation_slope(q * a[k], knees) * b[k];
    }
}
