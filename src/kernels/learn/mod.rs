//! One step of an optimiser on the learned numbers of every layer, with the projections, and the norm bound.
//!
//! **Formula.** With G the gradient and g = G + decay theta, [`Method::Gradient`] takes theta - rate g, and
//! [`Method::Adam`]
//!
//! ```text
//! M <- beta1 M + (1 - beta1) g,   V <- beta2 V + (1 - beta2) g^2
//! theta <- theta - rate M / (1 - beta1^step) / (sqrt(V / (1 - beta2^step)) + epsilon)
//! ```
//!
//! Then, in this order (MAF-SRL, eq. (28) to (31), corrected, and L, which the paper leaves out): eta1 >= floor, floor <= eta2
//! <= 1, the nearest delta1, delta2 given eta1 ([`Activation::projected`]), q >= floor, L >= its floor. Numbers whose rate is 0
//! stay as they are, bit for bit, and so do their moments; but the head (L, slopes, knees) is always projected.
//!
//! The norm bound ([`LearnJob::bound`]) follows: Â <- Â / max(1, sigma), sigma being the norm of diag(sqrt q) Â by power iterations
//! on its square, warm from step to step:
//!
//! ```text
//! u = Â p,   sigma = ||sqrt(q) u|| / ||p||,   p <- Âᵀ (q u),   p <- p / ||p||
//! ```
//!
//! sigma is a lower bound of the norm that grows from round to round. G >= 0 needs sigma <= 1 and b = 0.
//!
//! **Memory.** 28 bytes per number with Adam, 12 without: one pass. The bound reads Â and its structure twice per round.
//!
//! **Dispatches.** One for the step, one for the bound: a workgroup per layer, any n.
//!
//! **Values of a step.** [`Update::set`] records their copy to the device in the caller's encoder, from a ring of mapped
//! slots: two steps in one encoder each see their own.
//!
//! **Determinism.** Every number is computed by one invocation; the sums of the bound follow a fixed tree. The same adapter
//! gives the same bits each run.
//!
//! **NaN and infinities.** Found by their bits. A number whose gradient, moment or own value is not finite, or whose new value is
//! not, becomes 0x7fc00000 with its moments; both knees where one of them or eta1 is lost. Each such number is counted in its
//! layer's [`Update::status`] word. Where sigma cannot be computed, as of an Â that is not finite or beyond about 1e9, it
//! is NaN, Â stays as it is, the next round starts afresh, and the status word counts one more.
//!
//! **Accuracy.** A step is judged by what WGSL permits of its expression ([`LearnReference`]); the knees within 16 ULP of the larger
//! one beside what their own errors explain. Feasible within 5 ULP of delta2.
//!
//! **Limits.** 256 invocations, 1 KiB of workgroup memory, 7 storage buffers. Each view must lie within one binding.

mod bench;
mod cases;
mod dispatch;
mod reference;
mod start;

pub use dispatch::{LearnJob, Update};
pub use reference::LearnReference;
pub(crate) use start::start;

use super::program::{Host, Program, Struct, host_struct, listed};
use super::rule::{self, Rule};
use super::{Kernel, adam};
use crate::error::{Result, require};
#[cfg(doc)]
use crate::penalty::Activation;
use crate::penalty::WEIGHT;
use crate::wgsl::compose;

/// The register's line.
pub(super) const KERNEL: Kernel =
    Kernel { name: "learn", variants: || listed(Variant::ALL), cases: cases::all, benches: bench::all };

/// How a number follows its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Adam.
    Adam {
        /// Decay of the first moment, in [0, 1).
        beta1: f64,
        /// Decay of the second moment, in [0, 1).
        beta2: f64,
        /// Added to the root of the second moment, in [1e-12, 1].
        epsilon: f64,
    },
    /// Gradient descent; with the projections, projected gradient descent.
    Gradient,
}

impl Default for Method {
    /// Adam with its usual constants.
    fn default() -> Self {
        Method::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Method {
    /// beta1, beta2 and epsilon: zeros for gradient descent, of which nothing is corrected then.
    fn constants(self) -> [f64; 3] {
        match self {
            Method::Adam { beta1, beta2, epsilon } => [beta1, beta2, epsilon],
            Method::Gradient => [0.0; 3],
        }
    }

    /// Refuses constants outside their domains.
    pub(crate) fn check(self, place: &str) -> Result<()> {
        let Method::Adam { beta1, beta2, epsilon } = self else { return Ok(()) };
        for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
            require((0.0..1.0).contains(&beta), place, name, beta, "[0, 1)")?;
        }
        require((1e-12..=1.0).contains(&epsilon), place, "Adam's epsilon", epsilon, "[1e-12, 1]")
    }
}

/// Refuses a number of rounds of the norm bound outside [1, 1000].
pub(crate) fn check_rounds(place: &str, bound: Option<u32>) -> Result<()> {
    bound.map_or(Ok(()), |rounds| {
        let allowed = (1..=1000).contains(&rounds);
        require(allowed, place, "rounds of the norm bound", rounds, "[1, 1000]")
    })
}

/// What multiplies the learning rate of each kind of numbers, in [0, 1e6]; 0 keeps them as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of Â.
    pub values: f64,
    /// Of q.
    pub q: f64,
    /// Of b.
    pub b: f64,
    /// Of slopes and knees.
    pub activation: f64,
    /// Of L.
    pub l: f64,
}

