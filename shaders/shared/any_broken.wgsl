// Whether a slope or a knee is NaN or infinite: comparisons and min would lose it.
fn any_broken(a: Activation) -> bool {
    return broken(a.eta1) || broken(a.eta2) || broken(a.delta1) || broken(a.delta2);
}
