// A gradient that was computed elsewhere.
fn stepped(x: Word, data: Word, l: f32) -> Word {
    return x - data / l;
}
