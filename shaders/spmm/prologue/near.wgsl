// x - (x - c) / L.
var<private> size: f32;

fn prepare() {
    size = step_size(theta[job.theta]);
}

fn operand(first: u32, column: u32) -> Word {
    let v = x_of(column);
    return v - size * (v - other_of(column));
}

fn scaled(sum: Word) -> Word {
    return sum;
}
