//! What is timed of the norms: groups of every tier, and columns.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Job, Norm, Reference, Stage, Variant, bind};
use crate::error::Result;
use crate::gpu::{self, Readback, View};
use crate::kernels::step::Width;
use crate::kernels::{Bench, Dispatches, Kernels, Loaded, Outcome};
use crate::penalty::{Groups, Layout};

/// Random elements are drawn once per block and laid end to end.
const BLOCK: u64 = 1 << 20;

/// One norm of groups of one form.
#[derive(Clone, Debug)]
struct Subject {
    norm: Norm,
    layout: Layout,
}

/// Every subject: each tier with the norm that takes most arithmetic, and each norm.
pub(super) fn all() -> Vec<Box<dyn Bench>> {
    let layouts = [1, 9, 64, 4096].map(Layout::Blocks).into_iter().chain([Layout::Whole, Layout::Columns]);
    let tiers = layouts.map(|layout| Subject { norm: Norm::L2, layout });
    let others = [Norm::L1, Norm::Linf, Norm::L0];
    let norms = others.map(|norm| Subject { norm, layout: Layout::Blocks(64) });
    tiers.chain(norms).map(|subject| Box::new(subject) as Box<dyn Bench>).collect()
}

impl Subject {
    /// The groups of `elements` elements, or of a few less in columns, where there are about as many as each has members.
    fn groups(&self, elements: u64) -> Result<Groups> {
        let columns = 1 << (elements.max(1).ilog2() / 2);
        match self.layout {
            Layout::Columns => Groups::new(Layout::Columns, &[elements / columns, columns]),
            _ => Groups::new(self.layout.clone(), &[elements]),
        }
    }
}

/// Magnitudes of ordinary size, of either sign; no zeros.
fn random(elements: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0xbe9c);
    let one = |_| {
        let magnitude = rng.random_range(1e-3..3.0);
        if rng.random::<bool>() { magnitude } else { -magnitude }
    };
    let block: Vec<f32> = (0..elements.min(BLOCK)).map(one).collect();
    block.iter().copied().cycle().take(elements as usize).collect()
}

impl Bench for Subject {
    fn variant(&self) -> String {
        let (stage, width) = match self.layout {
            Layout::Blocks(1) => (Stage::Each, Width::Scalar),
            Layout::Blocks(k) if k % 4 == 0 => (Stage::Whole, Width::Vec4),
            Layout::Whole => (Stage::Part, Width::Vec4),
            Layout::Columns => (Stage::Part, Width::Scalar),
            _ => (Stage::Whole, Width::Scalar),
        };
        use crate::kernels::packer::Kernel;
        Variant::new(stage, self.norm, width).name()
    }

    fn label(&self) -> String {
        format!("{} of {}", self.variant(), self.layout)
    }

    fn bytes(&self, elements: u64) -> u64 {
        self.groups(elements).map_or(0, |groups| 4 * (groups.length() + groups.count()))
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
        let groups = self.groups(elements)?;
        let values = random(groups.length());
        let name = format!("norms/{} at {elements} elements", self.label());
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut loaded = Vec::new();
        for _ in 0..sets.max(1) {
            let input = gpu::buffer_with(device, "timed tensor", bytemuck::cast_slice(&values), usage)?;
            let bytes = (4 * groups.count()).next_multiple_of(16).max(16);
            let output = gpu::buffer(device, "timed norms", bytes, usage, false)?;
            let job = Job {
                groups: groups.clone(),
                input: View::new(&name, &input, 0, groups.length())?,
                output: View::new(&name, &output, 0, groups.count())?,
            };
            let dispatches = bind(kernels, self.norm, std::slice::from_ref(&job))?;
            loaded.push((job, dispatches));
        }
        let reference = Reference::new(self.norm, &groups);
        Ok(Box::new(OnDevice {
            name,
            device: device.clone(),
            queue: queue.clone(),
            reference,
            values,
            sets: loaded,
        }))
    }

    fn twin(&self, elements: u64) -> Option<Box<dyn FnMut()>> {
        let groups = self.groups(elements).ok()?;
        let (values, reference) = (random(groups.length()), Reference::new(self.norm, &groups));
        Some(Box::new(move || {
            std::hint::black_box(reference.values(&values));
        }))
    }
}

/// A subject's buffers.
struct OnDevice {
    name: String,
    device: wgpu::Device,
    queue: wgpu::Queue,
    reference: Reference,
    values: Vec<f32>,
    sets: Vec<(Job, Dispatches)>,
}

impl Loaded for OnDevice {
    fn check(&self) -> Result<Outcome> {
        let read = gpu::guarded(&self.device, &self.name, 0, || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()), 0);
            let job = &self.sets[0].0;
            let read = [&job.input, &job.output].map(|view| {
                Readback::record(&self.device, &mut encoder, view.buffer(), view.offset(), 4 * view.length())
            });
            self.queue.submit([encoder.finish()]);
            read
        })?;
        let [input, output] = read;
        let (input, words) = (input?.wait::<u32>(&self.device)?, output?.wait::<u32>(&self.device)?);
        let mut outcome = self.reference.compare(&self.values, &words);
        for (after, before) in input.iter().zip(&self.values) {
            outcome.demand(*after == before.to_bits(), || "the tensor changed".into());
        }
        outcome.first_mismatch = outcome.first_mismatch.map(|what| format!("{}: {what}", self.name));
        Ok(outcome)
    }

    fn reset(&self, _: &mut wgpu::CommandEncoder) {}

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, set: usize) {
        self.sets[set % self.sets.len()].1.record(pass);
    }
}
