//! The learning rate over a run.

/// Half a cosine from `rate` at step 0 towards 0 at step `total`.
pub(crate) fn cosine(rate: f64, step: u64, total: u64) -> f64 {
    0.5 * rate * (1.0 + (std::f64::consts::PI * step as f64 / total as f64).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_from_the_first_step_and_stays_positive() {
        assert_eq!(cosine(0.1, 0, 10), 0.1);
        assert!((cosine(0.1, 5, 10) - 0.05).abs() < 1e-15);
        assert!(cosine(0.1, 9, 10) > 0.0);
    }
}
