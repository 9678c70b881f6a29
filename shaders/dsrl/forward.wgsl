// needs: dsrl, dsrl/layer
// All layers of four elements in registers.
@compute @workgroup_size(invocations)
fn dsrl(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group.x + group.y * groups.x;
    let i = places(4u * invocations * tile + lane);
    if i.x >= job.elements {
        return;
    }
    var x = load_x(i);
    let c = load_c(i);
    for (var l = 0u; l < job.layers; l++) {
        x = next(x, c, layer_at(l));
    }
    store(i, x);
}
