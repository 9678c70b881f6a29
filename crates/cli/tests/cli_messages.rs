//! What the command line says of requests that are wrong, and what it says beside its results.

mod support;

use std::fs;
use std::process::Output;

use safetensors::Dtype;
use support::Place;

/// A folder with an array, a model, and a network of one dense layer.
fn place() -> Place {
    let place = Place::new();
    place.npy("w.npy", &[2, 2], &[1.0, -2.0, 3.0, 0.5]);
    place.model("dense.safetensors", &[("fc.weight", Dtype::F32, &[1, 2], &[1.0, 2.0])], None);
    place
}

const PROX: &str = "prox --device cpu --in w.npy --out y.npy";
const TRAIN: &str = "train --device cpu --epochs 2 --repeats 1 --out-dir .";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn slips_of_the_pen_are_noticed() {
    let place = place();
    for (arguments, meant) in [
        ("prox --in w.npy --out y.npy --penalty tl2", "did you mean tl1? there are none, l1"),
        ("prox --in w.npy --out y.npy --penalty L1", "did you mean l1?"),
        ("prox --in w.npy --out y.npy --penalty mpc(gamma=3)", "did you mean mcp?"),
        ("prox --in w.npy --out y.npy --penalty l1 --group laso", "did you mean lasso?"),
        ("prox --in w.npy --out y.npy --penalty l1 --group lasso --groups row", "did you mean rows?"),
        ("norms --in w.npy --groups rows --norm linv", "did you mean linf?"),
        ("train --data fashion_mnist", "did you mean fashion-mnist?"),
        ("train --method dense,elastic", "did you mean elastic-net? there are dense, none, l1"),
        ("train --method maf-slr", "did you mean maf-srl?"),
        ("train --method tl1+laso --lambda 1", "did you mean lasso?"),
        ("train --solver spliting", "did you mean splitting?"),
        ("train --optimizer adma", "did you mean adam?"),
        ("train --method sgl --groups cols", "blocks:K, whole, auto"),
        ("denoise --data mnits", "did you mean mnist? there are digits, mnist, fashion-mnist"),
        ("denoise --method dslr", "did you mean dsrl?"),
        ("cluster --labels w.npy --method mafsrl", "did you mean maf-srl?"),
        ("validate --cases step/adm/tl2", "did you mean step/adam/tl1?"),
        ("wgsl --out x --kernels setp", "did you mean step?"),
    ] {
        place.refuses(arguments, &[meant]);
    }
    // what is like nothing gets no guess
    for arguments in ["train --method ridge", "validate --cases zzz", "train --data iris"] {
        assert!(!said(&place.run(arguments)).contains("did you"), "{arguments}");
    }
}

#[test]
fn options_without_effect_are_refused() {
    let place = place();
    let none = "it has no effect here";
    for (arguments, parts) in [
        ("prox --in w.npy --out y.npy --penalty l1 --groups rows", ["--groups: ", none]),
        ("prox --in w.npy --out y.npy --penalty l1 --group-lambda 1", ["--group-lambda: ", none]),
        (
            "prox --in w.npy --out y.npy --penalty l1 --group lasso --exact --device 0",
            ["--device", "allowed: cpu"],
        ),
        (
            "prox --in w.npy --out y.npy --penalty l1 --group lasso --exact --verify full",
            ["--exact", "--verify"],
        ),
        ("compact --in dense.safetensors --out y.safetensors --input-size 4x4", ["--input-size: ", none]),
        ("compact --in dense.safetensors --out y.safetensors --device 0", ["--device", "allowed: cpu"]),
        ("wgsl --out x --device 0", ["--device", "allowed: cpu"]),
        ("train --data-dir .", ["--data-dir: . beside digits", "part of the program"]),
        ("train --method l1 --block 16", ["--block: ", none]),
        ("train --method l1 --layers 4", ["--layers: ", none]),
        ("train --method dsrl --matrix-density 0.2", ["--matrix-density: ", none]),
        ("train --method dense --density 0.2", ["--density: ", none]),
        ("train --method l1 --group-lambda 0.1", ["--group-lambda: ", none]),
        ("train --method dense,l1 --groups rows", ["--groups: ", none]),
        ("train --method dense,dsrl --solver splitting", ["--solver: ", none]),
        ("train --method l1 --beta 1", ["--beta: ", none]),
        ("train --method l1 --sigma 2", ["--sigma: ", none]),
        ("train --method l1 --beta-every 2", ["--beta-every: ", none]),
        ("train --method mcp --v-step as-published", ["--v-step: ", none]),
        ("train --method l1 --solver splitting --v-step as-published", ["--v-step: ", none]),
        ("denoise --data-dir .", ["--data-dir: . beside digits", "part of the program"]),
        ("denoise --method dsrl --density 0.2", ["--density: ", none]),
        ("denoise --method dsrl --pattern neighbourhood:1", ["--pattern: ", none]),
        ("cluster --labels w.npy --method dsrl --seeds 2", ["--seeds: ", none]),
        ("prox --in w.npy --out y.npy --penalty tl1(a=1,a=2)", ["\"tl1(a=1,a=2)\"", "a is given twice"]),
        ("train --optimizer adam(beta1=0.8,beta2=0.9,beta1=0.9)", ["optimizer", "beta1 is given twice"]),
        ("train --method integrated-tl1(s=0.1,s=0.1)", ["method", "s is given twice"]),
    ] {
        place.refuses(arguments, &parts);
    }
    // none turns a penalty off, whatever stands beside it
    place.json(&format!(
        "{PROX} --json --penalty none --lambda 2 --group none --groups whole --group-lambda 3"
    ));
}

