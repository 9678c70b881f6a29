//! The cases of the norms: every layout, sizes round every tier, every kind of number.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Norm, NormsJob, NormsReference, bind};
use crate::error::Result;
use crate::gpu;
use crate::kernels::fixture::Fixture;
use crate::kernels::{Case, Outcome, PipelineCache};
use crate::penalty::{Groups, Layout};

/// What the output holds before, so that a word that is not written is seen.
const UNWRITTEN: u32 = 0x7fba_0001;

/// One tensor.
#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    norm: Norm,
    groups: Groups,
    leads: [u64; 2],
    one_buffer: bool,
}

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let mut all: Vec<Box<dyn Case>> = Vec::new();
    let mut add = |layout: Layout, shape: &[u64], leads: [u64; 2], one_buffer: bool| {
        let Ok(groups) = Groups::new(layout.clone(), shape) else { return };
        for norm in Norm::ALL {
            let text: Vec<_> = shape.iter().map(u64::to_string).collect();
            let name = format!(
                "norms/{norm}/{layout}/shape={}/offsets={}-{}{}",
                text.join("x"),
                leads[0],
                leads[1],
                if one_buffer { "/one-buffer" } else { "" }
            );
            all.push(Box::new(Tensor { name, norm, groups: groups.clone(), leads, one_buffer }));
        }
    };
    let sizes = [
        1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512,
        513, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193, 16383, 16384, 16385,
        40000,
    ];
    for size in sizes {
        let count = (9000 / size).clamp(3, 700);
        for (layout, shape) in [(Layout::Rows, [count, size]), (Layout::Columns, [size, count])] {
            add(layout.clone(), &shape, [0, 0], false);
            add(layout, &shape, [1, 2], true);
        }
        add(Layout::Blocks(size), &[count * size - 1], [4, 1], true);
        add(Layout::Whole, &[size], [0, 3], false);
    }
    for layout in [Layout::Rows, Layout::Columns, Layout::Filters, Layout::Channels, Layout::Whole] {
        for shape in
            [[6, 5, 3, 3], [4, 8, 2, 2], [700, 12, 4, 3], [3, 3, 41, 40], [2, 2, 130, 130], [1, 900, 1, 1]]
        {
            add(layout.clone(), &shape, [0, 0], false);
            add(layout.clone(), &shape, [3, 1], true);
        }
    }
    for sizes in [
        vec![1],
        vec![0],
        vec![0, 3, 0, 0, 1, 17, 256, 1000, 0],
        vec![4, 8, 0, 1024, 4096, 12, 4],
        vec![5000, 3, 20_000, 1, 4097, 0, 16_385, 16_384],
        (0..3000).map(|k| k % 23).collect(),
        vec![1; 5000],
        vec![0; 5000],
    ] {
        let ends = sizes.iter().scan(0, |at, n| {
            *at += n;
            Some(*at)
        });
        let borders: Vec<u64> = std::iter::once(0).chain(ends).collect();
        let length = sizes.iter().sum();
        add(Layout::Ragged(borders.clone().into()), &[length], [0, 0], false);
        add(Layout::Ragged(borders.into()), &[length], [2, 3], true);
    }
    for shape in [[0, 7], [7, 0]] {
        add(Layout::Rows, &shape, [0, 0], false);
        add(Layout::Columns, &shape, [0, 0], false);
    }
    // millions of groups, and of members
    add(Layout::Blocks(1), &[10_000_000], [0, 0], false);
    add(Layout::Whole, &[10_000_000], [1, 0], false);
    add(Layout::Columns, &[1_000_000, 3], [0, 0], false);
    all
}

/// A magnitude of ordinary size, of either sign.
fn ordinary(rng: &mut impl Rng) -> f32 {
    rng.random_range(-2.0..2.0)
}

impl Tensor {
    /// Groups of all kinds in turn: ordinary ones, zeros of both signs, one member that is not zero, huge and tiny and
    /// subnormal members, those next to the borders of the ranges that sums are kept in, sums beyond the range of f32, NaN
    /// and infinities.
    fn values(&self) -> Vec<f32> {
        const BORDERS: [u32; 7] =
            [0x2780_0000, 0x277f_ffff, 0x5780_0000, 0x577f_ffff, 0x6c80_0000, 0x6c7f_ffff, 0x0080_0000];
        let mut rng = ChaCha8Rng::seed_from_u64(0x4093);
        let groups = &self.groups;
        let mut all = vec![0.0; groups.len() as usize];
        for g in 0..groups.count() {
            let size = groups.size(g);
            let kind = if groups.count() < 3 { (size + g) % 7 } else { g % 14 };
            for (k, i) in (0..size).zip(groups.members(g)) {
                let ends = k == 0 || k + 1 == size;
                all[i] = match kind {
                    1 => 1e30 * ordinary(&mut rng),
                    2 => 1e-30 * ordinary(&mut rng),
                    3 => f32::from_bits(BORDERS[(k + g / 14) as usize % BORDERS.len()]),
                    4 => f32::from_bits(rng.random_range(0..0x7f80_0000 / 2) << 1),
                    6 if ends => -3.0,
                    6 | 7 => [0.0, -0.0][k as usize % 2],
                    8 => f32::from_bits(rng.random_range(0..0x80_0000)),
                    9 => 3e38 * ordinary(&mut rng).signum(),
                    10 if ends => [f32::INFINITY, f32::NEG_INFINITY][k as usize % 2],
                    11 if k == size / 2 => f32::from_bits(0xff80_0001),
                    12 if k == 0 => f32::NAN,
                    12 if k + 1 == size => f32::INFINITY,
                    _ => ordinary(&mut rng),
                };
            }
        }
        all
    }
}

impl Case for Tensor {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn elements(&self) -> usize {
        self.groups.len() as usize
    }

    fn run(&self, device: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let values = self.values();
        let unwritten = vec![f32::from_bits(UNWRITTEN); self.groups.count() as usize];
        let leads = [self.leads[0], self.leads[1], 0, 0];
        let mut fixture =
            Fixture::new(kernels, &self.name, &[values.clone(), unwritten], &leads, self.one_buffer)?;
        let job = NormsJob {
            groups: self.groups.clone(),
            input: fixture.views[0].clone(),
            output: fixture.views[1].clone(),
        };
        let dispatches = bind(kernels, self.norm, &[job])?;
        let status = gpu::buffer_with(device, "status", &[0; 16], wgpu::BufferUsages::COPY_SRC)?;
        fixture.run(device, queue, &status, |pass| dispatches.record(pass))?;
        let words: Vec<u32> =
            (0..self.groups.count() as usize).map(|g| fixture.value(1, g).to_bits()).collect();
        let mut outcome = NormsReference::new(self.norm, &self.groups).compare(&values, &words);
        fixture.judge_surroundings(Some(0), &mut outcome);
        Ok(outcome)
    }
}
