//! Training the regulariser: MAF-SRL, Algorithm 1, made well posed by a target that is not the input, on a GPU or in
//! float64 on the CPU.

use ndarray::Array2;

use super::file::LAYERS;
use super::head::Head;
use super::on_device::OnDevice;
use super::reference::{Gradient, Phi, loss_gradient, separable, separable_outputs, unfolded};
use super::{Parameters, pruned};
use crate::error::{Error, Result, require, shape};
use crate::gpu::Context;
use crate::kernels::learn::{self, Floors, Hyper, Method, Rates};
use crate::penalty::Activation;

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
            method: Method::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
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
    /// [`Error::Domain`] for what is negative, not finite, or out of the method's range.
    pub fn check(&self) -> Result<()> {
        let place = "training";
        let Rates { values, q, b, activation, l } = self.rates;
        for (name, rate) in [
            ("rate of Â", values),
            ("rate of q", q),
            ("rate of b", b),
            ("rate of xi", activation),
            ("rate of L", l),
        ] {
            require((0.0..=1e6).contains(&rate), place, name, rate, "[0, 1e6]")?;
        }
        for (name, strength) in [("decay", self.decay), ("sparsity", self.sparsity)] {
            require((0.0..=1e6).contains(&strength), place, name, strength, "[0, 1e6]")?;
        }
        require(
            (1e-6..=1.0).contains(&self.floors.epsilon),
            place,
            "epsilon",
            self.floors.epsilon,
            "[1e-6, 1]",
        )?;
        require((1e-6..=1e6).contains(&self.floors.l), place, "floor of L", self.floors.l, "[1e-6, 1e6]")?;
        if let Method::Adam { beta1, beta2, epsilon } = self.method {
            for (name, beta) in [("beta1", beta1), ("beta2", beta2)] {
                require((0.0..1.0).contains(&beta), place, name, beta, "[0, 1)")?;
            }
            require((1e-12..=1.0).contains(&epsilon), place, "Adam's epsilon", epsilon, "[1e-12, 1]")?;
        }
        if let Some(rounds) = self.bound {
            let allowed = (1..=1000).contains(&rounds);
            require(allowed, place, "rounds of the norm bound", f64::from(rounds), "[1, 1000]")?;
        }
        Ok(())
    }

    /// The rates of the numbers that are stepped where the network is: without those of the host.
    pub(super) fn stored_rates(&self) -> Rates {
        match self.projection {
            Projection::AfterStep => self.rates,
            Projection::InForward => Rates { activation: 0.0, l: 0.0, ..self.rates },
        }
    }
}

/// A network of N layers in training. The data term is 1/2 ||x - c||^2 with c the network's input.
pub struct Trainer(Place);

enum Place {
    Cpu(Box<OnCpu>),
    Device(Box<OnDevice>),
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
    /// [`Error::Domain`] for no layers; [`Error::Shape`] where parameters are neither one nor one per layer or differ in
    /// their patterns; those of [`Parameters::check`] and [`Options::check`].
    pub fn check(&self) -> Result<()> {
        let range = format!("[1, {LAYERS}]");
        require((1..=LAYERS).contains(&self.layers), "network", "layers", f64::from(self.layers), range)?;
        let count = self.parameters.len();
        if count != 1 && count != self.layers as usize {
            return Err(Error::Shape {
                place: "network".into(),
                name: "number of parameter sets".into(),
                got: count.to_string(),
                expected: format!("1, shared, or {}, one per layer", self.layers),
            });
        }
        for (k, p) in self.parameters.iter().enumerate() {
            p.check(&format!("layer {k}"))?;
            if p.pattern != self.parameters[0].pattern {
                return Err(Error::Unsupported {
                    place: format!("layer {k}"),
                    what: "a pattern of Â that differs from layer 0's".into(),
                    allowed: "one pattern for all layers".into(),
                });
            }
        }
        self.options.check()
    }

