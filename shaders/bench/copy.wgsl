// copy: the yardstick of the benchmarks: as many bytes as a kernel moves, half of them read and half written.
//
// No kernel of the register: it has no formula to be judged by a reference, and nobody calls it but the benchmarks,
// which compare its output with its input.

override invocations: u32 = 256u;

@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<u32>>;

@compute @workgroup_size(invocations)
fn copy(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let stride = groups.x * groups.y * invocations;
    let length = min(arrayLength(&source), arrayLength(&destination));
    for (var i = (group.x + group.y * groups.x) * invocations + lane; i < length; i += stride) {
        destination[i] = source[i];
    }
}