#[test]
fn numbers_are_echoed_as_they_were_given() {
    let place = place();
    for (arguments, parts) in [
        ("train --seed 18446744073709551615", ["seed = 18446744073709551615 ", "2^64 - repeats"]),
        ("denoise --seed 18446744073709551615", ["seed = 18446744073709551615 ", "2^64 - seeds"]),
        ("cluster --labels w.npy --seed 18446744073709551615", ["seed = 18446744073709551615 ", "2^64"]),
        ("train --batch 18446744073709551615", ["rows per step = 18446744073709551615 ", "[1, 1000000]"]),
        ("train --epochs 9007199254740993", ["epochs = 9007199254740993 ", "[1, 1000000]"]),
        ("train --seed -1", ["'-1' for '--seed", "expected a whole number, 0 or above"]),
        ("train --repeats 1.5", ["'1.5' for '--repeats", "expected a whole number, 0 or above"]),
        ("train --seed 99999999999999999999", ["'99999999999999999999' for '--seed", "too large"]),
        ("train --block -1", ["'-1' for '--block", "-1 is not in 0..="]),
        ("denoise --test -1", ["'-1' for '--test", "expected a whole number, 0 or above"]),
        ("cluster --labels w.npy --epochs -1", ["'-1' for '--epochs", "expected a whole number, 0 or above"]),
        ("bench --formats -1", ["'-1' for '--formats", "-1 is not in 1..=4096"]),
        ("train --lr fast", ["'fast' for '--lr", "expected a number"]),
    ] {
        place.refuses(arguments, &parts);
    }
    let seed = u64::MAX - 1;
    let found = place.json(&format!("{TRAIN} --json --method dense --hidden 2 --seed {seed}"));
    for document in [found, place.document("digits/results.json")] {
        assert_eq!(
            (&document["settings"]["seed"], &document["methods"][0]["runs"][0]["seed"]),
            (&seed.into(), &seed.into())
        );
    }
    assert!(place.at(&format!("digits/dense-seed{seed}.safetensors")).is_file());
}

#[test]
fn devices_that_are_not_there_are_refused_with_those_that_are() {
    let place = place();
    place.refuses("devices --device nothing", &["no adapter matches \"nothing\"", "found: "]);
    for command in ["devices", "norms --in w.npy --groups rows", "validate"] {
        let output =
            place.run_words(&[&command.split(' ').collect::<Vec<_>>()[..], &["--device", " "]].concat());
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(said(&output).contains("no adapter matches \" \""), "{command}: {}", said(&output));
    }
    let all = place.json("devices --json");
    for (index, adapter) in all["adapters"].as_array().expect("a list").iter().enumerate() {
        let one = place.json(&format!("devices --json --device {index}"));
        assert_eq!(one["adapters"], serde_json::json!([adapter]));
    }
    assert_eq!(place.json("devices --json --device cpu")["adapters"], serde_json::json!([]));
    // one default, and not two
    let help = place.run("validate --help");
    assert_eq!(String::from_utf8_lossy(&help.stdout).matches("default").count(), 1);
}

