//! One training run: batches, gradients, and one verified proximal step per batch.

use std::time::Instant;

use ndarray::{Array2, s};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Options;
use super::method::Method;
use super::mlp::Mlp;
use super::sparsity::{Sparsity, density, live_neurons};
use crate::data::Split;
use crate::noise;
use crate::rate::cosine;
use maf_srl::error::{Result, unsupported};
use maf_srl::kernels::step::StepParameters;
use maf_srl::schedule::{Backend, DensityControl, DensityTarget, HostSchedule, Phase, Verification};

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
    /// How sparse the network is.
    #[serde(flatten)]
    pub sparsity: Sparsity,
    /// The factor of lambda, where a density is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda_scale: Option<f64>,
    /// The share of test rows that are classified rightly, where [`Options::test_each_epoch`] asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<f64>,
}

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The seed of the initial weights and the order of the batches.
    pub seed: u64,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// The trained network; with variable splitting that of the sparse copies V.
    pub network: Mlp,
    /// With variable splitting, the weights W that V is a copy of, at the end of the phase with the penalty.
    pub dense: Option<Mlp>,
    /// Whether the density that was asked for was met; none where none was, and for a method without a penalty.
    pub met: Option<bool>,
    /// What the checks found.
    pub verification: Verification,
    /// How many steps were taken.
    pub steps: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Wall time spent in the proximal steps, verification included.
    pub step_seconds: f64,
}

/// Adds what one schedule found to what others did; the reports per tensor are left out.
pub(super) fn add(sum: &mut Verification, found: &Verification) {
    sum.steps += found.steps;
    sum.not_run += found.not_run;
    sum.skipped += found.skipped;
    sum.memory = sum.memory.max(found.memory);
    sum.checked += found.checked;
    sum.mismatches += found.mismatches;
    sum.in_band += found.in_band;
    sum.max_ulps = sum.max_ulps.max(found.max_ulps);
}

/// The network with the sparse copies of variable splitting in place of the weights; none with other solvers.
fn copy(schedule: &HostSchedule, network: &Mlp) -> Result<Option<Mlp>> {
    let copies = schedule.copies()?;
    if copies.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut sparse = network.clone();
    for (to, from) in sparse.gradients_and_tensors().1.into_iter().zip(&copies) {
        if let Some(from) = from {
            to.copy_from_slice(from);
        }
    }
    Ok(Some(sparse))
}

/// How often the copies of variable splitting, which lie on the device, are read back to be counted: every so many steps.
const READ: u64 = 10;

/// The share of the steps with the penalty in which the density falls to what is asked for.
const RAMP: f64 = 0.7;

/// The controller of a run whose part with the penalty has so many steps: the ramp ends early enough to be followed.
fn controller(method: &Method, options: &Options, steps: u64) -> Result<Option<DensityControl>> {
    let Some(share) = options.density.filter(|_| method.penalised()) else { return Ok(None) };
    let by = (RAMP * steps as f64) as u64;
    Ok(Some(DensityControl::new(DensityTarget::new(share, by.max(2))?)))
}

/// Has zeros of the weight matrices stay zeros from the next step on. Biases, every other tensor, are free to
/// leave zero.
fn freeze(schedule: &mut HostSchedule, tensors: usize) -> Result<()> {
    for k in (0..tensors).step_by(2) {
        if let Some(mut settings) = schedule.settings(k).copied() {
            settings.freeze = true;
            schedule.set(k, settings)?;
        }
    }
    Ok(())
}