    /// The unprojected head of each set where projections are inside the forward pass, else none; the sets get the
    /// projected numbers.
    pub(super) fn heads(&mut self) -> Vec<Head> {
        if self.options.projection == Projection::AfterStep {
            return Vec::new();
        }
        let floors = self.options.floors;
        let one = |p: &mut Parameters| {
            let head = Head::new(p);
            head.write(p, floors);
            head
        };
        self.parameters.iter_mut().map(one).collect()
    }
}

impl Trainer {
    /// Trains in float64 on the CPU: the reference, and the way without an adapter.
    ///
    /// # Errors
    /// Those of [`Start::check`].
    pub fn on_cpu(start: Start) -> Result<Self> {
        start.check()?;
        Ok(Trainer(Place::Cpu(Box::new(OnCpu::new(start)))))
    }

    /// Trains on a GPU, with batches of `batch` vectors; everything stays there until asked for.
    ///
    /// # Errors
    /// Those of [`Start::check`]; [`Error::Limit`] and the errors of the device.
    pub fn on_device(context: &Context, start: Start, batch: u32) -> Result<Self> {
        start.check()?;
        Ok(Trainer(Place::Device(Box::new(OnDevice::new(context, start, batch)?))))
    }

    /// One step on `noisy` with the targets `target`: vectors one after the other. The loss is
    /// 1/2 ||x_N - target||^2 + lambda ||x_N||_1 divided by the number of vectors, with lambda the option `sparsity`.
    ///
    /// # Errors
    /// [`Error::Shape`] where lengths do not fit; [`Error::Domain`] for a rate outside [0, 1e6]; those of the device.
    pub fn step(&mut self, noisy: &[f32], target: &[f32], rate: f64) -> Result<()> {
        require((0.0..=1e6).contains(&rate), "training", "rate", rate, "[0, 1e6]")?;
        let n = self.components();
        let whole = !noisy.is_empty() && noisy.len().is_multiple_of(n);
        for (name, got, fits, expected) in [
            ("length of the batch", noisy.len(), whole, format!("a positive multiple of {n} components")),
            ("length of the targets", target.len(), target.len() == noisy.len(), noisy.len().to_string()),
        ] {
            if !fits {
                return Err(shape("training", name, got, expected));
            }
        }
        match &mut self.0 {
            Place::Cpu(cpu) => cpu.step(noisy, target, rate),
            Place::Device(device) => device.step(noisy, target, rate),
        }
    }

    /// n.
    #[must_use]
    pub fn components(&self) -> usize {
        self.start().parameters[0].components() as usize
    }

    fn start(&self) -> &Start {
        match &self.0 {
            Place::Cpu(cpu) => &cpu.start,
            Place::Device(device) => device.start(),
        }
    }

    /// The loss of the latest step, before its update; NaN before the first.
    ///
    /// # Errors
    /// Those of the device.
    pub fn loss(&mut self) -> Result<f64> {
        match &mut self.0 {
            Place::Cpu(cpu) => Ok(cpu.loss),
            Place::Device(device) => device.loss(),
        }
    }

    /// The parameters as they are: of one layer, or of each; slopes, knees and L projected.
    ///
    /// # Errors
    /// [`Error::Domain`] where training has left the domain of [`Parameters::check`], as with a NaN; those of the device.
    pub fn parameters(&mut self) -> Result<Vec<Parameters>> {
        let parameters = match &mut self.0 {
            Place::Cpu(cpu) => cpu.start.parameters.clone(),
            Place::Device(device) => device.parameters()?,
        };
        for (k, p) in parameters.iter().enumerate() {
            p.check(&format!("learned layer {k}"))?;
        }
        Ok(parameters)
    }

