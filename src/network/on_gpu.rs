//! The trainer on a GPU: parameters, gradients and moments stay there.

use super::head::Head;
use super::options::Start;
use super::unfolded::{DataTerm, NetworkJob, Unfolded, Workspace, backward, forward, owned};
use crate::error::Result;
use crate::gpu::{self, Context, Readback, View};
use crate::kernels::learn::{self, Method, UpdateParameters};
use crate::kernels::{
    Batch, Dispatches, Format, LearnedParameters, Matrix, Order, PipelineCache, dsrl, loss, spmm,
};
use crate::regulariser::{HEAD, ParameterLayout, Parameters};

/// A network bound for one number of vectors.
struct Bound {
    noisy: View,
    target: View,
    output: View,
    forward: Unfolded,
    difference: Dispatches,
    backward: Unfolded,
}

/// Steps after which the host waits for the device.
const AHEAD: u64 = 16;

/// The trainer on a GPU.
pub(super) struct OnDevice {
    context: Context,
    kernels: PipelineCache,
    /// What it started from.
    pub start: Start,
    batch: u32,
    /// Â in the kernels' order, and what brings it up to date; none where Â = I stays.
    matrix: Option<(Matrix, Dispatches)>,
    learned: LearnedParameters,
    gradient: LearnedParameters,
    /// None where all that is learned is stepped on the host.
    learn: Option<learn::Update>,
    /// The unprojected heads, where projections are inside the forward pass.
    heads: Vec<Head>,
    /// By number of vectors: the batch that was asked for, and the latest other one.
    bound: Vec<(u32, Bound)>,
    /// Of the latest step.
    loss: View,
    steps: u64,
}

impl OnDevice {
    pub fn new(context: &Context, mut start: Start, batch: u32) -> Result<Self> {
        crate::error::require(batch > 0, "training", "batch", batch, "[1, 2^32)")?;
        let kernels = PipelineCache::new(&context.device);
        let (device, sets) = (&context.device, start.parameters.len() as u32);
        let pattern = start.parameters[0].pattern.clone();
        let alone = start.is_separable();
        let heads = Head::all(&mut start);
        let places =
            if alone { ParameterLayout { components: 0, nonzeros: 0 } } else { start.parameters[0].places() };
        let length = places.length() as usize;
        // without components the head alone is left
        let packed: Vec<f32> = start.parameters.iter().flat_map(|p| p.packed()[..length].to_vec()).collect();
        let zeros = vec![0.0f32; packed.len()];
        let numbers = |name: &str, values: &[f32]| -> Result<LearnedParameters> {
            let buffer = gpu::buffer_with(device, name, bytemuck::cast_slice(values), gpu::USAGE)?;
            LearnedParameters::new(name, View::new(name, &buffer, 0, values.len() as u64)?, places, sets)
        };
        let learned = numbers("learned numbers", &packed)?;
        let gradient = numbers("gradient", &zeros)?;
        let moments = match start.options.method {
            Method::Gradient => None,
            Method::Adam { .. } => {
                Some([numbers("first moments", &zeros)?, numbers("second moments", &zeros)?])
            }
        };
        let learn = if alone && !heads.is_empty() {
            None
        } else {
            let job = learn::LearnJob {
                pattern: pattern.clone(),
                learned: learned.clone(),
                gradient: gradient.clone(),
                moments,
                method: start.options.method,
                rates: start.options.stored_rates(),
                decay: start.options.decay,
                floors: start.options.floors,
                bound: start.options.bound,
            };
            Some(learn::Update::bind(&kernels, &job)?)
        };
        let matrix = if alone {
            None
        } else {
            let format = Format::guess(pattern.density(), batch);
            let matrix = Matrix::new(&kernels, pattern, format, sets)?;
            let refresh = spmm::refresh(&kernels, &matrix, &learned)?;
            context.submit("first values", |encoder| {
                refresh.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
                Ok(())
            })?;
            Some((matrix, refresh))
        };
        Ok(OnDevice {
            context: context.clone(),
            kernels,
            start,
            batch,
            matrix,
            learned,
            gradient,
            learn,
            heads,
            bound: Vec::new(),
            loss: owned(&context.device, "loss", 1)?,
            steps: 0,
        })
    }

