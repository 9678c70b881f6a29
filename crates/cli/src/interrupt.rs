//! A process that is asked to end: it leaves no unfinished file.

use maf_srl_lab::data::discard;

/// Has Ctrl-C, a request to terminate and a terminal that hangs up remove the unfinished files before they end the process,
/// which ends as it would have without: shells see by which signal.
#[cfg(unix)]
pub fn watch() {
    use std::{sync::mpsc, thread};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    // What the caller has the process ignore, as `nohup` does, must not end it.
    let wanted = match ignored() {
        Some(ignored) => {
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
        }
        // Where that cannot be known: `nohup` is more than a file that the next run removes.
        None => vec![SIGINT, SIGTERM],
    };
    // The thread comes first: with handlers and without it signals would end nothing.
    let (ready, watching) = mpsc::channel::<()>();
    let _ = thread::Builder::new().name("signals".into()).spawn(move || {
        let Ok(mut signals) = Signals::new(wanted) else { return };
        drop(ready);
        for signal in signals.forever() {
            discard();
            let _ = emulate_default_handler(signal);
        }
    });
    // Returns when the sender is gone: the handlers are there, or never will be.
    let _ = watching.recv();
}

/// The set of ignored signals, the first in the lowest bit.
#[cfg(unix)]
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// As on Unix; the exit status is that of Ctrl-C.
#[cfg(windows)]
pub fn watch() {
    const CONTROL_C_EXIT: u32 = 0xC000_013A;
    let _ = ctrlc::set_handler(|| {
        discard();
        std::process::exit(CONTROL_C_EXIT as i32);
    });
}

#[cfg(not(any(unix, windows)))]
pub fn watch() {}
