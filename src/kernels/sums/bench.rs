//! What is timed of the sums: a layer of 64 components, and the loss; and how layers are put on the device for the room
//! `sampled` too.

use super::cases::{Numbers, Subject, demand, judge, subject};
use super::reference::{Near, Sum};
use super::{Into, Passed, bind, dispatch, loss};
use crate::accuracy::{FLUSH, RELATIVE};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::timed::Recorder;
use crate::kernels::{Batch, Bench, Kernels, Loaded, Order, Outcome};
use crate::regulariser::Places;

/// Judges what the gradient's layer, or another result, holds.
pub(in crate::kernels) type Judge = Box<dyn Fn(&Numbers, &[f32], &mut Outcome)>;

/// What is timed.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// The sums of a layer.
    Layer,
    /// The loss and its derivative.
    Loss,
}

/// Components of everything timed here.
const COMPONENTS: u32 = 64;

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    [Work::Layer, Work::Loss].map(|work| Box::new(work) as Box<dyn Bench>).into()
}

/// A layer of as many vectors as make the elements.
fn layer(elements: u64) -> Subject {
    subject(COMPONENTS, (elements / u64::from(COMPONENTS)).max(1) as u32, 1.0)
}

impl Bench for Work {
    fn variant(&self) -> String {
        match self {
            Work::Layer => "rows".into(),
            Work::Loss => "loss".into(),
        }
    }

    fn label(&self) -> String {
        format!("{} of n={COMPONENTS}", self.variant())
    }

    fn bytes(&self, elements: u64) -> u64 {
        let of = layer(elements);
        let (n, m) = (u64::from(of.n), u64::from(of.m));
        match self {
            Work::Layer => 4 * (5 * n * m + 2 * (8 + 2 * n)),
            Work::Loss => 4 * (3 * n * m + 1),
        }
    }

    fn footprint(&self, elements: u64) -> u64 {
        self.bytes(elements)
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let name = format!("sums/{} at {elements} elements", self.label());
        let of = layer(elements);
        let places = Places { components: of.n, nonzeros: 0 };
        let scale = 0.5f32;
        let work = *self;
        let bind = |kernels: &Kernels, passed: &Passed, into: &Into| -> Result<(Recorder, View)> {
            match work {
                Work::Layer => {
                    let dispatches = bind(kernels, passed, into)?;
                    let written = super::layer_of("timed", &into.gradient, into.layer)?;
                    Ok((Box::new(move |pass| dispatches.record(pass)), written))
                }
                Work::Loss => {
                    let one = View { length: 1, ..into.gradient.view.clone() };
                    let dispatches =
                        loss(kernels, &passed.x, passed.data.batch(), scale, &passed.r_bar, &one)?;
                    Ok((Box::new(move |pass| dispatches.record(pass)), one))
                }
            }
        };
        let judge: Judge = match self {
            Work::Layer => {
                let of = of.clone();
                Box::new(move |numbers, after, outcome| judge(&of, numbers, places, after, outcome))
            }
            Work::Loss => Box::new(move |numbers, after, outcome| {
                let mut sum = Sum::default();
                for (a, b) in numbers.x.iter().zip(&numbers.data) {
                    let d = f64::from(*a) - f64::from(*b);
                    let d = Near { value: d, error: RELATIVE * d.abs() + FLUSH };
                    sum.add_product(d, d);
                }
                let count = numbers.x.len() as f64;
                let span = dispatch::loss_span(numbers.x.len() as u64) as f64;
                let chain = span / 256.0 + count / span / 256.0 + 20.0;
                demand(outcome, "the loss", &sum.times(0.5 * f64::from(scale)), chain, after[0]);
            }),
        };
        load((device, queue, kernels), (name, sets), &of, places, bind, judge)
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let of = layer(elements);
        let places = Places { components: of.n, nonzeros: 0 };
        let numbers = of.numbers(places);
        match self {
            Work::Layer => None,
            Work::Loss => Some(Box::new(move || {
                let d = |(a, b): (&f32, &f32)| f64::from(*a) - f64::from(*b);
                let bar: Vec<f64> = numbers.x.iter().zip(&numbers.data).map(d).collect();
                std::hint::black_box(bar.iter().map(|d| d * d).sum::<f64>());
            })),
        }
    }
}

/// Puts sets of a layer's arrays on the device, and what `bind` makes of each; `judge` is asked about what it says is
/// written.
pub(in crate::kernels) fn load(
    (device, queue, kernels): (&wgpu::Device, &wgpu::Queue, &Kernels),
    (name, sets): (String, usize),
    of: &Subject,
    places: Places,
    bind: impl Fn(&Kernels, &Passed, &Into) -> Result<(Recorder, View)>,
    judge: Judge,
) -> Result<Box<dyn Loaded>> {
    let numbers = of.numbers(places);
    let arrays = of.arrays(&numbers);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let mut loaded = Vec::new();
    for _ in 0..sets.max(1) {
        let mut views = Vec::new();
        for array in &arrays {
            let buffer = gpu::buffer_with(device, "timed layer", bytemuck::cast_slice(array), usage)?;
            views.push(View::new(&name, &buffer, 0, array.len() as u64)?);
        }
        let (passed, into) = of.passed(&name, &views, places)?;
        let (record, written) = bind(kernels, &passed, &into)?;
        loaded.push(Set { x: passed.x, written, record });
    }
    Ok(Box::new(OnDevice {
        name,
        device: device.clone(),
        queue: queue.clone(),
        numbers,
        sets: loaded,
        judge,
    }))
}

/// A layer's buffers.
struct Set {
    x: Batch,
    written: View,
    record: Recorder,
}

/// A subject on the device.
struct OnDevice {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    numbers: Numbers,
    sets: Vec<Set>,
    judge: Judge,
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let set = &self.sets[0];
        let read = gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0);
            let read = [&set.written, &set.x.view].map(|view| {
                Readback::record(&self.device, &mut encoder, view.buffer(), view.offset(), 4 * view.length())
            });
            self.queue.submit([encoder.finish()]);
            read
        })?;
        let [written, x] = read;
        let (after, x) = (written?.wait::<f32>(&self.device)?, x?.wait::<u32>(&self.device)?);
        let mut outcome = Outcome::default();
        (self.judge)(&self.numbers, &after, &mut outcome);
        debug_assert_eq!(set.x.order, Order::Components);
        for (after, before) in x.iter().zip(&self.numbers.x) {
            outcome.demand(*after == before.to_bits(), || "x changed".into());
        }
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, _: &mut wgpu::CommandEncoder) {}

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        (self.sets[set % self.sets.len()].record)(pass);
    }
}