    /// The same from another start: with fresh moments, at step 0.
    pub fn restarted(&self, start: Start) -> Result<Self> {
        OnDevice::new(&self.context, start, self.batch)
    }

    /// Binds the network for `vectors` vectors where that is not done, and returns its place.
    fn place(&mut self, vectors: u32) -> Result<usize> {
        if let Some(at) = self.bound.iter().position(|(m, _)| *m == vectors) {
            return Ok(at);
        }
        let bound = self.bind(vectors)?;
        // the last batch of an epoch may be smaller; more sizes than two are not kept
        if self.bound.len() == 2 {
            let other = usize::from(self.bound[0].0 == self.batch);
            self.bound.remove(other);
        }
        self.bound.push((vectors, bound));
        Ok(self.bound.len() - 1)
    }

    fn bind(&self, vectors: u32) -> Result<Bound> {
        let device = &self.context.device;
        let n = self.start.parameters[0].components();
        let length = u64::from(n) * u64::from(vectors);
        // without a matrix everything goes element by element, and the order of the batches does not matter
        let order = if self.matrix.is_some() { Order::BatchMajor } else { Order::FeatureMajor };
        let batch = |name: &str| Batch::new(name, owned(device, name, length)?, n, vectors, order);
        let (noisy, target, output) = (batch("input")?, batch("targets")?, batch("output")?);
        let strengths = (1.0 / vectors as f32, self.start.options.sparsity as f32);
        let (kernels, learned, layers) = (&self.kernels, &self.learned, self.start.layers);
        let difference =
            |grad_output: &Batch| loss::bind(kernels, &output, &target, strengths, grad_output, &self.loss);
        let (forward, difference, backward) = match &self.matrix {
            Some((matrix, _)) => {
                let space = Workspace::new(device, layers, n, vectors)?;
                let job = NetworkJob {
                    matrix: matrix.clone(),
                    learned: learned.clone(),
                    layers,
                    x: noisy.clone(),
                    term: DataTerm::Near(noisy.clone()),
                    output: output.clone(),
                };
                let back = backward(kernels, &job, &space, space.grad_output(), &self.gradient, None)?;
                (forward(kernels, &job, &space)?, difference(space.grad_output())?, back)
            }
            None => {
                let grad_output = batch("derivative by the output")?;
                let there = dsrl::Forward {
                    learned: learned.clone(),
                    layers,
                    x: noisy.view.clone(),
                    c: noisy.view.clone(),
                    output: output.view.clone(),
                };
                let back = dsrl::Backward {
                    learned: learned.clone(),
                    layers,
                    x: noisy.view.clone(),
                    c: noisy.view.clone(),
                    grad_output: grad_output.view.clone(),
                    grad_input: None,
                    gradient: self.gradient.clone(),
                    add: false,
                };
                let (there, back) = (dsrl::forward(kernels, &there)?, dsrl::backward(kernels, &back)?);
                (there.into(), difference(&grad_output)?, back.into())
            }
        };
        let (noisy, target, output) = (noisy.view, target.view, output.view);
        Ok(Bound { noisy, target, output, forward, difference, backward })
    }

