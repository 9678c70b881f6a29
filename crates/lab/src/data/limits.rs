//! What a file may hold at most: the limits of all readers, in one place.
//!
//! A file that claims or holds more is refused as soon as that is known, by its length or its header, and without them
//! where reading arrives at the limit; what is packed is unpacked no further than that. Nothing is allocated for a claim
//! that the bytes at hand cannot keep. So a reader takes no more memory than this, whatever is in the file:
//!
//! | file | at most | memory |
//! |---|---|---|
//! | IDX (MNIST) | [`PIXELS`] in pictures of [`SIDE`] x [`SIDE`] | 5 bytes per pixel and 9 per picture: 1 GiB |
//! | CIFAR-10 | [`PICTURES`] in a batch | 4 bytes per pixel: 120 MiB a batch |
//! | text (DIGITS, PENDIGITS) | [`TEXT`] bytes, [`LINE`] in a line | 16 bytes per byte: 256 MiB |
//! | `.mat` | [`MAT`] bytes, and [`ENTRIES`] of all matrices of a variable | the file, and 16 bytes per entry: 1 GiB |
//! | `.npy` | what is there behind a header of [`NPY_HEADER`] bytes | twice the file, and 8 MiB |
//! | `.safetensors` | what is there behind a header of [`SAFETENSORS_HEADER`] bytes | twice the file, and 64 times the header |
//!
//! [`maf_srl::regulariser::file`] has its own.

/// Pixels of an IDX file: MNIST has 47 million.
pub const PIXELS: usize = 1 << 26;

/// Rows and columns of a picture of an IDX file: MNIST has 28.
pub const SIDE: usize = 128;

/// Pictures of a batch of CIFAR-10: as many as are published.
pub const PICTURES: usize = 10_000;

/// Bytes of a data set as text, unpacked: PENDIGITS has half a million.
pub const TEXT: u64 = 1 << 24;

/// Bytes of one line of it.
pub const LINE: u64 = 1 << 10;

/// Bytes of a `.mat` file, packed as it is.
pub const MAT: u64 = 1 << 30;

/// Entries of the matrices of one variable of a `.mat` file, sparse ones as full ones: those of a graph of 8192 vertices.
pub const ENTRIES: usize = 1 << 26;

/// Variables of a `.mat` file, and cells of one of them.
pub const VARIABLES: usize = 1 << 12;

/// Bytes of the header of a `.npy` file: as many as NumPy reads. It writes 118.
pub const NPY_HEADER: usize = 10_000;

/// Bytes of the header of a `.safetensors` file. That of a network of a thousand tensors has a hundred thousand.
pub const SAFETENSORS_HEADER: u64 = 1 << 23;

/// Tensors of a `.safetensors` file.
pub const TENSORS: usize = 1 << 14;

/// How many bytes a packed byte can become: what deflate comes to at most.
pub(super) const UNPACKED: u64 = 1032;
