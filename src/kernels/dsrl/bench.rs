//! What is timed of the fused layers: ten of them, forward beside ten dispatches of one layer each, and backward.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::dispatch::PLACES;
use super::{Backward, Forward, Reference, Stage, backward, forward};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::{Bench, Dispatches, Kernels, Learned, Loaded, Outcome};

/// N.
const LAYERS: u32 = 10;

/// Random elements are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 18;

/// L, eta1, eta2, delta1, delta2.
const NUMBERS: [f32; 8] = [1.7, 1.1, 0.6, 0.05, 0.7, 0.0, 0.0, 0.0];

/// Ten layers in one dispatch or backward, or in a dispatch each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Forward,
    Separate,
    Backward,
}

/// Every subject.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    vec![Box::new(Subject::Forward), Box::new(Subject::Backward)]
}

/// x, c and the derivative by the output.
fn arrays(elements: u64) -> [Vec<f32>; 3] {
    let mut rng = ChaCha8Rng::seed_from_u64(0xd5be);
    [2.0f32, 1.5, 1.0].map(|size| {
        let block: Vec<f32> = (0..elements.min(BLOCK)).map(|_| rng.random_range(-size..size)).collect();
        block.iter().copied().cycle().take(elements as usize).collect()
    })
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let stage = if *self == Subject::Backward { Stage::Backward } else { Stage::Forward };
        stage.name().into()
    }

    fn label(&self) -> String {
        match self {
            Subject::Forward => format!("forward, {LAYERS} layers"),
            Subject::Separate => format!("forward, {LAYERS} dispatches of a layer"),
            Subject::Backward => format!("backward, {LAYERS} layers"),
        }
    }

    fn bytes(&self, elements: u64) -> u64 {
        match self {
            Subject::Forward => 12 * elements,
            Subject::Separate => 12 * u64::from(LAYERS) * elements,
            Subject::Backward => 16 * elements,
        }
    }

    fn footprint(&self, elements: u64) -> u64 {
        match self {
            Subject::Forward => 12 * elements,
            Subject::Separate | Subject::Backward => 16 * elements,
        }
    }

    fn load(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        kernels: &Kernels,
        elements: u64,
        sets: usize,
    ) -> Result<Box<dyn Loaded>> {
        let name = "timed elements";
        let host = arrays(elements);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let filled = |values: &[f32]| -> Result<View> {
            let buffer = gpu::buffer_with(device, name, bytemuck::cast_slice(values), usage)?;
            View::new(name, &buffer, 0, values.len() as u64)
        };
        let empty = || -> Result<View> {
            let buffer = gpu::buffer(device, name, (4 * elements).max(16), usage, false)?;
            View::new(name, &buffer, 0, elements)
        };
        let mut loaded = Vec::new();
        for _ in 0..sets.max(1) {
            let [x, c] = [filled(&host[0])?, filled(&host[1])?];
            let learned = Learned::new(name, filled(&NUMBERS)?, PLACES, 1)?;
            let gradient = Learned::new(name, filled(&[0.0; 8])?, PLACES, 1)?;
            let output = empty()?;
            let forward = |layers: u32, x: &View, output: &View| {
                let (learned, x, c, output) = (learned.clone(), x.clone(), c.clone(), output.clone());
                forward(kernels, &Forward { learned, layers, x, c, output })
            };
            let dispatches = match self {
                Subject::Forward => vec![forward(LAYERS, &x, &output)?],
                Subject::Separate => {
                    let other = empty()?;
                    // an even number of layers, so that the last one writes the output
                    let mut all = vec![forward(1, &x, &other)?];
                    for layer in 1..LAYERS {
                        let (from, to) = if layer % 2 == 1 { (&other, &output) } else { (&output, &other) };
                        all.push(forward(1, from, to)?);
                    }
                    all
                }
                Subject::Backward => {
                    let job = Backward {
                        learned: learned.clone(),
                        layers: LAYERS,
                        x,
                        c,
                        bar: filled(&host[2])?,
                        x_bar: Some(output.clone()),
                        gradient: gradient.clone(),
                        add: false,
                    };
                    vec![backward(kernels, &job)?]
                }
            };
            loaded.push(Set { output, gradient: gradient.view, dispatches });
        }
        let subject = *self;
        Ok(Box::new(OnDevice { subject, device: device.clone(), queue: queue.clone(), host, sets: loaded }))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        if *self != Subject::Forward {
            return None;
        }
        let [x, c, _] = arrays(elements);
        let reference = Reference::new(&NUMBERS, LAYERS);
        Some(Box::new(move || {
            let one = |(x, c): (&f32, &f32)| reference.value(*x, *c);
            let all: Vec<f64> = x.par_iter().zip(&c).with_min_len(1024).map(one).collect();
            std::hint::black_box(all);
        }))
    }

    fn instead(&self) -> Option<Box<dyn Bench>> {
        (*self == Subject::Forward).then(|| Box::new(Subject::Separate) as Box<dyn Bench>)
    }
}

struct Set {
    output: View,
    gradient: View,
    dispatches: Vec<Dispatches>,
}

/// A subject's buffers.
struct OnDevice {
    subject: Subject,
    device: wgpu::Device,
    queue: wgpu::Queue,
    host: [Vec<f32>; 3],
    sets: Vec<Set>,
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let read = gpu::guarded(&self.device, "dsrl", 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0);
            let set = &self.sets[0];
            let read = [&set.output, &set.gradient].map(|view| {
                Readback::record(&self.device, &mut encoder, view.buffer(), view.offset(), 4 * view.length())
            });
            self.queue.submit([encoder.finish()]);
            read
        })?;
        let [output, gradient] = read;
        let (output, gradient) = (output?.wait::<f32>(&self.device)?, gradient?.wait::<f32>(&self.device)?);
        let reference = Reference::new(&NUMBERS, LAYERS);
        let [x, c, bar] = &self.host;
        Ok(match self.subject {
            Subject::Backward => reference.judge_backward([x, c, bar], None, Some(&output), &gradient),
            Subject::Forward | Subject::Separate => reference.judge_forward(x, c, &output),
        })
    }

    fn reset(&self, _: &mut wgpu::CommandEncoder) {}

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        self.sets[set % self.sets.len()].dispatches.iter().for_each(|dispatches| dispatches.record(pass));
    }
}
