//! The cases of the fused layers: sizes round every tile, few layers and many, shared or not, and every kind of number.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dispatch::PLACES;
use super::{Backward, DsrlReference, Forward, backward, forward};
use crate::error::Result;
use crate::gpu;
use crate::kernels::fixture::Fixture;
use crate::kernels::{Case, LearnedParameters, Outcome, PipelineCache};

/// What outputs hold before, so that a word that is not written is seen.
const UNWRITTEN: u32 = 0x7fba_0001;

/// One batch of elements.
#[derive(Clone, Debug)]
struct Batch {
    name: String,
    elements: usize,
    layers: u32,
    shared: bool,
    backward: bool,
    /// Whether the derivative by x is wanted, and whether the gradient is added to.
    wanted: bool,
    add: bool,
    one_buffer: bool,
    contents: Contents,
}

/// What the numbers are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contents {
    Ordinary,
    /// Elements of every kind.
    Strange,
    /// One layer with a number that is not finite.
    StrangeLayer,
    /// Arguments on knees, exactly.
    Knees,
}

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all: Vec<Box<dyn Case>> = Vec::new();
    let mut add = |elements: usize, layers: u32, shared: bool, contents: Contents| {
        for backward in [false, true] {
            let k = elements + layers as usize;
            let kind = match contents {
                Contents::Ordinary => "ordinary",
                Contents::Strange => "strange",
                Contents::StrangeLayer => "strange-layer",
                Contents::Knees => "knees",
            };
            all.push(Box::new(Batch {
                name: format!(
                    "dsrl/{}/{kind}/elements={elements}/layers={layers}/{}",
                    if backward { "backward" } else { "forward" },
                    if shared { "shared" } else { "own" }
                ),
                elements,
                layers,
                shared,
                backward,
                wanted: !k.is_multiple_of(5),
                add: k.is_multiple_of(3),
                one_buffer: k.is_multiple_of(2),
                contents,
            }));
        }
    };
    for elements in [0, 1, 2, 3, 63, 64, 65, 255, 256, 1023, 1024, 1025, 2047, 2048, 2049, 5000] {
        for (layers, shared) in [(1, true), (3, false), (10, true)] {
            add(elements, layers, shared, Contents::Ordinary);
        }
    }
    for (layers, shared) in [(1, true), (2, false), (7, false), (10, true), (40, false)] {
        add(3000, layers, shared, Contents::Ordinary);
        add(4097, layers, shared, Contents::Strange);
        add(700, layers, shared, Contents::StrangeLayer);
        add(1000, layers, shared, Contents::Knees);
    }
    for (layers, shared) in [(4, true), (5, false), (8, true), (9, false), (9, true)] {
        add(2048 * 16 + 5, layers, shared, Contents::Ordinary);
    }
    // strange numbers one at a time, so that no other makes the sums NaN
    for elements in 11..40 {
        add(elements, 2, false, Contents::Strange);
    }
    // several tiles to a workgroup
    add(2048 * 2048 + 70_001, 2, true, Contents::Ordinary);
    add(2048 * 2048 + 1, 5, false, Contents::Ordinary);
    all
}

fn strange(kind: usize) -> f32 {
    const ALL: [u32; 14] = [
        0x7fc0_0000,
        0x7f80_0000,
        0xff80_0000,
        0xff80_0001,
        0x0000_0001,
        0x807f_ffff,
        0x8000_0000,
        0,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x7149_f2ca,
        0x0da2_4260,
        0x0080_0000,
        0xf149_f2ca,
    ];
    f32::from_bits(ALL[kind % ALL.len()])
}

