// The values of a matrix, copied into the order of its format.
struct Refresh {
    // values of a layer in the format, and of all layers
    apart: u32,
    count: u32,
    // where the first layer's values start, and from one layer to the next
    at: u32,
    stride: u32,
}

const NONE = 0xffffffffu;

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> job: Refresh;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> packed: array<u32>;
@group(0) @binding(3) var<storage, read_write> values: array<u32>;

@compute @workgroup_size(invocations)
fn spmm(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let k = (id.x + id.y * ids.x) * invocations + lane;
    if k >= job.count {
        return;
    }
    let from_entry = index[k % job.apart];
    var bits = 0u;
    if from_entry != NONE {
        bits = packed[job.at + (k / job.apart) * job.stride + from_entry];
    }
    values[k] = bits;
}
