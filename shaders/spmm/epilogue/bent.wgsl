// xi(v) - b, and the NaN where v or a number of xi is not finite.
struct Bent {
    value: Word,
    bad: Flags,
}

fn bent(row: u32, v: Word) -> Bent {
    let bend = activation_at(job.theta);
    let bad = flags(v) | Flags(any_broken(bend));
    return Bent(poisoned(activated(v, bend) - theta[job.b + row], bad), bad);
}
