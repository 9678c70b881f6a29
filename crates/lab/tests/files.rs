//! Files in and out: round trips bit for bit, and damage of every kind as a typed error.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use maf_srl::Error;
use maf_srl::error::Number;
use maf_srl_lab::data::{Dtype, Output, Select, Source, Tensors, stratified};
use safetensors::Dtype as Stored;
use support::{descr, gzip, idx, singles};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn npy(path: &Path, dictionary: &str, data: &[u8]) {
    fs::write(path, support::npy(dictionary, data)).expect("written");
}

fn safe(path: &Path, tensors: &[(&str, Stored, &[usize], &[u8])]) {
    fs::write(path, support::safe(tensors)).expect("written");
}

fn select(text: &str) -> Select {
    text.parse().expect("a regular expression")
}

/// The error's text; it must be one line and name the file.
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, file: &Path) -> String {
    let error = result.expect_err("must be refused");
    assert!(!matches!(error, Error::Mismatch(_)));
    let text = error.to_string();
    assert!(text.contains(&*file.file_name().expect("a name").to_string_lossy()), "{text}");
    text
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

const ODD: [u32; 10] = [
    0,
    0x8000_0000,
    1,
    0x8000_0001,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x7fc0_1234,
    0x7f7f_ffff,
    0x3f80_0001,
];

#[test]
fn npy_comes_back_byte_for_byte() {
    let at = folder();
    let odd: Vec<u8> = ODD.iter().flat_map(|b| b.to_le_bytes()).collect();
    let turned: Vec<u8> = ODD.iter().flat_map(|b| b.to_be_bytes()).collect();
    let wide: Vec<u8> = ODD.iter().flat_map(|&b| f64::from(f32::from_bits(b)).to_le_bytes()).collect();
    for (k, (dictionary, data)) in [
        (descr("<f4", false, "(10,)"), &odd[..]),
        (descr("<f4", true, "(2, 5)"), &odd),
        (descr("<f4", false, "(2, 1, 5, 1)"), &odd),
        (descr(">f4", false, "(10,)"), &turned),
        (descr("<f8", false, "(5, 2)"), &wide),
        (descr("<f4", false, "()"), &odd[..4]),
        (descr("<f4", false, "(0,)"), &[]),
        (descr("<f8", true, "(3, 0, 7)"), &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let (input, output) = (at.path().join(format!("w{k}.npy")), at.path().join(format!("y{k}.npy")));
        npy(&input, &dictionary, data);
        let before = fs::read(&input).expect("read");
        let tensors = Tensors::read(&input, None).expect("reads");
        assert_eq!(tensors.iter().map(|t| t.name().to_owned()).collect::<Vec<_>>(), [format!("w{k}")]);
        tensors.write(&output).expect("writes");
        assert_eq!(fs::read(&output).expect("read"), before, "{dictionary}");
        assert_eq!(fs::read(&input).expect("read"), before);
    }
    assert_eq!(fs::read_dir(at.path()).expect("a listing").count(), 16, "no temporary file is left");
}

#[test]
fn npy_of_the_library_is_understood() {
    let at = folder();
    let input = at.path().join("w.npy");
    let array = ndarray::arr2(&[[1.0f64, -2.5], [0.0, 1e-3]]);
    ndarray_npy::write_npy(&input, &array).expect("written");
    let mut tensors = Tensors::read(&input, None).expect("reads");
    for tensor in tensors.iter_mut() {
        assert_eq!((tensor.shape(), tensor.dtype()), (&[2, 2][..], Dtype::F64));
        tensor.values_mut().iter_mut().for_each(|v| *v *= 2.0);
    }
    let output = at.path().join("y.npy");
    tensors.write(&output).expect("writes");
    let back: ndarray::Array2<f64> = ndarray_npy::read_npy(&output).expect("reads");
    assert_eq!(back, array.mapv(|v| f64::from(v as f32) * 2.0));
}

#[test]
fn npy_is_refused_with_the_reason() {
    let at = folder();
    let path = at.path().join("w.npy");
    for dtype in ["<i4", "<i8", "|u1", "|b1", "<f2", "<c8", "<f16", "|S4"] {
        npy(&path, &descr(dtype, false, "(1,)"), &[0; 16]);
        contains(&refused(Tensors::read(&path, None), &path), &[dtype, "float32", "float64"]);
    }
    let structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }";
    npy(&path, structured, &[0; 4]);
    contains(&refused(Tensors::read(&path, None), &path), &["float32"]);

    npy(&path, &descr("<f4", false, "(3,)"), &[0; 11]);
    contains(&refused(Tensors::read(&path, None), &path), &["11 bytes", "expected 12"]);
    npy(&path, &descr("<f4", false, "(3,)"), &[0; 13]);
    contains(&refused(Tensors::read(&path, None), &path), &["13 bytes", "expected 12"]);
    for shape in ["(4294967296, 4294967296, 3)", "(1000000000000,)", "(-1,)", "3", "(1.5,)"] {
        npy(&path, &descr("<f4", false, shape), &[0; 4]);
        refused(Tensors::read(&path, None), &path);
    }
    // the parser draws the place in several lines
    npy(&path, "{'descr': '<f4', 'fortran_order': , 'shape': (1,), }", &[]);
    let error = refused(Tensors::read(&path, None), &path);
    contains(&error, &["syntax error at line 1, column 35: expected value"]);
    assert!(!error.contains('\n') && !error.contains("-->"), "{error}");
    let nested = format!("{}{}", "(".repeat(4_000), ")".repeat(4_000));
    npy(&path, &nested, &[]);
    contains(&refused(Tensors::read(&path, None), &path), &["brackets"]);

    npy(&path, &descr("<f4", false, "(2,)"), &[0; 8]);
    let whole = fs::read(&path).expect("read");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("written");
        refused(Tensors::read(&path, None), &path);
    }
    for byte in 0..whole.len() - 8 {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[byte] ^= flip;
            fs::write(&path, &damaged).expect("written");
            // Either still a header (padding, a name within the same type) or a typed error; never a panic.
            if let Err(e) = Tensors::read(&path, None) {
                assert!(!matches!(e, Error::Mismatch(_)));
            }
        }
    }
}

