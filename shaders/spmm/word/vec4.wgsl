// needs: shared/nonfinite4
// An invocation has four vectors, as far apart as there are invocations side by side: their loads are neighbours.
alias Word = vec4<f32>;
alias Flags = vec4<bool>;

const WIDTH = 4u;

// Where the invocation's vectors start; those beyond the last one stand for the last, and their sums are not stored.
var<private> x_from: vec4<u32>;
var<private> other_from: vec4<u32>;

fn vectors_of(first: u32, apart: u32) -> vec4<u32> {
    return first + apart * vec4(0u, 1u, 2u, 3u);
}

fn aim(first: u32, apart: u32) {
    let vectors = min(vectors_of(first, apart), vec4(job.vectors - 1u));
    x_from = job.x.first + vectors * job.x.across;
    other_from = job.other.first + vectors * job.other.across;
}

fn x_of(component: u32) -> Word {
    let at = x_from + component * job.x.down;
    return vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
}

fn other_of(component: u32) -> Word {
    let at = other_from + component * job.other.down;
    return vec4(other[at.x], other[at.y], other[at.z], other[at.w]);
}

fn store(component: u32, first: u32, apart: u32, sum: Word) {
    let vectors = vectors_of(first, apart);
    let at = job.y.first + component * job.y.down + vectors * job.y.across;
    let bits = bitcast<vec4<u32>>(sum);
    if vectors.x < job.vectors {
        y[at.x] = bits.x;
    }
    if vectors.y < job.vectors {
        y[at.y] = bits.y;
    }
    if vectors.z < job.vectors {
        y[at.z] = bits.z;
    }
    if vectors.w < job.vectors {
        y[at.w] = bits.w;
    }
}

// Where the result is +0.0 as it lies in memory.
fn zeros(component: u32, first: u32, apart: u32) -> Flags {
    let vectors = vectors_of(first, apart);
    let at = job.y.first + component * job.y.down + vectors * job.y.across;
    var zero = vec4(false);
    if vectors.x < job.vectors {
        zero.x = y[at.x] == 0u;
    }
    if vectors.y < job.vectors {
        zero.y = y[at.y] == 0u;
    }
    if vectors.z < job.vectors {
        zero.z = y[at.z] == 0u;
    }
    if vectors.w < job.vectors {
        zero.w = y[at.w] == 0u;
    }
    return zero;
}

fn flags(value: Word) -> Flags {
    return nonfinite4(bitcast<vec4<u32>>(value));
}

fn poisoned(value: Word, bad: Flags) -> Word {
    return bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(value), vec4(QUIET_NAN), bad));
}

fn activated(v: Word, a: Activation) -> Word {
    return vec4(activation(v.x, a), activation(v.y, a), activation(v.z, a), activation(v.w, a));
}

fn slope(v: Word, a: Activation) -> Word {
    return vec4(activation_slope(v.x, a), activation_slope(v.y, a), activation_slope(v.z, a), activation_slope(v.w, a));
}
