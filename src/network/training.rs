//! Training the regulariser: MAF-SRL, Algorithm 1, made well posed by a target that is not the input, on a GPU or in
//! float64 on the CPU.

use super::on_cpu::OnCpu;
use super::on_gpu::OnDevice;
use super::options::Start;
use crate::error::{Result, require, shape};
use crate::gpu::Context;
use crate::regulariser::{Parameters, pruned};

/// A network of N layers in training. The data term is 1/2 ||x - c||^2 with c the network's input.
pub struct Trainer(Place);

enum Place {
    Cpu(Box<OnCpu>),
    Device(Box<OnDevice>),
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
    /// Those of [`Start::check`]; [`crate::Error::Limit`] and the errors of the device.
    pub fn on_gpu(context: &Context, start: Start, batch: u32) -> Result<Self> {
        start.check()?;
        Ok(Trainer(Place::Device(Box::new(OnDevice::new(context, start, batch)?))))
    }

    /// One step on `noisy` with the targets `target`: vectors one after the other. The loss is
    /// 1/2 ||x_N - target||^2 + lambda ||x_N||_1 divided by the number of vectors, with lambda the option `sparsity`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where lengths do not fit; [`crate::Error::Domain`] for a rate outside [0, 1e6]; those of the device.
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
            Place::Device(device) => &device.start,
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
    /// [`crate::Error::Domain`] where training has left the domain of [`Parameters::check`], as with a NaN; those of the device.
    pub fn parameters(&mut self) -> Result<Vec<Parameters>> {
        let parameters = match &mut self.0 {
            Place::Cpu(cpu) => cpu.start.parameters.clone(),
            Place::Device(device) => device.parameters()?,
        };
        Parameters::check_all(&parameters, "learned ")?;
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
    /// [`crate::Error::Shape`] where the length is no multiple of n; those of the device.
    pub fn apply(&mut self, noisy: &[f32]) -> Result<Vec<f32>> {
        let n = self.components();
        if !noisy.len().is_multiple_of(n) {
            let expected = format!("a multiple of {n} components");
            return Err(shape("network", "length of the batch", noisy.len(), expected));
        }
        if noisy.is_empty() {
            return Ok(Vec::new());
        }
        match &mut self.0 {
            Place::Cpu(cpu) => Ok(cpu.apply(noisy)),
            Place::Device(device) => device.apply(noisy),
        }
    }
}
