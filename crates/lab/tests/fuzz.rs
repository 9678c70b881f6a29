//! Every reader of files and texts on a hundred thousand damaged inputs: what comes back is a result or a typed error,
//! soon, and within the memory that `maf_srl_lab::data::limits` promises.
//!
//! An input is a file of the corpus in which bits, numbers, runs and parts were changed, before what is packed was packed
//! and after; which, its number decides. `MAF_SRL_FUZZ=READER` runs one reader and prints each number before its input
//! is read, for what ends the process; `MAF_SRL_FUZZ=READER:NUMBER` runs one input. An input that fails is written
//! to a file, which the message names.
//!
//! One test, alone in its process: what it measures is the memory of the whole of it.

#[path = "support/peak.rs"]
mod memory;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use maf_srl::Error;
use maf_srl::error::Result;
use maf_srl::kernels::norms::Norm;
use maf_srl::kernels::step::Optimizer;
use maf_srl::matrix::Pattern;
use maf_srl::network::Family;
use maf_srl::penalty::{Activation, GroupPenalty, Layout, Penalty};
use maf_srl::regulariser::{Parameters, file};
use maf_srl_lab::cluster::Graph;
use maf_srl_lab::data::mat::Variables;
use maf_srl_lab::data::{Bytes, Select, Source, Tensors, limits};
use maf_srl_lab::denoise::Shape;
use maf_srl_lab::train::method::{Choices, Method};
use memory::peak;
use ndarray::Array2;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::Dtype;
use support::{array, descr, doubles, gzip, idx, matrix, npy, numbers, packed, safe, singles, sparse};

/// Inputs of each reader.
const INPUTS: u64 = 100_000;

/// The longest that one of them may take, on a machine that has other things to do as well.
const SOON: Duration = Duration::from_secs(10);

/// An input is not made longer than this.
const LONGEST: usize = 1 << 16;

/// A piece of a file, and how it is packed there.
#[derive(Clone)]
struct Part {
    bytes: Vec<u8>,
    pack: fn(&[u8]) -> Vec<u8>,
}

/// A file of the corpus.
type Whole = Vec<Part>;

fn plain(bytes: impl Into<Vec<u8>>) -> Part {
    Part { bytes: bytes.into(), pack: <[u8]>::to_vec }
}

fn zipped(bytes: impl Into<Vec<u8>>) -> Part {
    Part { bytes: bytes.into(), pack: gzip }
}

struct Reader {
    name: &'static str,
    corpus: Vec<Whole>,
    read: fn(&[u8]) -> Result<()>,
    /// The most memory that an input of so many bytes may take.
    memory: fn(usize) -> usize,
}

/// Numbers that sizes and places are set to.
const EXTREMES: [u64; 16] = [
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

/// The same in texts.
const WORDS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967296",
    "1099511627776",
    "18446744073709551615",
    "18446744073709551616",
    "999999999999999999999999999999999999999",
    "1e999",
    "-0.0",
    "nan",
    "",
];

/// A range of at least one byte, mostly a short one.
fn range(bytes: &[u8], random: &mut ChaCha8Rng) -> std::ops::Range<usize> {
    let start = random.random_range(0..bytes.len());
    let most = if random.random_bool(0.8) { 16 } else { bytes.len() };
    start..(start + random.random_range(1..=most)).min(bytes.len())
}

