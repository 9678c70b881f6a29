//! Gaussian noise.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// The value with noise of that standard deviation.
pub(crate) fn add(value: f32, deviation: f64, random: &mut ChaCha8Rng) -> f32 {
    let z: f32 = StandardNormal.sample(random);
    value + deviation as f32 * z
}

/// Adds noise of that standard deviation to every value.
pub(crate) fn disturb(values: &mut [f64], deviation: f64, random: &mut ChaCha8Rng) {
    for value in values {
        let z: f64 = StandardNormal.sample(random);
        *value += deviation * z;
    }
}