#[test]
fn files_are_named_and_described_in_words() {
    let place = place();
    let header = |name: &str, dictionary: &str| {
        let bytes = [&b"\x93NUMPY\x01\0"[..], &[dictionary.len() as u8, 0], dictionary.as_bytes()].concat();
        fs::write(place.at(name), bytes).expect("written");
    };
    header("broken.npy", "{'descr': '<f4', 'fortran_order': , 'shape': (1,), }\n");
    let prox = |rest: &str| format!("prox --device cpu --penalty l1 {rest}");
    place.refuses(&prox("--in none.npy --out y.npy"), &["none.npy: open: no such file"]);
    place.refuses(&prox("--in w.npy --out no/y.npy"), &["no/y.npy: write: there is no folder no"]);
    place.refuses(
        &prox("--in w.npy --out w.npy/y.npy"),
        &["w.npy/y.npy: write: a part of the path is no folder"],
    );
    place.refuses("train --regulariser none.safetensors", &["none.safetensors: open: no such file"]);
    place.refuses("cluster --labels none.mat", &["none.mat: open: no such file"]);
    place.refuses("bench --quick --device cpu --report no/b.md", &["no/b.md: write: there is no folder no"]);
    place.refuses(&format!("{TRAIN} --name w.npy"), &["w.npy: create: exists and is not a folder"]);
    place.refuses(
        &prox("--in broken.npy --out y.npy"),
        &["syntax error at line 1, column 35: expected value"],
    );
    let error = said(&place.run(&prox("--in broken.npy --out y.npy")));
    assert!(!error.contains("-->") && !error.contains('|'), "{error}");

    for source in ["pendigits", "cifar10"] {
        let parts = ["--data", source, "no grey pictures", "digits, mnist, fashion-mnist"];
        place.refuses(&format!("denoise --data {source}"), &parts);
        place.refuses(&format!("denoise --data {source} --data-dir ."), &parts);
    }
}

#[cfg(unix)]
#[test]
fn outputs_that_find_no_room_are_named_themselves() {
    use std::process::{Command, Stdio};
    let place = place();
    place.npy("large.npy", &[100_000], &vec![1.0; 100_000]);
    fs::write(place.at("y.npy"), "old").expect("written");
    let tool = env!("CARGO_BIN_EXE_maf-srl");
    let shell = |script: &str| {
        let output = Command::new("sh")
            .args(["-c", script])
            .current_dir(place.at("."))
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        (output.status.code(), said(&output))
    };
    let step = "prox --device cpu --in large.npy --out y.npy --penalty l1";
    let (status, error) = shell(&format!("trap '' XFSZ; ulimit -f 8; exec '{tool}' {step}"));
    assert_eq!(status, Some(2), "{error}");
    assert_eq!(error, "maf-srl: y.npy: write: larger than a file may become here\n");
    assert_eq!(place.text("y.npy"), "old");
    if fs::metadata("/dev/full").is_ok() {
        let (status, error) = shell(&format!("exec '{tool}' devices --device cpu > /dev/full"));
        assert_eq!((status, &error[..]), (Some(2), "maf-srl: stdout: write: no space left on the device\n"));
    }

    std::os::unix::fs::symlink("nowhere/y.npy", place.at("link.npy")).expect("linked");
    let parts = ["link.npy: write: is a symbolic link to nowhere/y.npy, which does not exist"];
    place.refuses("prox --device cpu --in w.npy --out link.npy --penalty l1", &parts);
}

#[test]
fn nothing_invisible_is_printed() {
    let place = place();
    let name = "a\u{202e}b\u{9b}31m\nc\u{1b}[2J";
    place.model("odd.safetensors", &[(name, Dtype::F32, &[2, 2], &[1.0; 4])], None);
    let clean = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).expect("a text");
        assert!(!text.contains(['\u{202e}', '\u{9b}', '\u{1b}']), "{text:?}");
        text
    };
    let norms = "norms --device cpu --in odd.safetensors --groups";
    let table = place.run(&format!("{norms} whole"));
    assert!(clean(&table.stdout).contains("a\\u{202e}b\\u{9b}31m\\nc\\u{1b}[2J  "), "{table:?}");
    assert_eq!(clean(&table.stdout).lines().count(), 3, "{table:?}");
    let json = place.run(&format!("{norms} whole --json"));
    assert!(clean(&json.stdout).contains("\\u202e"), "{json:?}");
    assert_eq!(support::document(&json)["tensors"][0]["name"], name);
    let error = place.run(&format!("{norms} filters"));
    assert!(clean(&error.stderr).contains("\\u{202e}"), "{error:?}");

    let out = "o\u{202e}ut";
    let words = "train --device cpu --epochs 1 --repeats 1 --hidden 2 --method dense --out-dir";
    let output = place.run_words(&[&words.split(' ').collect::<Vec<_>>()[..], &[out]].concat());
    assert!(clean(&output.stdout).contains("o\\u{202e}ut"), "{output:?}");
    assert!(place.at(out).join("digits/results.json").is_file());
}