/// One change.
fn change(bytes: &mut Vec<u8>, others: &[Whole], random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.push(random.random());
    }
    let part = range(bytes, random);
    let at = part.start;
    match random.random_range(0..10) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => {
            bytes[at] =
                *[0, 1, 0x7f, 0x80, 0xff, b'"', b'[', b'{', b',', b'(', b'\n'].choose(random).expect("one")
        }
        2 | 3 => {
            // headers are in front
            let at = if random.random_bool(0.5) { at.min(random.random_range(0..256)) } else { at };
            let near = bytes.len() as u64 - at as u64;
            let number = match random.random_range(0..4) {
                0 => near.wrapping_add(random.random_range(0..=2)).wrapping_sub(1),
                1 => 1 << random.random_range(0..64),
                _ => *EXTREMES.choose(random).expect("one"),
            };
            let size = *[1, 2, 4, 8].choose(random).expect("one");
            let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
            let number = if random.random_bool(0.5) { &little[..size] } else { &big[8 - size..] };
            bytes[at..].iter_mut().zip(number).for_each(|(to, from)| *to = *from);
        }
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(part)),
        6 => {
            let (chunk, times) = (bytes[part].to_vec(), random.random_range(1..4));
            bytes.splice(at..at, chunk.repeat(times));
        }
        7 => {
            // much that is small when it is packed
            let chunk = bytes[part].to_vec();
            let times = random.random_range(0..=LONGEST.saturating_sub(bytes.len()) / chunk.len());
            bytes.splice(at..at, chunk.repeat(times / if random.random_bool(0.9) { 64 } else { 1 }));
        }
        8 => {
            let other = others.choose(random).and_then(|whole| whole.choose(random));
            if let Some(other) = other.filter(|other| !other.bytes.is_empty()) {
                let from = range(&other.bytes, random).start;
                bytes.truncate(at);
                bytes.extend_from_slice(&other.bytes[from..]);
            }
        }
        _ => {
            // a number in a text
            let digit = |b: &u8| b.is_ascii_digit() || *b == b'.';
            if let Some(start) = bytes[at..].iter().position(digit).map(|k| at + k) {
                let end = bytes[start..].iter().position(|b| !digit(b)).map_or(bytes.len(), |k| start + k);
                bytes.splice(start..end, WORDS.choose(random).expect("one").bytes());
            }
        }
    }
    bytes.truncate(2 * LONGEST);
}

/// The input of this number.
fn input(corpus: &[Whole], number: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let mut whole = corpus.choose(&mut random).expect("a corpus").clone();
    let inside = random.random_bool(0.8);
    if inside {
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..whole.len());
            match random.random_range(0..12) {
                0 if whole.len() > 1 => drop(whole.remove(at)),
                1 if whole.len() < 8 => whole.insert(at, whole[at].clone()),
                2 => {
                    let other = random.random_range(0..whole.len());
                    whole.swap(at, other);
                }
                _ => change(&mut whole[at].bytes, corpus, &mut random),
            }
        }
    }
    let mut bytes: Vec<u8> = whole.iter().flat_map(|part| (part.pack)(&part.bytes)).collect();
    if !inside || random.random_bool(0.2) {
        for _ in 0..random.random_range(1..4) {
            change(&mut bytes, corpus, &mut random);
        }
    }
    bytes
}

/// Whether it is an error that what is wrong with a file or a text may be.
fn typed(error: &Error) -> bool {
    matches!(
        error,
        Error::File { .. }
            | Error::Unsupported { .. }
            | Error::Domain { .. }
            | Error::Shape { .. }
            | Error::Text { .. }
    )
}

/// Reads one input and finds what is wrong with that.
fn judge(reader: &Reader, bytes: &[u8]) -> std::result::Result<bool, String> {
    let begun = Instant::now();
    let (memory, outcome) = peak(|| catch_unwind(AssertUnwindSafe(|| (reader.read)(bytes))));
    let (took, most) = (begun.elapsed(), (reader.memory)(bytes.len()));
    let read = match outcome {
        Err(_) => return Err("a panic".into()),
        Ok(Ok(())) => true,
        Ok(Err(error)) if typed(&error) => false,
        Ok(Err(other)) => return Err(format!("an error of another kind: {other:?}")),
    };
    match (memory <= most, took <= SOON) {
        (true, true) => Ok(read),
        (false, _) => Err(format!("{memory} bytes of memory; at most {most} for {} bytes", bytes.len())),
        (_, false) => Err(format!("{took:?}; at most {SOON:?}")),
    }
}

/// Any other file than the one that is damaged.
fn mnist(file: &str) -> Vec<u8> {
    let images = file.contains("images");
    let count = if file.starts_with("train") { 20 } else { 3 };
    let values: Vec<u8> = (0..count * if images { 6 } else { 1 }).map(|k| k % 10).collect();
    if images { idx(0x803, &[count.into(), 2, 3], &values) } else { idx(0x801, &[count.into()], &values) }
}

const IMAGES: &str = "train-images-idx3-ubyte.gz";
const LABELS: &str = "train-labels-idx1-ubyte.gz";

