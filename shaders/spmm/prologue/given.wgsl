// x - g / L.
var<private> size: f32;

fn prepare() {
    size = step_size(theta[job.theta]);
}

fn operand(first: u32, column: u32) -> Word {
    return x_of(column) - size * other_of(column);
}

fn scaled(sum: Word) -> Word {
    return sum;
}
