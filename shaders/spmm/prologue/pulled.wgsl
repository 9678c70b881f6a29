// The derivative by u, from that by xi(v) with v = q u: q xi'(v) w.
var<private> bend: Activation;
var<private> bend_broken: bool;

fn prepare() {
    bend = activation_at(job.theta);
    bend_broken = any_broken(bend);
}

// Comparisons lose a NaN, and so may a multiplication by 0.
fn operand(first: u32, column: u32) -> Word {
    let q = theta[job.q + column];
    let v = q * x_of(column);
    let w = other_of(column);
    let bad = flags(v) | flags(w) | Flags(bend_broken);
    return poisoned(q * slope(v, bend) * w, bad);
}

fn scaled(sum: Word) -> Word {
    return sum;
}
