//! Slopes, knees and L of one set, projected inside the forward pass: the method sees them as they are, the network their
//! projection.

use super::options::{Options, Projection, Start};
use crate::kernels::learn::UpdateParameters;
use crate::penalty::{Activation, raised};
use crate::regulariser::{Floors, Parameters};

/// The numbers at the head of one set, unprojected, with the method's moments. Arrays are in the order of
/// [`ParameterLayout`](crate::regulariser::ParameterLayout): L, eta1, eta2, delta1, delta2.
#[derive(Clone, Debug)]
pub(super) struct Head {
    raw: [f64; 5],
    moments: [[f64; 2]; 5],
}

impl Head {
    /// From a set's numbers, with fresh moments.
    pub fn new(p: &Parameters) -> Self {
        Head { raw: p.head(), moments: [[0.0; 2]; 5] }
    }

    /// The unprojected head of each set where projections are inside the forward pass, else none; the sets get the
    /// projected numbers.
    pub fn all(start: &mut Start) -> Vec<Head> {
        if start.options.projection == Projection::AfterStep {
            return Vec::new();
        }
        let floors = start.options.floors;
        let one = |p: &mut Parameters| {
            let head = Head::new(p);
            p.set_head(head.projected(floors));
            head
        };
        start.parameters.iter_mut().map(one).collect()
    }

    /// What the network computes with: [`Activation::projected`], and L at its floor or above. A NaN stays NaN.
    pub fn projected(&self, floors: Floors) -> [f64; 5] {
        let [l, eta1, eta2, delta1, delta2] = self.raw;
        let of = Activation { eta1, eta2, delta1, delta2 }.projected(floors.epsilon);
        [raised(l, floors.l), of.eta1, of.eta2, of.delta1, of.delta2]
    }

    /// The derivatives by the unprojected numbers, from those by the projected ones. With kappa = (eta1 - 1) / eta1, knees
    /// below the edge kappa delta2 = delta1 go to (kappa, 1) (kappa delta1 + delta2) / (1 + kappa^2), which for eta1 > 1
    /// depends on eta1 too. At a floor the derivative is 0, at eta2 = 1 and at the edges of the cone that from within.
    /// A NaN is handed on.
    pub fn pulled_back(&self, gradient: [f64; 5], floors: Floors) -> [f64; 5] {
        let [l, eta1, eta2, d1, d2] = self.raw;
        let [by_l, by_eta1, by_eta2, by_d1, by_d2] = gradient;
        // factors of 0, not branches: no NaN may be lost
        let where_true = |is: bool| f64::from(u8::from(is));
        let free1 = where_true(eta1 > floors.epsilon);
        let free2 = where_true(eta2 > floors.epsilon && eta2 <= 1.0);
        let slope = raised(eta1, floors.epsilon);
        let kappa = ((slope - 1.0) / slope).max(0.0);
        let (turned, pulled1, pulled2) = if d1 > d2 {
            let both = where_true(d1 + d2 > 0.0) * 0.5 * (by_d1 + by_d2);
            (0.0, both, both)
        } else if d1 < kappa * d2 || d2 < 0.0 {
            let square = 1.0 + kappa * kappa;
            let along = (kappa * d1 + d2) / square;
            let alive = where_true(along > 0.0);
            let turn = (d1 - 2.0 * kappa * along) / square;
            let by_kappa = by_d1 * (along + kappa * turn) + by_d2 * turn;
            let pulled = alive * (kappa * by_d1 + by_d2) / square;
            // up to 1 kappa is 0 whatever eta1 is
            let steepens = if slope > 1.0 { 1.0 / (slope * slope) } else { 0.0 };
            (alive * steepens * by_kappa, kappa * pulled, pulled)
        } else {
            (0.0, by_d1, by_d2)
        };
        [where_true(l > floors.l) * by_l, free1 * (by_eta1 + turned), free2 * by_eta2, pulled1, pulled2]
    }