#[test]
fn a_run_says_little_unless_asked() {
    let place = place();
    let lines = |arguments: &str| said(&place.run(arguments)).lines().map(String::from).collect::<Vec<_>>();
    let train = "train --device cpu --epochs 3 --repeats 2 --hidden 2 --out-dir . --method dense,l1";
    let little = lines(train);
    let starts: Vec<_> = little.iter().map(|line| line.split(": loss").next().unwrap_or_default()).collect();
    assert_eq!(
        starts,
        ["dense seed 0 epoch   3", "dense seed 1 epoch   3", "l1 seed 0 epoch   3", "l1 seed 1 epoch   3"]
    );
    for verbose in ["--verbose", "-v"] {
        assert_eq!(lines(&format!("{train} --name more {verbose}")).len(), 12);
    }
    let denoise = "denoise --device cpu --epochs 2 --seeds 2 --method dsrl --test 20 --out-dir .";
    assert_eq!(lines(denoise).len(), 2);
    assert_eq!(lines(&format!("{denoise} -v")).len(), 4);
}

#[test]
fn a_folder_has_the_files_of_one_run() {
    let place = place();
    let files = || {
        let names = fs::read_dir(place.at("digits")).expect("a listing").flatten().map(|e| e.file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    };
    let train = |arguments: &str| place.run(&format!("{TRAIN} --hidden 2 {arguments}"));
    let first = train("--method dense,l1");
    assert!(!said(&first).contains("earlier run"), "{}", said(&first));
    fs::write(place.at("digits/notes.safetensors"), "mine").expect("written");
    // a request that comes to nothing leaves everything as it is
    let before = files();
    place.run("train --device nothing --method l2sq --epochs 1 --repeats 1 --out-dir .");
    assert_eq!(files(), before);
    let second = train("--method tl1");
    assert!(second.status.success());
    let line = "maf-srl: 2 files of an earlier run are removed from ./digits\n";
    assert!(said(&second).contains(line), "{}", said(&second));
    let charts = ["accuracy-density.svg", "epochs.svg"];
    assert_eq!(files(), [charts[0], charts[1], "notes.safetensors", "results.json", "tl1-seed0.safetensors"]);

    let kept = maf_srl::regulariser::Parameters::identity(
        std::sync::Arc::new(maf_srl::matrix::Pattern::diagonal(4).expect("a pattern")),
        maf_srl::penalty::Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 },
        1.0,
    );
    let bytes = maf_srl::regulariser::file::to_bytes(&[kept.expect("parameters")], 1).expect("bytes");
    fs::write(place.at("digits/dsrl.safetensors"), bytes).expect("written");
    let own = format!("{TRAIN} --regulariser digits/dsrl.safetensors");
    place.refuses(&own, &["digits/dsrl.safetensors", "lies in ./digits", "--name another"]);
}

#[test]
fn files_of_another_data_set_are_noticed() {
    let place = place();
    fs::create_dir(place.at("files")).expect("made");
    let idx = |magic: u32, sizes: &[u32], data: &[u8]| {
        let words = std::iter::once(&magic).chain(sizes).flat_map(|word| word.to_be_bytes());
        words.chain(data.iter().copied()).collect::<Vec<u8>>()
    };
    let write = |name: &str, bytes: Vec<u8>| fs::write(place.at("files").join(name), bytes).expect("written");
    let labels: Vec<u8> = (0..20).map(|k| k % 2).collect();
    for (part, count) in [("train", 20_usize), ("t10k", 10)] {
        let n = count as u32;
        write(&format!("{part}-labels-idx1-ubyte"), idx(0x801, &[n], &labels[..count]));
        write(&format!("{part}-images-idx3-ubyte"), idx(0x803, &[n, 2, 3], &vec![0; 6 * count]));
    }
    let warned = |data: &str| {
        let output = place.run(&format!("{TRAIN} --hidden 2 --method dense --data {data} --data-dir files"));
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    assert!(!warned("mnist").contains("checksums"));
    // four bytes that give the file the checksum of the published one of Fashion-MNIST
    let pixels = [&[0; 116][..], &[161, 227, 54, 138]].concat();
    write("train-images-idx3-ubyte", idx(0x803, &[20, 2, 3], &pixels));
    assert!(!warned("fashion-mnist").contains("checksums"));
    let line =
        "maf-srl: files/train-images-idx3-ubyte: by the published checksums of fashion-mnist, not of mnist\n";
    assert!(warned("mnist").contains(line), "{}", warned("mnist"));
}