impl Batch {
    /// x, c, grad_output, the numbers, and the gradient and the output before.
    fn arrays(&self) -> [Vec<f32>; 6] {
        let mut rng = ChaCha8Rng::seed_from_u64(0xd521 + self.elements as u64);
        let mut draw =
            |size: f32| -> Vec<f32> { (0..self.elements).map(|_| rng.random_range(-size..size)).collect() };
        let [mut x, mut c, mut grad_output] = [draw(2.0), draw(1.5), draw(1.0)];
        let rows = if self.shared { 1 } else { self.layers as usize };
        let mut numbers = vec![0.0; 8 * rows];
        for (l, head) in numbers.chunks_mut(8).enumerate() {
            let delta: f32 = rng.random_range(0.01..0.3);
            let slopes = [rng.random_range(0.8..1.3), rng.random_range(0.3..1.0)];
            head[..5].copy_from_slice(&[
                rng.random_range(0.6..3.0),
                slopes[0],
                slopes[1],
                delta,
                delta + rng.random_range(0.1..0.6),
            ]);
            match l % 5 {
                1 if self.elements % 7 == 1 => head[3] = 0.0,
                2 if self.elements % 7 == 2 => head[4] = head[3],
                3 if self.elements % 7 == 3 => head[3..5].fill(0.0),
                _ => {}
            }
        }
        match self.contents {
            Contents::Ordinary => {}
            Contents::Strange if self.elements < 100 => {
                let k = self.elements;
                [&mut x, &mut c, &mut grad_output][k % 3][k / 2] = strange(k / 3);
            }
            Contents::Strange => {
                for array in [&mut x, &mut c, &mut grad_output] {
                    for value in array.iter_mut() {
                        if rng.random_range(0..20) == 0 {
                            *value = strange(rng.random_range(0..14));
                        }
                    }
                }
            }
            Contents::StrangeLayer => {
                let l = rng.random_range(0..rows);
                numbers[8 * l + rng.random_range(0..5)] = strange(rng.random_range(0..4));
            }
            Contents::Knees => {
                for head in numbers.chunks_mut(8) {
                    head[..5].copy_from_slice(&[1.0, 1.0, 0.5, 0.25, 0.75]);
                }
                // v is c exactly
                let at = |k: usize| [0.25, -0.25, 0.75, -0.75, 0.0, 1.0, 0.5, -0.5][k % 8];
                c.iter_mut().enumerate().for_each(|(k, c)| *c = at(k));
                x.iter_mut().enumerate().for_each(|(k, x)| *x = at(k / 8));
            }
        }
        let before = numbers.iter().map(|_| rng.random_range(-3.0..3.0)).collect();
        let unwritten = vec![f32::from_bits(UNWRITTEN); self.elements];
        [x, c, grad_output, numbers, before, unwritten]
    }
}

impl Case for Batch {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn elements(&self) -> usize {
        self.elements
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let arrays = self.arrays();
        let leads = if self.elements.is_multiple_of(2) { [0, 1, 2, 3, 1, 2] } else { [0; 6] };
        let mut fixture = Fixture::new(kernels, &self.name, &arrays, &leads, self.one_buffer)?;
        let view = |k: usize| fixture.views[k].clone();
        let rows = (arrays[3].len() / 8) as u32;
        let learned = LearnedParameters::new(&self.name, view(3), PLACES, rows)?;
        let dispatches = if self.backward {
            let gradient = LearnedParameters::new(&self.name, view(4), PLACES, rows)?;
            let job = Backward {
                learned,
                layers: self.layers,
                x: view(0),
                c: view(1),
                grad_output: view(2),
                grad_input: self.wanted.then(|| view(5)),
                gradient,
                add: self.add,
            };
            backward(kernels, &job)?
        } else {
            let job = Forward { learned, layers: self.layers, x: view(0), c: view(1), output: view(5) };
            forward(kernels, &job)?
        };
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;
        let read = |k: usize| -> Vec<f32> { (0..arrays[k].len()).map(|i| fixture.value(k, i)).collect() };
        let [x, c, grad_output, numbers, before, _] = &arrays;
        let reference = DsrlReference::new(numbers, self.layers);
        let output = read(5);
        let mut outcome = if self.backward {
            let before = self.add.then_some(&before[..]);
            let grad_input = self.wanted.then_some(&output[..]);
            reference.judge_backward([x, c, grad_output], before, grad_input, &read(4))
        } else {
            reference.judge_forward(x, c, &output)
        };
        if self.backward && !self.wanted {
            let kept = output.iter().all(|y| y.to_bits() == UNWRITTEN);
            outcome.demand(kept, || "a derivative that nobody wanted was written".into());
        }
        // few of them, so that they hide nothing in the sums
        let few = 3 + self.elements as u64 / 500;
        if self.contents == Contents::Ordinary {
            let in_band = outcome.in_band;
            outcome.demand(in_band <= few, || format!("{in_band} elements near knees"));
        }
        for k in [0, 1, 2, 3] {
            fixture.judge_surroundings(Some(k), &mut outcome);
        }
        Ok(outcome)
    }
}