/// A data set one of whose files has these bytes.
fn with(source: Source, damaged: &str, bytes: &[u8], other: fn(&str) -> Vec<u8>) -> Result<()> {
    let names = source.files();
    let others: Vec<Vec<u8>> = names.iter().map(|name| other(name)).collect();
    let at = |name: &str| {
        let k = names.iter().position(|n| *n == name);
        let bytes = if name == damaged { bytes } else { k.map_or(&[][..], |k| &others[k]) };
        Ok(Bytes::of(Path::new(name), bytes))
    };
    let split = source.read(&at)?;
    assert_eq!(split.train.features.nrows(), split.train.len());
    Ok(())
}

fn row(class: u8) -> Vec<u8> {
    [&[class][..], &[class; 3072]].concat()
}

const STROKE: &str = " 47,100, 27, 81, 57, 37, 26,  0,  0, 23, 56, 53,100, 90, 40, 98, 8\n";

fn idx_images() -> Vec<Whole> {
    let raw = mnist(IMAGES);
    vec![vec![zipped(raw.clone())], vec![plain(raw.clone())], vec![zipped(&raw[..40]), zipped(&raw[40..])]]
}

fn idx_labels() -> Vec<Whole> {
    let raw = mnist(LABELS);
    vec![vec![zipped(raw.clone())], vec![plain(raw)]]
}

fn cifar10() -> Vec<Whole> {
    vec![vec![plain(row(3))], vec![zipped(row(4))], vec![plain(row(1)), plain(row(2))]]
}

fn strokes() -> Vec<Whole> {
    let (raw, ends) = (STROKE.repeat(10), STROKE.replace('\n', "\r\n\r\n").repeat(3));
    vec![vec![plain(raw.clone())], vec![zipped(raw)], vec![plain(ends)]]
}

/// Numeric arrays of several types, full, sparse, in cells, packed and not, in both byte orders.
fn mat() -> Vec<Whole> {
    let m = Array2::from_shape_fn((3, 3), |(i, j)| if i == j { 0.0 } else { (i * j + i + j) as f64 });
    let header = |big| plain(support::mat(&[], big));
    let element = |bytes: &[u8]| Part { bytes: bytes.to_vec(), pack: packed };
    let small = array(6, &[2, 2], "M", &[support::element(2, &[1, 2, 3, 4], false)], false);
    let thin = sparse("S", [4, 3], &[0, 3, 1], &[0, 1, 1, 3], &[0.5, -1.0, 2.0]);
    let wide =
        sparse("S", [300, 300], &[0, 3, 1], &[[0, 1].as_slice(), &[3; 299]].concat(), &[0.5, 1.0, 2.0]);
    let cell = |big| array(1, &[1, 2], "X", &[matrix("", &m, big), matrix("", &m, big)], big);
    let cells = array(
        1,
        &[2, 2],
        "C",
        &[small.clone(), thin.clone(), support::element(14, &[], false), small.clone()],
        false,
    );
    let text = array(4, &[1, 3], "text", &[support::element(4, &[65, 0, 66, 0, 67, 0], false)], false);
    let complex = array(0x806, &[1, 1], "z", &[numbers(&[1.0], false), numbers(&[2.0], false)], false);
    vec![
        vec![header(false), plain(matrix("W", &m, false)), plain(cell(false)), plain(thin.clone())],
        vec![header(true), plain(matrix("W", &m, true)), plain(cell(true))],
        vec![header(false), element(&matrix("W", &m, false)), element(&cell(false)), element(&thin)],
        vec![header(false), element(&cells), plain(small), element(&text), element(&complex)],
        vec![header(false), element(&wide)],
    ]
}

fn arrays() -> Vec<Whole> {
    let one = |descriptor: &str, fortran, shape: &str, data: &[u8]| {
        vec![plain(npy(&descr(descriptor, fortran, shape), data))]
    };
    let structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }";
    vec![
        one("<f4", false, "(2, 3)", &singles(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])),
        one(">f8", true, "(2, 2)", &doubles(&[0.0, 1.0, 2.0, 3.0])),
        one("<f8", false, "(3, 0, 7)", &[]),
        one("<i8", false, "(1,)", &[0; 8]),
        vec![plain(npy(structured, &[0; 4]))],
    ]
}

