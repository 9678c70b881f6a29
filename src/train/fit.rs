//! One training run: batches, gradients, and one verified proximal step per batch.

use std::time::Instant;

use ndarray::{Array2, ArrayView2, Axis, s};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::Options;
use super::method::Method;
use super::mlp::Mlp;
use crate::Penalty;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::kernels::step::Hyper;
use crate::penalty::NoPenalty;
use crate::schedule::{Backend, HostSchedule, Spec, Verification};

/// The state after one epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Epoch {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The mean training loss over the epoch, penalty not included.
    pub loss: f64,
    /// The share of validation rows that are classified rightly.
    pub validation: f64,
    /// See [`density`].
    pub density: f64,
    /// See [`live_neurons`].
    pub live: Vec<usize>,
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The seed of the initial weights and the order of the batches.
    pub seed: u64,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// The trained network.
    pub network: Mlp,
    /// What the checks found.
    pub verification: Verification,
    /// How many steps were taken.
    pub steps: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Wall time spent in the proximal steps, verification included.
    pub step_seconds: f64,
}

/// The share of exactly nonzero entries over all weight matrices; biases do not count.
#[must_use]
pub fn density(weights: &[ArrayView2<'_, f32>]) -> f64 {
    let nonzeros: usize = weights.iter().map(|w| w.iter().filter(|v| **v != 0.0).count()).sum();
    nonzeros as f64 / weights.iter().map(|w| w.len()).sum::<usize>().max(1) as f64
}

/// The share of exactly nonzero parameters over all parameters, biases included.
#[must_use]
pub fn parameter_share(tensors: &[&[f32]]) -> f64 {
    let nonzeros: usize = tensors.iter().map(|t| t.iter().filter(|v| **v != 0.0).count()).sum();
    nonzeros as f64 / tensors.iter().map(|t| t.len()).sum::<usize>().max(1) as f64
}

/// The live neurons of each hidden layer. Neuron j of hidden layer k is live if at least one weight into it
/// (row j of the k-th matrix) and at least one weight out of it (column j of the next matrix) is nonzero. A
/// neuron that is not live contributes nothing, or a constant that its bias alone decides: it can be removed.
#[must_use]
pub fn live_neurons(weights: &[ArrayView2<'_, f32>]) -> Vec<usize> {
    weights
        .windows(2)
        .map(|pair| {
            pair[0]
                .axis_iter(Axis(0))
                .zip(pair[1].axis_iter(Axis(1)))
                .filter(|(into, out)| into.iter().any(|v| *v != 0.0) && out.iter().any(|v| *v != 0.0))
                .count()
        })
        .collect()
}

/// Half a cosine from `rate` at step 0 towards 0 at step `total`.
fn cosine(rate: f64, step: u64, total: u64) -> f64 {
    0.5 * rate * (1.0 + (std::f64::consts::PI * step as f64 / total as f64).cos())
}

/// Adds what one schedule found to what others did; the reports per tensor are left out.
pub(super) fn add(sum: &mut Verification, found: &Verification) {
    sum.steps += found.steps;
    sum.checked += found.checked;
    sum.mismatches += found.mismatches;
    sum.in_band += found.in_band;
    sum.max_ulps = sum.max_ulps.max(found.max_ulps);
}

/// The tensors of a network as a schedule wants them: `layers.K.weight` with the method's penalty,
/// `layers.K.bias` with none.
fn specs(depth: usize, method: &Method) -> Vec<Spec> {
    (0..depth)
        .flat_map(|k| {
            [("weight", method.penalty, method.lambda), ("bias", Penalty::from(NoPenalty), 0.0)]
                .map(|(part, penalty, lambda)| Spec::new(format!("layers.{k}.{part}"), penalty, lambda))
        })
        .collect()
}

/// Trains one network with one method and one seed. `seen` is called after each epoch.
///
/// # Errors
/// Everything that [`HostSchedule`] reports, a mismatch of the verification included, and
/// [`Error::Unsupported`] where the weights stop being finite.
pub fn fit(
    split: &Split,
    method: &Method,
    options: &Options,
    seed: u64,
    backend: &Backend,
    mut seen: impl FnMut(&Epoch),
) -> Result<Fitted> {
    let start = Instant::now();
    let rows = split.train.labels.len();
    let batch = options.batch.min(rows);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let widths: Vec<usize> = std::iter::once(split.train.features.ncols())
        .chain(options.hidden.iter().copied())
        .chain(std::iter::once(split.train.classes))
        .collect();
    let mut network = Mlp::new(&widths, batch, &mut rng);
    let specs = specs(network.depth(), method);
    let mut schedule = HostSchedule::new(backend, &specs, &network.tensors(), options.base, options.verify)?;

    // Two phases: with the penalty, then without it on the weights that are left.
    let refit = ((options.refit * options.epochs as f64) as usize).min(options.epochs - 1);
    let sparse = options.epochs - refit;
    let per_epoch = rows.div_ceil(batch) as u64;
    let mut verification = Verification::default();
    let mut order: Vec<usize> = (0..rows).collect();
    let mut x = Array2::<f32>::zeros((batch, widths[0]));
    let mut labels = Vec::with_capacity(batch);
    let mut history = Vec::with_capacity(options.epochs);
    let (mut step, mut step_seconds, mut steps) = (0, 0.0, 0);
    for epoch in 1..=options.epochs {
        let refitting = epoch > sparse;
        if epoch == sparse + 1 {
            // A new schedule: momentum must not carry a zero away.
            add(&mut verification, &schedule.finish()?);
            let specs = self::specs(
                network.depth(),
                &Method { lambda: 0.0, penalty: NoPenalty.into(), ..method.clone() },
            );
            schedule = HostSchedule::new(backend, &specs, &network.tensors(), options.base, options.verify)?;
            step = 0;
        }
        let total = per_epoch * if refitting { refit } else { sparse } as u64;
        order.shuffle(&mut rng);
        let mut loss = 0.0;
        for chosen in order.chunks(batch) {
            labels.clear();
            for (mut to, &from) in x.outer_iter_mut().zip(chosen) {
                to.assign(&split.train.features.row(from));
                if options.noise > 0.0 {
                    to.mapv_inplace(|v| {
                        let z: f32 = StandardNormal.sample(&mut rng);
                        v + options.noise as f32 * z
                    });
                }
                labels.push(split.train.labels[from]);
            }
            loss += network.backward(x.slice(s![..chosen.len(), ..]), &labels) * chosen.len() as f64;
            let warm = (options.warm_up * total as f64).max(1.0);
            let scale = if refitting { 1.0 } else { ((step + 1) as f64 / warm).min(1.0) };
            let hyper = Hyper::new(cosine(options.rate, step, total), step + 1)?.with_lambda_scale(scale)?;
            if refitting {
                network.freeze_zeros();
            }
            let began = Instant::now();
            let (gradients, mut weights) = network.gradients_and_tensors();
            let gradients = if options.base.has_gradient() { gradients.as_slice() } else { &[] };
            let report = schedule.step(hyper, gradients, &mut weights)?;
            step_seconds += began.elapsed().as_secs_f64();
            step += 1;
            steps += 1;
            if let Some(t) = report.nonfinite.iter().position(|&count| count > 0) {
                return Err(Error::Unsupported {
                    place: format!("{} (seed {seed}), step {steps}", method.name),
                    what: format!(
                        "{} of the elements of {} are not finite",
                        report.nonfinite[t], specs[t].name
                    ),
                    allowed: "training that converges, for example with a smaller --lr".into(),
                });
            }
        }
        let validation = network.accuracy(split.validation.features.view(), &split.validation.labels);
        let weights = network.weights();
        let state = Epoch {
            epoch,
            loss: loss / rows as f64,
            validation,
            density: density(&weights),
            live: live_neurons(&weights),
        };
        seen(&state);
        history.push(state);
    }
    add(&mut verification, &schedule.finish()?);
    let seconds = start.elapsed().as_secs_f64();
    Ok(Fitted { seed, history, network, verification, steps, seconds, step_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn live_neurons_need_a_way_in_and_a_way_out() {
        // Neuron 0: in and out. 1: in only. 2: out only. 3: neither. 4: in and out.
        let first = arr2(&[[1.0, 0.0], [0.0, -1e-30], [0.0, 0.0], [0.0, 0.0], [2.0, 2.0]]);
        let second = arr2(&[[0.0, 0.0, 1.0, 0.0, 0.0], [3.0, 0.0, 0.0, 0.0, -1.0]]);
        let third = arr2(&[[0.0, 1.0]]);
        assert_eq!(live_neurons(&[first.view(), second.view(), third.view()]), [2, 1]);
        assert_eq!(live_neurons(&[first.view()]), Vec::<usize>::new());
    }

    #[test]
    fn density_leaves_the_biases_out_and_the_share_takes_them_in() {
        let w = arr2(&[[1.0_f32, 0.0], [0.0, 0.0]]);
        let v = arr2(&[[0.5_f32, -0.0]]);
        assert_eq!(density(&[w.view(), v.view()]), 2.0 / 6.0);
        assert_eq!(parameter_share(&[&[1.0, 0.0, 0.0, 0.0], &[1.0, 1.0], &[0.5, -0.0]]), 4.0 / 8.0);
        assert_eq!(density(&[]), 0.0);
    }

    #[test]
    fn the_rate_falls_from_the_first_step_and_stays_positive() {
        assert_eq!(cosine(0.1, 0, 10), 0.1);
        assert!((cosine(0.1, 5, 10) - 0.05).abs() < 1e-15);
        assert!(cosine(0.1, 9, 10) > 0.0);
    }

    #[test]
    fn refitting_keeps_every_zero() {
        let split = super::super::prepared(crate::data::Source::Digits.load(None).unwrap());
        let backend = Backend::choose(Some("cpu")).unwrap();
        for base in crate::kernels::step::Base::all().into_iter().filter(|b| b.has_gradient()) {
            let (rate, lambda) = if base.states() == 2 { (0.005, 5.0) } else { (0.1, 0.1) };
            let options =
                Options { epochs: 4, refit: 0.5, hidden: vec![16], base, rate, ..Options::default() };
            let method = Method::parse("l1", Some(lambda)).unwrap();
            let fitted = fit(&split, &method, &options, 1, &backend, |_| ()).unwrap();
            let density: Vec<f64> = fitted.history.iter().map(|e| e.density).collect();
            assert!(
                density[1] < 1.0 && density[2] <= density[1] && density[3] <= density[1],
                "{base}: {density:?}"
            );
            assert_eq!(fitted.history.len(), 4);
        }
    }

    #[test]
    fn biases_carry_no_penalty() {
        let method = Method::parse("l1", Some(0.5)).unwrap();
        let specs = specs(2, &method);
        let names: Vec<_> = specs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]);
        assert_eq!(specs.iter().map(|s| s.lambda).collect::<Vec<_>>(), [0.5, 0.0, 0.5, 0.0]);
        assert_eq!(specs[1].penalty.name(), "none");
    }
}
