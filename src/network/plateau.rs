//! A learning rate that falls where the loss no longer does.

/// The rule of PyTorch's `ReduceLROnPlateau` with mode `min` and a relative threshold: a loss below (1 - 1e-4) of the
/// lowest so far is an improvement; after more than three losses in a row that are none, the rate is multiplied by 0.1,
/// down to 1e-6, and the count starts anew. A step of the rate of 1e-8 or less is not taken. A NaN is no improvement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    rate: f64,
    lowest: f64,
    bad: u32,
}

impl Plateau {
    /// Losses in a row without improvement that are put up with.
    const PATIENCE: u32 = 3;

    /// Starts at this rate.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Plateau { rate, lowest: f64::INFINITY, bad: 0 }
    }

    /// The rate of the next step.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Hears of the loss of a step.
    pub fn seen(&mut self, loss: f64) {
        if loss < self.lowest * (1.0 - 1e-4) {
            (self.lowest, self.bad) = (loss, 0);
        } else {
            self.bad += 1;
        }
        if self.bad > Self::PATIENCE {
            self.bad = 0;
            let reduced = (0.1 * self.rate).max(1e-6);
            if self.rate - reduced > 1e-8 {
                self.rate = reduced;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates after each loss, as PyTorch's documentation has them come out.
    #[track_caller]
    fn check(start: f64, losses: &[f64], expected: &[f64]) {
        let mut of = Plateau::new(start);
        assert_eq!(of.rate(), start);
        assert_eq!(losses.len(), expected.len());
        for (k, (&loss, &expected)) in losses.iter().zip(expected).enumerate() {
            of.seen(loss);
            assert!((of.rate() - expected).abs() <= 1e-15 * expected, "{k}: {of:?}, expected {expected}");
        }
    }

    #[test]
    fn the_rate_falls_after_more_than_three_losses_without_improvement() {
        let (a, b, c) = (0.02, 0.002, 0.0002);
        // the first is an improvement; the fourth bad one reduces; then four more are needed
        check(a, &[10.0; 9], &[a, a, a, a, b, b, b, b, c]);
        // an improvement in between starts the count anew; one by less than 1e-4 is none
        check(
            a,
            &[10.0, 10.0, 11.0, 10.0, 9.0, 9.0, 8.9992, 8.9992, 8.9992, 8.998],
            &[a, a, a, a, a, a, a, a, b, b],
        );
        // the lowest is kept through a reduction
        check(a, &[1.0, 2.0, 2.0, 2.0, 2.0, 1.5, 1.5, 1.5, 1.5], &[a, a, a, a, b, b, b, b, c]);
        // just below the threshold, and at it
        check(a, &[1.0, 1.0, 1.0, 1.0, 0.9998, 1.0, 1.0, 1.0], &[a; 8]);
        check(a, &[1.0, 1.0, 1.0, 1.0, 1.0 - 1e-4], &[a, a, a, a, b]);
    }

    #[test]
    fn it_ends_at_1e_6_and_nan_is_no_improvement() {
        check(2e-6, &[1.0, f64::NAN, f64::NAN, f64::NAN, f64::NAN], &[2e-6, 2e-6, 2e-6, 2e-6, 1e-6]);
        // steps of 1e-8 or less are not taken
        check(1.005e-6, &[1.0; 5], &[1.005e-6; 5]);
        check(1e-6, &[1.0; 9], &[1e-6; 9]);
        check(0.0, &[1.0; 5], &[0.0; 5]);
    }
}
