//! Views: a caller's tensor inside a caller's buffer.

#[cfg(doc)]
use crate::error::Error;
use crate::error::{Result, require, shape, unsupported};

/// f32 elements in a buffer, from any 4-byte aligned offset: `{buffer, offset, length}`.
///
/// Many views may share a buffer (a page of an allocator), weights and gradients alike; the kernels bind the page
/// from the alignment boundary below and carry the rest as an element offset.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl View {
    /// `length` elements of `buffer` from byte `offset` on. `name` is used in the message of an error.
    ///
    /// # Errors
    /// [`Error::Domain`] where `offset` is not a multiple of 4; [`Error::Shape`] where the view ends outside the
    /// buffer; [`Error::Unsupported`] where the buffer lacks the usage `STORAGE`.
    pub fn new(name: &str, buffer: &wgpu::Buffer, offset: u64, length: u64) -> Result<Self> {
        require(offset.is_multiple_of(4), name, "offset", offset as f64, "multiples of 4 bytes")?;
        let end = length.checked_mul(4).and_then(|bytes| bytes.checked_add(offset));
        if end.is_none_or(|end| end > buffer.size()) {
            return Err(shape(
                name,
                "view",
                format!("{length} elements from byte {offset}"),
                format!("an end within the buffer's {} bytes", buffer.size()),
            ));
        }
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            return Err(unsupported(
                name,
                format!("a buffer of usage {:?}", buffer.usage()),
                "buffers with BufferUsages::STORAGE",
            ));
        }
        Ok(View { buffer: buffer.clone(), offset, length })
    }

    /// The buffer.
    #[must_use]
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// First byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of elements.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// One past the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + 4 * self.length
    }

    /// The bytes that two views share, if any.
    #[must_use]
    pub fn overlap(&self, other: &View) -> Option<std::ops::Range<u64>> {
        let shared = self.offset.max(other.offset)..self.end().min(other.end());
        (self.buffer == other.buffer && !shared.is_empty()).then_some(shared)
    }
}