#[test]
fn f64_beyond_f32_is_an_error_and_not_an_infinity() {
    let at = folder();
    let path = at.path().join("w.npy");
    let values = [1.0, f64::INFINITY, f64::NAN, -1e300];
    npy(&path, &descr("<f8", false, "(4,)"), &values.map(f64::to_le_bytes).concat());
    let error = Tensors::read(&path, None).expect_err("must be refused");
    assert!(matches!(error, Error::Domain { value: Number::Real(-1e300), .. }), "{error}");
    contains(&error.to_string(), &["element 3", "\"w\""]);
}

#[test]
fn orders_of_weights_and_gradients_meet() {
    let at = folder();
    let (c, f) = (at.path().join("c.npy"), at.path().join("f.npy"));
    npy(&c, &descr("<f4", false, "(2, 3)"), &singles(&[0., 1., 2., 3., 4., 5.]));
    npy(&f, &descr("<f4", true, "(2, 3)"), &singles(&[0., 3., 1., 4., 2., 5.]));
    let (c, f) = (Tensors::read(&c, None).expect("reads"), Tensors::read(&f, None).expect("reads"));
    let (c, f) = (c.iter().next().expect("one"), f.iter().next().expect("one"));
    assert_eq!(&*f.values_like(c).expect("same shape"), c.values());
    assert_eq!(&*c.values_like(f).expect("same shape"), f.values());
}

