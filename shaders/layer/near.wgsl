// phi = 1/2 ||x - c||^2, of which `data` is c.
fn stepped(x: Word, data: Word, l: f32) -> Word {
    return x - (x - data) / l;
}
