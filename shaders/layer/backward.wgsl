// needs: layer
// u and w̄ of one word, stored; ū.
fn backward(word: u32, first: u32, index: u32, a: Activation, bad: bool) -> Word {
    let u = product(job.plain, word, 0u, index);
    let w = product(job.plain, word, HALF, index);
    if index % job.lanes != 0u || word >= job.words {
        return Word();
    }
    let i = word / job.across;
    let c = first + word % job.across;
    put_made(job.made, i, c, u);
    put_made(job.w, i, c, w);
    let q = theta[job.learned + 8u + i];
    return back_of(q * u, w, q, a, bad);
}

@compute @workgroup_size(invocations)
fn layer(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let first = (id.x + id.y * ids.x) * job.across * WIDTH;
    var scale = 1.0;
    if job.scale_at != NONE {
        let l = theta[job.scale_at];
        scale = poisoned(1.0 - 1.0 / l, broken(l));
    }
    // every invocation goes round equally often: see layer/forward.wgsl
    for (var round = 0u; round < job.rounds; round += 1u) {
        let t = index + round * invocations;
        if t < job.words {
            let at = place_of(t);
            let c = first + at.y;
            let word = at.x * job.across + at.y;
            held[word] = stepped(x_of(at.x, c), data_of(at.x, c), theta[job.learned]);
            held[HALF + word] = scale * beside_of(at.x, c);
        }
    }
    let a = activation_at(job.learned);
    let bad = unusable(job.learned);
    workgroupBarrier();
    let word = index / job.lanes;
    let one = backward(word, first, index, a, bad);
    var two = Word();
    if job.rounds > 1u {
        two = backward(word + invocations, first, index, a, bad);
    }
    workgroupBarrier();
    if index % job.lanes == 0u && word < job.words {
        held[word] = one;
    }
    if job.rounds > 1u && word + invocations < job.words {
        held[word + invocations] = two;
    }
    workgroupBarrier();
    for (var round = 0u; round < job.rounds; round += 1u) {
        let at = word + round * invocations;
        let grad_r = product(job.transposed, at, 0u, index);
        if index % job.lanes == 0u && at < job.words {
            put_made(job.grad_r, at / job.across, first + at % job.across, grad_r);
        }
    }
}