#[test]
fn safetensors_carry_over_what_is_not_meant() {
    let at = folder();
    let (input, output) = (at.path().join("w.safetensors"), at.path().join("y.safetensors"));
    let floats = singles(&[1.0, -0.0, f32::NAN, 1e-45, 5.0, 6.0]);
    let ints: Vec<u8> = (0..32).collect();
    let halves: Vec<u8> = [0x3c00u16, 0x0001, 0x7c00, 0x8000].iter().flat_map(|v| v.to_le_bytes()).collect();
    safe(
        &input,
        &[
            ("layer.weight", Stored::F32, &[2, 3], &floats),
            ("layer.steps", Stored::I64, &[4], &ints),
            ("head.weight", Stored::BF16, &[4], &halves),
            ("head.bias", Stored::F16, &[2, 2], &halves),
            ("mask", Stored::BOOL, &[3], &[1, 0, 1]),
            ("empty", Stored::F32, &[0, 3], &[]),
            ("also.empty", Stored::F32, &[7, 0], &[]),
            ("small", Stored::F8_E4M3, &[2], &[0x11, 0x22]),
        ],
    );
    let before = fs::read(&input).expect("read");
    contains(&refused(Tensors::read(&input, None), &input), &["small", "F8_E4M3", "BF16", "`select`"]);

    let tensors = Tensors::read(&input, Some(&select("weight|bias|empty|steps"))).expect("reads");
    let mut names: Vec<_> = tensors.iter().map(|t| t.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["also.empty", "empty", "head.bias", "head.weight", "layer.weight"]);
    tensors.write(&output).expect("writes");
    assert_eq!(fs::read(&output).expect("read"), before);

    let mut tensors = Tensors::read(&input, Some(&select("^head"))).expect("reads");
    tensors.iter_mut().for_each(|t| t.values_mut().fill(2.0));
    tensors.write(&output).expect("an older output is replaced");
    let bytes = fs::read(&output).expect("read");
    let (old, new) = (
        safetensors::SafeTensors::deserialize(&before).expect("valid"),
        safetensors::SafeTensors::deserialize(&bytes).expect("valid"),
    );
    for name in old.names() {
        let (old, new) = (old.tensor(name).expect("there"), new.tensor(name).expect("there"));
        assert_eq!(old.data() == new.data(), !name.starts_with("head"), "{name}");
    }
    let (_, about) = safetensors::SafeTensors::read_metadata(&bytes).expect("valid");
    assert_eq!(about.metadata().as_ref().and_then(|m| m.get("note")).map(String::as_str), Some("kept"));

    contains(&refused(Tensors::read(&input, Some(&select("nothing"))), &input), &["nothing", "`select`"]);
    contains(&refused(Tensors::read(&input, Some(&select("mask"))), &input), &["mask"]);
    assert!(matches!("(".parse::<Select>(), Err(Error::Text { .. })));
    // the file system's own error comes along
    let missing = Tensors::read(&input.with_file_name("missing.npy"), None).expect_err("no such file");
    let source = std::error::Error::source(&missing).and_then(|e| e.downcast_ref::<std::io::Error>());
    assert_eq!(source.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound), "{missing:?}");
}

#[test]
fn safetensors_cut_or_damaged_anywhere_are_refused() {
    let at = folder();
    let path = at.path().join("w.safetensors");
    safe(&path, &[("a", Stored::F32, &[2], &singles(&[1., 2.])), ("b", Stored::F16, &[3], &[0; 6])]);
    let whole = fs::read(&path).expect("read");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("written");
        let text = refused(Tensors::read(&path, None), &path);
        if length == whole.len() - 1 {
            contains(&text, &["\"b\"", "ends at byte"]);
        }
        if (8..20).contains(&length) {
            contains(&text, &["header", "ends at byte"]);
        }
    }
    fs::write(&path, [&whole[..], &[0]].concat()).expect("written");
    contains(&refused(Tensors::read(&path, None), &path), &["1 bytes after"]);
    for byte in 0..whole.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[byte] ^= flip;
            fs::write(&path, &damaged).expect("written");
            if let Err(e) = Tensors::read(&path, None) {
                assert!(!matches!(e, Error::Mismatch(_)));
            }
        }
    }
    let sized = |n: u64, rest: &[u8]| [&n.to_le_bytes()[..], rest].concat();
    for bytes in [
        sized(u64::MAX, b"{}"),
        sized(100_000_001, b"{}"),
        sized(2, b"[]"),
        sized(50, br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#),
        sized(84, br#"{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,18446744073709551615]}}"#),
    ] {
        fs::write(&path, bytes).expect("written");
        refused(Tensors::read(&path, None), &path);
    }
}

/// Every f16 and bf16 value, the midpoints between neighbours and one f32 step to either side of each.
#[test]
fn halves_round_to_nearest_even() {
    let next = |v: f32, by: i32| f32::from_bits((v.to_bits() as i32 + by) as u32);
    for bits in 0..0x7c00u16 {
        let (low, high) = (f16::from_bits(bits).to_f32(), f16::from_bits(bits + 1).to_f32());
        // Beyond the largest value lies infinity, with its midpoint at 65520.
        let middle = if high.is_infinite() { 65520.0 } else { (low + high) / 2.0 };
        let even = if bits % 2 == 0 { low } else { high };
        for sign in [1.0, -1.0] {
            assert_eq!(Dtype::F16.round(sign * low).to_bits(), (sign * low).to_bits());
            assert_eq!(Dtype::F16.round(sign * middle).to_bits(), (sign * even).to_bits(), "{middle:e}");
            assert_eq!(Dtype::F16.round(sign * next(middle, -1)), sign * low);
            assert_eq!(Dtype::F16.round(sign * next(middle, 1)), sign * high);
        }
    }
    for bits in 0..0x7f80u16 {
        let (low, high) = (bf16::from_bits(bits).to_f32(), bf16::from_bits(bits + 1).to_f32());
        let middle = f32::from_bits((u32::from(bits) << 16) | 0x8000);
        let even = if bits % 2 == 0 { low } else { high };
        for sign in [1.0, -1.0] {
            assert_eq!(Dtype::Bf16.round(sign * low).to_bits(), (sign * low).to_bits());
            assert_eq!(Dtype::Bf16.round(sign * middle).to_bits(), (sign * even).to_bits(), "{middle:e}");
            assert_eq!(Dtype::Bf16.round(sign * next(middle, -1)), sign * low);
            assert_eq!(Dtype::Bf16.round(sign * next(middle, 1)), sign * high);
        }
    }
    for dtype in [Dtype::F16, Dtype::Bf16] {
        // A NaN whose payload lies in the bits that are cut off must not become an infinity.
        assert!(dtype.round(f32::from_bits(0x7f80_0001)).is_nan());
        assert!(dtype.round(f32::NAN).is_nan());
        assert_eq!(dtype.round(f32::INFINITY), f32::INFINITY);
        assert_eq!(dtype.round(f32::NEG_INFINITY), f32::NEG_INFINITY);
    }
}

#[test]
fn halves_are_written_as_rounded() {
    let at = folder();
    let (input, output) = (at.path().join("w.safetensors"), at.path().join("y.safetensors"));
    safe(&input, &[("h", Stored::F16, &[6], &[0; 12]), ("b", Stored::BF16, &[6], &[0; 12])]);
    // A tie down and up, below half the smallest subnormal, a NaN, an infinity, a large value.
    let values = [2049.0, 2051.0, 2.9e-8, f32::from_bits(0xff80_0001), f32::NEG_INFINITY, 1e5];
    let mut tensors = Tensors::read(&input, None).expect("reads");
    tensors.iter_mut().for_each(|t| t.values_mut().copy_from_slice(&values));
    tensors.write(&output).expect("writes");
    tensors.iter_mut().for_each(maf_srl_lab::data::Tensor::round);
    let back = Tensors::read(&output, None).expect("reads");
    for (rounded, back) in tensors.iter().zip(back.iter()) {
        for (a, b) in rounded.values().iter().zip(back.values()) {
            assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()), "{a} {b}");
        }
        if rounded.dtype() == Dtype::F16 {
            assert_eq!(back.values()[..3], [2048.0, 2052.0, 0.0]);
            assert!(back.values()[3].is_nan());
            assert_eq!(back.values()[4..], [f32::NEG_INFINITY, f32::INFINITY]);
        }
    }
}

