//! Runs that are interrupted leave no unfinished file, and what others left is removed.

#![cfg(unix)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use safetensors::Dtype;
use support::Place;

const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

/// A step whose file is written for some hundredths of a second.
const STEP: &str = "prox --device cpu --in w.safetensors --out out/y.safetensors --penalty none --verify off";

/// A folder with weights of 16 MiB.
fn place() -> Place {
    let place = Place::new();
    let values = vec![1.0; 1 << 22];
    place.model("w.safetensors", &[("w", Dtype::F32, &[1 << 11, 1 << 11], &values)], None);
    fs::create_dir(place.at("out")).expect("made");
    place
}

fn tool(place: &Place, arguments: &str) -> Command {
    let tool = env!("CARGO_BIN_EXE_maf-srl");
    // Tests that run in the background, or under `nohup`, ignore signals, and so would the tool.
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM,HUP", tool]);
        command
    } else {
        Command::new(tool)
    };
    command.args(arguments.split_whitespace()).current_dir(place.at(""));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn send(signal: &str, to: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -s {signal} {to}")]).status().expect("a shell");
    assert!(sent.success(), "{signal}");
}

/// The unfinished files in `out`.
fn parts(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.at("out")).expect("a listing").flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "part")).collect()
}

/// A run that was sent a signal when it was seen to write, and its unfinished file. It may be done before the signal comes.
fn signalled(place: &Place, command: &mut Command, signal: &str) -> (Child, PathBuf) {
    for _ in 0..100 {
        let _ = fs::remove_file(place.at("out/y.safetensors"));
        let mut child = command.spawn().expect("runs");
        // it waits for a line, as it may take longer to start than the run to write
        let kill = format!("read line && kill -s {signal} {}", child.id());
        let mut sender =
            Command::new("sh").args(["-c", &kill]).stdin(Stdio::piped()).spawn().expect("a shell");
        let mut line = sender.stdin.take().expect("a pipe");
        while child.try_wait().expect("a state").is_none() {
            let begun = |path: &PathBuf| fs::metadata(path).is_ok_and(|about| about.len() > 0);
            if let Some(part) = parts(place).into_iter().find(begun) {
                line.write_all(b"\n").expect("waits");
                assert!(sender.wait().expect("ends").success(), "{signal}");
                return (child, part);
            }
            sleep(Duration::from_millis(1));
        }
        drop(line);
        sender.wait().expect("ends");
    }
    panic!("no run was seen to write");
}