fn models() -> Vec<Whole> {
    let (floats, halves) = (singles(&[1.0, -2.0, 0.5, 0.0, 3.0, 4.0]), [0x3c, 0x00, 0x80, 0x7c]);
    let whole = safe(&[
        ("layers.0.weight", Dtype::F32, &[2, 3], &floats),
        ("layers.0.bias", Dtype::BF16, &[2], &halves),
        ("steps", Dtype::I64, &[1], &[7; 8]),
        ("empty", Dtype::F64, &[0, 3], &[]),
        ("half", Dtype::F16, &[2, 1], &halves),
        ("wide", Dtype::F64, &[1], &1.5_f64.to_le_bytes()),
    ]);
    // header and values apart: the sizes are in the first
    let end = 8 + u64::from_le_bytes(*whole.first_chunk().expect("a header")) as usize;
    vec![
        vec![plain(&whole[..end]), plain(&whole[end..])],
        vec![plain(safe(&[("a", Dtype::F32, &[1], &floats[..4])]))],
    ]
}

fn regularisers() -> Vec<Whole> {
    let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 };
    let pattern = Arc::new(Pattern::random(4, 0.5, 1).expect("a pattern"));
    let one = Parameters::identity(pattern, activation, 1.5).expect("parameters");
    let bytes = |sets: &[Parameters], layers| file::to_bytes(sets, layers).expect("a file");
    [bytes(std::slice::from_ref(&one), 4), bytes(&[one.clone(), one], 2)]
        .into_iter()
        .map(|whole| {
            let end = 8 + u64::from_le_bytes(*whole.first_chunk().expect("a header")) as usize;
            vec![plain(&whole[..end]), plain(&whole[end..])]
        })
        .collect()
}

/// Texts of the command line, one of each kind.
fn texts() -> Vec<Whole> {
    let penalties = Penalty::all().into_iter().map(|p| p.to_string());
    let groups = GroupPenalty::all().into_iter().map(|p| p.to_string());
    let steps = Optimizer::all().into_iter().map(|p| p.to_string());
    let others = [
        "lasso(weight=sqrt-size)",
        "rows",
        "blocks:16",
        "axis:2",
        "whole",
        "l2",
        "dense,l1,tl1(a=0.5)+lasso(weight=sqrt-size),integrated-tl1(a=0.1,s=0.1),dsrl,maf-srl",
        "dsrl,maf-srl",
        "neighbourhood:2",
        "random",
        "^layers\\.[0-9]+\\.(weight|bias)$",
        "cifar10",
    ];
    let all = penalties.chain(groups).chain(steps).chain(others.map(String::from));
    all.map(|text| vec![plain(text)]).collect()
}

/// What is read and written goes both ways.
fn both_ways<T: std::str::FromStr<Err = Error> + ToString + PartialEq + std::fmt::Debug>(
    text: &str,
) -> Result<()> {
    let read: T = text.parse()?;
    assert_eq!(read.to_string().parse().as_ref(), Ok(&read), "{text:?}");
    Ok(())
}

fn read_texts(bytes: &[u8]) -> Result<()> {
    let text = &*String::from_utf8_lossy(bytes);
    let lambdas = vec![0.1, 0.2];
    let choices = Choices { lambdas, ..Choices::default() };
    let all = [
        both_ways::<Penalty>(text),
        both_ways::<GroupPenalty>(text),
        both_ways::<Optimizer>(text),
        both_ways::<Layout>(text),
        both_ways::<Norm>(text),
        text.parse::<Family>().map(drop),
        both_ways::<Source>(text),
        Family::parse_list(text).map(drop),
        Method::parse_list(text, &choices).map(drop),
        Shape::parse(text, None).map(drop),
        // what an expression may take is regex's own matter: here are those of a usual length
        text.get(..64.min(text.len())).unwrap_or_default().parse::<Select>().map(drop),
    ];
    assert!(all.iter().flat_map(|one| one.as_ref().err()).all(typed), "{text:?}: {all:?}");
    // it is read if it is one of them
    all.into_iter().reduce(Result::or).unwrap_or(Ok(()))
}

fn read_mat(bytes: &[u8]) -> Result<()> {
    let file = Variables::of(Bytes::of(Path::new("fuzz.mat"), bytes))?;
    let mut last = Ok(());
    for name in file.names() {
        let cells = file.cells(name).map(drop);
        last = match file.matrix(name) {
            Ok(small) if small.len() < 10_000 => Graph::new("fuzz.mat", small).map(drop),
            other => other.map(drop),
        };
        last = cells.and(last);
    }
    last
}