#[test]
fn formats_are_told_by_extension() {
    let at = folder();
    for name in ["w.txt", "w", "w.npz", "w.npy.gz"] {
        let path = at.path().join(name);
        contains(&refused(Tensors::read(&path, None), &path), &[".npy, .safetensors"]);
    }
    let (input, output) = (at.path().join("w.npy"), at.path().join("y.safetensors"));
    npy(&input, &descr("<f4", false, "(1,)"), &[0; 4]);
    let tensors = Tensors::read(&input, None).expect("reads");
    contains(&refused(tensors.write(&output), &output), &["allowed: .npy"]);
    assert!(!output.exists());
    contains(&refused(Tensors::read(&input, Some(&select("v"))), &input), &["`select`"]);
    let missing = at.path().join("none.npy");
    contains(&refused(Tensors::read(&missing, None), &missing), &["open: no such file"]);
    let inner = at.path().join("folder.npy");
    fs::create_dir(&inner).expect("made");
    contains(&refused(Tensors::read(&inner, None), &inner), &["not a regular file"]);
}

#[test]
fn the_input_is_never_the_output() {
    let at = folder();
    let input = at.path().join("w.npy");
    npy(&input, &descr("<f4", false, "(1,)"), &[0; 4]);
    let before = fs::read(&input).expect("read");
    let tensors = Tensors::read(&input, None).expect("reads");
    let detour = at.path().join("inner").join("..").join("w.npy");
    fs::create_dir(at.path().join("inner")).expect("made");
    let mut same = vec![input.clone(), detour];
    #[cfg(unix)]
    {
        let (link, hop, way) = (at.path().join("l.npy"), at.path().join("m.npy"), at.path().join("way"));
        std::os::unix::fs::symlink(&input, &link).expect("linked");
        std::os::unix::fs::symlink(&link, &hop).expect("linked");
        std::os::unix::fs::symlink(at.path(), &way).expect("linked");
        same.extend([link, hop, way.join("w.npy")]);
    }
    for path in same {
        contains(&refused(tensors.write(&path), &path), &["same file as the input"]);
    }
    let other = at.path().join("g.npy");
    fs::copy(&input, &other).expect("copied");
    contains(&refused(tensors.output(&other, &[&other]), &other), &["same file as the input"]);
    assert_eq!(fs::read(&input).expect("read"), before);
}

