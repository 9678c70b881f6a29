//! How a network is trained, and what it starts from.

use crate::error::{Result, require, shape};
use crate::kernels::adam;
use crate::kernels::learn::{Method, Rates, UpdateParameters, check_rounds};
use crate::regulariser::file::LAYERS;
use crate::regulariser::{Floors, Parameters};

/// Where slopes, knees and L are projected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Projection {
    /// After each step: the method and the decay see numbers that keep to the constraints.
    #[default]
    AfterStep,
    /// Inside the forward pass, as the authors of DSRL train. The method and the decay see numbers that nothing keeps; the
    /// network computes with their projection, and the gradient is pulled back through it. A number that the projection
    /// holds at an edge is moved by the decay alone. These few numbers are stepped on the host in float64 wherever the
    /// network is, which then waits for the device at each step.
    InForward,
}

/// How the parameters are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Adam or the projected gradient.
    pub method: Method,
    /// What the learning rate is multiplied by, per kind of parameter; 0 keeps that kind as it is.
    pub rates: Rates,
    /// L2 weight decay, added to the gradient.
    pub decay: f64,
    /// The smallest values of slopes, scales and L.
    pub floors: Floors,
    /// Rounds of power iteration by which ||diag(sqrt q) Â||_2 <= 1 is kept after each step; `None` leaves it free.
    /// Within the bound G >= 0 follows from the penalty's own g >= 0, and training cannot diverge; denoising is better
    /// without.
    pub bound: Option<u32>,
    /// Where slopes, knees and L are projected.
    pub projection: Projection,
    /// lambda, the strength of the l1 norm of the outputs in the loss, in [0, 1e6].
    pub sparsity: f64,
}

impl Default for Options {
    /// Adam; Â at 0.3 of the rate; q and b stay as they are: q has a gauge in common with Â and drifts, and with any
    /// b but 0 no output is exactly zero.
    fn default() -> Self {
        Options {
            method: Method::default(),
            rates: Rates { values: 0.3, q: 0.0, b: 0.0, activation: 1.0, l: 1.0 },
            decay: 0.0,
            floors: Floors::default(),
            bound: None,
            projection: Projection::AfterStep,
            sparsity: 0.0,
        }
    }
}

impl Options {
    /// Checks the domains.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] for what is negative, not finite, or out of the method's range.
    pub fn check(&self) -> Result<()> {
        let place = "training";
        let Rates { values, q, b, activation, l } = self.rates;
        for (name, strength) in [
            ("rate of Â", values),
            ("rate of q", q),
            ("rate of b", b),
            ("rate of xi", activation),
            ("rate of L", l),
            ("decay", self.decay),
            ("sparsity", self.sparsity),
        ] {
            require((0.0..=1e6).contains(&strength), place, name, strength, "[0, 1e6]")?;
        }
        self.floors.check(place)?;
        self.method.check(place)?;
        check_rounds(place, self.bound)
    }

    /// The rates of the numbers that are stepped where the network is: without those of the host.
    pub(super) fn stored_rates(&self) -> Rates {
        match self.projection {
            Projection::AfterStep => self.rates,
            Projection::InForward => Rates { activation: 0.0, l: 0.0, ..self.rates },
        }
    }

    /// One step of the method on one number. Where the rate is 0 nothing changes.
    pub(super) fn advance(
        &self,
        hyper: UpdateParameters,
        x: &mut f64,
        gradient: f64,
        moments: [&mut f64; 2],
    ) {
        // as on a device, where this is what arrives
        if hyper.rate as f32 == 0.0 {
            return;
        }
        let gradient = gradient + self.decay * *x;
        match self.method {
            Method::Gradient => *x -= hyper.rate * gradient,
            Method::Adam { beta1, beta2, epsilon } => {
                let [m, v] = moments;
                *m = beta1 * *m + (1.0 - beta1) * gradient;
                *v = beta2 * *v + (1.0 - beta2) * gradient * gradient;
                let (m, v) =
                    (*m / adam::correction(beta1, hyper.step), *v / adam::correction(beta2, hyper.step));
                *x -= hyper.rate * m / (v.sqrt() + epsilon);
            }
        }
    }
}

/// What a trainer starts from: the parameters of one layer, which all share, or of each; how many layers; how to learn.
#[derive(Clone, Debug)]
pub struct Start {
    /// One layer's, or each layer's.
    pub parameters: Vec<Parameters>,
    /// N.
    pub layers: u32,
    /// How to learn.
    pub options: Options,
}

impl Start {
    /// Checks all there is to check.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] for no layers; [`crate::Error::Shape`] where parameters are neither one nor one per layer or differ in
    /// their patterns; those of [`Parameters::check`] and [`Options::check`].
    pub fn check(&self) -> Result<()> {
        let range = format!("[1, {LAYERS}]");
        require((1..=LAYERS).contains(&self.layers), "network", "layers", self.layers, range)?;
        let count = self.parameters.len();
        if count != 1 && count != self.layers as usize {
            let expected = format!("1, shared, or {}, one per layer", self.layers);
            return Err(shape("network", "number of parameter sets", count, expected));
        }
        Parameters::check_all(&self.parameters, "")?;
        self.options.check()
    }

    /// Whether Â = I, q = 1 and b = 0, and training leaves them so: DSRL.
    pub(super) fn is_separable(&self) -> bool {
        let rates = self.options.rates;
        let still = [rates.values, rates.q, rates.b] == [0.0; 3] && self.options.bound.is_none();
        let identity = |p: &Parameters| {
            p.pattern.nonzeros() == p.components()
                && p.values.iter().chain(&p.q).all(|&one| one == 1.0)
                && p.b.iter().all(|&zero| zero == 0.0)
        };
        still && self.parameters.iter().all(identity)
    }
}
