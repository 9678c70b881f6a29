// The sum of what the invocations have, by neighbours: a fixed tree. Invocation 0 gets it.
var<workgroup> halves: array<f32, 256>;

fn tree(own: f32, index: u32) -> f32 {
    var sum = own;
    halves[index] = sum;
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
        if index % (2u * step) == 0u {
            sum += halves[index + step];
            halves[index] = sum;
        }
        workgroupBarrier();
    }
    return sum;
}