#[test]
fn outputs_that_cannot_be_written_are_refused_first() {
    let at = folder();
    let missing = at.path().join("no").join("y.npy");
    contains(&refused(Output::new(&missing, &[]), &missing), &["write: there is no folder"]);
    let file = at.path().join("file");
    fs::write(&file, "").expect("written");
    let under = file.join("y.npy");
    refused(Output::new(&under, &[]), &under);
    let inner = at.path().join("y.npy");
    fs::create_dir(&inner).expect("made");
    contains(&refused(Output::new(&inner, &[]), &inner), &["not a regular file"]);
    let locked = at.path().join("locked.npy");
    fs::write(&locked, "old").expect("written");
    let mut mode = fs::metadata(&locked).expect("there").permissions();
    mode.set_readonly(true);
    fs::set_permissions(&locked, mode).expect("set");
    contains(&refused(Output::new(&locked, &[]), &locked), &["read-only"]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let closed = at.path().join("closed");
        fs::create_dir(&closed).expect("made");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).expect("set");
        let path = closed.join("y.npy");
        // The superuser may write anywhere; procfs takes files from nobody.
        if fs::File::create(closed.join("probe")).is_err() {
            contains(&refused(Output::new(&path, &[]), &path), &["write"]);
        } else if Path::new("/proc/self").is_dir() {
            let path = Path::new("/proc/self/y.npy");
            contains(&refused(Output::new(path, &[]), path), &["write"]);
        }
        let link = at.path().join("null.npy");
        std::os::unix::fs::symlink("/dev/null", &link).expect("linked");
        contains(&refused(Output::new(&link, &[]), &link), &["not a regular file"]);
        let link = at.path().join("nowhere.npy");
        std::os::unix::fs::symlink("not/there.npy", &link).expect("linked");
        contains(&refused(Output::new(&link, &[]), &link), &["symbolic link to not/there.npy"]);
        assert!(link.is_symlink());
    }
}

#[test]
fn a_failed_write_leaves_the_older_output() {
    let at = folder();
    let path = at.path().join("y.npy");
    fs::write(&path, "old").expect("written");
    let failing = |w: &mut dyn Write| w.write_all(b"new").and(Err(std::io::Error::other("full")));
    let output = Output::new(&path, &[]).expect("can be written");
    contains(&refused(output.commit(failing), &path), &["full"]);
    assert_eq!(fs::read(&path).expect("read"), b"old");
    assert_eq!(fs::read_dir(at.path()).expect("a listing").count(), 1, "no temporary file is left");
    Output::new(&path, &[]).expect("can be written").commit(|w| w.write_all(b"new")).expect("written");
    assert_eq!(fs::read(&path).expect("read"), b"new");
}

/// What is written gets its name only where the check of what can be read of it agrees.
#[test]
fn a_check_of_the_written_file_decides_whether_it_appears() {
    let at = folder();
    let path = at.path().join("y.safetensors");
    let long = "x".repeat(1 << 18);
    let tensors: [(&str, Stored, &[usize], &[u8]); 3] = [
        ("w", Stored::F16, &[2], &[0x00, 0x3c, 0x00, 0xc0]),
        ("b", Stored::F32, &[1], &[0, 0, 0x80, 0x3f]),
        ("steps", Stored::U8, &[1 << 18], long.as_bytes()),
    ];
    let source = at.path().join("w.safetensors");
    safe(&source, &tensors);
    let mut file = Tensors::read(&source, None).expect("reads");
    file.iter_mut().find(|t| t.name() == "w").expect("there").values_mut()[1] = 0.5;
    fs::write(&path, "old").expect("written");
    for agrees in [false, true] {
        let output = file.output(&path, &[]).expect("can be written");
        let found = file.write_checked(output, Some(&select("w")), |written| {
            assert_eq!(fs::read(&path).expect("read"), b"old", "not before the check");
            let names: Vec<_> = written.iter().map(|t| (t.name(), t.dtype(), t.values())).collect();
            assert_eq!(names, [("w", Dtype::F16, &[1.0, 0.5][..])]);
            let carried = written.carried().expect("a header");
            let mut carried: Vec<_> =
                carried.iter().map(|t| (t.name.as_str(), t.dtype.as_str(), &t.shape[..])).collect();
            carried.sort_unstable();
            assert_eq!(carried, [("b", "F32", &[1][..]), ("steps", "U8", &[1 << 18])]);
            if agrees { Ok(()) } else { Err(Error::Mismatch("no".into())) }
        });
        assert_eq!(found, if agrees { Ok(()) } else { Err(Error::Mismatch("no".into())) });
        assert_eq!(fs::read_dir(at.path()).expect("a listing").count(), 2, "no temporary file is left");
    }
    let read = Tensors::read(&path, None).expect("reads");
    assert_eq!(read.iter().find(|t| t.name() == "w").expect("there").values(), [1.0, 0.5]);
}

