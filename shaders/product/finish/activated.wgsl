// xi(q s) - b.
fn finished(row: u32, sum: Word) -> Word {
    let bend = activation_at(job.theta);
    let v = theta[job.q + row] * sum;
    let bad = flags(v) | Flags(any_broken(bend));
    return poisoned(activated(v, bend) - theta[job.b + row], bad);
}