    pub fn step(&mut self, noisy: &[f32], target: &[f32], rate: f64) -> Result<()> {
        let vectors = noisy.len() as u64 / u64::from(self.start.parameters[0].components());
        let vectors = u32::try_from(vectors).unwrap_or(u32::MAX);
        let place = self.place(vectors)?;
        let OnDevice { context, bound, learn, matrix, heads, learned, gradient, start, .. } = self;
        let bound = &bound[place].1;
        for (view, numbers) in [(&bound.noisy, noisy), (&bound.target, target)] {
            upload(context, "upload of a batch", view, 0, numbers)?;
        }
        let hyper = UpdateParameters { rate, step: self.steps + 1 };
        let length = gradient.places.length();
        let by_heads = context.submit("training step", |encoder| {
            if let Some(learn) = learn {
                learn.set(encoder, hyper)?;
            }
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            bound.forward.record(&mut pass);
            bound.difference.record(&mut pass);
            bound.backward.record(&mut pass);
            if let Some(learn) = learn {
                learn.record(&mut pass);
            }
            if let Some((_, refresh)) = matrix {
                refresh.record(&mut pass);
            }
            drop(pass);
            let (buffer, offset) = (gradient.view.buffer(), gradient.view.offset());
            let one = |k: u32| {
                let at = offset + 4 * u64::from(length) * u64::from(k);
                Readback::record(&context.device, encoder, buffer, at, 4 * u64::from(HEAD))
            };
            (0..heads.len() as u32).map(one).collect::<Result<Vec<_>>>()
        })?;
        for ((k, head), by_head) in (0u64..).zip(heads).zip(by_heads) {
            let by_head = by_head.wait::<f32>(&context.device);
            context.check()?;
            let by_head = by_head?;
            head.step(std::array::from_fn(|at| f64::from(by_head[at])), &start.options, hyper);
            let numbers = head.projected(start.options.floors).map(|x| x as f32);
            upload(context, "upload of projected numbers", &learned.view, u64::from(length) * k, &numbers)?;
        }
        self.steps += 1;
        // the host must not run ahead for ever: what is submitted is held in memory
        if self.steps.is_multiple_of(AHEAD) {
            gpu::wait(&self.context.device, "training step")?;
        }
        Ok(())
    }

    /// Numbers of a view, read back.
    fn read(&self, view: &View) -> Result<Vec<f32>> {
        let device = &self.context.device;
        let read = self.context.submit("readback", |encoder| {
            Readback::record(device, encoder, view.buffer(), view.offset(), 4 * view.len())
        })?;
        let values = read.wait(device);
        self.context.check()?;
        values
    }

    pub fn loss(&mut self) -> Result<f64> {
        if self.steps == 0 {
            return Ok(f64::NAN);
        }
        Ok(f64::from(self.read(&self.loss)?[0]))
    }

    pub fn parameters(&mut self) -> Result<Vec<Parameters>> {
        let numbers = self.read(&self.learned.view)?;
        let length = self.learned.places.length() as usize;
        let one = |(set, first): (&[f32], &Parameters)| {
            // what is not on the device is as it was
            let mut packed = first.packed();
            packed[..length].copy_from_slice(set);
            Parameters::unpacked(first.pattern.clone(), &packed)
        };
        numbers.chunks(length).zip(&self.start.parameters).map(one).collect()
    }

    pub fn apply(&mut self, noisy: &[f32]) -> Result<Vec<f32>> {
        let n = self.start.parameters[0].components() as usize;
        let whole = n * self.batch as usize;
        let mut all = Vec::with_capacity(noisy.len());
        for part in noisy.chunks(whole) {
            let mut padded = part.to_vec();
            padded.resize(whole, 0.0);
            let place = self.place(self.batch)?;
            let bound = &self.bound[place].1;
            upload(&self.context, "upload of a batch", &bound.noisy, 0, &padded)?;
            self.context.submit("network", |encoder| {
                let pass = &mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                bound.forward.record(pass);
                Ok(())
            })?;
            all.extend_from_slice(&self.read(&bound.output)?[..part.len()]);
        }
        Ok(all)
    }
}

/// Uploads into a view of ours, from its element `first` on.
fn upload(context: &Context, place: &str, view: &View, first: u64, numbers: &[f32]) -> Result<()> {
    gpu::guarded(&context.device, place, 0, || {
        let at = view.offset() + 4 * first;
        context.queue.write_buffer(view.buffer(), at, bytemuck::cast_slice(numbers));
    })
}
