// An invocation has one vector.
alias Word = f32;
alias Flags = bool;

const WIDTH = 1u;

// Where the invocation's vector starts; beyond the last one it stands for the last, and its sum is not stored.
var<private> x_from: u32;
var<private> other_from: u32;

fn aim(first: u32, apart: u32) {
    let vector = min(first, job.vectors - 1u);
    x_from = job.x.first + vector * job.x.across;
    other_from = job.other.first + vector * job.other.across;
}

fn x_of(component: u32) -> Word {
    return x[x_from + component * job.x.down];
}

fn other_of(component: u32) -> Word {
    return other[other_from + component * job.other.down];
}

fn store(component: u32, first: u32, apart: u32, sum: Word) {
    if first < job.vectors {
        y[place(job.y, component, first)] = bitcast<u32>(sum);
    }
}

// Where the result is +0.0 as it lies in memory.
fn zeros(component: u32, first: u32, apart: u32) -> Flags {
    return first < job.vectors && y[place(job.y, component, min(first, job.vectors - 1u))] == 0u;
}

fn flags(value: Word) -> Flags {
    return broken(value);
}

fn poisoned(value: Word, bad: Flags) -> Word {
    return bitcast<f32>(select(bitcast<u32>(value), QUIET_NAN, bad));
}

fn activated(v: Word, a: Activation) -> Word {
    return activation(v, a);
}

fn slope(v: Word, a: Activation) -> Word {
    return activation_slope(v, a);
}