const MIB: usize = 1 << 20;

/// What can come out of so many bytes, packed or not, and no more than a limit.
fn out(bytes: usize, limit: usize) -> usize {
    (1032 * bytes).min(limit)
}

fn readers() -> Vec<Reader> {
    vec![
        Reader {
            name: "idx-images",
            corpus: idx_images(),
            read: |bytes| with(Source::Mnist, IMAGES, bytes, mnist),
            // the parts of the split beside it
            memory: |bytes| 2 * 14 * out(bytes, limits::PIXELS) + MIB,
        },
        Reader {
            name: "idx-labels",
            corpus: idx_labels(),
            read: |bytes| with(Source::Mnist, LABELS, bytes, mnist),
            memory: |bytes| 2 * 14 * out(bytes, limits::PIXELS) + MIB,
        },
        Reader {
            name: "cifar10",
            corpus: cifar10(),
            read: |bytes| with(Source::Cifar10, "data_batch_1.bin", bytes, |_| row(5)),
            memory: |bytes| 2 * 8 * out(bytes, limits::PICTURES * 3073) + MIB,
        },
        Reader {
            name: "text",
            corpus: strokes(),
            read: |bytes| with(Source::Pendigits, "pendigits.tra", bytes, |_| STROKE.repeat(3).into()),
            memory: |bytes| 2 * 16 * out(bytes, limits::TEXT as usize) + MIB,
        },
        Reader {
            name: "mat",
            corpus: mat(),
            read: read_mat,
            memory: |bytes| bytes + 16 * limits::ENTRIES + MIB,
        },
        Reader {
            name: "npy",
            corpus: arrays(),
            read: |bytes| Tensors::of(Bytes::of(Path::new("fuzz.npy"), bytes), None).map(drop),
            memory: |bytes| 2 * bytes + 8 * MIB,
        },
        Reader {
            name: "safetensors",
            corpus: models(),
            read: |bytes| Tensors::of(Bytes::of(Path::new("fuzz.safetensors"), bytes), None).map(drop),
            memory: |bytes| 64 * bytes + MIB,
        },
        Reader {
            name: "regulariser",
            corpus: regularisers(),
            read: |bytes| file::from_bytes(bytes, Path::new("fuzz.safetensors")).map(drop),
            memory: |bytes| 64 * bytes + MIB,
        },
        Reader {
            name: "text forms",
            corpus: texts(),
            read: read_texts,
            memory: |bytes| 64 * bytes + 16 * MIB,
        },
    ]
}

#[test]
fn every_input_ends_in_a_result_or_a_typed_error() {
    let wanted = std::env::var("MAF_SRL_FUZZ").ok();
    let (only, one) = match wanted.as_deref().map(|w| w.split_once(':').unwrap_or((w, ""))) {
        Some((name, number)) => (Some(name), number.parse::<u64>().ok()),
        None => (None, None),
    };
    for reader in readers().into_iter().filter(|r| only.is_none_or(|only| only == r.name)) {
        for whole in &reader.corpus {
            let bytes: Vec<u8> = whole.iter().flat_map(|part| (part.pack)(&part.bytes)).collect();
            judge(&reader, &bytes)
                .unwrap_or_else(|what| panic!("{}: a file of the corpus: {what}", reader.name));
        }
        let (begun, mut read) = (Instant::now(), 0);
        for number in one.map_or(0..INPUTS, |one| one..one + 1) {
            let bytes = input(&reader.corpus, number);
            if only.is_some() {
                eprintln!("{}:{number}", reader.name);
            }
            match judge(&reader, &bytes) {
                Ok(whole) => read += u64::from(whole),
                Err(what) => {
                    let saved: PathBuf =
                        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}-{number}", reader.name));
                    std::fs::write(&saved, &bytes).expect("written");
                    panic!("{}:{number}: {what}; it is in {}", reader.name, saved.display());
                }
            }
        }
        eprintln!("{}: {read} of {INPUTS} inputs read, {:.1?}", reader.name, begun.elapsed());
        // neither all nor none: the damage is neither too little nor too much to get anywhere
        assert!(one.is_some() || (INPUTS / 100..INPUTS * 9 / 10).contains(&read), "{}: {read}", reader.name);
    }
}
