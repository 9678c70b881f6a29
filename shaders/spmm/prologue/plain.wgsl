// x. A scale of 1 - 1/L is that of the sum.
var<private> scale: f32;

fn prepare() {
    scale = 1.0;
    if job.scale_at != NONE {
        scale = 1.0 - step_size(theta[job.scale_at]);
    }
}

fn operand(first: u32, column: u32) -> Word {
    return x_of(column);
}

fn scaled(sum: Word) -> Word {
    return scale * sum;
}
