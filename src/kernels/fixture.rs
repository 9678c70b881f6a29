//! Arrays of a case on the device: in one buffer or several, at any offset, with guard words around them.

use super::{Outcome, PipelineCache};
use crate::error::Result;
use crate::gpu::{self, Readback, View};

/// The word round every array: a NaN with a payload that no kernel writes.
const GUARD: u32 = 0x7fba_dbad;

/// The arrays, before and, when [`Fixture::run`] is done, after a kernel.
pub(super) struct Fixture {
    name: String,
    pages: Vec<wgpu::Buffer>,
    before: Vec<Vec<u32>>,
    after: Vec<Vec<u32>>,
    /// Page and first word of each array.
    places: Vec<(usize, usize)>,
    /// Views of the arrays.
    pub views: Vec<View>,
    /// What results are multiplied by, to try the judges.
    scale: f64,
}

impl Fixture {
    /// Puts arrays on the device, the k-th `leads[k]` elements past a multiple of four.
    pub fn new(
        kernels: &PipelineCache,
        name: &str,
        arrays: &[Vec<f32>],
        leads: &[u64],
        one_buffer: bool,
    ) -> Result<Self> {
        let device = kernels.device();
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); if one_buffer { 1 } else { arrays.len() }];
        let mut places = Vec::new();
        for (k, array) in arrays.iter().enumerate() {
            let page = if one_buffer { 0 } else { k };
            let start = before[page].len().next_multiple_of(4) + 4 + leads[k] as usize;
            before[page].resize(start, GUARD);
            before[page].extend(array.iter().map(|x| x.to_bits()));
            before[page].extend([GUARD; 5]);
            places.push((page, start));
        }
        let usage = gpu::USAGE;
        let mut pages = Vec::new();
        for page in &before {
            pages.push(gpu::buffer_with(device, "case", bytemuck::cast_slice(page), usage)?);
        }
        let mut views = Vec::new();
        for (&(page, start), array) in places.iter().zip(arrays) {
            views.push(View::new(name, &pages[page], 4 * start as u64, array.len() as u64)?);
        }
        Ok(Fixture {
            name: name.into(),
            pages,
            before,
            after: Vec::new(),
            places,
            views,
            scale: kernels.scale(),
        })
    }

    /// Runs what `record` records on other data and then on the arrays, and reads everything back; returns by how much the
    /// first word of `status` grew. What a kernel keeps from run to run, in scratch memory of its own, must not matter.
    pub fn run(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        status: &wgpu::Buffer,
        record: impl Fn(&mut wgpu::ComputePass<'_>),
    ) -> Result<u32> {
        self.rehearse(device, queue, &record)?;
        let before: Vec<u32> = gpu::submit(device, queue, &self.name, |encoder| {
            Readback::record(device, encoder, status, 0, 4)
        })?
        .wait(device)?;
        Ok(self.run_once(device, queue, status, record)?.wrapping_sub(before[0]))
    }

    /// Runs what `record` records on other data: each array backwards.
    pub fn rehearse(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        record: impl Fn(&mut wgpu::ComputePass<'_>),
    ) -> Result<()> {
        let mut other = self.before.clone();
        for (&(page, start), view) in self.places.iter().zip(&self.views) {
            other[page][start..start + view.length as usize].reverse();
        }
        let write = |pages: &[Vec<u32>]| {
            for (page, words) in self.pages.iter().zip(pages) {
                queue.write_buffer(page, 0, bytemuck::cast_slice(words));
            }
        };
        write(&other);
        gpu::submit(device, queue, &self.name, |encoder| {
            record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            Ok(())
        })?;
        write(&self.before);
        Ok(())
    }

    /// Runs what `record` records, and reads everything back; returns the first word of `status`.
    pub fn run_once(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        status: &wgpu::Buffer,
        record: impl Fn(&mut wgpu::ComputePass<'_>),
    ) -> Result<u32> {
        let (pages, status) = gpu::submit(device, queue, &self.name, |encoder| {
            record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
            let pages = self.pages.iter().zip(&self.before);
            let pages: Result<Vec<Readback>> = pages
                .map(|(page, words)| Readback::record(device, encoder, page, 0, 4 * words.len() as u64))
                .collect();
            Ok((pages?, Readback::record(device, encoder, status, 0, 4)?))
        })?;
        for page in pages {
            self.after.push(page.wait(device)?);
        }
        let status: Vec<u32> = status.wait(device)?;
        Ok(status[0])
    }

    /// Element `i` of array `k` after the run.
    pub fn value(&self, k: usize, i: usize) -> f32 {
        let (page, start) = self.places[k];
        let x = f32::from_bits(self.after[page][start + i]);
        if self.scale == 1.0 || !x.is_finite() { x } else { (f64::from(x) * self.scale) as f32 }
    }

    /// Demands that guard words, and the array `read_only`, are as they were.
    pub fn judge_surroundings(&self, read_only: Option<usize>, outcome: &mut Outcome) {
        if let Some(k) = read_only {
            let (page, start) = self.places[k];
            for i in start..start + self.views[k].length as usize {
                let same = self.before[page][i] == self.after[page][i];
                outcome.demand(same, || format!("read-only word {i} changed"));
            }
        }
        for (page, words) in self.before.iter().enumerate() {
            for (i, &word) in words.iter().enumerate().filter(|(_, w)| **w == GUARD) {
                let same = self.after[page][i] == word;
                outcome.demand(same, || format!("guard word {i} of buffer {page} changed"));
            }
        }
    }
}
