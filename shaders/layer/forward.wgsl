// needs: layer
@compute @workgroup_size(invocations)
fn layer(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let first = (id.x + id.y * ids.x) * job.across * WIDTH;
    // every invocation goes round equally often: llvmpipe's OpenGL loses those that leave a loop before their neighbours
    for (var round = 0u; round < job.rounds; round += 1u) {
        let t = index + round * invocations;
        if t < job.words {
            let at = place_of(t);
            let c = first + at.y;
            held[at.x * job.across + at.y] = stepped(x_of(at.x, c), data_of(at.x, c), theta[job.learned]);
        }
    }
    for (var k = 0u; k < job.layers; k += 1u) {
        let learned = job.learned + k * job.learned_apart;
        let a = activation_at(learned);
        let bad = unusable(learned);
        workgroupBarrier();
        for (var round = 0u; round < job.rounds; round += 1u) {
            let word = index / job.lanes + round * invocations;
            let u = product(side(job.plain, k, job.values_apart), word, 0u, index);
            if index % job.lanes == 0u && word < job.words {
                let q = learned + 8u + word / job.across;
                held[HALF + word] = xi_of(theta[q] * u, a, bad) - theta[q + job.components];
            }
        }
        workgroupBarrier();
        for (var round = 0u; round < job.rounds; round += 1u) {
            let word = index / job.lanes + round * invocations;
            let y = product(side(job.transposed, k, job.values_apart), word, HALF, index);
            if index % job.lanes == 0u && word < job.words {
                held[word] = y;
            }
        }
        workgroupBarrier();
        // y goes out, and becomes the next layer's r, by the invocations that have it as neighbours in memory
        for (var round = 0u; round < job.rounds; round += 1u) {
            let t = index + round * invocations;
            if t < job.words {
                let at = place_of(t);
                let c = first + at.y;
                let y = held[at.x * job.across + at.y];
                if k + 1u == job.layers {
                    put_made(job.made, at.x, c, y);
                } else {
                    if job.keep == 1u {
                        put_beside(at.x, c, k * job.components * job.columns, y);
                    }
                    held[at.x * job.across + at.y] =
                        stepped(y, data_of(at.x, c), theta[learned + job.learned_apart]);
                }
            }
        }
    }
}
