//! What a dispatch of the library binds, as the interpreter's memory, and back.

use std::collections::BTreeSet;

use maf_srl::gpu::{self, Readback};
use maf_srl::kernels::Interpreted;

use super::code::Program;
use super::machine::{Finding, Machine, Setting, Window};
use super::memory::Memory;

/// Runs a dispatch on the contents of its buffers, and writes into them what it has changed.
///
/// # Panics
/// Where the device does not copy, and where a variable of the kernel is not bound.
pub fn run(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    program: &Program,
    dispatch: &Interpreted<'_>,
    setting: Setting,
) -> BTreeSet<Finding> {
    let mut buffers: Vec<(&wgpu::Buffer, bool)> = Vec::new();
    let mut windows = Vec::new();
    let mut of_workgroup = 0;
    for global in &program.globals {
        let Some(binding) = global.binding else {
            let words = global.words as usize;
            windows.push(Window { memory: 0, first: of_workgroup, words });
            of_workgroup += words;
            continue;
        };
        let Some(bound) = dispatch.bound.iter().find(|one| one.binding == binding) else {
            // of a variable that the entry point does not use
            windows.push(Window { memory: 0, first: 0, words: 0 });
            continue;
        };
        let known = buffers.iter().position(|(buffer, _)| **buffer == bound.buffer);
        let number = known.unwrap_or_else(|| {
            buffers.push((&bound.buffer, false));
            buffers.len() - 1
        });
        assert!(!global.written || !dispatch.reads.contains(&binding), "{} is bound read-only", global.name);
        buffers[number].1 |= global.written;
        let (first, words) = ((bound.offset / 4) as usize, (bound.size / 4) as usize);
        windows.push(Window { memory: 1 + number, first, words });
    }
    let contents = read(device, queue, buffers.iter().map(|(buffer, _)| *buffer));
    let mut memories = vec![Memory::of_workgroup(of_workgroup)];
    memories.extend(contents.into_iter().zip(&buffers).map(|(words, (_, written))| match written {
        true => Memory::shared(words),
        false => Memory::constant(words),
    }));
    let mut machine = Machine::new(program, &windows, memories, setting);
    machine.dispatch(dispatch.workgroups);
    for ((buffer, written), memory) in buffers.iter().zip(&machine.memories[1..]) {
        if *written {
            queue.write_buffer(buffer, 0, bytemuck::cast_slice(&memory.words));
        }
    }
    queue.submit([]);
    machine.findings
}

fn read<'a>(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    buffers: impl Iterator<Item = &'a wgpu::Buffer>,
) -> Vec<Vec<u32>> {
    let copies = gpu::submit(device, queue, "interpreter", |encoder| {
        let copy =
            |buffer: &wgpu::Buffer| Readback::record(device, encoder, buffer, 0, buffer.size() / 4 * 4);
        buffers.map(copy).collect::<maf_srl::Result<Vec<_>>>()
    });
    let copies = copies.expect("the device copies");
    copies.into_iter().map(|copy| copy.wait(device).expect("the device answers")).collect()
}