impl Default for Rates {
    /// All 1 but that of b, which stays: with b = 0 the layer maps 0 to 0.
    fn default() -> Self {
        Rates { values: 1.0, q: 1.0, b: 0.0, activation: 1.0, l: 1.0 }
    }
}

/// The values of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdateParameters {
    /// The learning rate, in [0, 1e6]. At 0 nothing changes but by projections.
    pub rate: f64,
    /// The number of the step, from 1: Adam's bias correction needs it.
    pub step: u64,
}

impl UpdateParameters {
    /// Refuses numbers outside their domains.
    fn check(self) -> Result<()> {
        let place = "hyper-parameters";
        require(WEIGHT.contains(self.rate), place, "learning rate", self.rate, WEIGHT)?;
        require(self.step >= 1, place, "step", self.step, "[1, inf)")
    }
}

host_struct! {
    /// WGSL's `Rates`, of `shaders/learn.wgsl`.
    #[derive(Default)]
    pub(crate) struct Numbers {
        values: f32,
        q: f32,
        b: f32,
        activation: f32,
        l: f32,
        root_scale: f32,
        unused0: u32,
        unused1: u32,
    }
}

impl Numbers {
    /// In float64, rounded once.
    fn new(method: Method, rates: Rates, hyper: UpdateParameters) -> Result<Self> {
        hyper.check()?;
        let [beta1, beta2, _] = method.constants();
        let (rate, root_scale) = adam::corrected(hyper.rate, beta1, beta2, hyper.step);
        let of = |factor: f64| (rate * factor) as f32;
        Ok(Numbers {
            values: of(rates.values),
            q: of(rates.q),
            b: of(rates.b),
            activation: of(rates.activation),
            l: of(rates.l),
            root_scale: root_scale as f32,
            ..Numbers::default()
        })
    }
}

/// One kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Adam,
    Gradient,
    Bound,
}

impl Variant {
    const ALL: [Variant; 3] = [Variant::Adam, Variant::Gradient, Variant::Bound];
}

impl Program for Variant {
    const KERNEL: &'static str = KERNEL.name;

    fn name(&self) -> String {
        match self {
            Variant::Adam => "update/adam",
            Variant::Gradient => "update/gradient",
            Variant::Bound => "bound",
        }
        .into()
    }

    fn source(&self) -> String {
        compose(&[match self {
            Variant::Adam => "learn/adam",
            Variant::Gradient => "learn/gradient",
            Variant::Bound => "learn/bound",
        }])
    }

    fn structs(&self) -> Vec<Struct> {
        match self {
            Variant::Bound => vec![dispatch::BoundWork::layout("Job")],
            _ => vec![dispatch::Work::layout("Job"), Numbers::layout("Rates")],
        }
    }

    fn reads(&self) -> &'static [u32] {
        &[0, 1]
    }

    fn work(&self) -> &'static str {
        match self {
            Variant::Adam | Variant::Gradient => {
                "Workgroups (x, y) take numbers 256 x at a time and layers y at a time, round by round: any \
                 x and y will do, and ceil((end - 8) / 256) and the number of layers need one round. \
                 Binding 1 has what changes from step to step; binding 6 counts per layer what is not \
                 finite."
            }
            Variant::Bound => {
                "Workgroups (x, 1) take layers x at a time, round by round: any x will do, and the number \
                 of layers needs one round. `vectors` has n numbers to start from, then 2 n per layer."
            }
        }
    }

    fn rules(&self) -> &'static [Rule] {
        rule::JOB_UNFOLDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_correction_of_the_first_step_is_that_of_adam() {
        let n = Numbers::new(Method::default(), Rates::default(), UpdateParameters { rate: 0.5, step: 1 })
            .unwrap();
        assert!((n.values - 5.0).abs() < 1e-5 && (n.root_scale - 1000f32.sqrt()).abs() < 1e-3, "{n:?}");
        assert_eq!(n.b, 0.0);
        assert!(
            Numbers::new(Method::Gradient, Rates::default(), UpdateParameters { rate: 0.5, step: 0 })
                .is_err()
        );
        assert!(
            Numbers::new(Method::Gradient, Rates::default(), UpdateParameters { rate: f64::NAN, step: 1 })
                .is_err()
        );
    }
}
