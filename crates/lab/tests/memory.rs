//! Small files that unpack, or claim, to be huge: each is refused, within the memory that `maf_srl_lab::data::limits`
//! promises and long before all of it is unpacked.
//!
//! One test, alone in its process: what it measures is the memory of the whole of it.

#[path = "support/peak.rs"]
mod memory;
mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use maf_srl::error::Result;
use maf_srl::regulariser::file;
use maf_srl_lab::data::mat::Variables;
use maf_srl_lab::data::{Bytes, Source, Tensors, limits};
use memory::peak;
use support::{array, descr, idx, mat, npy, sparse, word};

const MIB: usize = 1 << 20;

/// `front`, then `count` times `byte`, packed.
fn gzip(front: &[u8], byte: u8, count: u64) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(front).expect("packs");
    std::io::copy(&mut std::io::repeat(byte).take(count), &mut packer).expect("packs");
    packer.finish().expect("packs")
}

/// A variable of a `.mat` file that is `front` and then `count` zeros, packed.
fn packed(front: &[u8], count: u64) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(front).expect("packs");
    std::io::copy(&mut std::io::repeat(0).take(count), &mut packer).expect("packs");
    let bytes = packer.finish().expect("packs");
    [word(15, false).to_vec(), word(bytes.len() as u32, false).to_vec(), bytes].concat()
}

/// A data set whose first file has these bytes, and whose others have others.
fn first(source: Source, bytes: &[u8], others: &[u8]) -> Result<()> {
    let at = |name: &str| {
        let first = source.files().first() == Some(&name);
        Ok(Bytes::of(Path::new(name), if first { bytes } else { others }))
    };
    source.read(&at).map(drop)
}

fn cells(bytes: &[u8]) -> Result<()> {
    Variables::of(Bytes::of(Path::new("w.mat"), bytes))?.cells("W").map(drop)
}

fn array_of(bytes: &[u8]) -> Result<()> {
    Tensors::of(Bytes::of(Path::new("w.npy"), bytes), None).map(drop)
}

fn model(bytes: &[u8]) -> Result<()> {
    Tensors::of(Bytes::of(Path::new("w.safetensors"), bytes), None).map(drop)
}

fn regulariser(bytes: &[u8]) -> Result<()> {
    file::from_bytes(bytes, Path::new("r.safetensors")).map(drop)
}

/// `read` must refuse the bytes with all of these words, taking no more memory than this.
#[track_caller]
fn refused(read: impl Fn(&[u8]) -> Result<()>, bytes: &[u8], most: usize, words: &[&str]) {
    let begun = Instant::now();
    let (memory, outcome) = peak(|| read(bytes));
    let (text, took) = (outcome.expect_err("must be refused").to_string(), begun.elapsed());
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(text.len() < 300, "{} letters: {text}", text.len());
    eprintln!("{} bytes: {took:.1?}, {} KiB; {text}", bytes.len(), memory / 1024);
    assert!(memory <= most, "{memory} bytes of memory, at most {most}: {text}");
    assert!(took < Duration::from_secs(5), "{took:?}: {text}");
}

/// A header of a `.safetensors` file of about as many bytes, for one tensor of very many axes.
fn axes(bytes: usize) -> Vec<u8> {
    let shape = "1,".repeat(bytes / 2) + "1";
    let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}}}"#);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
}

/// The same of very many tensors without a value.
fn tensors(count: usize) -> Vec<u8> {
    let one = |k: usize| format!(r#""{k}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#);
    let header = format!("{{{}}}", (0..count).map(one).collect::<Vec<_>>().join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

#[test]
fn what_claims_or_unpacks_to_much_is_refused_within_bounds() {
    let much = 1 << 26;

    // data sets packed with gzip
    let images = |sizes: [u32; 3]| gzip(&idx(0x803, &sizes, &[]), 0, much);
    refused(
        |b| first(Source::Mnist, b, &[]),
        &images([1 << 20, 28, 28]),
        MIB,
        &["1048576", "at most 67108864"],
    );
    refused(|b| first(Source::Mnist, b, &[]), &images([9, 1 << 14, 1 << 14]), MIB, &["at most 128 x 128"]);
    // what is claimed is allowed, but not there
    let labels = idx(0x801, &[80_000], &[7; 80_000]);
    let short = idx(0x803, &[80_000, 28, 28], &[0; 9]);
    let words = ["ends after 9 of 62720000 bytes"];
    refused(|b| first(Source::Mnist, b, &labels), &short, MIB, &words);
    let batch = gzip(&[], 0, much);
    refused(
        |b| first(Source::Cifar10, b, &[]),
        &batch,
        4 * 3072 * limits::PICTURES + MIB,
        &["more than 10000 rows"],
    );
    for (byte, words) in
        [(b'1', "1024 bytes in one line"), (b'\n', "16777216 bytes of text"), (b'"', "1024 bytes")]
    {
        let text = gzip(&[], byte, much);
        refused(|b| first(Source::Pendigits, b, &[]), &text, MIB, &["pendigits.tra", "line", words]);
    }

    // .mat files: cells that are small each, packed data that claims little, or much
    let side = 8192;
    let starts = vec![0; side as usize + 1];
    let one = sparse("", [side, side], &[], &starts, &[]);
    let eight = mat(&[array(1, &[1, 8], "W", &vec![one; 8], false)], false);
    let full = 8 * limits::ENTRIES;
    refused(
        cells,
        &eight,
        eight.len() + full + MIB,
        &["cell 1", "sparse of 8192 x 8192; at most 67108864 entries", "have 67108864"],
    );
    let claims = |bytes: u32| {
        [&word(14, false)[..], &word(bytes, false), &array(6, &[3, 3], "W", &[], false)[8..]].concat()
    };
    refused(cells, &mat(&[packed(&claims(120), much)], false), MIB, &["more than the 128 bytes"]);
    refused(
        cells,
        &mat(&[packed(&claims(u32::MAX - 8), much)], false),
        MIB,
        &["4294967295 bytes when unpacked"],
    );
    let empty = array(1, &[1 << 12, 1 << 12], "W", &[], false);
    let empty = [&word(14, false)[..], &word(much as u32, false), &empty[8..]].concat();
    refused(cells, &mat(&[packed(&empty, much)], false), MIB, &["16777216 cells"]);
    let many = mat(&vec![array(6, &[0, 0], "", &[], false); 5000], false);
    refused(cells, &many, 2 * many.len() + MIB, &["more than 4096 variables"]);

    // headers: of .npy files, and of .safetensors files
    let shape = format!("({})", "1,".repeat(4_900));
    let (memory, read) = peak(|| array_of(&npy(&descr("<f4", false, &shape), &[0; 4])));
    assert!(read.is_ok() && memory < 8 * MIB, "{memory}: {read:?}");
    refused(array_of, &npy(&format!("{}1", "[".repeat(9_000)), &[]), MIB, &["too many brackets"]);
    refused(array_of, &npy(&" ".repeat(60_000), &[]), MIB, &["at most 10000"]);
    let most = axes(8_000_000);
    let (memory, read) = peak(|| model(&most));
    assert!(read.is_ok() && memory < 64 * most.len(), "{memory}: {read:?}");
    refused(model, &axes(9 << 20), MIB, &["at most 8388608"]);
    refused(model, &tensors(1 << 16), 64 * tensors(1 << 16).len(), &["65536 tensors; at most 16384"]);
    refused(regulariser, &axes(5 << 20), MIB, &["at most 4194304"]);
}
