// The prox with the threshold that the host computed.
fn constants_for(k: Constants, scale: f32) -> Constants {
    return k;
}
