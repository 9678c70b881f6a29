// The prox in Adam's metric: the step size differs per element.
fn constants_for(k: Constants, scale: f32) -> Constants {
    return at_step(k, scale);
}
