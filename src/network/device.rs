//! The unfolded network on a GPU, forward and backward.

use std::sync::Arc;

use crate::error::{Error, Result, shape};
use crate::gpu::{self, View};
use crate::kernels::{
    Batch, Data, Dispatches, Kernels, Learned, Matrix, Order, backward, chain, layer, loss, product,
    refuse_overlap, sampled, sums,
};

/// The data term phi, of which each layer takes a gradient step first.
#[derive(Clone)]
pub enum Term {
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
    /// Records: grad phi at the input of `layer` ([`Space::input`], or the network's own for layer 0) into
    /// [`Space::gradient`].
    fn record(&self, layer: u32, pass: &mut wgpu::ComputePass<'_>);

    /// Records: the Hessian of phi at the input of `layer` times [`Space::r_bar`] into [`Space::hessian_times`].
    fn record_hessian_times(&self, layer: u32, pass: &mut wgpu::ComputePass<'_>);
}

/// Batches of scratch memory.
const BATCHES: usize = 9;

/// Device memory that a network of N layers needs for its work: the inputs of N - 1 layers in one buffer, and nine batches,
/// whatever N, in another. Kernels bind up to five of these as one range: with wgpu's default limits a batch may take
/// 25 MiB.
#[derive(Clone, Debug)]
pub struct Space {
    layers: u32,
    inputs: View,
    batches: [Batch; BATCHES],
    device: wgpu::Device,
}

impl Space {
    /// For batches of `vectors` vectors of `components` components.
    ///
    /// # Errors
    /// Those of buffers.
    pub fn new(device: &wgpu::Device, layers: u32, components: u32, vectors: u32) -> Result<Self> {
        let batch = u64::from(components) * u64::from(vectors);
        // beyond this nothing overflows
        let limit = device.limits().max_buffer_size;
        let needed = batch.saturating_mul(4 * BATCHES as u64);
        let inputs = batch.saturating_mul(4 * u64::from(layers.max(1) - 1));
        for needed in [needed, inputs] {
            if needed > limit {
                let place = format!("scratch for {vectors} vectors of {components} components");
                return Err(Error::Limit { place, name: "max_buffer_size", needed, limit });
            }
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        // kernels bind several of these batches at once, as one range
        let apart = (4 * batch).next_multiple_of(16).max(16);
        let scratch = gpu::buffer(device, "scratch", BATCHES as u64 * apart, usage, false)?;
        let mut batches = Vec::new();
        for k in 0..BATCHES as u64 {
            let view = View::new("scratch", &scratch, k * apart, batch)?;
            batches.push(Batch::new("scratch", view, components, vectors, Order::Components)?);
        }
        let Ok(batches) = batches.try_into() else { unreachable!("as many were made") };
        let length = batch * u64::from(layers.max(1) - 1);
        let inputs =
            gpu::buffer(device, "inputs of layers", (4 * length).next_multiple_of(16).max(16), usage, false)?;
        let inputs = View::new("inputs of layers", &inputs, 0, length)?;
        Ok(Space { layers, inputs, batches, device: device.clone() })
    }

    /// The input of layer 1, 2, ..., N - 1, once the network has run.
    ///
    /// # Errors
    /// [`Error::Domain`] for another layer.
    pub fn input(&self, layer: u32) -> Result<Batch> {
        let range = format!("[1, {})", self.layers);
        crate::error::require(
            (1..self.layers).contains(&layer),
            "network",
            "layer",
            f64::from(layer),
            range,
        )?;
        let Batch { components, vectors, order, .. } = self.batches[0];
        let length = u64::from(components) * u64::from(vectors);
        let offset = self.inputs.offset() + 4 * length * u64::from(layer - 1);
        let view = View::new("input of a layer", self.inputs.buffer(), offset, length)?;
        Batch::new("input of a layer", view, components, vectors, order)
    }

    /// Where the gradient of the data term goes.
    #[must_use]
    pub fn gradient(&self) -> &Batch {
        &self.batches[0]
    }

    /// Where the Hessian of the data term times r_bar goes.
    #[must_use]
    pub fn hessian_times(&self) -> &Batch {
        &self.batches[1]
    }

    /// The derivative of the loss by x - grad phi(x) / L of the layer at hand, for terms that are not fused.
    #[must_use]
    pub fn r_bar(&self) -> &Batch {
        &self.batches[2]
    }

    /// The derivative of the loss by the network's output, where the trainer puts it.
    pub(super) fn bar(&self) -> &Batch {
        &self.batches[3]
    }
}

/// A network to be bound: N layers of one learned set of parameters, or of N.
#[derive(Clone)]
pub struct Job {
    /// Â of each learned layer, its values up to date whenever the network runs.
    pub matrix: Matrix,
    /// The learned numbers, of one layer that all share, or of each.
    pub learned: Learned,
    /// N.
    pub layers: u32,
    /// x_0.
    pub x: Batch,
    /// phi.
    pub term: Term,
    /// x_N.
    pub output: Batch,
}

/// What is recorded in order.
enum Act {
    Ours(Dispatches),
    Gradient(Arc<dyn Gradient>, u32),
    HessianTimes(Arc<dyn Gradient>, u32),
}

impl Act {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        match self {
            Act::Ours(dispatches) => dispatches.record(pass),
            Act::Gradient(term, layer) => term.record(*layer, pass),
            Act::HessianTimes(term, layer) => term.record_hessian_times(*layer, pass),
        }
    }
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
    kernels: &'a Kernels,
    job: &'a Job,
    space: &'a Space,
    linear: Option<Linear>,
    acts: Vec<Act>,
}

impl<'a> Binder<'a> {
    fn new(kernels: &'a Kernels, job: &'a Job, space: &'a Space) -> Result<Self> {
        let size = |batch: &Batch| (batch.components, batch.vectors);
        let n = job.matrix.pattern().rows();
        let expected = (n, space.batches[0].vectors);
        let mut batches = vec![("x", &job.x), ("output", &job.output), ("scratch", &space.batches[0])];
        if let Term::Near(c) = &job.term {
            batches.push(("c", c));
        }
        for (name, batch) in batches {
            if size(batch) != expected {
                let name = format!("components and vectors of {name}");
                let (got, expected) = (format!("{:?}", size(batch)), format!("{expected:?}"));
                return Err(shape("network", name, got, expected));
            }
        }
        let sets = [("learned layers", job.learned.layers), ("layers of the matrix", job.matrix.layers())];
        for (name, got) in sets {
            if (got != 1 && got != job.layers) || got != job.learned.layers || job.layers == 0 {
                let expected = format!("1 or {}, and as many of both", job.layers.max(1));
                return Err(shape("network", name, got, expected));
            }
        }
        if space.layers < job.layers {
            let expected = format!("{} or more", job.layers);
            return Err(shape("network", "layers that the space is for", space.layers, expected));
        }
        refuse_shared(job, space)?;
        let linear = match &job.term {
            Term::Linear { d, y } => Some(Linear::new(space, d, y, expected.1)?),
            Term::Near(_) | Term::Given(_) => None,
        };
        Ok(Binder { kernels, job, space, linear, acts: Vec::new() })
    }

    /// The learned set of a layer.
    fn set(&self, layer: u32) -> u32 {
        if self.job.learned.layers == 1 { 0 } else { layer }
    }

    fn input(&self, layer: u32) -> Result<Batch> {
        if layer == 0 { Ok(self.job.x.clone()) } else { self.space.input(layer) }
    }

    fn multiply(&mut self, job: &product::Job) -> Result<()> {
        self.acts.push(Act::Ours(product::bind(self.kernels, job)?));
        Ok(())
    }

    /// What the kernels of a layer need of phi, computed first where it is not fused.
    fn data(&mut self, layer: u32) -> Result<Data> {
        let gradient = self.space.gradient().clone();
        match &self.job.term {
            Term::Near(c) => return Ok(Data::Near(c.clone())),
            Term::Given(term) => self.acts.push(Act::Gradient(term.clone(), layer)),
            Term::Linear { .. } => {
                let x = self.input(layer)?;
                let Some(Linear { d, y, products: [of_x, less_y], loss }) = &self.linear else {
                    unreachable!("bound with the term");
                };
                let (d, of_x, less_y) = (d.clone(), of_x.clone(), less_y.clone());
                let difference = loss::bind(self.kernels, &of_x, y, 1.0, &less_y, loss)?;
                self.multiply(&product::Job::plain(d.clone(), false, x, of_x))?;
                self.acts.push(Act::Ours(difference));
                self.multiply(&product::Job::plain(d, true, less_y, gradient.clone()))?;
            }
        }
        Ok(Data::Given(gradient))
    }

    /// The Hessian of phi times r_bar, where it is not the identity.
    fn hessian_times_r_bar(&mut self, layer: u32) -> Result<()> {
        match &self.job.term {
            Term::Near(_) => {}
            Term::Given(term) => self.acts.push(Act::HessianTimes(term.clone(), layer)),
            Term::Linear { .. } => {
                let Some(Linear { d, products: [of_r, _], .. }) = &self.linear else {
                    unreachable!("bound with the term");
                };
                let (d, of_r) = (d.clone(), of_r.clone());
                let r_bar = self.space.r_bar().clone();
                self.multiply(&product::Job::plain(d.clone(), false, r_bar, of_r.clone()))?;
                let out = self.space.hessian_times().clone();
                self.multiply(&product::Job::plain(d, true, of_r, out))?;
            }
        }
        Ok(())
    }

    /// A product with Â or its transpose.
    fn multiply_layer(
        &mut self,
        layer: u32,
        transposed: bool,
        (operand, finish): (product::Operand, product::Finish),
        (first, second): (Batch, Option<Batch>),
        scale_by: Option<u32>,
        output: Batch,
    ) -> Result<()> {
        let set = self.set(layer);
        self.multiply(&product::Job {
            matrix: self.job.matrix.clone(),
            layer: set,
            transposed,
            operand,
            finish,
            learned: Some(self.job.learned.clone()),
            learned_layer: set,
            scale_by,
            first,
            second,
            output,
        })
    }
}

/// Refuses an output that shares memory with what the backward pass reads again, and anything of the caller's that lies in
/// the scratch memory.
fn refuse_shared(job: &Job, space: &Space) -> Result<()> {
    let mut views = vec![("x", &job.x.view), ("the learned numbers", &job.learned.view)];
    match &job.term {
        Term::Near(c) => views.push(("c", &c.view)),
        Term::Linear { y, .. } => views.push(("y", &y.view)),
        Term::Given(_) => {}
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
fn refuse_overwritten(bar: &Batch, space: &Space) -> Result<()> {
    let others = space.batches.iter().filter(|batch| *batch != space.bar());
    let others: Vec<_> = others.map(|batch| ("the scratch memory", &batch.view)).collect();
    refuse_overlap(&others, &[("the derivative by the output", &bar.view)])
}

impl Linear {
    fn new(space: &Space, d: &Matrix, y: &Batch, vectors: u32) -> Result<Self> {
        let (rows, columns) = (d.pattern().rows(), d.pattern().columns());
        for (name, got, expected) in [
            ("columns of D", columns, space.batches[0].components),
            ("components of y", y.components, rows),
            ("vectors of y", y.vectors, vectors),
        ] {
            if got != expected {
                return Err(shape("network", name, got, expected));
            }
        }
        let usage = wgpu::BufferUsages::STORAGE;
        let length = u64::from(rows) * u64::from(vectors);
        let batch = || {
            let buffer = gpu::buffer(&space.device, "D x", (4 * length).max(16), usage, false)?;
            Batch::new("D x", View::new("D x", &buffer, 0, length)?, rows, vectors, Order::Components)
        };
        let (of_x, less_y) = (batch()?, batch()?);
        let loss = View::new("data term", &gpu::buffer(&space.device, "data term", 16, usage, false)?, 0, 1)?;
        Ok(Linear { d: d.clone(), y: y.clone(), products: [of_x, less_y], loss })
    }
}

/// The second operand of a step on the data term.
fn stepped(data: &Data) -> (product::Operand, Batch) {
    match data {
        Data::Near(c) => (product::Operand::Near, c.clone()),
        Data::Given(g) => (product::Operand::Given, g.clone()),
    }
}

/// Whether a layer of n components stays on chip.
fn on_chip(n: u32) -> bool {
    n <= layer::LARGEST
}

/// The forward pass, bound: x_0 to x_N, with the layers' inputs kept in the [`Space`].
pub struct Unfolded {
    acts: Vec<Act>,
}

impl Unfolded {
    /// Binds the network; nothing is recorded yet.
    ///
    /// # Errors
    /// [`Error::Shape`] where shapes do not fit; [`Error::Overlap`] where the output shares memory with what is read, or either
    /// with the [`Space`]; those of the rooms `layer` and `product`.
    pub fn bind(kernels: &Kernels, job: &Job, space: &Space) -> Result<Self> {
        let mut binder = Binder::new(kernels, job, space)?;
        let n = job.matrix.pattern().rows();
        if let (Term::Near(c), true) = (&job.term, on_chip(n)) {
            let inputs = (job.layers > 1).then(|| space.inputs.clone());
            let forward = layer::Forward {
                matrix: job.matrix.clone(),
                learned: job.learned.clone(),
                layers: job.layers,
                x: job.x.clone(),
                data: Data::Near(c.clone()),
                inputs: trimmed(inputs, job, space)?,
                output: job.output.clone(),
            };
            binder.acts.push(Act::Ours(layer::forward(kernels, &forward)?));
            return Ok(Unfolded { acts: binder.acts });
        }
        let e = space.batches[8].clone();
        for layer in 0..job.layers {
            let x = binder.input(layer)?;
            let (operand, second) = stepped(&binder.data(layer)?);
            let activated = (operand, product::Finish::Activated);
            binder.multiply_layer(layer, false, activated, (x, Some(second)), None, e.clone())?;
            let output = if layer + 1 == job.layers { job.output.clone() } else { space.input(layer + 1)? };
            let plain = (product::Operand::Plain, product::Finish::Plain);
            binder.multiply_layer(layer, true, plain, (e.clone(), None), None, output)?;
        }
        Ok(Unfolded { acts: binder.acts })
    }

    /// Records the dispatches.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.acts.iter().for_each(|act| act.record(pass));
    }
}

/// The part of the space that the inputs of a job's layers take.
fn trimmed(inputs: Option<View>, job: &Job, space: &Space) -> Result<Option<View>> {
    let batch = space.batches[0].view.length();
    let part = |view: View| {
        View::new("inputs of layers", view.buffer(), view.offset(), batch * u64::from(job.layers - 1))
    };
    inputs.map(part).transpose()
}

/// The backward pass, bound: from the derivative of a loss by x_N to that by every learned number, and by x_0.
///
/// It reads the layers' inputs that [`Unfolded`] has left in the same [`Space`], and computes everything else again.
pub struct Backward {
    acts: Vec<Act>,
}

impl Backward {
    /// Binds the backward pass of `job`: `bar` is the derivative by x_N, `gradient` gets that by the learned numbers, at
    /// the same places, and `x_bar`, if given, that by x_0, as an input and not as c.
    ///
    /// # Errors
    /// As [`Unfolded::bind`].
    pub fn bind(
        kernels: &Kernels,
        job: &Job,
        space: &Space,
        bar: &Batch,
        gradient: &Learned,
        x_bar: Option<&Batch>,
    ) -> Result<Self> {
        let mut binder = Binder::new(kernels, job, space)?;
        refuse_overwritten(bar, space)?;
        let fused = matches!(job.term, Term::Near(_));
        let [.., first, second, u, w, _] = &space.batches;
        let shared = job.learned.layers == 1;
        let (mut bar, mut scale_by) = (bar.clone(), None);
        for layer in (0..job.layers).rev() {
            let set = binder.set(layer);
            let x = binder.input(layer)?;
            let data = binder.data(layer)?;
            // where the result is not the next bar itself it lies where the caller's Hessian looks for it
            let free = if bar == *first { second } else { first };
            let r_bar = if fused { free.clone() } else { space.r_bar().clone() };
            let passed = backward::Passed {
                learned: job.learned.clone(),
                layer: set,
                x,
                data,
                bar: bar.clone(),
                scale_by,
                u: u.clone(),
                w: w.clone(),
                r_bar: r_bar.clone(),
            };
            binder.layer_back(layer, &passed)?;
            let into = backward::Into {
                gradient: gradient.clone(),
                layer: set,
                add: shared && layer + 1 < job.layers,
            };
            binder.acts.push(Act::Ours(sums::bind(kernels, &passed, &into)?));
            let pattern = job.matrix.pattern();
            binder.acts.push(Act::Ours(sampled::bind(kernels, pattern, &passed, &into)?));
            let wanted = if layer == 0 { x_bar } else { None };
            if fused {
                if let Some(out) = wanted {
                    let chain = chain::bind(kernels, &job.learned, set, &r_bar, &r_bar, out)?;
                    binder.acts.push(Act::Ours(chain));
                }
                (bar, scale_by) = (r_bar, Some(set));
            } else if layer > 0 || wanted.is_some() {
                binder.hessian_times_r_bar(layer)?;
                let out = wanted.unwrap_or(free);
                let chain = chain::bind(kernels, &job.learned, set, &r_bar, space.hessian_times(), out)?;
                binder.acts.push(Act::Ours(chain));
                (bar, scale_by) = (out.clone(), None);
            }
        }
        Ok(Backward { acts: binder.acts })
    }

    /// Records the dispatches.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.acts.iter().for_each(|act| act.record(pass));
    }
}

impl Binder<'_> {
    /// u, w_bar and r_bar of a layer.
    fn layer_back(&mut self, layer: u32, passed: &backward::Passed) -> Result<()> {
        let backward::Passed { learned, x, data, bar, scale_by, u, w, r_bar, .. } = passed.clone();
        if on_chip(x.components) {
            let matrix = self.job.matrix.clone();
            let layer = self.set(layer);
            let backward = layer::Backward { matrix, learned, layer, x, data, bar, scale_by, u, w, r_bar };
            self.acts.push(Act::Ours(layer::backward(self.kernels, &backward)?));
            return Ok(());
        }
        use product::{Finish, Operand};
        let (operand, second) = stepped(&data);
        self.multiply_layer(layer, false, (operand, Finish::Plain), (x, Some(second)), None, u.clone())?;
        let plain = (Operand::Plain, Finish::Plain);
        self.multiply_layer(layer, false, plain, (bar, None), scale_by, w.clone())?;
        self.multiply_layer(layer, true, (Operand::Pulled, Finish::Plain), (u, Some(w)), None, r_bar)
    }
}