    /// Prunes Â to a share of its n^2 entries ([`pruned`]) and goes on training on the pattern that is left, with fresh
    /// moments, from the projected numbers. Returns the condition number of each Â afterwards.
    ///
    /// # Errors
    /// Those of [`Trainer::parameters`] and [`pruned`], a singular Â among them; those of the device. The trainer is as it
    /// was then.
    pub fn prune(&mut self, density: f64) -> Result<Vec<f64>> {
        let parameters = pruned(&self.parameters()?, density)?;
        let conditions = parameters.iter().map(Parameters::conditioning).collect::<Result<Vec<f64>>>()?;
        let start = Start { parameters, ..self.start().clone() };
        match &mut self.0 {
            Place::Cpu(cpu) => **cpu = OnCpu::new(start),
            Place::Device(device) => **device = device.restarted(start)?,
        }
        Ok(conditions)
    }

    /// The network's outputs for any number of vectors.
    ///
    /// # Errors
    /// [`Error::Shape`] where the length is no multiple of n; those of the device.
    pub fn apply(&mut self, noisy: &[f32]) -> Result<Vec<f32>> {
        let n = self.components();
        if !noisy.len().is_multiple_of(n) {
            return Err(Error::Shape {
                place: "network".into(),
                name: "length of the batch".into(),
                got: noisy.len().to_string(),
                expected: format!("a multiple of {n} components"),
            });
        }
        if noisy.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.0 {
            Place::Cpu(cpu) if cpu.separable => Ok(separable_outputs(&cpu.layers(), noisy)),
            Place::Cpu(cpu) => {
                let x = columns(noisy, n);
                let passed = unfolded(&cpu.layers(), &Phi::Near(x.view()), &x);
                Ok(passed.last().map_or(&x, |last| &last.y).t().iter().map(|&y| y as f32).collect())
            }
            Place::Device(device) => device.apply(noisy),
        }
    }
}

/// Vectors one after the other as the columns of a matrix.
fn columns(vectors: &[f32], n: usize) -> Array2<f64> {
    let m = vectors.len() / n;
    Array2::from_shape_fn((n, m), |(i, c)| f64::from(vectors[c * n + i]))
}

/// Whether Â = I, q = 1 and b = 0, and training leaves them so: DSRL.
pub(super) fn is_separable(start: &Start) -> bool {
    let rates = start.options.rates;
    let still = [rates.values, rates.q, rates.b] == [0.0; 3] && start.options.bound.is_none();
    let identity = |p: &Parameters| {
        p.pattern.nonzeros() == p.components()
            && p.values.iter().chain(&p.q).all(|&one| one == 1.0)
            && p.b.iter().all(|&zero| zero == 0.0)
    };
    still && start.parameters.iter().all(identity)
}

/// The float64 trainer.
struct OnCpu {
    start: Start,
    /// Whether every component is by itself.
    separable: bool,
    /// The unprojected heads, where projections are inside the forward pass.
    heads: Vec<Head>,
    /// First and second moments of each set of parameters, at their places.
    moments: Vec<[Vec<f64>; 2]>,
    /// The vectors of the power iterations.
    directions: Vec<Vec<f64>>,
    steps: u64,
    loss: f64,
}

impl OnCpu {
    fn new(mut start: Start) -> Self {
        let heads = start.heads();
        let moments = |p: &Parameters| {
            let zeros = vec![0.0; p.places().length() as usize];
            [zeros.clone(), zeros]
        };
        OnCpu {
            moments: start.parameters.iter().map(moments).collect(),
            directions: start.parameters.iter().map(|p| learn::start(p.components())).collect(),
            separable: is_separable(&start),
            heads,
            start,
            steps: 0,
            loss: f64::NAN,
        }
    }

    fn layers(&self) -> Vec<&Parameters> {
        let sets = &self.start.parameters;
        (0..self.start.layers as usize).map(|k| &sets[k.min(sets.len() - 1)]).collect()
    }

