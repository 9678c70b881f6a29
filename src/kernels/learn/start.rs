//! Where the power iterations of the norm bound start.

/// A unit vector without zeros, not aligned with anything: where power iterations start.
pub(crate) fn start(n: u32) -> Vec<f64> {
    let one = |i: u32| {
        // a hash of the index: magnitudes in [0.5, 1.5) of either sign
        let mixed = (i.wrapping_add(1)).wrapping_mul(0x9e37_79b9);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
        let magnitude = 0.5 + f64::from(mixed >> 8) / f64::from(1 << 24);
        if mixed & 1 == 0 { magnitude } else { -magnitude }
    };
    let all: Vec<f64> = (0..n).map(one).collect();
    let length = all.iter().map(|x| x * x).sum::<f64>().sqrt();
    all.iter().map(|x| x / length).collect()
}
