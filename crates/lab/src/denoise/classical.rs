//! The ways that learn nothing, or no more than a mean and a covariance.

use nalgebra::{Cholesky, DMatrix};
use ndarray::{Array1, Array2, Axis};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::tiles::{Tiles, rows};
use super::{decibels, psnr};
use crate::memory::product;
use maf_srl::error::{Result, unsupported};

/// Thresholds are tried in this many steps from 0 to 4 sigma.
const THRESHOLDS: u32 = 80;

/// The covariance is that of at most so many patches.
const PATCHES: usize = 200_000;

/// Soft thresholding in an orthonormal basis.
pub struct Estimator {
    /// The row's name.
    pub name: &'static str,
    /// The basis, a vector per row; none for the pixels.
    basis: Option<Array2<f32>>,
}

impl Estimator {
    /// Of the pixels themselves.
    pub fn pixels() -> Self {
        Estimator { name: "soft", basis: None }
    }

    /// Of the coefficients of the two-dimensional DCT-II of each tile.
    pub fn dct(tiles: &Tiles) -> Self {
        let [down, across] = [tiles.height, tiles.width].map(cosines);
        let n = tiles.components();
        let basis = Array2::from_shape_fn((n, n), |(k, x)| {
            let w = tiles.width;
            (down[[k / w, x / w]] * across[[k % w, x % w]]) as f32
        });
        Estimator { name: "soft-dct", basis: Some(basis) }
    }

    /// The estimate at a threshold.
    pub fn estimate(&self, tiles: &Tiles, noisy: &Array2<f32>, threshold: f64) -> Result<Array2<f32>> {
        let t = threshold as f32;
        let soft = |v: f32| (v.abs() - t).max(0.0).copysign(v);
        match &self.basis {
            None => Ok(noisy.mapv(soft)),
            Some(basis) => tiles.through(noisy, |x| Ok(x.dot(&basis.t()).mapv(soft).dot(basis))),
        }
    }

    /// The threshold of the highest ratio.
    pub fn chosen(&self, tiles: &Tiles, noisy: &Array2<f32>, clean: &Array2<f32>, sigma: f64) -> Result<f64> {
        let mut best = (f64::NEG_INFINITY, 0.0);
        for k in 0..=THRESHOLDS {
            let threshold = 4.0 * sigma * f64::from(k) / f64::from(THRESHOLDS);
            let ratio = psnr(&self.estimate(tiles, noisy, threshold)?, clean);
            if ratio > best.0 {
                best = (ratio, threshold);
            }
        }
        Ok(best.1)
    }
}

/// The orthonormal DCT-II of one dimension.
fn cosines(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(k, x)| {
        let scale = if k == 0 { 1.0 } else { 2.0 } / n as f64;
        scale.sqrt() * (std::f64::consts::PI * (x as f64 + 0.5) * k as f64 / n as f64).cos()
    })
}

/// The best affine estimator of a tile.
pub struct Wiener {
    mean: Array1<f32>,
    /// C (C + sigma^2 I)^-1, symmetric.
    gain: Array2<f32>,
}

impl Wiener {
    /// mean + gain (x - mean), for each row x.
    pub fn estimate(&self, noisy: &Array2<f32>) -> Array2<f32> {
        (noisy - &self.mean).dot(&self.gain) + &self.mean
    }
}

/// Bytes that [`wiener`] takes: patches in f32 and in float64.
pub fn bytes(tiles: &Tiles, pictures: usize) -> u64 {
    product(&[12, tiles.components(), (pictures * tiles.positions()).min(PATCHES.max(pictures))])
}

/// That of the mean and covariance of clean pictures: of all, or of patches drawn from them.
pub fn wiener(pictures: &Array2<f32>, tiles: &Tiles, sigma: f64, random: &mut ChaCha8Rng) -> Result<Wiener> {
    let (n, positions) = (tiles.components(), tiles.positions());
    let all = pictures.nrows() * positions;
    let mut cut = vec![0.0; all.min(PATCHES.max(pictures.nrows())) * n];
    let few = cut.len() / n < all;
    for (k, tile) in cut.chunks_exact_mut(n).enumerate() {
        let at = if few { random.random_range(0..positions) } else { k % positions };
        let picture = if few { k % pictures.nrows() } else { k / positions };
        tiles.cut(pictures.row(picture), at, tile);
    }
    let mut cut = rows(cut, n)?.mapv(f64::from);
    let mean = cut.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(n));
    cut -= &mean;
    let covariance = cut.t().dot(&cut) / cut.nrows() as f64;
    let c = DMatrix::from_fn(n, n, |i, j| covariance[[i, j]]);
    let noisy = &c + DMatrix::identity(n, n) * (sigma * sigma);
    let gain = Cholesky::new(noisy).map(|factor| factor.solve(&c)).ok_or_else(|| {
        unsupported(
            "wiener",
            format!("the covariance with noise of {} dB is singular", decibels(sigma * sigma)),
            "pictures with finite values and more noise",
        )
    })?;
    let gain = Array2::from_shape_fn((n, n), |(i, j)| gain[(i, j)] as f32);
    Ok(Wiener { mean: mean.mapv(|v| v as f32), gain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denoise::{Purpose, noised, random};

    fn pictures(count: usize) -> (Array2<f32>, Tiles) {
        let split = crate::data::Source::Digits.load(None).unwrap();
        let tiles = Tiles::new(&split.train, None).unwrap();
        (split.train.features.slice_move(ndarray::s![..count, ..]), tiles)
    }

    #[test]
    fn the_basis_is_orthonormal_and_a_threshold_of_0_changes_nothing() {
        let (x, tiles) = pictures(5);
        let dct = Estimator::dct(&tiles);
        let basis = dct.basis.as_ref().unwrap();
        let unit = basis.dot(&basis.t()) - Array2::<f32>::eye(64);
        assert!(unit.iter().all(|v| v.abs() < 1e-6));
        // the first coefficient is the mean of the pixels times 8
        assert!((basis.dot(&x.row(0))[0] - x.row(0).sum() / 8.0).abs() < 1e-5);
        let same = dct.estimate(&tiles, &x, 0.0).unwrap() - &x;
        assert!(same.iter().all(|v| v.abs() < 1e-5));
        assert!(dct.estimate(&tiles, &x, 100.0).unwrap().iter().all(|&v| v == 0.0));
    }

    #[test]
    fn no_other_affine_estimator_near_by_does_better_where_it_was_fitted() {
        let (x, tiles) = pictures(400);
        let sigma = 0.3;
        let w = wiener(&x, &tiles, sigma, &mut random(0, Purpose::Covariance)).unwrap();
        // the expected squared error: |(G - I)(x - mean)|^2 + sigma^2 |G|^2
        let error = |gain: &Array2<f32>, mean: &Array1<f32>| {
            let miss = (&x - mean).dot(&(gain - Array2::<f32>::eye(64)));
            let spread: f32 = gain.iter().map(|g| g * g).sum();
            miss.iter().map(|v| v * v).sum::<f32>() / 400.0 + (sigma * sigma) as f32 * spread
        };
        let best = error(&w.gain, &w.mean);
        for k in 0..20 {
            for by in [-0.02, 0.02] {
                let mut gain = w.gain.clone();
                gain[[(k * 13) % 64, (k * 29) % 64]] += by;
                assert!(error(&gain, &w.mean) > best);
            }
        }
        let noisy = noised(&x, sigma, &mut random(0, Purpose::Test));
        assert!(psnr(&w.estimate(&noisy), &x) > psnr(&noisy, &x) + 5.0);
    }
}
