//! The unfolded network on a GPU, forward and backward.

use std::sync::Arc;

#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, require, same, shape, within};
use crate::gpu::{self, View};
use crate::kernels::{
    Batch, Data, Dispatches, LearnedParameters, Matrix, Order, PipelineCache, backward, chain, layer, loss,
    refuse_overlap, sddmm, spmm, sums,
};

/// The data term phi, of which each layer takes a gradient step first.
#[derive(Clone)]
pub enum DataTerm {
    /// 1/2 ||x - c||^2, fused into the kernels.
    Near(Batch),
    /// 1/2 ||D x - y||^2: a matrix D of k x n, its values up to date, and y, k components per vector.
    Linear {
        /// D.
        d: Matrix,
        /// y.
        y: Batch,
    },
    /// Any other, whose gradient the caller computes on the device.
    Given(Arc<dyn Gradient>),
}

/// A data term whose gradient the caller computes: records dispatches between those of the network.
pub trait Gradient: Send + Sync {
    /// Records: grad phi at the input of `layer` ([`Workspace::input`], or the network's own for layer 0) into
    /// [`Workspace::gradient`].
    fn record(&self, layer: u32, pass: &mut wgpu::ComputePass<'_>);

    /// Records: the Hessian of phi at the input of `layer` times [`Workspace::grad_r`] into [`Workspace::hessian_times`].
    fn record_hessian_times(&self, layer: u32, pass: &mut wgpu::ComputePass<'_>);
}

/// A view of a buffer of its own.
pub(super) fn owned(device: &wgpu::Device, name: &str, length: u64) -> Result<View> {
    let buffer = gpu::buffer(device, name, (4 * length).next_multiple_of(16).max(16), gpu::USAGE, false)?;
    View::new(name, &buffer, 0, length)
}

/// Batches of scratch memory.
const BATCHES: usize = 9;

/// Device memory that a network of N layers needs for its work: the inputs of N - 1 layers in one buffer, and nine batches,
/// whatever N, in another. Kernels bind up to five of these as one range: with wgpu's default limits a batch may take
/// 25 MiB.
#[derive(Clone, Debug)]
pub struct Workspace {
    layers: u32,
    inputs: View,
    batches: [Batch; BATCHES],
    device: wgpu::Device,
}

impl Workspace {
    /// For batches of `vectors` vectors of `components` components.
    ///
    /// # Errors
    /// Those of buffers.
    pub fn new(device: &wgpu::Device, layers: u32, components: u32, vectors: u32) -> Result<Self> {
        let length = u64::from(components) * u64::from(vectors);
        let further = u64::from(layers.max(1) - 1);
        // beyond this nothing overflows
        for batches in [BATCHES as u64, further] {
            let place = format!("scratch for {vectors} vectors of {components} components");
            let needed = length.saturating_mul(4 * batches);
            within(place, "max_buffer_size", needed, device.limits().max_buffer_size)?;
        }
        // kernels bind several of these batches at once, as one range
        let apart = (4 * length).next_multiple_of(16).max(16);
        let scratch = owned(device, "scratch", BATCHES as u64 * apart / 4)?;
        let batches = std::array::from_fn(|k| {
            let view = scratch.part(k as u64 * apart, length);
            Batch { view, components, vectors, order: Order::FeatureMajor }
        });
        let inputs = owned(device, "inputs of layers", length * further)?;
        Ok(Workspace { layers, inputs, batches, device: device.clone() })
    }

    /// The input of layer 1, 2, ..., N - 1, once the network has run.
    ///
    /// # Errors
    /// [`Error::Domain`] for another layer.
    pub fn input(&self, layer: u32) -> Result<Batch> {
        let range = format!("[1, {})", self.layers);
        require((1..self.layers).contains(&layer), "network", "layer", layer, range)?;
        let length = self.batches[0].view.len();
        let view = self.inputs.part(4 * length * u64::from(layer - 1), length);
        Ok(Batch { view, ..self.batches[0].clone() })
    }

    /// Where the gradient of the data term goes.
    #[must_use]
    pub fn gradient(&self) -> &Batch {
        &self.batches[0]
    }

    /// Where the Hessian of the data term times grad_r goes.
    #[must_use]
    pub fn hessian_times(&self) -> &Batch {
        &self.batches[1]
    }

    /// The derivative of the loss by x - grad phi(x) / L of the layer at hand, for terms that are not fused.
    #[must_use]
    pub fn grad_r(&self) -> &Batch {
        &self.batches[2]
    }

    /// The derivative of the loss by the network's output, where the trainer puts it.
    pub(super) fn grad_output(&self) -> &Batch {
        &self.batches[3]
    }
}

/// A network to be bound: N layers of one learned set of parameters, or of N.
#[derive(Clone)]
pub struct NetworkJob {
    /// Â of each learned layer, its values up to date whenever the network runs.
    pub matrix: Matrix,
    /// The learned numbers, of one layer that all share, or of each.
    pub learned: LearnedParameters,
    /// N.
    pub layers: u32,
    /// x_0.
    pub x: Batch,
    /// phi.
    pub term: DataTerm,
    /// x_N.
    pub output: Batch,
}

/// What is recorded: dispatches of ours, or what the caller records for its data term.
type Command = Box<dyn Fn(&mut wgpu::ComputePass<'_>) + Send + Sync>;

/// The data term as the layers need it.
enum Phi {
    Near(Batch),
    Linear(Box<Linear>),
    Given(Arc<dyn Gradient>),
}

/// D x - y and D r, for the term 1/2 ||D x - y||^2.
struct Linear {
    d: Matrix,
    y: Batch,
    products: [Batch; 2],
    loss: View,
}

/// What binding a network needs at every layer.
struct Binder<'a> {
    kernels: &'a PipelineCache,
    job: &'a NetworkJob,
    space: &'a Workspace,
    phi: Phi,
    acts: Vec<Command>,
}

impl<'a> Binder<'a> {
    fn new(kernels: &'a PipelineCache, job: &'a NetworkJob, space: &'a Workspace) -> Result<Self> {
        let place = "network";
        let size = |batch: &Batch| format!("{:?}", (batch.components, batch.vectors));
        let vectors = space.batches[0].vectors;
        let expected = format!("{:?}", (job.matrix.pattern().rows(), vectors));
        let mut batches = vec![("x", &job.x), ("output", &job.output), ("scratch", &space.batches[0])];
        if let DataTerm::Near(c) = &job.term {
            batches.push(("c", c));
        }
        for (name, batch) in batches {
            same(place, format_args!("components and vectors of {name}"), size(batch), expected.clone())?;
        }
        let sets = [("learned layers", job.learned.layers), ("layers of the matrix", job.matrix.layers())];
        for (name, got) in sets {
            if (got != 1 && got != job.layers) || got != job.learned.layers || job.layers == 0 {
                let expected = format!("1 or {}, and as many of both", job.layers.max(1));
                return Err(shape(place, name, got, expected));
            }
        }
        if space.layers < job.layers {
            let expected = format!("{} or more", job.layers);
            return Err(shape(place, "layers that the space is for", space.layers, expected));
        }
        refuse_shared(job, space)?;
        let phi = match &job.term {
            DataTerm::Near(c) => Phi::Near(c.clone()),
            DataTerm::Linear { d, y } => Phi::Linear(Box::new(Linear::new(space, d, y, vectors)?)),
            DataTerm::Given(term) => Phi::Given(term.clone()),
        };
        Ok(Binder { kernels, job, space, phi, acts: Vec::new() })
    }

    /// The learned set of a layer.
    fn set(&self, layer: u32) -> u32 {
        if self.job.learned.layers == 1 { 0 } else { layer }
    }

    fn input(&self, layer: u32) -> Result<Batch> {
        if layer == 0 { Ok(self.job.x.clone()) } else { self.space.input(layer) }
    }

    fn push(&mut self, dispatches: Dispatches) {
        self.acts.push(Box::new(move |pass| dispatches.record(pass)));
    }

    /// What the kernels of a layer need of phi, computed first where it is not fused.
    fn data(&mut self, layer: u32) -> Result<Data> {
        let gradient = self.space.gradient();
        match &self.phi {
            Phi::Near(c) => return Ok(Data::Near(c.clone())),
            Phi::Given(term) => {
                let term = term.clone();
                self.acts.push(Box::new(move |pass| term.record(layer, pass)));
            }
            Phi::Linear(linear) => self.push(linear.gradient(self.kernels, &self.input(layer)?, gradient)?),
        }
        Ok(Data::Given(gradient.clone()))
    }

    /// The Hessian of phi times grad_r, where it is not the identity.
    fn hessian_times_r_bar(&mut self, layer: u32) -> Result<()> {
        match &self.phi {
            Phi::Near(_) => {}
            Phi::Given(term) => {
                let term = term.clone();
                self.acts.push(Box::new(move |pass| term.record_hessian_times(layer, pass)));
            }
            Phi::Linear(linear) => {
                let (grad_r, out) = (self.space.grad_r(), self.space.hessian_times());
                self.push(linear.hessian_times(self.kernels, grad_r, out)?);
            }
        }
        Ok(())
    }

    /// A layer's Â or its transpose times a batch, with the layer's numbers at hand.
    fn product(&self, layer: u32, transposed: bool, first: &Batch, output: &Batch) -> spmm::SpmmJob {
        let plain = spmm::SpmmJob::plain(self.job.matrix.clone(), transposed, first.clone(), output.clone());
        let (layer, learned) = (self.set(layer), Some(self.job.learned.clone()));
        spmm::SpmmJob { layer, learned, learned_layer: layer, ..plain }
    }

    /// Â r, with r the step on the data term from x.
    fn stepped(&self, layer: u32, data: &Data, x: &Batch, output: &Batch) -> spmm::SpmmJob {
        let prologue = if data.is_given() { spmm::Prologue::Given } else { spmm::Prologue::Near };
        let second = Some(data.batch().clone());
        spmm::SpmmJob { prologue, second, ..self.product(layer, false, x, output) }
    }

    fn multiply(&mut self, job: &spmm::SpmmJob) -> Result<()> {
        self.push(spmm::bind(self.kernels, job)?);
        Ok(())
    }

    /// u, grad_w and grad_r of a layer.
    fn layer_back(&mut self, layer: u32, passed: &backward::SavedActivations) -> Result<()> {
        let backward::SavedActivations { x, data, grad_output, scale_by, u, w, grad_r, .. } = passed;
        if x.components <= layer::LARGEST {
            self.push(layer::backward(self.kernels, &self.job.matrix, passed)?);
            return Ok(());
        }
        self.multiply(&self.stepped(layer, data, x, u))?;
        let scaled = spmm::SpmmJob { scale_by: *scale_by, ..self.product(layer, false, grad_output, w) };
        self.multiply(&scaled)?;
        let (prologue, second) = (spmm::Prologue::Pulled, Some(w.clone()));
        let pulled = spmm::SpmmJob { prologue, second, ..self.product(layer, true, u, grad_r) };
        self.multiply(&pulled)
    }
}

/// Refuses an output that shares memory with what the backward pass reads again, and anything of the caller's that lies in
/// the scratch memory.
fn refuse_shared(job: &NetworkJob, space: &Workspace) -> Result<()> {
    let mut views = vec![("x", &job.x.view), ("the learned numbers", &job.learned.view)];
    match &job.term {
        DataTerm::Near(c) => views.push(("c", &c.view)),
        DataTerm::Linear { y, .. } => views.push(("y", &y.view)),
        DataTerm::Given(_) => {}
    }
    let output = ("the output", &job.output.view);
    refuse_overlap(&views, &[output])?;
    views.push(output);
    let mut own = vec![("the layers' inputs", &space.inputs)];
    own.extend(space.batches.iter().map(|batch| ("the scratch memory", &batch.view)));
    // one by one: among themselves, what is only read may overlap
    views.into_iter().try_for_each(|view| refuse_overlap(&own, &[view]))
}

/// Refuses a derivative that the backward pass writes over.
fn refuse_overwritten(grad_output: &Batch, space: &Workspace) -> Result<()> {
    let others = space.batches.iter().filter(|batch| *batch != space.grad_output());
    let others: Vec<_> = others.map(|batch| ("the scratch memory", &batch.view)).collect();
    refuse_overlap(&others, &[("the derivative by the output", &grad_output.view)])
}

impl Linear {
    fn new(space: &Workspace, d: &Matrix, y: &Batch, vectors: u32) -> Result<Self> {
        let (rows, columns) = (d.pattern().rows(), d.pattern().columns());
        for (name, got, expected) in [
            ("columns of D", columns, space.batches[0].components),
            ("components of y", y.components, rows),
            ("vectors of y", y.vectors, vectors),
        ] {
            same("network", name, got, expected)?;
        }
        let batch = || {
            let view = owned(&space.device, "D x", u64::from(rows) * u64::from(vectors))?;
            Batch::new("D x", view, rows, vectors, Order::FeatureMajor)
        };
        let (products, loss) = ([batch()?, batch()?], owned(&space.device, "data term", 1)?);
        Ok(Linear { d: d.clone(), y: y.clone(), products, loss })
    }

    /// D or its transpose times a batch.
    fn times(
        &self,
        kernels: &PipelineCache,
        transposed: bool,
        from: &Batch,
        to: &Batch,
    ) -> Result<Dispatches> {
        spmm::bind(kernels, &spmm::SpmmJob::plain(self.d.clone(), transposed, from.clone(), to.clone()))
    }

    /// Dᵀ (D x - y).
    fn gradient(&self, kernels: &PipelineCache, x: &Batch, out: &Batch) -> Result<Dispatches> {
        let [of_x, less_y] = &self.products;
        let mut all = self.times(kernels, false, x, of_x)?;
        all.extend(loss::bind(kernels, of_x, &self.y, (1.0, 0.0), less_y, &self.loss)?);
        all.extend(self.times(kernels, true, less_y, out)?);
        Ok(all)
    }

    /// Dᵀ D r.
    fn hessian_times(&self, kernels: &PipelineCache, r: &Batch, out: &Batch) -> Result<Dispatches> {
        let [of_r, _] = &self.products;
        let mut all = self.times(kernels, false, r, of_r)?;
        all.extend(self.times(kernels, true, of_r, out)?);
        Ok(all)
    }
}

/// A pass through the network, bound: [`forward`] or [`backward()`].
pub struct Unfolded {
    acts: Vec<Command>,
}

impl Unfolded {
    /// Records the dispatches.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.acts.iter().for_each(|act| act(pass));
    }
}

impl From<Dispatches> for Unfolded {
    fn from(dispatches: Dispatches) -> Self {
        Unfolded { acts: vec![Box::new(move |pass| dispatches.record(pass))] }
    }
}

/// Binds the forward pass: x_0 to x_N, with the layers' inputs kept in the [`Workspace`]. Nothing is recorded yet.
///
/// # Errors
/// [`Error::Shape`] where shapes do not fit; [`Error::Overlap`] where the output shares memory with what is read, or either
/// with the [`Workspace`]; those of the kernels `layer` and `product`.
pub fn forward(kernels: &PipelineCache, job: &NetworkJob, space: &Workspace) -> Result<Unfolded> {
    let mut binder = Binder::new(kernels, job, space)?;
    let NetworkJob { matrix, learned, layers, x, term, output } = job;
    if let (DataTerm::Near(c), true) = (term, x.components <= layer::LARGEST) {
        let length = space.batches[0].view.len() * u64::from(layers - 1);
        let forward = layer::Forward {
            matrix: matrix.clone(),
            learned: learned.clone(),
            layers: *layers,
            x: x.clone(),
            data: Data::Near(c.clone()),
            inputs: (*layers > 1).then(|| space.inputs.part(space.inputs.offset(), length)),
            output: output.clone(),
        };
        return Ok(layer::forward(kernels, &forward)?.into());
    }
    let e = &space.batches[8];
    for layer in 0..*layers {
        let (x, data) = (binder.input(layer)?, binder.data(layer)?);
        let epilogue = spmm::Epilogue::Activated;
        let activated = spmm::SpmmJob { epilogue, ..binder.stepped(layer, &data, &x, e) };
        binder.multiply(&activated)?;
        let output = if layer + 1 == *layers { output.clone() } else { space.input(layer + 1)? };
        binder.multiply(&binder.product(layer, true, e, &output))?;
    }
    Ok(Unfolded { acts: binder.acts })
}

/// Binds the backward pass: from `grad_output`, the derivative of a loss by x_N, to that by every learned number, which `gradient`
/// gets at the same places, and to that by x_0, which `grad_input` gets where it is given: by x_0 as an input and not as c.
///
/// It reads the layers' inputs that [`forward`] has left in the same [`Workspace`], and computes everything else again.
///
/// # Errors
/// As [`forward`].
pub fn backward(
    kernels: &PipelineCache,
    job: &NetworkJob,
    space: &Workspace,
    grad_output: &Batch,
    gradient: &LearnedParameters,
    grad_input: Option<&Batch>,
) -> Result<Unfolded> {
    let mut binder = Binder::new(kernels, job, space)?;
    refuse_overwritten(grad_output, space)?;
    let fused = matches!(job.term, DataTerm::Near(_));
    let [.., first, second, u, w, _] = &space.batches;
    let (mut grad_output, mut scale_by) = (grad_output.clone(), None);
    for layer in (0..job.layers).rev() {
        let set = binder.set(layer);
        // where the result is not the next grad_output itself it lies where the caller's Hessian looks for it
        let free = if grad_output == *first { second } else { first };
        let grad_r = if fused { free } else { space.grad_r() };
        let passed = backward::SavedActivations {
            learned: job.learned.clone(),
            layer: set,
            x: binder.input(layer)?,
            data: binder.data(layer)?,
            grad_output,
            scale_by,
            u: u.clone(),
            w: w.clone(),
            grad_r: grad_r.clone(),
        };
        binder.layer_back(layer, &passed)?;
        let add = job.learned.layers == 1 && layer + 1 < job.layers;
        let into = backward::GradientTarget { gradient: gradient.clone(), layer: set, add };
        binder.push(sums::bind(kernels, &passed, &into)?);
        binder.push(sddmm::bind(kernels, job.matrix.pattern(), &passed, &into)?);
        let wanted = if layer == 0 { grad_input } else { None };
        // of 1/2 ||x - c||^2 the next layer scales grad_r itself
        let out = wanted.or((!fused && layer > 0).then_some(free));
        if let Some(out) = out {
            binder.hessian_times_r_bar(layer)?;
            let h = if fused { grad_r } else { space.hessian_times() };
            binder.push(chain::bind(kernels, &job.learned, set, grad_r, h, out)?);
        }
        (grad_output, scale_by) = if fused { (grad_r.clone(), Some(set)) } else { (free.clone(), None) };
    }
    Ok(Unfolded { acts: binder.acts })
}