/// The exit status and what was said.
fn ended(child: Child) -> (ExitStatus, String) {
    let output = child.wait_with_output().expect("ends");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_signal_while_it_writes_leaves_nothing() {
    let place = place();
    for (name, number) in SIGNALS {
        let mut statuses = (0..100).map(|_| {
            let (child, _) = signalled(&place, &mut tool(&place, STEP), name);
            let (status, said) = ended(child);
            assert_eq!((parts(&place), said.as_str()), (Vec::new(), ""), "{name}: {status}");
            status
        });
        let status = statuses.find(|status| !status.success()).expect("one that was not done before");
        assert_eq!(status.signal(), Some(number), "{name}");
    }
}

#[test]
fn a_signal_at_any_time_leaves_nothing() {
    let place = place();
    let start = Instant::now();
    assert!(tool(&place, STEP).status().expect("runs").success());
    let whole = start.elapsed();
    let written = fs::read(place.at("out/y.safetensors")).expect("written");
    for k in 0..9_u32 {
        let (name, number) = SIGNALS[k as usize % 3];
        fs::remove_file(place.at("out/y.safetensors")).unwrap_or_default();
        let child = tool(&place, STEP).spawn().expect("runs");
        sleep(whole * k / 8);
        // it may be done already, but is there until it is waited for
        send(name, child.id());
        let (status, _) = ended(child);
        assert!(status.success() || status.signal() == Some(number), "{name}: {status}");
        assert_eq!(parts(&place), Vec::<PathBuf>::new(), "{name} after {:?}", whole * k / 8);
        // the signal may come between the file's last name and the end: then the file is there, and whole
        match fs::read(place.at("out/y.safetensors")) {
            Ok(bytes) => assert!(bytes == written, "{name}: {status}"),
            Err(_) => assert!(!status.success(), "{name}: no file"),
        }
    }
}

#[test]
fn a_run_that_is_killed_leaves_what_the_next_one_removes() {
    let place = place();
    // its owner is stopped and alive: another run leaves it alone
    let mut stopped = (0..100).map(|_| {
        let (child, left) = signalled(&place, &mut tool(&place, STEP), "STOP");
        // until it has come
        sleep(Duration::from_millis(200));
        (child, left)
    });
    let (child, left) = stopped.find(|(_, left)| left.exists()).expect("one that was not done before");
    let output = tool(&place, &STEP.replace("y.safetensors", "z.safetensors")).output().expect("runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(left.exists());
    send("KILL", child.id());
    ended(child);
    assert!(left.exists(), "nothing can be done about that");

    let output = tool(&place, STEP).output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let name = format!("out/{}", left.file_name().expect("a name").to_string_lossy());
    assert_eq!(said, format!("maf-srl: removed {name}, which an interrupted run had left\n"));
    assert!(output.status.success() && parts(&place).is_empty());
}

#[test]
fn only_what_is_left_over_is_removed() {
    let place = Place::new();
    place.npy("w.npy", &[2], &[1.0, 2.0]);
    let left = [".maf-srl-abc123.part", ".maf-srl-ZZZZZZ.part"];
    // not ours by its name; a folder; a link; one that a process writes
    let others = [".maf-srl-notes.part", ".maf-srl-abc12_.part", "maf-srl-abc123.part", "x.part"];
    for name in left.iter().chain(&others).chain(&[".maf-srl-locked.part"]) {
        fs::write(place.at(name), "bytes").expect("written");
    }
    fs::create_dir(place.at(".maf-srl-folder.part")).expect("made");
    std::os::unix::fs::symlink(place.at("w.npy"), place.at(".maf-srl-linked.part")).expect("made");
    let live = File::open(place.at(".maf-srl-locked.part")).expect("opens");
    live.lock().expect("locked");

    let mut expected: Vec<_> = place.listing();
    expected.retain(|name| !left.contains(&name.as_str()));
    expected.push("y.npy".into());
    let run = "prox --device cpu --in w.npy --out y.npy --penalty l1";
    let output = place.run(run);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(place.listing(), expected);
    assert_eq!(said.lines().count(), left.len(), "{said}");
    for name in left {
        assert!(said.contains(&format!("maf-srl: removed ./{name}, which")), "{said}");
    }
    drop(live);
    let said = place.run(run).stderr;
    assert!(String::from_utf8_lossy(&said).contains(".maf-srl-locked.part"));
}

/// What a caller has the process ignore does not end it.
#[test]
fn an_ignored_signal_stays_ignored() {
    let place = place();
    let run = format!("trap '' HUP; exec {} {STEP}", env!("CARGO_BIN_EXE_maf-srl"));
    let mut command = Command::new("sh");
    command.args(["-c", &run]).current_dir(place.at("")).stdout(Stdio::null()).stderr(Stdio::piped());
    let (child, _) = signalled(&place, &mut command, "HUP");
    let (status, said) = ended(child);
    assert!(status.success() && said.is_empty(), "{status}: {said}");
    assert!(place.at("out/y.safetensors").exists());
}

/// A signal ends training too, which writes nothing for long.
#[test]
fn training_ends_by_the_signal() {
    let place = Place::new();
    let mut child =
        tool(&place, "train --device cpu --epochs 100000 --repeats 1 --method dense").spawn().expect("runs");
    while !place.at("runs/digits").exists() {
        assert!(child.try_wait().expect("a state").is_none(), "it ended");
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(500));
    send("INT", child.id());
    let (status, _) = ended(child);
    assert_eq!(status.signal(), Some(2));
    assert_eq!(fs::read_dir(place.at("runs/digits")).expect("made").count(), 0);
}
