//! Views: a caller's tensor inside a caller's buffer.

use std::sync::Arc;

#[cfg(doc)]
use crate::error::Error;
use crate::error::{self, Result, require, same, unsupported};
use crate::shape::{contiguous, elements, strides};

/// f32 elements in a buffer, from any 4-byte aligned offset: `{buffer, offset, length}`.
///
/// A view is contiguous and row-major: its elements lie side by side, those of a tensor in the order in which the index of
/// its last axis varies fastest. [`View::of_shape`] and [`View::with_shape`] keep the tensor's shape and refuse strides
/// that say otherwise.
///
/// Many views may share a buffer (a page of an allocator), weights and gradients alike; the kernels bind the page
/// from the alignment boundary below and carry the rest as an element offset.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub(crate) buffer: wgpu::Buffer,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// The tensor's, where it was said; its product is the length.
    pub(crate) shape: Option<Arc<[u64]>>,
}

impl View {
    /// `length` elements of `buffer` from byte `offset` on. `name` is used in the message of an error.
    ///
    /// # Errors
    /// [`Error::Domain`] where `offset` is not a multiple of 4; [`Error::Shape`] where the view ends outside the
    /// buffer; [`Error::Unsupported`] where the buffer lacks the usage `STORAGE`.
    pub fn new(name: &str, buffer: &wgpu::Buffer, offset: u64, length: u64) -> Result<Self> {
        require(offset.is_multiple_of(4), name, "offset", offset, "multiples of 4 bytes")?;
        let end = length.checked_mul(4).and_then(|bytes| bytes.checked_add(offset));
        if end.is_none_or(|end| end > buffer.size()) {
            return Err(error::shape(
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
        Ok(Self::own(buffer, offset, length))
    }

    /// All of a slice of a buffer. `name` is used in the message of an error.
    ///
    /// ```no_run
    /// # fn embed(page: &wgpu::Buffer) -> maf_srl::Result<()> {
    /// use maf_srl::gpu::View;
    /// let weights = View::from_slice("fc1.weight", page.slice(512..1024))?;
    /// assert_eq!((weights.offset(), weights.len()), (512, 128));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] where offset or size of the slice are not multiples of 4 bytes; [`Error::Unsupported`] as
    /// [`View::new`].
    pub fn from_slice(name: &str, slice: wgpu::BufferSlice<'_>) -> Result<Self> {
        let size = slice.size();
        require(size.is_multiple_of(4), name, "size of the slice", size, "multiples of 4 bytes")?;
        View::new(name, slice.buffer(), slice.offset(), size / 4)
    }

    /// A whole tensor of this shape from byte `offset` of `buffer` on, where its strides are those of a contiguous
    /// row-major tensor: [`View::new`] of as many elements as the shape has, then [`View::with_shape`].
    ///
    /// ```no_run
    /// # fn embed(page: &wgpu::Buffer) -> maf_srl::Result<()> {
    /// use maf_srl::gpu::View;
    /// let weights = View::of_shape("fc1.weight", page, 512, &[128, 64], Some(&[64, 1]))?;
    /// assert_eq!((weights.len(), weights.shape()), (8192, Some(&[128, 64][..])));
    /// // its transpose has the same elements in another order
    /// assert!(View::of_shape("fc1.weight", page, 512, &[64, 128], Some(&[1, 64])).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where the shape has 2^64 elements or more; those of [`View::new`] and [`View::with_shape`].
    pub fn of_shape(
        name: &str,
        buffer: &wgpu::Buffer,
        offset: u64,
        shape: &[u64],
        strides: Option<&[u64]>,
    ) -> Result<Self> {
        let too_many = || error::shape(name, "shape", format!("{shape:?}"), "fewer than 2^64 elements");
        View::new(name, buffer, offset, elements(shape).ok_or_else(too_many)?)?
            .with_shape(name, shape, strides)
    }

    /// The same view, as a tensor of this shape. `strides` are the framework's, in elements, not bytes: from an index of
    /// each axis to the next; none where the tensor is known to be contiguous and row-major. Of an axis of one index, and
    /// of a tensor without elements, every stride is right. `name` is used in the message of an error.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shape has another number of elements than the view, and where there is not one stride
    /// per axis; [`Error::Unsupported`] naming the strides that the tensor should have, where it is not contiguous and
    /// row-major: a transpose, a part of a larger tensor, a repeated axis.
    pub fn with_shape(self, name: &str, shape: &[u64], strides: Option<&[u64]>) -> Result<Self> {
        if elements(shape) != Some(self.length) {
            let expected = format!("one of {} elements", self.length);
            return Err(error::shape(name, "shape", format!("{shape:?}"), expected));
        }
        if let Some(given) = strides {
            same(name, "number of strides", given.len(), shape.len())?;
            if !contiguous(shape, given) {
                let what = format!("strides {given:?} of a tensor of shape {shape:?}");
                let right = self::strides(shape);
                let allowed = format!("{right:?}, contiguous and row-major; make it contiguous first");
                return Err(unsupported(name, what, allowed));
            }
        }
        Ok(View { shape: Some(shape.into()), ..self })
    }

    /// Elements of a buffer of our own, known to be inside it.
    pub(crate) fn own(buffer: &wgpu::Buffer, offset: u64, length: u64) -> Self {
        View { buffer: buffer.clone(), offset, length, shape: None }
    }

    /// Other elements of the same buffer, known to be inside it: the whole tensor's shape is not theirs.
    pub(crate) fn part(&self, offset: u64, length: u64) -> Self {
        Self::own(&self.buffer, offset, length)
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
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tensor's shape, contiguous and row-major, where [`View::of_shape`] or [`View::with_shape`] has said it.
    #[must_use]
    pub fn shape(&self) -> Option<&[u64]> {
        self.shape.as_deref()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn page(size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    }

    #[test]
    fn a_shape_is_kept_where_its_strides_are_contiguous() {
        let page = page(4096, wgpu::BufferUsages::STORAGE);
        let of = |shape: &[u64], strides: Option<&[u64]>| View::of_shape("w", &page, 256, shape, strides);
        for (shape, strides) in [
            (&[4, 6][..], None),
            (&[4, 6], Some(&[6, 1][..])),
            (&[2, 3, 4], Some(&[12, 4, 1])),
            (&[24], Some(&[1])),
            // of one index, and of no element
            (&[1, 24, 1], Some(&[7, 1, 0])),
            (&[0, 6], Some(&[1, 1])),
            (&[], Some(&[])),
        ] {
            let view = of(shape, strides).unwrap();
            assert_eq!((view.shape(), view.offset()), (Some(shape), 256));
            assert_eq!(view.len(), shape.iter().product::<u64>(), "{shape:?}");
        }
        let view = of(&[4, 6], None).unwrap();
        assert_eq!(View::new("w", &page, 256, 24).unwrap().shape(), None);
        assert_eq!(view.part(256, 12).shape(), None, "a part has another shape");

        let said = |shape: &[u64], strides: &[u64]| of(shape, Some(strides)).unwrap_err();
        let transposed = said(&[64, 8], &[1, 64]);
        assert!(matches!(transposed, Error::Unsupported { .. }), "{transposed:?}");
        let text = transposed.to_string();
        for needle in ["w: strides [1, 64]", "shape [64, 8]", "[8, 1], contiguous and row-major"] {
            assert!(text.contains(needle), "{needle}: {text}");
        }
        // every other row, columns of a wider matrix, one row again and again
        for strides in [[12, 1], [8, 1], [0, 1]] {
            assert!(matches!(said(&[4, 6], &strides), Error::Unsupported { .. }), "{strides:?}");
        }
        for (shape, strides, needle) in [
            (&[4, 6][..], Some(&[1][..]), "number of strides is 1, expected 2"),
            (&[4, 6], Some(&[]), "number of strides is 0, expected 2"),
            (&[1 << 32, 1 << 32], None, "expected fewer than 2^64 elements"),
            (&[31, 31], None, "view is 961 elements from byte 256"),
        ] {
            let error = of(shape, strides).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error:?}");
            assert!(error.to_string().contains(needle), "{needle}: {error}");
        }
        let other = view.with_shape("w", &[4, 7], None).unwrap_err().to_string();
        assert_eq!(other, "w: shape is [4, 7], expected one of 24 elements");
    }

    #[test]
    fn a_slice_is_a_view_of_its_bytes() {
        let whole = page(4096, wgpu::BufferUsages::STORAGE);
        for (slice, offset, length) in [
            (whole.slice(..), 0, 1024),
            (whole.slice(100..140), 100, 10),
            (whole.slice(4092..), 4092, 1),
            (whole.slice(1024..).slice(16..32), 1040, 4),
        ] {
            let view = View::from_slice("w", slice).unwrap();
            assert_eq!((view.offset(), view.len(), view.buffer()), (offset, length, &whole));
        }
        for (slice, needle) in [
            (whole.slice(0..10), "w: size of the slice = 10 is outside multiples of 4 bytes"),
            (whole.slice(2..10), "w: offset = 2 is outside multiples of 4 bytes"),
        ] {
            let error = View::from_slice("w", slice).unwrap_err();
            assert!(matches!(error, Error::Domain { .. }), "{error:?}");
            assert_eq!(error.to_string(), needle);
        }
        let other = page(64, wgpu::BufferUsages::COPY_SRC);
        assert!(matches!(View::from_slice("w", other.slice(..)), Err(Error::Unsupported { .. })));
    }
}