/// Trains one network with one method and one seed. `seen` is called after each epoch.
///
/// # Errors
/// Everything that [`HostSchedule`] reports, a mismatch of the verification included, and
/// [`maf_srl::Error::Unsupported`] where the weights stop being finite.
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
    let widths = options.widths(split.train.features.ncols(), split.train.classes);
    let mut network = Mlp::new(&widths, batch, &mut rng);
    let specs = method.specs(&widths, options.groups.as_ref())?;
    let mut schedule = HostSchedule::new(backend, &specs, &network.tensors(), options.base, options.verify)?;

    // Two phases: with the penalty, then without it on the weights that are left.
    let sparse = options.penalised();
    let refit = options.epochs - sparse;
    let freeze_after = options.freeze_after.unwrap_or(sparse);
    let mut frozen = false;
    let per_epoch = rows.div_ceil(batch) as u64;
    let mut control = controller(method, options, per_epoch * sparse as u64)?;
    let mut verification = Verification::default();
    let mut order: Vec<usize> = (0..rows).collect();
    let mut x = Array2::<f32>::zeros((batch, widths[0]));
    let mut labels = Vec::with_capacity(batch);
    let mut history = Vec::with_capacity(options.epochs);
    let mut dense = None;
    let is_met = |control: DensityControl| control.phase() == Phase::Met;
    let mut met = None;
    let (mut step, mut step_seconds, mut steps) = (0, 0.0, 0);
    for epoch in 1..=options.epochs {
        let refitting = epoch > sparse;
        if epoch == sparse + 1 {
            // A new schedule: momentum must not carry a zero away.
            add(&mut verification, &schedule.finish()?);
            if let Some(copy) = copy(&schedule, &network)? {
                dense = Some(std::mem::replace(&mut network, copy));
            }
            let specs = Method::dense().specs(&widths, None)?;
            schedule = HostSchedule::new(backend, &specs, &network.tensors(), options.base, options.verify)?;
            step = 0;
            frozen = false;
            // its work is done
            met = control.take().map(is_met);
        }
        let total = per_epoch * if refitting { refit } else { sparse } as u64;
        // capped, as beta only has to be large in the end
        let growth = options.sigma.powf(((epoch - 1) / options.beta_every) as f64).min(1e6);
        order.shuffle(&mut rng);
        let mut loss = 0.0;
        for chosen in order.chunks(batch) {
            labels.clear();
            for (mut to, &from) in x.outer_iter_mut().zip(chosen) {
                to.assign(&split.train.features.row(from));
                if options.noise > 0.0 {
                    to.mapv_inplace(|v| noise::add(v, options.noise, &mut rng));
                }
                labels.push(split.train.labels[from]);
            }
            loss += network.backward(x.slice(s![..chosen.len(), ..]), &labels) * chosen.len() as f64;
            let warm = (options.warm_up * total as f64).max(1.0);
            let scale = match &control {
                Some(control) => control.lambda_scale(step + 1),
                None if refitting => 1.0,
                None => ((step + 1) as f64 / warm).min(1.0),
            };
            let hyper = StepParameters::new(cosine(options.rate, step, total), step + 1)?
                .with_lambda_scale(scale)?
                .with_beta_scale(growth)?;
            let holds = control.is_some_and(|control| control.frozen());
            if !frozen && (holds || epoch > freeze_after) {
                freeze(&mut schedule, specs.len())?;
                frozen = true;
            }
            let began = Instant::now();
            let (gradients, mut weights) = network.gradients_and_tensors();
            let gradients = if options.base.has_gradient() { gradients.as_slice() } else { &[] };
            let report = schedule.step(hyper, gradients, &mut weights)?;
            step_seconds += began.elapsed().as_secs_f64();
            step += 1;
            steps += 1;
            if let Some(control) = control.as_mut().filter(|control| !control.ended()) {
                if !method.solver.has_copy() {
                    control.observe(step, density(&network.weights()));
                } else if step % READ == 0
                    && let Some(copy) = copy(&schedule, &network)?
                {
                    control.observe(step, density(&copy.weights()));
                }
            }
            if let Some(t) = report.nonfinite.iter().position(|&count| count > 0) {
                return Err(unsupported(
                    format!("{} (seed {seed}), step {steps}", method.name),
                    format!("{} of the elements of {} are not finite", report.nonfinite[t], specs[t].name),
                    "training that converges, for example with a smaller `rate`",
                ));
            }
        }
        let mut copy = copy(&schedule, &network)?;
        let shown = copy.as_mut().unwrap_or(&mut network);
        let state = Epoch {
            epoch,
            loss: loss / rows as f64,
            validation: shown.accuracy(split.validation.features.view(), &split.validation.labels),
            density: density(&shown.weights()),
            live: live_neurons(&shown.weights()),
            sparsity: Sparsity::of(shown),
            lambda_scale: control.map(|control| control.lambda_scale(step)),
            test: options
                .test_each_epoch
                .then(|| shown.accuracy(split.test.features.view(), &split.test.labels)),
        };
        seen(&state);
        history.push(state);
    }
    if let Some(copy) = copy(&schedule, &network)? {
        dense = Some(std::mem::replace(&mut network, copy));
    }
    add(&mut verification, &schedule.finish()?);
    let seconds = start.elapsed().as_secs_f64();
    let met = met.or(control.map(is_met));
    Ok(Fitted { seed, history, network, dense, met, verification, steps, seconds, step_seconds })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Choices;
    use super::*;
    use maf_srl::matrix::Pattern;
    use maf_srl::penalty::Activation;
    use maf_srl::regulariser::{Parameters, Regulariser};

    #[test]
    fn refitting_keeps_every_zero() {
        let split = super::super::prepared(crate::data::Source::Digits.load(None).unwrap());
        let backend = Backend::choose(Some("cpu")).unwrap();
        for base in maf_srl::kernels::step::Optimizer::all().into_iter().filter(|b| b.has_gradient()) {
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

    /// Each of these runs loses zeros again where they are free, so that the comparison can fail.
    #[test]
    fn zeros_stay_after_the_epoch_that_is_named() {
        let split = super::super::prepared(crate::data::Source::Digits.load(None).unwrap());
        let backend = Backend::choose(Some("cpu")).unwrap();
        let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 };
        let pattern = Arc::new(Pattern::diagonal(64).unwrap());
        let learned = Regulariser::new(Parameters::identity(pattern, activation, 1.0).unwrap()).unwrap();
        let learned = Arc::new(learned);
        for (name, solver, lambda) in [
            ("sgl", "proximal", 0.03),
            ("sgl", "proximal-subgradient", 0.03),
            ("l1", "splitting", 0.01),
            ("maf", "proximal", 0.06),
        ] {
            let choices = Choices {
                lambdas: vec![lambda],
                solvers: vec![solver.to_owned()],
                beta: Some(0.1),
                regulariser: (name == "maf").then(|| learned.clone()),
                ..Choices::default()
            };
            let method = &Method::parse_list(name, &choices).unwrap()[0];
            let densities = |freeze_after| {
                // under splitting the threshold lambda / beta falls, and V has fewer zeros
                let growth = Options { sigma: 2.0, beta_every: 1, ..Options::default() };
                let options = Options { epochs: 6, refit: 0.0, hidden: vec![16], freeze_after, ..growth };
                let fitted = fit(&split, method, &options, 1, &backend, |_| ()).unwrap();
                fitted.history.iter().map(|e| e.density).collect::<Vec<_>>()
            };
            let falls = |densities: &[f64]| densities.is_sorted_by(|a, b| a >= b);
            let free = densities(None);
            assert!(!falls(&free[2..]), "{name} {solver}: {free:?}");
            for after in [0, 3] {
                let kept = densities(Some(after));
                let before = after.saturating_sub(1);
                assert!(falls(&kept[before..]) && kept[5] > 0.0, "{name} {solver}: {after}: {kept:?}");
                assert_eq!(kept[..after], free[..after], "{name} {solver}");
            }
        }
    }
}