/// Many that write into one folder at a time do not take each other's unfinished files for some that were left.
#[test]
fn concurrent_outputs_leave_each_other_alone() {
    let at = folder();
    let folder = at.path();
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            scope.spawn(move || {
                for round in 0..40_u8 {
                    let name = format!("{writer}");
                    maf_srl_lab::data::save(folder, &name, &[round; 100]).expect("written");
                    assert_eq!(fs::read(folder.join(name)).expect("read"), [round; 100]);
                }
            });
        }
    });
    assert_eq!(maf_srl_lab::data::removed(), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(folder).expect("a listing").count(), 8);
}

/// Twenty pictures of 2 x 3 for training and ten for the test, in `folder/mnist`.
fn tiny_mnist(folder: &Path) -> PathBuf {
    let at = folder.join("mnist");
    fs::create_dir_all(&at).expect("made");
    for (part, count) in [("train", 20u8), ("t10k", 10)] {
        let pixels: Vec<u8> = (0..count * 6).collect();
        let classes: Vec<u8> = (0..count).map(|k| k % 2).collect();
        let images = gzip(&idx(0x803, &[count.into(), 2, 3], &pixels));
        fs::write(at.join(format!("{part}-images-idx3-ubyte.gz")), images).expect("written");
        fs::write(
            at.join(format!("{part}-labels-idx1-ubyte.gz")),
            gzip(&idx(0x801, &[count.into()], &classes)),
        )
        .expect("written");
    }
    at
}

#[test]
fn idx_reads_and_refuses() {
    let at = folder();
    let inner = tiny_mnist(at.path());
    let split = Source::Mnist.load(Some(at.path())).expect("loads");
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (18, 2, 10));
    assert_eq!((split.train.width, split.train.height, split.train.channels), (3, 2, 1));
    assert_eq!(split.test.features[[1, 0]], 6.0 / 255.0);
    assert_eq!(Source::Mnist.load(Some(&inner)).expect("loads from the folder itself"), split);

    let images = inner.join("train-images-idx3-ubyte.gz");
    let labels = inner.join("train-labels-idx1-ubyte.gz");
    let good = [fs::read(&images).expect("read"), fs::read(&labels).expect("read")];
    let refuse = |path: &Path, bytes: &[u8], parts: &[&str]| {
        fs::write(path, bytes).expect("written");
        contains(&refused(Source::Mnist.load(Some(at.path())), path), parts);
        fs::write(&images, &good[0]).expect("written");
        fs::write(&labels, &good[1]).expect("written");
    };
    for cut in [2, 10, 30, good[0].len() - 9, good[0].len() - 1] {
        refuse(&images, &good[0][..cut], &[]);
    }
    refuse(&images, b"", &["magic number"]);
    refuse(&images, &gzip(&idx(0x801, &[20, 2, 3], &[0; 120])), &["0x00000801", "0x00000803"]);
    refuse(&images, &gzip(&idx(0x803, &[20, 2, 3], &[0; 119])), &["119 of 120"]);
    refuse(&images, &gzip(&idx(0x803, &[20, 2, 3], &[0; 121])), &["goes on"]);
    refuse(&images, &idx(0x803, &[u32::MAX, u32::MAX, u32::MAX], &[0; 9]), &["at most 128 x 128"]);
    refuse(&images, &idx(0x803, &[u32::MAX, 28, 28], &[0; 9]), &["4294967295", "at most 67108864"]);
    refuse(&labels, &gzip(&idx(0x801, &[19], &[0; 19])), &["19 classes for the 20 pictures"]);
    refuse(
        &labels,
        &gzip(&idx(0x801, &[20], &[&[0; 19][..], &[10]].concat())),
        &["sample 19", "class 10", "0..=9"],
    );
    let mut flipped = good[0].clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    refuse(&images, &flipped, &[]);
    let wide = gzip(&idx(0x803, &[20, 3, 3], &[0; 180]));
    fs::write(&images, wide).expect("written");
    let error = Source::Mnist.load(Some(at.path())).expect_err("other size than the test's");
    assert!(matches!(error, Error::Shape { .. }), "{error}");

    fs::remove_file(&labels).expect("removed");
    contains(&refused(Source::Mnist.load(Some(at.path())), &labels), &["not found", "t10k-images"]);
    let error = Source::Mnist.load(None).expect_err("needs a folder");
    contains(&error.to_string(), &["`data_dir`", "train-images-idx3-ubyte.gz"]);
    let error = Source::Digits.load(Some(at.path())).expect_err("needs none");
    contains(&error.to_string(), &["`data_dir`", "part of the program"]);
    let error = "mnits".parse::<Source>().expect_err("no such data set");
    contains(
        &error.to_string(),
        &["mnits", "did you mean mnist? there are digits, mnist, fashion-mnist, pendigits, cifar10"],
    );
}

