//! What is bound at one binding.

/// What is bound at one binding of a dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// `@binding` in group 0.
    pub binding: u32,
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Binding {
    /// That of wgpu: to the buffer's end where it has no size.
    pub(super) fn new(binding: u32, of: &wgpu::BufferBinding<'_>) -> Self {
        let size = of.size.map_or(of.buffer.size().saturating_sub(of.offset), u64::from);
        Binding { binding, buffer: of.buffer.clone(), offset: of.offset, size }
    }

    pub(crate) fn entry(&self) -> wgpu::BindGroupEntry<'_> {
        let (buffer, offset, size) = (&self.buffer, self.offset, wgpu::BufferSize::new(self.size));
        let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
        wgpu::BindGroupEntry { binding: self.binding, resource }
    }
}
