//! What several test programs share: writers of the files that are read, whole and damaged.

#![allow(dead_code, reason = "each test program compiles its own copy and uses a part of it")]

use std::collections::HashMap;
use std::io::Write;

use ndarray::Array2;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pub fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub fn singles(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The dictionary of a `.npy` file.
pub fn descr(descr: &str, fortran: bool, shape: &str) -> String {
    let fortran = if fortran { "True" } else { "False" };
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
}

/// A `.npy` file with this dictionary and these bytes.
pub fn npy(dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut header = dictionary.to_owned();
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let size = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &size[..], header.as_bytes(), data].concat()
}

/// A `.safetensors` file with these tensors and some metadata.
pub fn safe(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors.iter().map(|&(name, dtype, shape, data)| {
        (name, TensorView::new(dtype, shape.to_vec(), data).expect("a view"))
    });
    let about =
        HashMap::from([("format".to_owned(), "pt".to_owned()), ("note".to_owned(), "kept".to_owned())]);
    safetensors::serialize(views, Some(about)).expect("serialized")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).expect("packed");
    packer.finish().expect("packed")
}

/// An IDX file.
pub fn idx(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(sizes).flat_map(|w| w.to_be_bytes());
    words.chain(data.iter().copied()).collect()
}

// A writer of .mat files, in either byte order.

pub fn word(x: u32, big: bool) -> [u8; 4] {
    if big { x.to_be_bytes() } else { x.to_le_bytes() }
}

pub fn element(kind: u32, bytes: &[u8], big: bool) -> Vec<u8> {
    let mut all = [word(kind, big), word(bytes.len() as u32, big)].concat();
    all.extend_from_slice(bytes);
    all.resize(all.len().next_multiple_of(8), 0);
    all
}

pub fn array(class: u32, shape: &[u32], name: &str, parts: &[Vec<u8>], big: bool) -> Vec<u8> {
    let flags = element(6, &[word(class, big), word(0, big)].concat(), big);
    let shape = element(5, &shape.iter().flat_map(|&d| word(d, big)).collect::<Vec<_>>(), big);
    let name = element(1, name.as_bytes(), big);
    element(14, &[[flags, shape, name].concat(), parts.concat()].concat(), big)
}

pub fn numbers(values: &[f64], big: bool) -> Vec<u8> {
    let each = |v: &f64| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    element(9, &values.iter().flat_map(each).collect::<Vec<_>>(), big)
}

pub fn matrix(name: &str, m: &Array2<f64>, big: bool) -> Vec<u8> {
    let values: Vec<f64> = m.t().iter().copied().collect();
    array(6, &[m.nrows() as u32, m.ncols() as u32], name, &[numbers(&values, big)], big)
}

/// Whole numbers as a `.mat` file holds them.
pub fn five(values: &[u32]) -> Vec<u8> {
    element(5, &values.iter().flat_map(|&d| word(d, false)).collect::<Vec<_>>(), false)
}

/// A sparse matrix: the rows of its entries, where each column begins, and the values.
pub fn sparse(name: &str, size: [u32; 2], rows: &[u32], starts: &[u32], values: &[f64]) -> Vec<u8> {
    array(5, &size, name, &[five(rows), five(starts), numbers(values, false)], false)
}

/// An element of a `.mat` file, packed.
pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(bytes).expect("packs");
    let bytes = zlib.finish().expect("packs");
    [word(15, false).to_vec(), word(bytes.len() as u32, false).to_vec(), bytes].concat()
}

/// A `.mat` file.
pub fn mat(parts: &[Vec<u8>], big: bool) -> Vec<u8> {
    let mut header = b"MATLAB 5.0 MAT-file, by a test".to_vec();
    header.resize(124, b' ');
    header.extend_from_slice(if big { b"\x01\x00MI" } else { b"\x00\x01IM" });
    [header, parts.concat()].concat()
}
