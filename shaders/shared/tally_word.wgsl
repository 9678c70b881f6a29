// needs: shared/tally
// What a word adds to its group's measurement; the group's first member here is `member`.
fn tally_word(before: Partial, z: vec4<f32>, k: vec4<u32>, threshold: f32, member: u32) -> Partial {
    var p = before;
    let ax = abs(z);
    let i = k + vec4(member);
    if live.x {
        p = tally(p, ax.x, i.x, threshold);
    }
    if live.y {
        p = tally(p, ax.y, i.y, threshold);
    }
    if live.z {
        p = tally(p, ax.z, i.z, threshold);
    }
    if live.w {
        p = tally(p, ax.w, i.w, threshold);
    }
    return p;
}
