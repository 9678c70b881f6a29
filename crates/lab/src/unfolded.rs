//! Training of an unfolded network: where it begins, how fast Â learns, and where it runs.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use crate::noise::disturb;
use maf_srl::error::Result;
use maf_srl::kernels::learn::{Method, Rates};
use maf_srl::matrix::Pattern;
use maf_srl::network::{Family, Options, Start, Trainer};
use maf_srl::penalty::Activation;
use maf_srl::regulariser::Parameters;
use maf_srl::schedule::Backend;

/// Â = I, eta = (1, 1), the knees delta, L = 1.5.
pub(crate) fn identity(pattern: Pattern, delta: [f64; 2]) -> Result<Parameters> {
    let activation = Activation { eta1: 1.0, eta2: 1.0, delta1: delta[0], delta2: delta[1] };
    Parameters::identity(Arc::new(pattern), activation, 1.5)
}

/// Where a run of some hundred steps begins: [`identity`], for `maf-srl` with a little noise on Â.
pub(crate) fn start(
    family: Family,
    pattern: Pattern,
    delta: [f64; 2],
    random: &mut ChaCha8Rng,
) -> Result<Parameters> {
    let mut first = identity(pattern, delta)?;
    if family == Family::MafSrl {
        disturb(&mut first.values, 0.02, random);
    }
    Ok(first)
}

/// Adam for a run of some hundred steps: the second moment must forget sooner than by the usual 0.999.
///
/// Â gets `most` of the learning rate, and less where its rows are long: Adam moves all entries of a row at once and by about
/// as much, so that with the full rate the loss leaps. `dsrl` leaves Â as it is.
pub(crate) fn options(family: Family, first: &Parameters, most: f64) -> Options {
    let row = f64::from(first.pattern.nonzeros()) / f64::from(first.components());
    let values = match family {
        Family::Dsrl => 0.0,
        Family::MafSrl => most * (20.0 / row).min(1.0),
    };
    let usual = Options::default();
    Options {
        method: Method::Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
        rates: Rates { values, ..usual.rates },
        ..usual
    }
}

/// The trainer of a network whose layers share their parameters, for so many vectors at once: in float64 on the CPU, or on
/// the GPU.
pub(crate) fn trainer(
    backend: &Backend,
    first: Parameters,
    layers: u32,
    options: Options,
    batch: usize,
) -> Result<Trainer> {
    let start = Start { parameters: vec![first], layers, options };
    match backend {
        Backend::Cpu => Trainer::on_cpu(start),
        Backend::Gpu(context) => Trainer::on_gpu(context, start, u32::try_from(batch).unwrap_or(u32::MAX)),
    }
}