#[test]
fn files_of_another_data_set_are_told_by_their_checksums() {
    let at = folder();
    let inner = tiny_mnist(at.path());
    let mistaken = |source: Source| source.mistaken(Some(&inner)).expect("reads");
    assert!(mistaken(Source::Mnist).is_empty() && mistaken(Source::FashionMnist).is_empty());
    // four bytes that give the file the checksum of the published one
    let forged = |last: [u8; 4]| idx(0x803, &[20, 2, 3], &[&[0; 116][..], &last].concat());
    let images = inner.join("train-images-idx3-ubyte.gz");
    for (last, publisher, other) in [
        ([161, 227, 54, 138], Source::FashionMnist, Source::Mnist),
        ([79, 119, 158, 30], Source::Mnist, Source::FashionMnist),
    ] {
        for bytes in [gzip(&forged(last)), forged(last)] {
            fs::write(&images, bytes).expect("written");
            assert_eq!(mistaken(other), [(images.clone(), publisher)]);
            assert!(mistaken(publisher).is_empty());
            other.load(Some(&inner)).expect("loads all the same");
        }
    }
    assert!(Source::Digits.mistaken(None).expect("has no files").is_empty());
}

#[test]
fn csv_reads_and_refuses() {
    let at = folder();
    let (train, test) = (at.path().join("pendigits.tra"), at.path().join("pendigits.tes"));
    let row = " 47,100, 27, 81, 57, 37, 26,  0,  0, 23, 56, 53,100, 90, 40, 98, 8\n";
    let table = row.repeat(10);
    fs::write(&test, &table).expect("written");
    fs::write(&train, &table).expect("written");
    let split = Source::Pendigits.load(Some(at.path())).expect("loads");
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (9, 1, 10));
    assert_eq!((split.test.features[[0, 0]], split.test.labels[0]), (0.47, 8));
    for (damage, parts) in [
        (row.replace(" 98,", ""), ["line 11", "16 columns"]),
        (row.replace(" 98,", " 98, 1,"), ["line 11", "18 columns"]),
        (row.replace("98", "x"), ["line 11, column 16", "\"x\""]),
        (row.replace("98", "101"), ["line 11, column 16", "0..=100"]),
        (row.replace("98", "-1"), ["line 11, column 16", "0..=100"]),
        (row.replace("98", "1.5"), ["line 11, column 16", "whole number"]),
        (row.replace(" 8\n", " 10\n"), ["line 11, column 17", "0..=9"]),
    ] {
        fs::write(&train, format!("{table}{damage}{row}")).expect("written");
        contains(&refused(Source::Pendigits.load(Some(at.path())), &train), &parts);
    }
    fs::write(&train, [table.as_bytes(), b"\xff\xfe,\n"].concat()).expect("written");
    contains(&refused(Source::Pendigits.load(Some(at.path())), &train), &["line 11"]);
    fs::write(&train, "").expect("written");
    contains(&refused(Source::Pendigits.load(Some(at.path())), &train), &["no sample"]);
    let packed = gzip(table.as_bytes());
    fs::write(&train, &packed[..packed.len() - 5]).expect("written");
    refused(Source::Pendigits.load(Some(at.path())), &train);
    fs::write(&train, &packed).expect("written");
    assert_eq!(Source::Pendigits.load(Some(at.path())).expect("packed is fine"), split);
}