    fn step(&mut self, noisy: &[f32], target: &[f32], rate: f64) -> Result<()> {
        let n = self.start.parameters[0].components() as usize;
        let scale = n as f64 / noisy.len() as f64;
        let (layers, lambda) = (self.layers(), self.start.options.sparsity);
        let (loss, gradients) = if self.separable {
            separable(&layers, noisy, target, lambda)
        } else {
            let (x, target) = (columns(noisy, n), columns(target, n));
            let made = loss_gradient(&layers, &Phi::Near(x.view()), &x, target.view(), lambda);
            (made.0, made.1)
        };
        self.loss = scale * loss;
        self.steps += 1;
        let shared = self.start.parameters.len() == 1;
        let mut sets: Vec<Gradient> = self.start.parameters.iter().map(Gradient::zeros).collect();
        for (k, gradient) in gradients.iter().enumerate() {
            sets[if shared { 0 } else { k }].add(gradient);
        }
        let options = self.start.options;
        let hyper = Hyper { rate, step: self.steps };
        for (k, (p, gradient)) in self.start.parameters.iter_mut().zip(&sets).enumerate() {
            update(p, gradient, scale, &mut self.moments[k], &options, hyper);
            let rested = (options.rates.q == 0.0).then(|| p.q.clone());
            p.project(options.floors);
            if let Some(q) = rested {
                p.q = q;
            }
            if let Some(head) = self.heads.get_mut(k) {
                let by = [gradient.l].into_iter().chain(gradient.activation);
                let mut all = [0.0; 5];
                all.iter_mut().zip(by).for_each(|(to, by)| *to = scale * by);
                head.step(all, &options, hyper);
                head.write(p, options.floors);
            }
            if let Some(rounds) = options.bound {
                let norm = p.norm(&mut self.directions[k], rounds as usize)?;
                p.values.iter_mut().for_each(|a| *a /= norm.max(1.0));
            }
        }
        Ok(())
    }
}

/// One step of the method on one number. Where the rate is 0 nothing changes.
pub(super) fn advance(options: &Options, hyper: Hyper, x: &mut f64, gradient: f64, moments: [&mut f64; 2]) {
    // as on a device, where this is what arrives
    if hyper.rate as f32 == 0.0 {
        return;
    }
    let gradient = gradient + options.decay * *x;
    match options.method {
        Method::Gradient => *x -= hyper.rate * gradient,
        Method::Adam { beta1, beta2, epsilon } => {
            let [m, v] = moments;
            *m = beta1 * *m + (1.0 - beta1) * gradient;
            *v = beta2 * *v + (1.0 - beta2) * gradient * gradient;
            let (m, v) =
                (*m / (1.0 - beta1.powf(hyper.step as f64)), *v / (1.0 - beta2.powf(hyper.step as f64)));
            *x -= hyper.rate * m / (v.sqrt() + epsilon);
        }
    }
}

/// One step of the method on every kind of parameter whose rate is not 0; on the head only where it is projected after
/// the step.
fn update(
    p: &mut Parameters,
    gradient: &Gradient,
    scale: f64,
    moments: &mut [Vec<f64>; 2],
    options: &Options,
    hyper: Hyper,
) {
    let places = p.places();
    let Rates { values, q, b, activation, l } = options.stored_rates();
    let mut step = |at: usize, rate: f64, x: &mut f64, gradient: f64| {
        let hyper = Hyper { rate: hyper.rate * rate, ..hyper };
        advance(options, hyper, x, scale * gradient, moments.each_mut().map(|moment| &mut moment[at]));
    };
    let Activation { eta1, eta2, delta1, delta2 } = &mut p.activation;
    for (k, x) in [eta1, eta2, delta1, delta2].into_iter().enumerate() {
        step(1 + k, activation, x, gradient.activation[k]);
    }
    step(0, l, &mut p.l, gradient.l);
    let kinds = [
        (places.values(), values, &mut p.values, &gradient.values),
        (places.q(), q, &mut p.q, &gradient.q),
        (places.b(), b, &mut p.b, &gradient.b),
    ];
    for (range, rate, numbers, gradients) in kinds {
        for ((at, x), &gradient) in range.zip(numbers).zip(gradients) {
            step(at, rate, x, gradient);
        }
    }
}