    /// One step from the derivatives by the projected numbers. The decay acts on the unprojected ones.
    pub fn step(&mut self, gradient: [f64; 5], options: &Options, hyper: UpdateParameters) {
        let gradient = self.pulled_back(gradient, options.floors);
        let rates = [options.rates.l].into_iter().chain([options.rates.activation; 4]);
        for (((x, gradient), moments), rate) in
            self.raw.iter_mut().zip(gradient).zip(&mut self.moments).zip(rates)
        {
            options.advance(
                UpdateParameters { rate: hyper.rate * rate, ..hyper },
                x,
                gradient,
                moments.each_mut(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const FLOORS: Floors = Floors { epsilon: 0.1, l: 0.5 };

    fn head(raw: [f64; 5]) -> Head {
        Head { raw, moments: [[0.0; 2]; 5] }
    }

    fn flat(of: &Head) -> [f64; 5] {
        of.projected(FLOORS)
    }

    /// Where a point lies: all on which the derivative depends.
    fn region([l, eta1, eta2, d1, d2]: [f64; 5]) -> [u8; 4] {
        let kappa = ((eta1 - 1.0) / eta1).max(0.0);
        let knees = match () {
            () if d1 > d2 => u8::from(d1 + d2 > 0.0),
            () if d2 < 0.0 || d1 < kappa * d2 => 2 + u8::from(kappa * d1 + d2 > 0.0),
            () => 4,
        };
        let slope = u8::from(eta1 > FLOORS.epsilon) + u8::from(eta1 > 1.0);
        let outer = u8::from(eta2 > FLOORS.epsilon) + u8::from(eta2 > 1.0);
        [u8::from(l > FLOORS.l), slope, outer, knees]
    }

    #[test]
    fn the_jacobian_is_that_of_differences_in_every_region() {
        let mut rng = ChaCha8Rng::seed_from_u64(31);
        let mut seen = BTreeSet::new();
        let mut tried = 0;
        let step = 1e-5;
        while tried < 6000 {
            let raw: [f64; 5] = [
                rng.random_range(0.0..1.0),
                // below the floor, between it and 1, above 1
                [rng.random_range(-0.5..0.1), rng.random_range(0.1..1.0), rng.random_range(1.0..4.0)]
                    [tried % 3],
                rng.random_range(-0.5..1.6),
                rng.random_range(-2.0..2.0),
                rng.random_range(-2.0..2.0),
            ];
            let gradient: [f64; 5] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
            let moved = |k: usize, by: f64| {
                let mut raw = raw;
                raw[k] += by;
                raw
            };
            // differences across an edge tell nothing
            if (0..5).any(|k| [-step, step].iter().any(|&by| region(moved(k, by)) != region(raw))) {
                continue;
            }
            tried += 1;
            seen.insert(region(raw));
            let pulled = head(raw).pulled_back(gradient, FLOORS);
            for (k, pulled) in pulled.into_iter().enumerate() {
                let value = |by: f64| -> f64 {
                    flat(&head(moved(k, by))).iter().zip(gradient).map(|(p, g)| p * g).sum()
                };
                let difference = (value(step) - value(-step)) / (2.0 * step);
                // third derivatives of the projection by eta1 are below 100 here, and values below 10
                let allowed = 100.0 * step * step + 10.0 * f64::EPSILON / step;
                assert!((pulled - difference).abs() <= allowed, "{raw:?} {k}: {pulled} {difference}");
            }
        }
        // L on either side of its floor, three places of eta1 and of eta2, five of the knees
        assert_eq!(seen.len(), 2 * 3 * 3 * 5, "{seen:?}");
    }

    #[test]
    fn at_the_start_of_dsrl_nothing_is_projected() {
        // eta1 = eta2 = 1 lie at edges: the derivative is that from within
        let start = head([1.0, 1.0, 1.0, 1.0, 2.0]);
        assert_eq!(flat(&start), start.raw);
        let gradient = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(start.pulled_back(gradient, FLOORS), gradient);
    }

    #[test]
    fn a_nan_comes_through() {
        for raw in [[0.1, -1.0, 3.0, 1.0, -2.0], [0.1, 2.0, 3.0, -9.0, 1.0], [1.0, 1.0, 1.0, 1.0, 2.0]] {
            for k in 0..5 {
                let mut gradient = [1.0; 5];
                gradient[k] = f64::NAN;
                let mut of = head(raw);
                of.step(
                    gradient,
                    &Options { floors: FLOORS, ..Options::default() },
                    UpdateParameters { rate: 0.1, step: 1 },
                );
                assert!(of.raw[k].is_nan(), "{raw:?} {k}: {of:?}");
                assert!(flat(&of)[k].is_nan(), "{raw:?} {k}: {of:?}");
            }
        }
    }
}
