//! Buffers in and out of a device, for tests that play the caller's training pipeline.

use maf_srl::gpu::View;
use maf_srl::kernels::step::Element;

/// What a pipeline's tensor page allows.
pub const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// A buffer without contents.
pub fn blank(device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("test"),
        size: bytes,
        usage: USAGE,
        mapped_at_creation: false,
    })
}

/// A buffer of these words.
pub fn upload(device: &wgpu::Device, words: &[u32]) -> wgpu::Buffer {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("test"),
        size: 4 * words.len() as u64,
        usage: USAGE,
        mapped_at_creation: true,
    });
    buffer.get_mapped_range_mut(..).expect("mapped at creation").copy_from_slice(bytemuck::cast_slice(words));
    buffer.unmap();
    buffer
}

/// A buffer of these numbers.
pub fn upload_f32(device: &wgpu::Device, values: &[f32]) -> wgpu::Buffer {
    upload(device, bytemuck::cast_slice(values))
}

/// All words of a buffer, by a path of its own: no code of the library is involved.
pub fn download(device: &wgpu::Device, queue: &wgpu::Queue, buffer: &wgpu::Buffer) -> Vec<u32> {
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("test readback"),
        size: buffer.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    submit(device, queue, |encoder| encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size()));
    let (send, receive) = std::sync::mpsc::channel();
    staging.map_async(wgpu::MapMode::Read, .., move |result| send.send(result).expect("the test waits"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    receive.recv().expect("the callback ran").expect("the buffer maps");
    let bytes = staging.get_mapped_range(..).expect("mapped");
    bytemuck::cast_slice(&bytes).to_vec()
}

/// Submits what `record` writes into a fresh encoder.
pub fn submit<T>(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    record: impl FnOnce(&mut wgpu::CommandEncoder) -> T,
) -> T {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let made = record(&mut encoder);
    queue.submit([encoder.finish()]);
    made
}

/// A view that must be valid.
pub fn view(buffer: &wgpu::Buffer, offset: u64, length: usize) -> View {
    View::new("test", buffer, offset, length as u64).expect("a valid view")
}

/// A weight with its gradient and no state.
pub fn element(w: u32, g: u32) -> Element {
    Element { w: f32::from_bits(w), g: f32::from_bits(g), ..Element::default() }
}

/// Runs `work` on a thread of its own and fails if it takes longer than `seconds`: a test of what must not hang.
///
/// # Panics
/// Where it does, or where `work` panics.
pub fn within<T: Send + 'static>(seconds: u64, what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = send.send(work());
    });
    match receive.recv_timeout(std::time::Duration::from_secs(seconds)) {
        Ok(made) => made,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("{what}: no answer in {seconds} s"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the thread answers before it ends"),
        },
    }
}