#[test]
fn cifar10_reads_and_refuses() {
    let at = folder();
    let files = Source::Cifar10.files();
    let row = |class: u8| [&[class][..], &[class; 3072]].concat();
    for file in files {
        fs::write(at.path().join(file), [row(3), row(4)].concat()).expect("written");
    }
    let split = Source::Cifar10.load(Some(at.path())).expect("loads");
    assert_eq!(split.train.len() + split.validation.len(), 10);
    assert_eq!((split.test.len(), split.test.channels, split.test.features.ncols()), (2, 3, 3072));
    assert_eq!(split.train.name, "cifar10-subset", "too few rows for the real name");
    let third = at.path().join(files[2]);
    fs::write(&third, &row(3)[1..]).expect("written");
    contains(&refused(Source::Cifar10.load(Some(at.path())), &third), &["3072 bytes", "3073"]);
    fs::write(&third, row(10)).expect("written");
    contains(&refused(Source::Cifar10.load(Some(at.path())), &third), &["row 0", "class 10"]);
    fs::remove_file(&third).expect("removed");
    contains(&refused(Source::Cifar10.load(Some(at.path())), &third), &["not found"]);
}

#[test]
fn digits_are_built_in_and_split_for_good() {
    let split = Source::Digits.load(None).expect("loads");
    let parts = [&split.train, &split.validation, &split.test];
    assert_eq!(parts.map(|p| p.len()).iter().sum::<usize>(), 1797);
    assert_eq!(parts.map(|p| p.len()), [1259, 179, 359]);
    for part in parts {
        assert_eq!((part.classes, part.width, part.height, part.channels), (10, 8, 8, 1));
        assert_eq!(part.features.dim(), (part.len(), 64));
        assert!(part.features.iter().all(|v| (0.0..=1.0).contains(v)));
        for class in 0..10 {
            let share = part.labels.iter().filter(|&&l| l == class).count() as f64 / part.len() as f64;
            assert!((0.09..0.11).contains(&share), "class {class}: {share}");
        }
    }
    assert_eq!(Source::Digits.load(None).expect("loads"), split);
    // The split itself, so that no change of a library moves a sample between the parts unseen.
    let sums = parts.map(|p| {
        p.features.rows().into_iter().zip(&p.labels).enumerate().fold(0u64, |sum, (k, (row, &label))| {
            let pixels = row.iter().map(|v| (v * 16.0) as u64).enumerate().map(|(c, v)| v * (c as u64 + 1));
            sum.wrapping_add((k as u64 + 1) * (pixels.sum::<u64>() * 10 + label as u64))
        })
    });
    assert_eq!(sums, [80_706_354_392, 1_613_697_955, 6_416_796_856]);
}

#[test]
fn stratified_draws_are_disjoint_and_whole() {
    let labels: Vec<usize> = (0..100).map(|k| usize::from(k % 4 == 0)).collect();
    let rows: Vec<usize> = (0..100).collect();
    let (kept, drawn) = stratified(&labels, &rows, 0.2, 7);
    assert_eq!((kept.len(), drawn.len()), (80, 20));
    assert_eq!(drawn.iter().filter(|&&r| labels[r] == 1).count(), 5);
    let mut all = [kept, drawn.clone()].concat();
    all.sort_unstable();
    assert_eq!(all, rows);
    assert_ne!(stratified(&labels, &rows, 0.2, 8).1, drawn);
    assert_eq!(stratified(&[], &[], 0.2, 7), (vec![], vec![]));
}

/// The published files, where they are at hand.
#[test]
fn published_data_sets_load() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !at.is_dir() {
        eprintln!("not run: no data sets in ../shared/data");
        return;
    }
    for (source, name, sizes, columns) in [
        (Source::Mnist, "mnist", [54000, 6000, 10000], 784),
        (Source::FashionMnist, "fashion-mnist", [54000, 6000, 10000], 784),
        (Source::Pendigits, "pendigits", [6746, 748, 3498], 16),
        (Source::Cifar10, "cifar10-subset", [3600, 400, 1000], 3072),
    ] {
        let split = source.load(Some(&at)).expect("loads");
        let parts = [&split.train, &split.validation, &split.test];
        for (part, size) in parts.into_iter().zip(sizes) {
            // Each class's share is rounded.
            assert!(part.len().abs_diff(size) <= 5, "{name}: {} of {size}", part.len());
            assert_eq!((part.name.as_str(), part.features.ncols()), (name, columns));
        }
        assert_eq!(parts.iter().map(|p| p.len()).sum::<usize>(), sizes.iter().sum::<usize>());
        assert!(source.mistaken(Some(&at)).expect("reads").is_empty(), "{source}");
    }
    for (source, other) in [(Source::Mnist, Source::FashionMnist), (Source::FashionMnist, Source::Mnist)] {
        let found = source.mistaken(Some(&at.join(other.name()))).expect("reads");
        assert_eq!(found.iter().map(|(_, publisher)| *publisher).collect::<Vec<_>>(), [other; 4]);
    }
}
